"""Reports what happened: events as log lines, metrics and traces."""
