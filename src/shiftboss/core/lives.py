"""How a store goes on if it was put back to an earlier state, or may have been.

Rules of this file
- No fence and no run id is given out twice.  If a process has seen how far the lost past had counted, counting goes on
  one above that.  Otherwise it goes on from the clock: no store commits once a microsecond, so the microseconds since
  1970 exceed every number that it has given out.  Until 2255 they stay below 2⁵³, up to which JSON numbers are exact.
- People read run ids, so ids jump only by as many as the store can have given out in the unknown time.
- If the clock was set back as well, across the loss, nobody can notice; what is stored and what was seen still counts.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from shiftboss.core.value import EPOCH

IDS_A_SECOND = 1000  # no store gets more runs than that, averaged over minutes and hours
LEAST_IDS = 1000  # the clocks of two machines differ by less than a second
UNKNOWN_IDS = 1_000_000  # if nothing in the store says when it last wrote


class Counted(NamedTuple):
    """How far a store has counted."""

    number: int = 0  # of commits, in their order
    stamp: int = 0  # of fences, if they are counted separately
    run_id: int = 0
    event_id: int = 0


def furthest(one: Counted, other: Counted) -> Counted:
    return Counted._make(map(max, one, other))


def next_life(stored: Counted, seen: Counted, now: datetime, *, lived_at: datetime | None) -> Counted:
    """Where a store that has counted to *stored* goes on, if a process has *seen* it count further, or may have.

    *lived_at* is the latest time in what the store holds.
    """
    known = furthest(stored, seen)
    first = max(known.number, known.stamp, _us(now)) + 1
    lost = ids_lost(now, lived_at)
    return Counted(first, first, known.run_id + lost, known.event_id + lost)


def fences_of_next_boot(stored: Counted, now: datetime) -> Counted:
    """After a boot nothing seems to be lost, but nobody lived to know: ids go on by one, fences from the clock."""
    first = max(stored.number, stored.stamp, _us(now)) + 1
    return stored._replace(number=first, stamp=first)


def ids_lost(now: datetime, lived_at: datetime | None) -> int:
    """More ids than the store can have given out since *lived_at*."""
    if lived_at is None:
        return UNKNOWN_IDS
    return LEAST_IDS + IDS_A_SECOND * int(abs((now - lived_at).total_seconds()))


def _us(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)
