"""When does a schedule fire?

Rules of this file
- Pure: every time is handed in.  Zone data come from zoneinfo, which reads each zone once.
- Times are aware UTC; inside, they are whole seconds since 1970, because cron never fires within a second.  A *reading*
  is what the zone's clock shows at a time, counted in the same way: time + offset.
- An *era* is a period with one offset.  Clock changes matter only for which readings an era has: `_Pattern.opening`.
- cronsim parses expressions, matches days and puts them into words; the walk is ours.  cronsim's own walk (2.8) answers
  with the past when asked within a repeated hour, skips 02:00 in Lord Howe when clocks go back, and does not apply the
  Vixie rule to six fields.

Measured (CPython 3.11, Europe/Berlin, six years between *first* and *until*): `next_after` and `last_until` 4 µs when
they fire daily or more often, 46 µs yearly, 0.2 ms for February 29 (cronsim's `next`: 12 to 75 µs); `count_until` 72 µs
to 10,000 minutes, 1.3 ms to 2,200 days; `newest` 2 µs per scheduled time; a new expression 13 µs; a zone's next year
0.5 ms.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from shiftboss.core.kinds import shown, text
from shiftboss.core.pattern import lazy_pattern
from shiftboss.core.value import EPOCH, Value
from shiftboss.errors import ConfigurationError, InternalError, did_you_mean

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from cronsim import CronSim

MIN_EVERY_S = 0.01  # as for iterations (M5)
MAX_EVERY_S = 100 * 366 * 86_400.0  # a century: sums with it stay within the calendar

SECOND = timedelta(seconds=1)
UNIX_DAY = EPOCH.toordinal()
DAY_S = 86_400
YEAR_S = 31_557_600  # 365.25 days; eras also end at its multiples, where no zone repeats an hour (all, 1970–2040)
PROBE_S = 4 * DAY_S  # the closest changes of one zone are 7 days apart (all zones, 1970–2040)
HORIZON_S = 50 * YEAR_S  # the rarest day, a given weekday on February 29, comes back within 40 years
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


class Every(Value, frozen=True, tag="every"):
    """M4: a fixed rate, anchored at the worker's first scheduled time; 0.01 s to a century, exact to the microsecond.

    Raises ConfigurationError outside these bounds.
    """

    every_s: float

    def __post_init__(self) -> None:
        if not MIN_EVERY_S <= self.every_s <= MAX_EVERY_S:
            raise ConfigurationError(
                f"every={self.every_s} s is out of range; use {MIN_EVERY_S} s to 100 years, or continuous=True for a "
                "loop"
            )

    @property
    def step(self) -> timedelta:
        return timedelta(seconds=self.every_s)


class Cron(Value, frozen=True, tag="cron"):
    """O3: a cron expression in a time zone, by the Vixie rule.

    Five fields (minute hour day-of-month month day-of-week), six with seconds first, or a nickname such as @daily.  If
    day-of-month or day-of-week starts with `*` both must match, else either.  Raises ConfigurationError for an
    expression that is not understood or never fires, and for an unknown zone.
    """

    expression: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        _check(self)


Schedule = Every | Cron


# ── expressions and zones, as they are declared ──────────────────────────────────────────────────────────────────


def cron_expression(value: Any, /, *, name: str) -> str:
    """A cron expression that means what it says.  Raises ConfigurationError for a step that never comes, as in */90.

    Cron itself accepts such a step and fires at the field's first value only; rows of older versions may have one.
    """
    if isinstance(value, (list, tuple, set, frozenset)):
        raise ConfigurationError(
            f"{name}={shown(value)} is a list, but a worker has one schedule; register the function once for each "
            "expression, each with its own name, or give several values in one field, as in '0 6,15,20 * * *'"
        )
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


def timezone_name(value: Any, /, *, name: str) -> str:
    """The IANA name of a time zone, which may be given as a name, a ZoneInfo, a pytz zone, or datetime.UTC."""
    if not isinstance(value, tzinfo):
        return _ZONE_NAME(value, name=name)
    own = getattr(value, "key", None) or getattr(value, "zone", None)
    if isinstance(own, str):
        return _ZONE_NAME(own, name=name)
    offset = value.utcoffset(None)  # a fixed zone answers; the others need a date
    if offset is None:
        remedy = "give its IANA name, such as 'Europe/Berlin'"
    elif not offset:
        return "UTC"
    else:
        hours, rest = divmod(int(offset.total_seconds()), 3600)
        named = f"Etc/GMT{-hours:+d}"
        remedy = f"write {name}={named!r} (note the inverted sign)" if not rest else "give an IANA name"
    raise ConfigurationError(f"{name}={shown(value)} has no name that other processes could look up; {remedy}")


_EXPRESSION, _ZONE_NAME = text(), text()

# ── questions to a schedule ──────────────────────────────────────────────────────────────────────────────────────


def first_instant(schedule: Schedule, now: datetime) -> datetime:
    """The first scheduled time if it is declared at *now* with `start="next"` (M3): an interval later, or cron's next.

    With `start="now"` it is *now* itself, for both kinds.  For `every=` the first scheduled time is the anchor (M4).
    """
    return now + schedule.step if isinstance(schedule, Every) else next_after(schedule, now, anchor=None)


def next_after(schedule: Schedule, after: datetime, *, anchor: datetime | None) -> datetime:
    """The first scheduled time strictly after *after*; for `every=` *anchor* + k × every, never before *anchor* (M4).

    Cron (O3) does not use *anchor*; it may then be None, here and below.
    """
    match schedule:
        case Every(step=step):
            start = _anchored(anchor)
            return start + max(0, (after - start) // step + 1) * step
        case Cron():
            return _instant(_next(schedule, _seconds(after)))


def last_until(schedule: Schedule, until: datetime, *, first: datetime, anchor: datetime | None) -> datetime:
    """The last scheduled time at or before *until*, given the one *first* ≤ *until*; never before *first* (O2)."""
    match schedule:
        case Every(step=step):
            start = _anchored(anchor)
            return max(first, start + (until - start) // step * step)
        case Cron():
            return max(first, _instant(_last(schedule, _seconds(until), first=_seconds(first))))


def count_until(schedule: Schedule, first: datetime, until: datetime, *, anchor: datetime | None, limit: int) -> int:
    """How many scheduled times are in [*first*, *until*], *first* being one of them, counted up to *limit* (O2)."""
    match schedule:
        case Every(step=step):
            start = _anchored(anchor)
            return min(limit, 1 + (until - start) // step - (first - start) // step)
        case Cron():
            return min(limit, _count(schedule, _seconds(first), _seconds(until), limit=limit))


def newest(schedule: Schedule, until: datetime, *, first: datetime, anchor: datetime | None, limit: int) -> datetime:
    """The first of the newest *limit* ≥ 1 scheduled times in [*first*, *until*]; `misfire="all"` begins there (O2)."""
    match schedule:
        case Every(step=step):
            start = _anchored(anchor)
            return max(first, start + max(0, (until - start) // step - limit + 1) * step)
        case Cron():
            begin, at = _seconds(first), _seconds(until) + 1
            for _ in range(limit):
                at = _last(schedule, at - 1, first=begin)
                if at == begin:
                    break
            return max(first, _instant(at))


def jitter_offset_s(worker: str, jitter_s: float) -> float:
    """Seconds in [0, *jitter_s*) by which *worker* is late: the same after every restart and on every node."""
    return int.from_bytes(sha256(worker.encode()).digest()[:6]) / 2**48 * jitter_s


def clock_changes(timezone: str, start: datetime, end: datetime) -> list[tuple[datetime, float]]:
    """The times in [*start*, *end*) at which the zone's offset changes, each with the change in seconds.

    A positive change moves the clocks forward.  Raises ConfigurationError for an unknown zone.
    """
    years = range(_seconds(start) // YEAR_S, _seconds(end) // YEAR_S + 1)
    moves = ((_instant(era.start), float(era.offset - era.before)) for year in years for era in _eras(timezone, year))
    return [(at, change_s) for at, change_s in moves if change_s and start <= at < end]


def _anchored(anchor: datetime | None) -> datetime:
    if anchor is None:
        raise InternalError("an every= schedule was evaluated without its anchor; please report this")
    return anchor


def _seconds(instant: datetime) -> int:
    return (instant - EPOCH) // SECOND


def _instant(seconds: int) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


# ── cron: the walk through the eras ──────────────────────────────────────────────────────────────────────────────


def _next(cron: Cron, instant: int) -> int:
    """The first second after *instant* at which *cron* fires."""
    pattern, start = _pattern(cron.expression), instant + 1
    while start <= instant + HORIZON_S:
        era = _era(cron.timezone, start)
        reading = pattern.first_in(pattern.opening(era, start), era.end + era.offset)
        if reading is not None:
            return max(reading - era.offset, era.start)
        start = era.end
    raise _never_fires(cron.expression)


def _last(cron: Cron, instant: int, *, first: int) -> int:
    """The last second up to *instant* at which *cron* fires, not before *first*."""
    pattern, end = _pattern(cron.expression), instant + 1
    while end > first:
        era = _era(cron.timezone, end - 1)
        reading = pattern.last_in(pattern.opening(era, era.start), end + era.offset)
        if reading is not None:
            return max(reading - era.offset, era.start, first)
        end = era.start
    return first


def _count(cron: Cron, first: int, until: int, *, limit: int) -> int:
    """How often *cron* fires after *first* and up to *until*, plus one for *first*; *limit* bounds the work."""
    pattern, start, count = _pattern(cron.expression), first + 1, 1
    while start <= until and count < limit:
        era = _era(cron.timezone, start)
        end, opening = min(era.end, until + 1), pattern.opening(era, start)
        count += pattern.count_in(opening, end + era.offset)
        if start == era.start:  # all that fell into a gap fires once
            count -= max(0, pattern.count_in(opening, start + era.offset + 1) - 1)
        start = end
    return count


class _Era(Value, frozen=True):
    """The seconds [start, end) that have one offset; `before` is the offset just before them."""

    start: int
    end: int
    offset: int
    before: int


def _era(timezone: str, instant: int) -> _Era:
    return next(era for era in _eras(timezone, instant // YEAR_S) if instant < era.end)


@lru_cache(maxsize=4096)  # every zone for seven years, about 1 kB each
def _eras(timezone: str, year: int) -> tuple[_Era, ...]:
    zone = _zone(timezone)

    def offset(instant: int) -> int:
        at = _instant(instant)
        return (at.astimezone(zone).replace(tzinfo=UTC) - at) // SECOND

    def change(low: int, high: int) -> int:
        before = offset(low)
        return low + bisect_left(range(low, high), True, key=lambda instant: offset(instant) != before)

    begin, end = year * YEAR_S, (year + 1) * YEAR_S
    probes = pairwise([*range(begin, end, PROBE_S), end - 1])
    starts = [begin, *(change(low, high) for low, high in probes if offset(low) != offset(high))]
    return tuple(_Era(start, stop, offset(start), offset(start - 1)) for start, stop in pairwise([*starts, end]))


class _Pattern(Value, frozen=True):
    """A parsed expression: which readings of a clock match it."""

    days: CronSim
    times: tuple[int, ...]  # seconds of the day, ascending
    is_fixed: bool  # neither minute nor hour starts with `*`: the Vixie rule compensates clock changes

    def opening(self, era: _Era, instant: int) -> int:
        """The first reading that counts in *era* from *instant* on.

        A fixed time fires when the clock first passes it.  So the readings of a gap count in the era that begins there,
        all at its start, and those of a repeated hour have counted in the era before.
        """
        first = era.start + (era.before if self.is_fixed else era.offset)
        return first if instant == era.start else max(first, instant + era.offset)

    def first_in(self, low: int, high: int) -> int | None:
        """The first matching reading in [low, high)."""
        for day in range(low // DAY_S, -(-high // DAY_S)):
            if self._names(day) and (index := bisect_left(self.times, low - day * DAY_S)) < len(self.times):
                reading = day * DAY_S + self.times[index]
                return reading if reading < high else None
        return None

    def last_in(self, low: int, high: int) -> int | None:
        """The last matching reading in [low, high)."""
        for day in range((high - 1) // DAY_S, low // DAY_S - 1, -1):
            if self._names(day) and (index := bisect_left(self.times, high - day * DAY_S)) > 0:
                reading = day * DAY_S + self.times[index - 1]
                return reading if reading >= low else None
        return None

    def count_in(self, low: int, high: int) -> int:
        """How many readings in [low, high) match."""
        days = (day * DAY_S for day in range(low // DAY_S, -(-high // DAY_S)) if self._names(day))
        return max(0, sum(bisect_left(self.times, high - day) - bisect_left(self.times, low - day) for day in days))

    def _names(self, day: int) -> bool:
        on = date.fromordinal(UNIX_DAY + day)
        return on.month in self.days.months and self.days.match_day(on)


# ── cron: parsing an expression ──────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=4096)  # rows are decoded more often than declared
def _check(cron: Cron) -> None:
    _next(cron, NOWADAYS)  # this evaluates all that can be wrong: the expression, the zone, a time


@lru_cache(maxsize=4096)
def _pattern(expression: str) -> _Pattern:
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
    return _Pattern(days, times, is_fixed=not (fields[1].startswith("*") or fields[2].startswith("*")))


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


def _zone(timezone: str) -> ZoneInfo:
    from zoneinfo import ZoneInfo, available_timezones  # takes 2 ms to import, so only applications with cron do

    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):  # not found; no valid name; a folder of zones
        known = did_you_mean(timezone, available_timezones())
        raise ConfigurationError(
            f"timezone={timezone!r} is unknown; use an IANA name such as 'Europe/Berlin' or 'UTC' ({known})"
        ) from None
