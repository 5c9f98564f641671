"""The loop that applies the rules: one thread, one cycle, one transaction."""
