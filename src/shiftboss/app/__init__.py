"""The library face: the Orchestrator, and what it hands out."""
