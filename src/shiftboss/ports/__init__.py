"""What the engine asks of stores, executors and functions, and what people's queries ask of a store."""
