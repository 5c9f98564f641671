"""Several schedules as one: `cron=["0 6 * * *", "30 17 * * MON-FRI"]`."""

from __future__ import annotations

from datetime import datetime

from shiftboss.core.schedules.by_calendar import ByCalendar
from shiftboss.core.schedules.calendar_event import CalendarEvent
from shiftboss.core.schedules.cron import Cron
from shiftboss.errors import ConfigurationError


class Several(ByCalendar, frozen=True, tag="several"):
    """Fires whenever one of *rules* does; times that coincide fire once.  At least two, or ConfigurationError."""

    rules: tuple[Cron | CalendarEvent, ...]

    def __post_init__(self) -> None:
        if len(self.rules) < 2:
            raise ConfigurationError("a schedule that is made of several needs at least two; give the one alone")
        if len(zones := {rule.zone for rule in self.rules}) > 1:
            raise ConfigurationError(
                f"the schedules of one worker have several time zones ({', '.join(sorted(zones))}); give one timezone="
            )

    @property
    def zone(self) -> str:
        return self.rules[0].zone

    def after(self, at: datetime) -> datetime | None:
        return min((next_at for rule in self.rules if (next_at := rule.after(at)) is not None), default=None)

    def last(self, until: datetime, *, first: datetime) -> datetime:
        return max(rule.last(until, first=first) for rule in self.rules)
