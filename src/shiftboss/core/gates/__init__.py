"""The gates: why may this run not start now?  One file each, and `table.py` with the order in which they are asked.


A new gate is a file here (its kind of hold, and the function that returns it), a line in `table.py`, and a file in
tests/core/gates.  Decisions, `why`, the next run, the command, the HTTP API and the dashboard follow from that.  Only
the simulation's oracle needs the rule a second time, written independently.
"""
