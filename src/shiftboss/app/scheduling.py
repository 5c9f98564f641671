"""Makes a schedule of what people write: `every=`, `cron=`, `at=`, `on_calendar=`, `rrule=` and what goes with them.

Rules of this file
- A worker has at most one of these five.  Which other options go with which of them is decided here.
- A time without a zone is a local time of `timezone=`, and UTC without that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal, NamedTuple

from shiftboss.core.kinds import UNIT_S, Kind, duration, many, one_of, shown, text
from shiftboss.core.pattern import lazy_pattern
from shiftboss.core.schedule import Anchored, At, CalendarEvent, Cron, Every, RRule, Schedule, Several, Within
from shiftboss.core.schedules.calendar_event import weekdays_of
from shiftboss.core.schedules.cron import cron_expression
from shiftboss.core.schedules.rrule import rule_text
from shiftboss.core.schedules.within import DayFilter, Otherwise
from shiftboss.core.schedules.zone import to_utc, zone_of
from shiftboss.errors import ConfigurationError

FIRST_YEAR, LAST_YEAR = 1970, 2199
MAX_RULES, MAX_TIMES = 100, 10_000  # of one worker: expressions, times written out
OF_DAYS = lazy_pattern(r"\s*(?:\d+\s*[dw]\s*)+", re.IGNORECASE | re.ASCII)
ISO_DATE = lazy_pattern(r"\d{4}-?\d\d", re.ASCII)
HOURS = lazy_pattern(r"(\d\d?):(\d\d)\s*-\s*(\d\d?):(\d\d)", re.ASCII)
COUNTRY = lazy_pattern(r"([A-Z]{2})(?:-([A-Z0-9]{1,3}))?", re.ASCII)
A_MOMENT = timedelta(microseconds=1)

KINDS = ("every", "cron", "at", "on_calendar", "rrule")

LocalTime = datetime | date | str
Of = Mapping[str, Any]


class Calendar(NamedTuple):
    """Days and hours of a schedule, for `calendar=`.

    `weekdays`: as "Mon..Fri" or "Mon,Thu".  `holidays`: a country such as "DE", or a part of one such as "DE-BY" or
    "US-CA", whose public holidays are left out (extra `holidays`).  `except_dates`: further days that are left out.
    `hours`: as "09:00-17:00", the last one excluded; it may go over midnight.  `otherwise`: what becomes of a scheduled
    time on a day that is left out: "skip" drops it, "next" moves it to the same local time of the next day that is not.
    """

    weekdays: str | None = None
    holidays: str | None = None
    except_dates: Iterable[date] = ()
    hours: str | None = None
    otherwise: Literal["skip", "next"] = "skip"


class Distance(NamedTuple):
    """`every=` as it was read.  `days` is 0 unless it was written in days and weeks only."""

    every_s: float
    days: int


class Moment(NamedTuple):
    """A time as it was read: aware, or a local time.  `is_day`: only the day was given."""

    at: datetime
    is_day: bool

    def in_utc(self, timezone: str, *, end: bool = False) -> datetime:
        """*end*: a day means its last moment, not its first."""
        local = self.at + timedelta(days=1) if end and self.is_day else self.at
        instant = local.astimezone(UTC) if local.tzinfo is not None else to_utc(local, timezone)
        return instant - A_MOMENT if end and self.is_day else instant


# ── kinds of options ─────────────────────────────────────────────────────────────────────────────────────────────


def distance(value: Any, /, *, name: str) -> Distance:
    """A duration that knows whether it was written in days and weeks."""
    every_s = duration(value, name=name)
    in_days = isinstance(value, str) and OF_DAYS.fullmatch(value) is not None
    return Distance(every_s, round(every_s / UNIT_S["d"]) if in_days else 0)


def moment(value: Any, /, *, name: str) -> Moment:
    """A datetime, a date or a text of ISO 8601, from 1970 to 2199.  Raises ConfigurationError."""
    parsed: Any = value
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value.strip())
            parsed = parsed.date() if re.fullmatch(r"\S{8,10}", value.strip(), re.ASCII) else parsed
        except ValueError:
            parsed = None
    is_day = isinstance(parsed, date) and not isinstance(parsed, datetime)
    if is_day:
        parsed = datetime.combine(parsed, time())
    if not isinstance(parsed, datetime):
        raise ConfigurationError(
            f"{name}={shown(value)} is not a time; give a datetime, a date, or a text such as '2026-01-05 09:00'"
        )
    if not FIRST_YEAR <= parsed.year <= LAST_YEAR:
        raise ConfigurationError(
            f"{name}={shown(value)} is out of range; the year must be from {FIRST_YEAR} to {LAST_YEAR}"
        )
    return Moment(parsed, is_day)


class PauseEnd(NamedTuple):
    """When a pause ends: after a duration, at a time (UTC), or, without either, when somebody says so."""

    for_s: float | None = None
    at: datetime | None = None


def pause_end(value: Any, /, *, name: str) -> PauseEnd:
    """None; a duration such as 7200, "2h" or a timedelta; or a time such as "2026-12-01 18:00", UTC without a zone."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return PauseEnd()
    if isinstance(value, date) or (isinstance(value, str) and ISO_DATE.match(value.strip())):
        return PauseEnd(at=moment(value, name=name).in_utc("UTC", end=True))
    for_s = duration(value, name=name)
    if not for_s:
        raise ConfigurationError(f"{name}={shown(value)} is not a duration; give one such as '2h', or a time")
    return PauseEnd(for_s)


def one_or_many(kind: Kind[Any], *, most: int) -> Kind[tuple[Any, ...]]:
    """What *kind* reads, or a list of that."""
    listed = many(kind, most=most)

    def read(value: Any, /, *, name: str) -> tuple[Any, ...]:
        if isinstance(value, list | tuple | set | frozenset):
            values = listed(value, name=name)
            if not values:
                raise ConfigurationError(f"{name}=[] is empty; give at least one, or leave {name}= out")
            return values
        return (kind(value, name=name),)

    return read


def calendar(value: Any, /, *, name: str) -> DayFilter | None:
    """A `Calendar(…)`, checked; None for none."""
    if value is None:
        return None
    if not isinstance(value, Calendar):
        raise ConfigurationError(f"{name}={shown(value)} is not understood; give Calendar(…), or leave it out")
    try:
        return _day_filter(value)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}=Calendar(…): {error}") from error


def _day_filter(given: Calendar) -> DayFilter:
    country, subdivision = "", ""
    if given.holidays is not None:
        match = COUNTRY.fullmatch(_SHORT(given.holidays, name="holidays").upper())
        if match is None:
            raise ConfigurationError(
                f"holidays={given.holidays!r} is not a country; use a code such as 'DE' or 'US-CA'"
            )
        country, subdivision = match[1], match[2] or ""
    weekdays = range(7) if given.weekdays is None else weekdays_of(_SHORT(given.weekdays, name="weekdays"))
    return DayFilter(
        weekdays=tuple(sorted(weekdays)),
        country=country,
        subdivision=subdivision,
        except_dates=tuple(sorted(set(_DATES(given.except_dates, name="except_dates")))),
        hours=None if given.hours is None else _hours(given.hours),
        otherwise=one_of(Otherwise)(given.otherwise, name="otherwise"),
    )


def _day(value: Any, /, *, name: str) -> date:
    day = moment(value, name=name)
    if not day.is_day:
        raise ConfigurationError(f"{name}={shown(value)} is not a day; give a date, or a text such as '2026-12-24'")
    return day.at.date()


def _hours(value: Any) -> tuple[int, int]:
    match = HOURS.fullmatch(_SHORT(value, name="hours").strip())
    if match is None:
        raise ConfigurationError(f"hours={value!r} is not understood; write them as '09:00-17:00'")
    first, last = (int(match[n]) * 3600 + int(match[n + 1]) * 60 for n in (1, 3))
    if first >= 86_400 or last > 86_400 or int(match[2]) > 59 or int(match[4]) > 59 or first == last % 86_400:
        raise ConfigurationError(f"hours={value!r} is out of range; write two times of a day, as '09:00-17:00'")
    return first, last


_SHORT = text(200)
_DATES = many(_day, most=MAX_TIMES)
CRON = one_or_many(cron_expression, most=MAX_RULES)
EVENTS = one_or_many(_SHORT, most=MAX_RULES)
MOMENTS = one_or_many(moment, most=MAX_TIMES)
RULE = rule_text


# ── options together ─────────────────────────────────────────────────────────────────────────────────────────────


def kind_of(options: Of) -> str | None:
    """Which of the five kinds of schedules *options* have.  Raises ConfigurationError for two of them."""
    kinds = [kind for kind in KINDS if kind in options]
    if len(kinds) > 1:
        raise ConfigurationError(f"{kinds[0]}= and {kinds[1]}= cannot be combined; a worker has one schedule")
    return kinds[0] if kinds else None


def schedule_of(options: Of) -> Schedule | None:
    """The schedule that *options*, read by their kinds, declare together; None without one of the five kinds.

    Raises ConfigurationError for options that do not go together, and what the schedule itself refuses.
    """
    kind, zone = kind_of(options), options.get("timezone", "UTC")
    rule = None if kind is None else _rule(kind, options, zone)
    _check(kind, rule, options)
    days: DayFilter | None = options.get("calendar")
    if days is None or rule is None or isinstance(rule, Every | Within):
        return rule
    return Within(rule, days)


def end_of(options: Of) -> datetime | None:
    """`until=` in UTC; a day means its end, in the time zone of the schedule."""
    until: Moment | None = options.get("until")
    return None if until is None else until.in_utc(options.get("timezone", "UTC"), end=True)


def _rule(kind: str, options: Of, zone: str) -> Schedule:
    given = options[kind]
    anchor: datetime | None = options["anchor"].in_utc(zone) if "anchor" in options else None
    match kind:
        case "every":
            return Every(given.every_s) if anchor is None else Anchored(given.every_s, anchor, given.days, zone)
        case "cron":
            return _one([Cron(expression, zone) for expression in given])
        case "on_calendar":
            return _one([CalendarEvent(expression, zone) for expression in given])
        case "at":
            return At(tuple(sorted({each.in_utc(zone) for each in given})), zone)
        case _:
            if anchor is None:
                raise ConfigurationError(
                    "rrule= counts from a first time; give it as anchor=, such as anchor='2026-01-05 09:00'"
                )
            return RRule(given, anchor, zone)


def _one(rules: Sequence[Cron | CalendarEvent]) -> Schedule:
    each = tuple(dict.fromkeys(rules))
    return each[0] if len(each) == 1 else Several(each)


def _check(kind: str | None, rule: Schedule | None, options: Of) -> None:
    """Raises ConfigurationError for an option that says nothing about this schedule."""
    if "timezone" in options:
        zone_of(options["timezone"])
    if "anchor" in options and kind not in ("every", "rrule"):
        raise ConfigurationError("anchor= is the first time of every= or rrule=; give one of them, or drop anchor=")
    if isinstance(rule, Every):
        if "timezone" in options and "until" not in options:
            raise ConfigurationError("timezone= has no use: every= without anchor= counts elapsed time; drop it")
        if options.get("calendar") is not None:
            raise ConfigurationError(
                "calendar= chooses among times of the calendar, but every= without anchor= counts elapsed time; add "
                "anchor=, or use cron="
            )
    if rule is None and (alone := [each for each in ("timezone", "calendar", "until", "times") if options.get(each)]):
        raise ConfigurationError(f"{alone[0]}= goes with a schedule; add every=, cron=, at=, on_calendar= or rrule=")
