"""`calendar=`: a schedule that fires on some days and at some hours only, or on the next such day instead.

Rules of this file
- A day is *open* if its weekday is one of the calendar's, and it is neither a public holiday nor a date left out.
- `otherwise="skip"` drops what falls on other days; `"next"` moves it to the same local time of the next open day.  Two
  times that coincide then fire once.
- Hours are asked last: what falls outside them is dropped.  The first is included, the last is not.
- The library `holidays` knows the public holidays (extra `holidays`); which ones, depends on its version.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any

from shiftboss.core.schedules.by_calendar import ByCalendar
from shiftboss.core.schedules.calendar_event import CalendarEvent
from shiftboss.core.schedules.cron import Cron
from shiftboss.core.schedules.every import Anchored
from shiftboss.core.schedules.instants import At
from shiftboss.core.schedules.rrule import RRule
from shiftboss.core.schedules.several import Several
from shiftboss.core.schedules.zone import instant_of, to_local, to_utc
from shiftboss.core.value import Value, Word, later
from shiftboss.errors import ConfigurationError, did_you_mean

NOWADAYS = instant_of(1_767_225_600)  # 2026-01-01: something must fire after this
MAX_CLOSED_DAYS = 400  # in a row, before an open day is no longer looked for
MAX_ASKED = 50_000  # times of the rule that are looked through for one that the calendar lets pass
HORIZON_S = 50 * 366 * 86_400.0  # as for cron
A_MOMENT = timedelta(microseconds=1)
MIDNIGHT = time()


class Otherwise(Word):
    """What becomes of a scheduled time on a day that the calendar leaves out."""

    SKIP = "skip"
    NEXT = "next"


class DayFilter(Value, frozen=True):
    """Which days and hours a schedule may have.

    `weekdays`: 0 is Monday.  `country`: a code of ISO 3166-1 such as "DE", with `subdivision` of ISO 3166-2 such as
    "BY"; its public holidays are left out.  `hours`: seconds of the day, from and to; over midnight if *to* is not
    later.  Raises ConfigurationError for a country that is not known, and if no day is open.
    """

    weekdays: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    country: str = ""
    subdivision: str = ""
    except_dates: tuple[date, ...] = ()
    hours: tuple[int, int] | None = None
    otherwise: Otherwise = Otherwise.SKIP

    def __post_init__(self) -> None:
        if not self.weekdays:
            raise ConfigurationError("calendar= has no weekday; give at least one")
        if self.country:
            public_holidays(self.country, self.subdivision)

    def is_open(self, day: date) -> bool:
        """Whether a schedule may fire on that day."""
        return day.weekday() in self.weekdays and day not in self.except_dates and not self._is_holiday(day)

    def opening(self, day: date) -> date | None:
        """The first open day from *day* on; None if there is none within 400 days."""
        days = (day + timedelta(days=ahead) for ahead in range(MAX_CLOSED_DAYS))
        return next((each for each in days if self.is_open(each)), None)

    def is_within_hours(self, at: time) -> bool:
        if self.hours is None:
            return True
        first, last = self.hours
        second = at.hour * 3600 + at.minute * 60 + at.second
        return first <= second < last if first < last else second >= first or second < last

    def _is_holiday(self, day: date) -> bool:
        return bool(self.country) and day in public_holidays(self.country, self.subdivision)


@lru_cache(maxsize=256)
def public_holidays(country: str, subdivision: str) -> Container[date]:
    """The public holidays of a country or a part of it, any year.  Raises ConfigurationError."""
    try:
        import holidays  # 50 ms to import, and only installed for those who use it
    except ImportError:
        raise ConfigurationError(
            "calendar= with holidays needs the library holidays; install it with: pip install 'shiftboss[holidays]'"
        ) from None
    known: dict[str, Any] = holidays.list_supported_countries(include_aliases=True)
    if country not in known:
        raise ConfigurationError(
            f"holidays={country!r} is not a country that is known; use a code such as 'DE' or 'US-CA' "
            f"({did_you_mean(country, known)})"
        )
    if subdivision and subdivision not in known[country]:
        raise ConfigurationError(
            f"holidays='{country}-{subdivision}': {country} has no part {subdivision!r}; use one of "
            f"{', '.join(sorted(known[country])) or 'none'}"
        )
    days: Container[date] = holidays.country_holidays(country, subdiv=subdivision or None)
    return days


Inner = Anchored | At | CalendarEvent | Cron | RRule | Several


class Within(ByCalendar, frozen=True, tag="within"):
    """The times of *rule* that *days* lets pass, in the time zone of *rule*.

    Raises ConfigurationError if nothing is left of the schedule.
    """

    rule: Inner
    days: DayFilter

    def __post_init__(self) -> None:
        _check(self)

    @property
    def zone(self) -> str:
        return self.rule.zone

    def after(self, at: datetime) -> datetime | None:
        best: datetime | None = None
        horizon = later(at, HORIZON_S)
        asked = self.rule.after(self._closed_since(at) - A_MOMENT)
        for _ in range(MAX_ASKED):
            if asked is None or asked > horizon or (best is not None and asked > best):
                return best
            fires = self._fires(asked)
            if fires is not None and fires > at and (best is None or fires < best):
                best = fires
            asked = self.rule.after(asked if best is not None else max(asked, self._before_opening(asked)))
        return best

    def last(self, until: datetime, *, first: datetime) -> datetime:
        latest, at = first, self.after(self._some_before(until, first))
        while at is not None and at <= until:
            latest, at = max(latest, at), self.after(at)
        return latest

    def _some_before(self, until: datetime, first: datetime) -> datetime:
        """A time before *until*, close to it, after which it fires up to *until* at least once; else *first*."""
        back = timedelta(hours=1)
        while (start := until - back) > first:
            at = self.after(start)
            if at is not None and at <= until:
                return start
            back *= 2
        return first

    def _fires(self, asked: datetime) -> datetime | None:
        """When it fires for that time of the rule; None if not at all."""
        local = to_local(asked, self.zone)
        if not self.days.is_within_hours(local.time()):
            return None
        if self.days.is_open(local.date()):
            return asked
        if self.days.otherwise is Otherwise.SKIP:
            return None
        day = self.days.opening(local.date())
        return None if day is None else to_utc(datetime.combine(day, local.time()), self.zone)

    def _closed_since(self, at: datetime) -> datetime:
        """When the closed days began that end on the day of *at*: what falls on them may fire on that day."""
        if self.days.otherwise is Otherwise.SKIP:
            return at + A_MOMENT
        day = to_local(at, self.zone).date()
        for _ in range(MAX_CLOSED_DAYS):
            before = day - timedelta(days=1)
            if self.days.is_open(before):
                break
            day = before
        return to_utc(datetime.combine(day, MIDNIGHT), self.zone)

    def _before_opening(self, asked: datetime) -> datetime:
        """Just before the next time that may fire, if *asked* may not: what lies between need not be asked about."""
        if self.days.otherwise is Otherwise.NEXT:
            return asked
        local = to_local(asked, self.zone)
        if not self.days.is_open(local.date()):
            day = self.days.opening(local.date())
            if day is None:
                return later(asked, MAX_CLOSED_DAYS * 86_400.0)
            begins = datetime.combine(day, MIDNIGHT)
        elif self.days.hours is not None and not self.days.is_within_hours(local.time()):
            first_s = self.days.hours[0]
            begins = datetime.combine(local.date(), MIDNIGHT) + timedelta(seconds=first_s)
            begins += timedelta(days=1 if begins <= local else 0)
        else:
            return asked
        return to_utc(begins, self.zone) - A_MOMENT


@lru_cache(maxsize=4096)  # rows are decoded more often than declared
def _check(within: Within) -> None:
    if within.after(NOWADAYS) is None:
        raise ConfigurationError("calendar= leaves nothing of the schedule; change its days or hours, or the schedule")
