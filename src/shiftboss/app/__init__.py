"""The library: the Orchestrator and what it returns (workers, runs, answers to questions)."""
