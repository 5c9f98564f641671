"""What the engine asks of stores, executors and bodies, and what people's questions ask of a store."""
