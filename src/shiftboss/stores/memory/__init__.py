"""A store in memory, which ends with its process."""
