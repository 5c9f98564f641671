"""What happened, told to the outside: as log lines, as metrics, as spans."""
