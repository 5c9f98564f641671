"""The library: the Orchestrator, and what it hands out (workers, runs, answers)."""
