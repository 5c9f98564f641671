"""The worked example: a small observatory of the machine it runs on (`shiftboss demo`)."""
