"""Time zones: their names, the periods with one offset, and what a local time is in UTC.

Rules of this file
- Zone data come from zoneinfo, which reads each zone once.
- Inside, times are whole seconds since 1970.  A *reading* is what the zone's clock shows at a time, counted in the same
  way: time + offset.  An *era* is a period with one offset.
- A local time that does not exist is the first valid time after the gap; one that occurs twice is the first of the two
  (O3).
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from shiftboss.core.kinds import shown, text
from shiftboss.core.value import EPOCH, Value
from shiftboss.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

SECOND = timedelta(seconds=1)
DAY_S = 86_400
YEAR_S = 31_557_600  # 365.25 days; eras also end at its multiples, where no zone repeats an hour (all, 1970–2040)
PROBE_S = 4 * DAY_S  # the closest changes of one zone are 7 days apart (all zones, 1970–2040)

_ZONE_NAME = text()


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


def zone_of(timezone: str) -> ZoneInfo:
    """The zone of that name.  Raises ConfigurationError for an unknown one, with the nearest name."""
    from zoneinfo import ZoneInfo, available_timezones  # takes 2 ms to import, so only applications with cron do

    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):  # not found; no valid name; a folder of zones
        known = did_you_mean(timezone, available_timezones())
        raise ConfigurationError(
            f"timezone={timezone!r} is unknown; use an IANA name such as 'Europe/Berlin' or 'UTC' ({known})"
        ) from None


def clock_changes(timezone: str, start: datetime, end: datetime) -> list[tuple[datetime, float]]:
    """The times in [*start*, *end*) at which the zone's offset changes, each with the change in seconds.

    A positive change moves the clocks forward.  Raises ConfigurationError for an unknown zone.
    """
    years = range(seconds_of(start) // YEAR_S, seconds_of(end) // YEAR_S + 1)
    moves = ((instant_of(era.start), float(era.offset - era.before)) for year in years for era in _eras(timezone, year))
    return [(at, change_s) for at, change_s in moves if change_s and start <= at < end]


def to_utc(local: datetime, timezone: str) -> datetime:
    """The time at which the zone's clock first shows the naive *local*, or passes it in a gap; to the microsecond."""
    reading = (local.replace(tzinfo=UTC) - EPOCH) // SECOND
    rest = timedelta(microseconds=local.microsecond)
    era = era_at(timezone, reading - DAY_S)  # no offset is a day, so it begins before the time in question
    while True:
        shown_first = reading - era.offset
        if shown_first < era.end:
            is_gap = shown_first < era.start
            return instant_of(max(shown_first, era.start)) + (timedelta(0) if is_gap else rest)
        era = era_at(timezone, era.end)


def to_local(instant: datetime, timezone: str) -> datetime:
    """What the zone's clock shows then, naive."""
    era = era_at(timezone, seconds_of(instant))
    return (instant + timedelta(seconds=era.offset)).replace(tzinfo=None)


def seconds_of(instant: datetime) -> int:
    return (instant - EPOCH) // SECOND


def instant_of(seconds: int) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


# ── eras ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Era(Value, frozen=True):
    """The seconds [start, end) that have one offset; `before` is the offset just before them."""

    start: int
    end: int
    offset: int
    before: int


def era_at(timezone: str, instant: int) -> Era:
    """The era that the second *instant* lies in."""
    return next(era for era in _eras(timezone, instant // YEAR_S) if instant < era.end)


@lru_cache(maxsize=4096)  # every zone for seven years, about 1 kB each
def _eras(timezone: str, year: int) -> tuple[Era, ...]:
    zone = zone_of(timezone)

    def offset(instant: int) -> int:
        at = instant_of(instant)
        return (at.astimezone(zone).replace(tzinfo=UTC) - at) // SECOND

    def change(low: int, high: int) -> int:
        before = offset(low)
        return low + bisect_left(range(low, high), True, key=lambda instant: offset(instant) != before)

    begin, end = year * YEAR_S, (year + 1) * YEAR_S
    probes = pairwise([*range(begin, end, PROBE_S), end - 1])
    starts = [begin, *(change(low, high) for low, high in probes if offset(low) != offset(high))]
    return tuple(Era(start, stop, offset(start), offset(start - 1)) for start, stop in pairwise([*starts, end]))
