"""What several stores ask of the machine they run on: the modes of files, the states of processes."""
