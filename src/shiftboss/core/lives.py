"""How a store goes on that was put back to an earlier state, or of which nobody knows whether it was.

Rules of this file
- No fence and no id of a run is given twice.  What was seen of the lost past is outrun by one; what nobody has seen, by
  the clock: no store commits as often as once a microsecond, so the microseconds since 1970 are beyond every number
  that it has given, and below 2⁵³, which every reader of JSON can tell apart, until 2255.
- Ids are for people, so they jump only by what the store can have given in the time of which nobody knows.
- A clock that was set back over the loss cannot be seen through; what is stored and what was seen hold all the same.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from shiftboss.core.value import EPOCH

IDS_A_SECOND = 1000  # more runs than a store is given, on average over minutes and hours
LEAST_IDS = 1000  # the clocks of two machines differ by less than a second
UNKNOWN_IDS = 1_000_000  # where nothing in the store says when it lived last


class Counted(NamedTuple):
    """How far a store has counted."""

    number: int = 0  # commits, in their order
    stamp: int = 0  # fences, where those are drawn apart
    run_id: int = 0
    event_id: int = 0


def furthest(one: Counted, other: Counted) -> Counted:
    return Counted._make(map(max, one, other))


def next_life(stored: Counted, seen: Counted, now: datetime, *, lived_at: datetime | None) -> Counted:
    """Where a store goes on that has counted to *stored*, when somebody has *seen* more, or may have.

    *lived_at*: the latest instant in what it holds.
    """
    known = furthest(stored, seen)
    first = max(known.number, known.stamp, _us(now)) + 1
    lost = ids_lost(now, lived_at)
    return Counted(first, first, known.run_id + lost, known.event_id + lost)


def fences_of_next_boot(stored: Counted, now: datetime) -> Counted:
    """Nothing seems to be lost, and nobody has lived since who would know: ids go on, fences by the clock."""
    first = max(stored.number, stored.stamp, _us(now)) + 1
    return stored._replace(number=first, stamp=first)


def ids_lost(now: datetime, lived_at: datetime | None) -> int:
    """More ids than can have been given since *lived_at*."""
    if lived_at is None:
        return UNKNOWN_IDS
    return LEAST_IDS + IDS_A_SECOND * int(abs((now - lived_at).total_seconds()))


def _us(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)
