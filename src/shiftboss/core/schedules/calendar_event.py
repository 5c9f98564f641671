"""`on_calendar=`: calendar events in the words of systemd's timers, such as "Mon..Fri 09:00" or "*-*~01 18:00".

Rules of this file
- The language is that of systemd.time(7): weekdays, date (`~` counts from the end of the month), time, time zone, the
  shorthands.  What we add: `*/n`.  What we leave out: fractions of a second.
- Clock changes are treated as for cron (O3): a skipped local time fires after the gap, a repeated one once.  (systemd
  leaves a skipped time out.)
- An event that names years ends with the last of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import NamedTuple

from shiftboss.core.pattern import lazy_pattern
from shiftboss.core.schedules.by_calendar import ByCalendar
from shiftboss.core.schedules.readings import Pattern, count_matches, last_match, next_match
from shiftboss.core.schedules.zone import instant_of, seconds_of, zone_of
from shiftboss.errors import ConfigurationError

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SHORTHANDS = {
    "minutely": "*-*-* *:*:00",
    "hourly": "*-*-* *:00:00",
    "daily": "*-*-* 00:00:00",
    "weekly": "Mon *-*-* 00:00:00",
    "monthly": "*-*-01 00:00:00",
    "quarterly": "*-01,04,07,10-01 00:00:00",
    "semiannually": "*-01,07-01 00:00:00",
    "yearly": "*-01-01 00:00:00",
    "annually": "*-01-01 00:00:00",
}
FIRST_YEAR, LAST_YEAR = 1970, 2199  # as systemd
NOWADAYS = 1_767_225_600  # 2026-01-01: an event must come after this
ITEM = lazy_pattern(r"(?:(?P<any>\*)|(?P<low>\d+)(?:\.\.(?P<high>\d+))?)(?:/(?P<step>\d+))?", re.ASCII)
DATE = lazy_pattern(r"(?:(?P<year>[\d*.,/]+)-)?(?P<month>[\d*.,/]+)(?P<way>[-~])(?P<day>[\d*.,/]+)", re.ASCII)
EXAMPLES = "such as 'Mon..Fri 09:00', '*-*-01 06:30', '*-*~01 18:00' or 'daily'"


class CalendarEvent(ByCalendar, frozen=True, tag="calendar_event"):
    """One calendar event in a time zone.  A zone at the end of the expression goes before *timezone*.

    Raises ConfigurationError for an expression that is not understood or never fires, and for an unknown zone.
    """

    expression: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        _check(self)

    @property
    def zone(self) -> str:
        return parsed(self.expression).timezone or self.timezone

    def after(self, at: datetime) -> datetime | None:
        event = parsed(self.expression)
        seconds = next_match(event.pattern, self.zone, seconds_of(at), end=event.days.end)
        return None if seconds is None else instant_of(seconds)

    def last(self, until: datetime, *, first: datetime) -> datetime:
        pattern = parsed(self.expression).pattern
        return max(first, instant_of(last_match(pattern, self.zone, seconds_of(until), first=seconds_of(first))))

    def count(self, first: datetime, until: datetime, *, limit: int) -> int:
        pattern = parsed(self.expression).pattern
        count = count_matches(pattern, self.zone, seconds_of(first), seconds_of(until), limit=limit)
        return min(limit, count)


@lru_cache(maxsize=4096)  # rows are decoded more often than declared
def _check(event: CalendarEvent) -> None:
    zone_of(event.timezone)
    zone_of(event.zone)
    if next_match(parsed(event.expression).pattern, event.zone, NOWADAYS) is None:
        raise ConfigurationError(
            f"on_calendar={event.expression!r} never fires from 2026 on; change the year, month, day or weekday"
        )


# ── an expression as values ──────────────────────────────────────────────────────────────────────────────────────


class Item(NamedTuple):
    """The values *low*, *low* + *step*, … up to *high*, both included."""

    low: int
    high: int
    step: int

    def has(self, value: int) -> bool:
        return self.low <= value <= self.high and (value - self.low) % self.step == 0


class EventDays(NamedTuple):
    """The days of an event.  `from_end`: days are counted from the end of the month, its last day being 1."""

    weekdays: frozenset[int]  # 0 is Monday; all seven if none is named
    years: tuple[Item, ...]
    months: tuple[Item, ...]
    days: tuple[Item, ...]
    from_end: bool

    @property
    def end(self) -> int:
        """A second after the last day that it can have, in any zone."""
        return seconds_of(datetime(max(item.high for item in self.years) + 1, 1, 3, tzinfo=UTC))

    def match(self, day: date) -> bool:
        if day.weekday() not in self.weekdays or not _any_has(self.months, day.month):
            return False
        number = _days_in_month(day) + 1 - day.day if self.from_end else day.day
        return _any_has(self.days, number) and _any_has(self.years, day.year)


class Event(NamedTuple):
    """A parsed expression.  `timezone` is empty if the expression names none."""

    pattern: Pattern
    days: EventDays
    timezone: str


@lru_cache(maxsize=4096)
def parsed(expression: str) -> Event:
    """The expression as values.  Raises ConfigurationError, naming the part at fault."""
    words = expression.split()
    zone = ""
    if words and words[0].lower() in SHORTHANDS:
        words = [*SHORTHANDS[words[0].lower()].split(), *words[1:]]
    if len(words) > 1 and _is_zone(words[-1]):
        zone = words.pop()
    weekdays = _weekdays(words.pop(0), expression) if words and words[0][0].isalpha() else frozenset(range(7))
    date_text = words.pop(0) if words and DATE.fullmatch(words[0]) else "*-*-*"
    time_text = words.pop(0) if words and ":" in words[0] else "00:00:00"
    if words or not expression.strip():
        raise _refusal(expression, f"{words[0]!r} is not understood" if words else "it is empty")
    days = _days(date_text, weekdays, expression)
    times, is_fixed = _times(time_text, expression)
    return Event(Pattern(days, times, is_fixed), days, zone)


def _is_zone(word: str) -> bool:
    """A word at the end is a zone if it has letters that are no weekday, no shorthand and no time."""
    return word[0].isalpha() and ":" not in word and not _names_weekdays(word)


def _names_weekdays(word: str) -> bool:
    return all(_weekday(part) is not None for part in re.split(r"\.\.|[,-]", word.strip(",")))


def weekdays_of(text: str) -> frozenset[int]:
    """The days in a text such as "Mon..Fri" or "Mon,Thu"; 0 is Monday.  Raises ConfigurationError."""
    return _weekdays(text, text)


def _weekdays(word: str, expression: str) -> frozenset[int]:
    named: set[int] = set()
    for part in word.strip(",").split(","):
        ends = [_weekday(each) for each in re.split(r"\.\.|-", part)]
        if not 1 <= len(ends) <= 2 or any(end is None for end in ends):
            raise _refusal(expression, f"{part!r} is not a weekday; write Mon, Tue, … or a range such as Mon..Fri")
        first, last = ends[0] or 0, ends[-1] or 0
        named.update((first + offset) % 7 for offset in range((last - first) % 7 + 1))
    return frozenset(named)


def _weekday(text: str) -> int | None:
    text = text.lower()
    return next((n for n, name in enumerate(WEEKDAYS) if len(text) >= 3 and text in (name, name[:3])), None)


def _days(text: str, weekdays: frozenset[int], expression: str) -> EventDays:
    match = DATE.fullmatch(text)
    if match is None:
        raise _refusal(expression, f"{text!r} is not a date; write year-month-day")
    from_end = match["way"] == "~"
    return EventDays(
        weekdays,
        years=_items(match["year"] or "*", FIRST_YEAR, LAST_YEAR, "year", expression),
        months=_items(match["month"], 1, 12, "month", expression),
        days=_items(match["day"], 1, 31, "day", expression, down=from_end),
        from_end=from_end,
    )


def _times(text: str, expression: str) -> tuple[tuple[int, ...], bool]:
    """The seconds of the day, and whether neither hour nor minute is a wildcard."""
    parts = text.split(":")
    if len(parts) not in (2, 3):
        raise _refusal(expression, f"{text!r} is not a time; write hour:minute or hour:minute:second")
    if "." in parts[-1].replace("..", ""):
        raise _refusal(expression, "a schedule has no fractions of a second; write whole seconds")
    hours, minutes, seconds = (
        _items(part, 0, most, name, expression)
        for part, most, name in zip([*parts, "00"][:3], (23, 59, 59), ("hour", "minute", "second"), strict=True)
    )
    is_fixed = not any("*" in part or "/" in part for part in parts[:2])
    each = [[value for value in range(60) if _any_has(items, value)] for items in (hours, minutes, seconds)]
    return tuple(h * 3600 + m * 60 + s for h in each[0] for m in each[1] for s in each[2]), is_fixed


def _items(text: str, least: int, most: int, name: str, expression: str, *, down: bool = False) -> tuple[Item, ...]:
    return tuple(_item(part, least, most, name, expression, down=down) for part in text.split(","))


def _item(text: str, least: int, most: int, name: str, expression: str, *, down: bool) -> Item:
    """*down*: a repetition goes on towards the last day of the month, which is 1: `~07/1` is the last seven days."""
    match = ITEM.fullmatch(text)
    if match is None:
        raise _refusal(expression, f"the {name} {text!r} is not understood; write a number, a..b, a/step or *")
    low = least if match["any"] else int(match["low"])
    high = int(match["high"]) if match["high"] else most if match["any"] or match["step"] else low
    step = int(match["step"]) if match["step"] else 1
    if not (least <= low <= high <= most) or step == 0:
        raise _refusal(expression, f"the {name} {text!r} is out of range; it goes from {least} to {most}, ascending")
    if down and match["step"] and not (match["any"] or match["high"]):
        return Item((low - least) % step + least, low, step)
    return Item(low, high, step)


def _any_has(items: Sequence[Item], value: int) -> bool:
    return any(item.has(value) for item in items)


def _days_in_month(day: date) -> int:
    following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return following.toordinal() - day.replace(day=1).toordinal()


def _refusal(expression: str, fact: str) -> ConfigurationError:
    return ConfigurationError(f"on_calendar={expression!r}: {fact}; an event is written {EXAMPLES}")
