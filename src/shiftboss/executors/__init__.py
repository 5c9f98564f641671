"""Executors run bodies: coroutines on the user's loop, functions in threads, children or a pool, and commands."""
