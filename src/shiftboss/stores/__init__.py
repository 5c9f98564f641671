"""Where everything is kept: in memory for tests and simulation, in one SQLite file for everything else."""
