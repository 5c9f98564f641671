"""Points in time and spans in words.

Rules of this file
- Relative times have one unit, rounded down, so that "2 min ago" is at least two minutes ago; spans have two units
  while the first is small.
- Clock times are in the reader's zone, with as much of the date as is needed to tell the day.
"""

from __future__ import annotations

from datetime import datetime, tzinfo

UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
DAYS_WITHOUT_DATE = 6  # "Sat 14:02" is unambiguous for less than a week


def ago(at: datetime, now: datetime) -> str:
    """ "31 s ago"; "just now" within a second, and for times ahead, because clocks differ."""
    seconds = (now - at).total_seconds()
    return "just now" if seconds < 1 else f"{rough(seconds)} ago"


def until(at: datetime, now: datetime) -> str:
    """ "in 2 min"; "now" for less than a second ahead, and for the past."""
    seconds = (at - now).total_seconds()
    return "now" if seconds < 1 else f"in {rough(seconds)}"


def relative(at: datetime, now: datetime) -> str:
    """ "in 2 min" or "31 s ago", whichever applies."""
    return until(at, now) if at > now else ago(at, now)


def rough(seconds: float) -> str:
    """One unit, rounded down: "<1 s", "31 s", "2 min", "4 h", "3 d"."""
    if seconds < 1:
        return "<1 s"
    whole = int(seconds)
    unit, size = next(((unit, size) for unit, size in UNITS if whole >= size), UNITS[-1])
    return f"{whole // size} {unit}"


def span(seconds: float) -> str:
    """How long something took: "42 ms", "2.0 s", "31 s", "4 min 12 s", "14 h", "3 d 4 h"."""
    if seconds < 0.001:
        return "<1 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for index, (unit, size) in enumerate(UNITS[:-1]):
        if whole >= size:
            number, rest = divmod(whole, size)
            small, small_size = UNITS[index + 1]
            more = rest // small_size if number < 10 else 0
            return f"{number} {unit} {more} {small}" if more else f"{number} {unit}"
    return f"{whole} s"


def length(seconds: float | None) -> str:
    """A setting, as exactly as it was given: "1.5 s", "1 min 30 s", "unlimited"."""
    if seconds is None:
        return "unlimited"
    if seconds < UNITS[-2][1]:
        return f"{seconds:g} s"
    parts, rest = [], seconds
    for unit, size in UNITS:
        number, rest = divmod(rest, size)
        if number:
            parts.append(f"{number:g} {unit}")
    return " ".join(parts)


def rate(count: int, seconds: float) -> str:
    """ "20/min", "3 per 1 min 30 s"."""
    units = {1.0: "s", 60.0: "min", 3_600.0: "h", 86_400.0: "d"}
    return f"{count:,}/{units[seconds]}" if seconds in units else f"{count:,} per {length(seconds)}"


def clock(at: datetime, now: datetime, zone: tzinfo | None = None) -> str:
    """The time of day; on another day with its weekday or date: "14:02:40", "Sat 14:02", "2027-03-28 14:02".

    *zone*: None means the machine's.
    """
    local, today = at.astimezone(zone), now.astimezone(zone)
    if local.date() == today.date():
        return f"{local:%H:%M:%S}"
    if abs((local.date() - today.date()).days) <= DAYS_WITHOUT_DATE:
        return f"{local:%a %H:%M}"
    return f"{local:%Y-%m-%d %H:%M}"


def stamp(at: datetime, zone: tzinfo | None = None) -> str:
    """Date and time to the second, for times that may be far away."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}"
