"""What runs a body: on the loop of the caller, in threads, in processes of its own, as a command, in a pool."""
