"""Executors run functions and commands: on the user's event loop, in threads, in child processes or in a pool."""
