"""One file for each group of commands; `root.py` lists them, and imports each when it is called."""
