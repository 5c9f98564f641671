"""Holds on a terminal: the sentence of a hold (core/hold.py), and when it ends."""

from __future__ import annotations

from datetime import datetime

from shiftboss.cli import times
from shiftboss.core.hold import Hold


def sentence(hold: Hold, now: datetime) -> str:
    """ "rate limit of 20/min reached, next start at 14:02:40 (in 9 s)"."""
    if hold.until is None:
        return str(hold)
    return f"{hold}, {hold.until_says} at {times.clock(hold.until, now)} ({times.until(hold.until, now)})"
