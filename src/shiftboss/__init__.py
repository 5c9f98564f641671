"""Background workers that must not get in each other's way."""
