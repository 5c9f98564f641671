"""`at=`: one or several times, written out."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import datetime

from shiftboss.core.schedules.by_calendar import ByCalendar
from shiftboss.core.schedules.zone import zone_of
from shiftboss.errors import ConfigurationError


class At(ByCalendar, frozen=True, tag="at"):
    """The times *instants* (UTC, ascending, each once), read by people in *timezone*.  It ends with the last of them.

    Raises ConfigurationError for no time at all, a wrong order and an unknown zone.
    """

    instants: tuple[datetime, ...]
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        if not self.instants:
            raise ConfigurationError("at=[] has no time; give at least one, or leave at= out")
        if list(self.instants) != sorted(set(self.instants)):
            raise ConfigurationError("at=: the times must ascend, and each may stand there once")
        zone_of(self.timezone)

    @property
    def zone(self) -> str:
        return self.timezone

    def after(self, at: datetime) -> datetime | None:
        index = bisect_right(self.instants, at)
        return self.instants[index] if index < len(self.instants) else None

    def last(self, until: datetime, *, first: datetime) -> datetime:
        index = bisect_right(self.instants, until)
        return max(first, self.instants[index - 1]) if index else first

    def count(self, first: datetime, until: datetime, *, limit: int) -> int:
        return min(limit, 1 + max(0, bisect_right(self.instants, until) - bisect_left(self.instants, first) - 1))
