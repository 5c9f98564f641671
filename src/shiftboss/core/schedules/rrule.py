"""`rrule=`: a recurrence rule of iCalendar (RFC 5545), such as "FREQ=MONTHLY;BYDAY=-1FR" (extra `rrule`).

Rules of this file
- python-dateutil reads the rule and lists its local times; this file puts them into a time zone, where a skipped local
  time fires after the gap and a repeated one once (O3).
- Its times are listed once for each rule, as far as they are asked for, because a rule counts from its first time.
- Rules that fire more often than daily by their frequency are refused: cron and calendar events do that without a list.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any

from shiftboss.core.kinds import text
from shiftboss.core.pattern import lazy_pattern
from shiftboss.core.schedules.by_calendar import ByCalendar
from shiftboss.core.schedules.zone import to_local, to_utc, zone_of
from shiftboss.core.value import EPOCH
from shiftboss.errors import ConfigurationError

MAX_TIMES = 100_000  # of one rule: every day for 273 years, kept as 8 bytes and a datetime each
HORIZON_YEARS = 50  # as for cron: a rule whose next time lies further ahead has ended
TOO_OFTEN = ("SECONDLY", "MINUTELY", "HOURLY")
FREQUENCY = lazy_pattern(r"FREQ=([A-Z]+)", re.IGNORECASE | re.ASCII)
IN_UTC = lazy_pattern(r"(UNTIL=)(\d{8}T\d{6})Z", re.IGNORECASE | re.ASCII)
LINE = lazy_pattern(r"(?:RRULE:)?FREQ=.+|(?:RDATE|EXDATE):[\dT,]+", re.IGNORECASE | re.ASCII)

_TEXT = text(2000)


class RRule(ByCalendar, frozen=True, tag="rrule"):
    """The times of *rule* from *anchor* on, a UTC time, in the local time of *timezone*.

    *rule* is one RRULE, and on further lines RDATE and EXDATE in local time.  Raises ConfigurationError if it is not
    understood, fires too often or never, for an unknown zone, and without python-dateutil.
    """

    rule: str
    anchor: datetime
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        zone_of(self.timezone)
        if _listed(self).first() is None:
            raise ConfigurationError(f"rrule={self.rule!r} never fires; change UNTIL, COUNT or the BY… parts")

    @property
    def zone(self) -> str:
        return self.timezone

    def after(self, at: datetime) -> datetime | None:
        return _listed(self).after(at)

    def last(self, until: datetime, *, first: datetime) -> datetime:
        instant = _listed(self).last(until)
        return first if instant is None else max(first, instant)

    def count(self, first: datetime, until: datetime, *, limit: int) -> int:
        return min(limit, 1 + _listed(self).between(first, until))


def rule_text(value: Any, /, *, name: str) -> str:
    """A rule as it is declared, each line in its normal form.  Raises ConfigurationError."""
    lines = [line.strip() for line in _TEXT(value, name=name).splitlines() if line.strip()]
    for line in lines:
        if LINE.fullmatch(line) is None:
            remedy = "write FREQ=…, and on further lines RDATE:… and EXDATE:… in local time without a zone"
            if line.upper().startswith("DTSTART"):
                remedy = "give the start as anchor= and its zone as timezone="
            raise ConfigurationError(f"{name}: the line {line!r} is not understood; {remedy}")
    if not any("FREQ=" in line.upper() for line in lines):
        raise ConfigurationError(f"{name}={value!r} has no FREQ=; write a rule such as 'FREQ=WEEKLY;BYDAY=TU'")
    return "\n".join(line.removeprefix("RRULE:") for line in lines)


# ── the list of its times ────────────────────────────────────────────────────────────────────────────────────────


class _Listed:
    """The times of one rule, ascending, each once; more of them are listed when they are asked for."""

    def __init__(self, coming: Iterator[datetime], rule: str) -> None:
        self._coming = coming
        self._rule = rule
        self._times: list[datetime] = []
        self._is_whole = False

    def first(self) -> datetime | None:
        if not self._times:
            self._list_one()
        return self._times[0] if self._times else None

    def after(self, at: datetime) -> datetime | None:
        self._list_beyond(at)
        index = bisect_right(self._times, at)
        return self._times[index] if index < len(self._times) else None

    def last(self, until: datetime) -> datetime | None:
        self._list_beyond(until)
        index = bisect_right(self._times, until)
        return self._times[index - 1] if index else None

    def between(self, first: datetime, until: datetime) -> int:
        """How many there are after *first* and up to *until*."""
        self._list_beyond(until)
        return max(0, bisect_right(self._times, until) - bisect_left(self._times, first) - 1)

    def _list_beyond(self, at: datetime) -> None:
        while not self._is_whole and (not self._times or self._times[-1] <= at):
            self._list_one()

    def _list_one(self) -> None:
        coming = next(self._coming, None)
        if coming is None:
            self._is_whole = True
        elif not self._times or coming > self._times[-1]:  # those of a gap coincide
            if len(self._times) >= MAX_TIMES:
                raise ConfigurationError(
                    f"rrule={self._rule!r} has more than {MAX_TIMES:,} times since its anchor; give a later anchor="
                )
            self._times.append(coming)


@lru_cache(maxsize=1024)
def _listed(rule: RRule) -> _Listed:
    return _Listed(_times(rule), rule.rule)


def _times(rule: RRule) -> Iterator[datetime]:
    for local in _parsed(rule):
        yield to_utc(local, rule.timezone)


def _parsed(rule: RRule) -> Any:
    try:
        from dateutil.rrule import rrulestr  # 10 ms to import, and only installed for those who use it
    except ImportError:
        raise ConfigurationError(
            "rrule= needs python-dateutil; install it with: pip install 'shiftboss[rrule]'"
        ) from None
    for frequency in FREQUENCY.findall(rule.rule):
        if frequency.upper() in TOO_OFTEN:
            raise ConfigurationError(
                f"rrule={rule.rule!r} fires {frequency.lower()}, which is too often for a list of times; use cron=, "
                "on_calendar= or every= with anchor="
            )
    local_rule = IN_UTC.sub(lambda until: until[1] + _as_local(until[2], rule.timezone), rule.rule)
    anchor = to_local(rule.anchor, rule.timezone)
    lines = [line if ":" in line else f"RRULE:{line}" for line in local_rule.splitlines()]
    try:
        return rrulestr("\n".join(lines), dtstart=anchor, forceset=True)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(
            f"rrule={rule.rule!r} is not understood: {error}; write a rule such as 'FREQ=WEEKLY;BYDAY=TU'"
        ) from None


def _as_local(stamp: str, timezone: str) -> str:
    """RFC 5545 writes UNTIL in UTC; the rule is listed in local time."""
    try:
        until = datetime.strptime(f"{stamp}+0000", "%Y%m%dT%H%M%S%z")
    except ValueError:
        return stamp  # refused as a whole
    return f"{to_local(max(until, EPOCH), timezone):%Y%m%dT%H%M%S}"
