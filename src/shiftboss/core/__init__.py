"""The rules of shiftboss, and the values they speak of.

What pure means in this folder: no clock, no I/O, no randomness, no logging.  A rule is a function from a snapshot and
an instant to a change; ids and facts are handed in.  The same rules therefore run in the engine, in the simulator and
behind `why`.
"""
