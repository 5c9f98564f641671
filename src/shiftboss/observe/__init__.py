"""What happened, for the outside: events as log lines, metrics and traces."""
