"""Holds on a terminal: the sentence that a hold has (core/hold.py), and when it ends."""

from __future__ import annotations

from datetime import datetime

from shiftboss.cli import times
from shiftboss.core.hold import Hold


def parted(hold: Hold, now: datetime) -> tuple[str, str]:
    """For a table: the gate, with whose doing it is where its sentence begins with that, and the rest."""
    said, whose = str(hold), f"{hold.subject}: "
    if hold.subject and said.startswith(whose):
        return f"{hold.gate} {hold.subject}", said.removeprefix(whose) + _end(hold, now)
    return hold.gate, said + _end(hold, now)


def sentence(hold: Hold, now: datetime) -> str:
    """ "depends_on fetch-data: run 12 is in back-off, until 14:02:40 (in 9 s)"."""
    return ": ".join(parted(hold, now))


def _end(hold: Hold, now: datetime) -> str:
    if hold.until is None:
        return ""
    return f", {hold.until_says} {times.clock(hold.until, now)} ({times.until(hold.until, now)})"
