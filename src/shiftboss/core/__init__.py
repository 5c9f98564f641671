"""The rules of shiftboss, and the values that they work on.

Everything here is pure: no clock, no I/O, no randomness, no logging.  A rule is a function from a snapshot and an
instant to a change; ids and whatever else it needs are handed in.  So the same rules run in the engine, in the
simulator and behind `why`.
"""
