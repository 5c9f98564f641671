"""When does a schedule fire?  The questions that the rules ask, whatever the kind of the schedule.

Rules of this file
- Pure: every time is handed in.  Times are aware UTC.
- `Every` counts from the worker's first scheduled time, its *anchor*.  All other kinds follow the calendar: they need
  no anchor, which may then be None, and they may end.
- Each kind is a file of `schedules/`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256

from shiftboss.core.schedules.calendar_event import CalendarEvent
from shiftboss.core.schedules.cron import Cron
from shiftboss.core.schedules.every import Anchored, Every
from shiftboss.core.schedules.instants import At
from shiftboss.core.schedules.rrule import RRule
from shiftboss.core.schedules.several import Several
from shiftboss.core.schedules.within import Within
from shiftboss.errors import InternalError

__all__ = [
    "Anchored",
    "At",
    "CalendarEvent",
    "Cron",
    "Every",
    "RRule",
    "Schedule",
    "Several",
    "Within",
    "count_until",
    "first_instant",
    "follows_calendar",
    "jitter_offset_s",
    "last_until",
    "newest",
    "next_after",
]

MOMENT = timedelta(microseconds=1)

Schedule = Every | Anchored | At | CalendarEvent | Cron | RRule | Several | Within


def follows_calendar(schedule: Schedule | None) -> bool:
    """O4: whether its times stay where they are when the clock is set; those of a plain `every=` move along."""
    return schedule is not None and not isinstance(schedule, Every)


def first_instant(schedule: Schedule, now: datetime) -> datetime | None:
    """The first scheduled time if it is declared at *now* with `start="next"` (M3): an interval later, or the next one.

    None if it has ended.  With `start="now"` it is *now* itself, for all kinds.  For a plain `every=` the first
    scheduled time is the anchor (M4).
    """
    return now + schedule.step if isinstance(schedule, Every) else schedule.after(now)


def next_after(schedule: Schedule, after: datetime, *, anchor: datetime | None) -> datetime | None:
    """The first scheduled time strictly after *after*, None if there is none.

    For a plain `every=` it is *anchor* + k × every, never before *anchor* (M4).
    """
    if not isinstance(schedule, Every):
        return schedule.after(after)
    start, step = _anchored(anchor), schedule.step
    return start + max(0, (after - start) // step + 1) * step


def last_until(schedule: Schedule, until: datetime, *, first: datetime, anchor: datetime | None) -> datetime:
    """The last scheduled time at or before *until*, given the one *first* ≤ *until*; never before *first* (O2)."""
    if not isinstance(schedule, Every):
        return max(first, schedule.last(until, first=first))
    start, step = _anchored(anchor), schedule.step
    return max(first, start + (until - start) // step * step)


def count_until(schedule: Schedule, first: datetime, until: datetime, *, anchor: datetime | None, limit: int) -> int:
    """How many scheduled times are in [*first*, *until*], *first* being one of them, counted up to *limit* (O2)."""
    if not isinstance(schedule, Every):
        return schedule.count(first, until, limit=limit)
    start, step = _anchored(anchor), schedule.step
    return min(limit, 1 + (until - start) // step - (first - start) // step)


def newest(schedule: Schedule, until: datetime, *, first: datetime, anchor: datetime | None, limit: int) -> datetime:
    """The first of the newest *limit* ≥ 1 scheduled times in [*first*, *until*]; `misfire="all"` begins there (O2)."""
    if isinstance(schedule, Every):
        start = _anchored(anchor)
        return max(first, start + max(0, (until - start) // schedule.step - limit + 1) * schedule.step)
    at = until + MOMENT
    for _ in range(limit):
        at = schedule.last(at - MOMENT, first=first)
        if at <= first:
            return first
    return at


def jitter_offset_s(worker: str, jitter_s: float) -> float:
    """Seconds in [0, *jitter_s*) by which *worker* is late: the same after every restart and on every node."""
    if not jitter_s:
        return 0.0
    return int.from_bytes(sha256(worker.encode()).digest()[:6]) / 2**48 * jitter_s


def _anchored(anchor: datetime | None) -> datetime:
    if anchor is None:
        raise InternalError("an every= schedule was evaluated without its anchor; please report this")
    return anchor
