"""Which times match a pattern of days and times of day, in a time zone: the walk that cron and calendar events share.

Rules of this file
- Pure: every time is handed in, as whole seconds since 1970, because no pattern fires within a second.
- Clock changes matter only for which readings an era has (`Pattern.opening`): a fixed time fires when the clock first
  passes it; a pattern with a wildcard hour or minute follows elapsed time (O3).
- `Pattern` is what a kind of schedule fills in: which days, which times of a day.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import date
from typing import NamedTuple, Protocol

from shiftboss.core.schedules.zone import DAY_S, YEAR_S, Era, era_at
from shiftboss.core.value import EPOCH

UNIX_DAY = EPOCH.toordinal()
HORIZON_S = 50 * YEAR_S  # the rarest day, a given weekday on February 29, comes back within 40 years


class Days(Protocol):
    """The days of a pattern."""

    def match(self, day: date) -> bool:
        """Whether the pattern has that day."""


class Pattern(NamedTuple):
    """A parsed expression: which readings of a clock match it."""

    days: Days
    times: tuple[int, ...]  # seconds of the day, ascending
    is_fixed: bool  # neither minute nor hour is a wildcard: the Vixie rule compensates clock changes

    def opening(self, era: Era, instant: int) -> int:
        """The first reading that counts in *era* from *instant* on.

        A fixed time fires when the clock first passes it.  So the readings of a gap count in the era that begins there,
        all at its start, and those of a repeated hour have counted in the era before.
        """
        first = era.start + (era.before if self.is_fixed else era.offset)
        return first if instant == era.start else max(first, instant + era.offset)

    def first_in(self, low: int, high: int) -> int | None:
        """The first matching reading in [low, high)."""
        for day in range(low // DAY_S, -(-high // DAY_S)):
            if self._has(day) and (index := bisect_left(self.times, low - day * DAY_S)) < len(self.times):
                reading = day * DAY_S + self.times[index]
                return reading if reading < high else None
        return None

    def last_in(self, low: int, high: int) -> int | None:
        """The last matching reading in [low, high)."""
        for day in range((high - 1) // DAY_S, low // DAY_S - 1, -1):
            if self._has(day) and (index := bisect_left(self.times, high - day * DAY_S)) > 0:
                reading = day * DAY_S + self.times[index - 1]
                return reading if reading >= low else None
        return None

    def count_in(self, low: int, high: int) -> int:
        """How many readings in [low, high) match."""
        days = (day * DAY_S for day in range(low // DAY_S, -(-high // DAY_S)) if self._has(day))
        return max(0, sum(bisect_left(self.times, high - day) - bisect_left(self.times, low - day) for day in days))

    def _has(self, day: int) -> bool:
        return self.days.match(date.fromordinal(UNIX_DAY + day))


def next_match(pattern: Pattern, timezone: str, instant: int, *, end: int | None = None) -> int | None:
    """The first second after *instant* that matches; None if there is none within 50 years, or none before *end*."""
    start, horizon = instant + 1, instant + HORIZON_S
    horizon = horizon if end is None else min(horizon, end)
    while start <= horizon:
        era = era_at(timezone, start)
        reading = pattern.first_in(pattern.opening(era, start), era.end + era.offset)
        if reading is not None:
            return max(reading - era.offset, era.start)
        start = era.end
    return None


def last_match(pattern: Pattern, timezone: str, instant: int, *, first: int) -> int:
    """The last second up to *instant* that matches, not before *first*."""
    end = instant + 1
    while end > first:
        era = era_at(timezone, end - 1)
        reading = pattern.last_in(pattern.opening(era, era.start), end + era.offset)
        if reading is not None:
            return max(reading - era.offset, era.start, first)
        end = era.start
    return first


def count_matches(pattern: Pattern, timezone: str, first: int, until: int, *, limit: int) -> int:
    """How many seconds after *first* and up to *until* match, plus one for *first*; *limit* bounds the work."""
    start, count = first + 1, 1
    while start <= until and count < limit:
        era = era_at(timezone, start)
        end, opening = min(era.end, until + 1), pattern.opening(era, start)
        count += pattern.count_in(opening, end + era.offset)
        if start == era.start:  # all that fell into a gap fires once
            count -= max(0, pattern.count_in(opening, start + era.offset + 1) - 1)
        start = end
    return count
