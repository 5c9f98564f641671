"""What stores ask of the machine on which they run: the modes of files, the states of processes."""
