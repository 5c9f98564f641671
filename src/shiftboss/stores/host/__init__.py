"""What stores need from the machine they run on: the modes of files, the states of processes."""
