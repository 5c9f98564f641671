"""One file for each group of commands; `root.py` says which, and imports them when they are called."""
