"""What happened, told to the outside: logs now; metrics and traces have their door here."""
