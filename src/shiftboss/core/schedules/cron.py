"""`cron=`: the Vixie cron rule in a time zone, in gaps and repeated hours too (O3).

Rules of this file
- cronsim parses expressions, matches days and puts them into words; the walk is ours (readings.py).  cronsim's own walk
  (2.8) answers with the past when asked within a repeated hour, skips 02:00 in Lord Howe when clocks go back, and does
  not apply the Vixie rule to six fields.

Measured (CPython 3.11, Europe/Berlin, six years between *first* and *until*): `after` and `last` 4 µs when they fire
daily or more often, 46 µs yearly, 0.2 ms for February 29 (cronsim's `next`: 12 to 75 µs); `count` 72 µs to 10,000
minutes, 1.3 ms to 2,200 days; a new expression 13 µs; a zone's next year 0.5 ms.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from shiftboss.core.kinds import text
from shiftboss.core.pattern import lazy_pattern
from shiftboss.core.schedules.by_calendar import ByCalendar
from shiftboss.core.schedules.readings import Pattern, count_matches, last_match, next_match
from shiftboss.core.schedules.zone import instant_of, seconds_of
from shiftboss.core.value import EPOCH
from shiftboss.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from cronsim import CronSim

NOWADAYS = 1_767_225_600  # 2026-01-01: an expression must fire after this, by the rules that zones have now

FIELDS = {
    "second": "0-59",
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31, L (last day), LW (last weekday)",
    "month": "1-12, JAN-DEC",
    "day-of-week": "0-7, SUN-SAT (0 and 7 are Sunday), 5L (last Friday), MON#2 (second Monday)",
}
STEP = lazy_pattern(r"(?P<start>\*|\d+)(?:-(?P<end>\d+))?/(?P<step>\d+)", re.ASCII)  # "*/90", "10-20/3", "5/15"
BOUNDS = {
    "second": (0, 59),
    "minute": (0, 59),
    "hour": (0, 23),
    "day-of-month": (1, 31),
    "month": (1, 12),
    "day-of-week": (0, 6),
}
UNITS = {"second": "s", "minute": "m", "hour": "h", "day-of-month": "d"}  # the same distances in every=, for the remedy
NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


class Cron(ByCalendar, frozen=True, tag="cron"):
    """O3: a cron expression in a time zone, by the Vixie rule.

    Five fields (minute hour day-of-month month day-of-week), six with seconds first, or a nickname such as @daily.  If
    day-of-month or day-of-week starts with `*` both must match, else either.  Raises ConfigurationError for an
    expression that is not understood or never fires, and for an unknown zone.
    """

    expression: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        _check(self)

    @property
    def zone(self) -> str:
        return self.timezone

    def after(self, at: datetime) -> datetime:
        return instant_of(_next(self, seconds_of(at)))

    def last(self, until: datetime, *, first: datetime) -> datetime:
        seconds = last_match(_pattern(self.expression), self.timezone, seconds_of(until), first=seconds_of(first))
        return max(first, instant_of(seconds))

    def count(self, first: datetime, until: datetime, *, limit: int) -> int:
        pattern = _pattern(self.expression)
        count = count_matches(pattern, self.timezone, seconds_of(first), seconds_of(until), limit=limit)
        return min(limit, count)


def _next(cron: Cron, instant: int) -> int:
    seconds = next_match(_pattern(cron.expression), cron.timezone, instant)
    if seconds is None:
        raise _never_fires(cron.expression)
    return seconds


# ── expressions, as they are declared ──────────────────────────────────────────────────────────────────


def cron_expression(value: Any, /, *, name: str) -> str:
    """A cron expression that means what it says.  Raises ConfigurationError for a step that never comes, as in */90.

    Cron itself accepts such a step and fires at the field's first value only; rows of older versions may have one.
    """
    expression = _EXPRESSION(value, name=name)
    for step in steps(expression):
        if step.never_comes:
            raise ConfigurationError(f"{name}={expression!r}: {step.fact}; {step.remedy}")
    return expression


class Step(NamedTuple):
    """A step in an expression: in `part` of `field`, over `span` values."""

    field: str
    part: str
    size: int
    span: int
    is_of_all: bool  # whether it covers the whole field

    @property
    def never_comes(self) -> bool:
        """Whether it matches nothing but its first value."""
        return self.size >= self.span

    @property
    def is_uneven(self) -> bool:
        """Whether it looks like a fixed distance but is not."""
        return self.is_of_all and self.field in UNITS and self.span % self.size > 0

    @property
    def fact(self) -> str:
        if self.never_comes:
            return (
                f"the step of {self.part!r} is larger than its range in the {self.field} field, so only the first "
                "value fires"
            )
        return (
            f"{self.part!r} starts over each time the {self.field} field wraps: the last step is "
            f"{self.span % self.size}, not {self.size}"
        )

    @property
    def remedy(self) -> str:
        if self.field in UNITS:
            return f'for a fixed distance use every="{self.size}{UNITS[self.field]}"'
        return "list the values instead, as in '1,4'"


def steps(expression: str) -> list[Step]:
    """The steps in an expression, such as */15."""
    fields = NICKNAMES.get(expression.lower(), expression).split()
    if len(fields) not in (5, 6):
        return []
    return [
        _step(name, match)
        for name, field in zip(list(BOUNDS)[-len(fields) :], fields, strict=True)
        for part in field.split(",")
        if (match := STEP.fullmatch(part)) is not None
    ]


def _step(field: str, match: re.Match[str]) -> Step:
    low, high = BOUNDS[field]
    start = low if match["start"] == "*" else int(match["start"])
    end = high if match["end"] is None else int(match["end"])
    return Step(field, match[0], max(1, int(match["step"])), max(1, end - start + 1), (start, end) == (low, high))


_EXPRESSION = text()

# ── cron: parsing an expression ──────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=4096)  # rows are decoded more often than declared
def _check(cron: Cron) -> None:
    _next(cron, NOWADAYS)  # this evaluates all that can be wrong: the expression, the zone, a time


@lru_cache(maxsize=4096)
def _pattern(expression: str) -> Pattern:
    from cronsim import CronSim, CronSimError  # takes 3 ms to import, so only applications with cron do

    if expression.startswith("@") and expression.lower() not in NICKNAMES:
        raise ConfigurationError(f"cron={expression!r} is not a known nickname; {did_you_mean(expression, NICKNAMES)}")
    fields = NICKNAMES.get(expression.lower(), expression).split()
    if len(fields) not in (5, 6):
        raise ConfigurationError(
            f"cron={expression!r} has {len(fields)} fields; write five (minute hour day-of-month month day-of-week), "
            "or six with seconds first"
        )
    fields = ["0", *fields][-6:]
    try:
        days = CronSim(" ".join(fields), EPOCH)
    except (CronSimError, ValueError):
        raise _refusal(expression, fields) from None
    hours, minutes, seconds = sorted(days.hours), sorted(days.minutes), sorted(days.seconds)
    times = tuple(hour * 3600 + minute * 60 + second for hour in hours for minute in minutes for second in seconds)
    return Pattern(_Days(days), times, is_fixed=not (fields[1].startswith("*") or fields[2].startswith("*")))


class _Days(NamedTuple):
    """The days of an expression."""

    sim: CronSim

    def match(self, day: date) -> bool:
        return day.month in self.sim.months and self.sim.match_day(day)


def _refusal(expression: str, fields: list[str]) -> ConfigurationError:
    """Names the field at fault: the one that is refused when all others are `*`, else their combination."""
    from cronsim import CronSim, CronSimError  # as above

    for index, (name, allowed) in enumerate(FIELDS.items()):
        alone = ["*"] * index + [fields[index]] + ["*"] * (5 - index)
        try:
            CronSim(" ".join(alone), EPOCH)
        except (CronSimError, ValueError):
            return ConfigurationError(
                f"cron={expression!r}: the {name} field {fields[index]!r} is not understood; it takes {allowed}, "
                "'*' for any, lists 'a,b', ranges 'a-b' from low to high, and steps '*/n'"
            )
    return _never_fires(expression)


def _never_fires(expression: str) -> ConfigurationError:
    return ConfigurationError(
        f"cron={expression!r} never fires: no such day in these months, or an hour that the clock always skips then; "
        "change the day-of-month, month, day-of-week or hour field"
    )
