"""`every=`: a fixed distance, counted from the first scheduled time (M4) or from an anchor.

Rules of this file
- Without an anchor the distance is elapsed time, and the first scheduled time depends on when the worker was declared.
- With an anchor the scheduled times follow the calendar.  Distances in days and weeks keep the local time of the zone;
  all other distances are elapsed time from the anchor on.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shiftboss.core.schedules.by_calendar import ByCalendar
from shiftboss.core.schedules.zone import to_local, to_utc, zone_of
from shiftboss.core.value import Value
from shiftboss.errors import ConfigurationError

MIN_EVERY_S = 0.01  # as for iterations (M5)
MAX_EVERY_S = 100 * 366 * 86_400.0  # a century: sums with it stay within the calendar
DAY_S = 86_400.0


class Every(Value, frozen=True, tag="every"):
    """M4: a fixed rate, counted from the worker's first scheduled time; 0.01 s to a century, exact to the microsecond.

    Raises ConfigurationError outside these bounds.
    """

    every_s: float

    def __post_init__(self) -> None:
        check_distance(self.every_s)

    @property
    def step(self) -> timedelta:
        return timedelta(seconds=self.every_s)


class Anchored(ByCalendar, frozen=True, tag="anchored"):
    """M4: a fixed distance from *anchor*, which is the first scheduled time, a UTC time.

    With `days` > 0 the distance is that many days of *timezone*'s calendar, always at the anchor's local time; a local
    time that a clock change skips or repeats is treated as cron's (O3).  With `days` = 0 it is `every_s` of elapsed
    time.  Raises ConfigurationError for an unknown zone or a distance outside 0.01 s to a century.
    """

    every_s: float
    anchor: datetime
    days: int = 0
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        check_distance(self.every_s)
        zone_of(self.timezone)

    @property
    def zone(self) -> str:
        return self.timezone

    @property
    def step(self) -> timedelta:
        return timedelta(seconds=self.every_s)

    def after(self, at: datetime) -> datetime:
        if at < self.anchor:
            return self.anchor
        number = self._number(at)
        while (instant := self._at(number)) <= at:
            number += 1
        return instant

    def last(self, until: datetime, *, first: datetime) -> datetime:
        if until < self.anchor:
            return first
        number = self._number(until) + 1
        while (instant := self._at(number)) > until:
            number -= 1
        return max(first, instant)

    def count(self, first: datetime, until: datetime, *, limit: int) -> int:
        if self.days:
            return super().count(first, until, limit=limit)
        low, high = ((max(at, self.anchor) - self.anchor) // self.step for at in (first, until))
        return min(limit, 1 + max(0, high - low))

    def _at(self, number: int) -> datetime:
        """The *number*-th scheduled time, counted from 0."""
        if not self.days:
            return self.anchor + number * self.step
        return to_utc(to_local(self.anchor, self.timezone) + timedelta(days=number * self.days), self.timezone)

    def _number(self, at: datetime) -> int:
        """The number of a scheduled time that is at most one distance before *at*, and not after it by more."""
        if not self.days:
            return int((at - self.anchor) // self.step)
        local = to_local(at, self.timezone), to_local(self.anchor, self.timezone)
        return max(0, (local[0].date() - local[1].date()).days // self.days - 1)


def check_distance(every_s: float) -> None:
    """Raises ConfigurationError for a distance that no schedule has."""
    if not MIN_EVERY_S <= every_s <= MAX_EVERY_S:
        raise ConfigurationError(
            f"every={every_s} s is out of range; use {MIN_EVERY_S} s to 100 years, or continuous=True for a loop"
        )
