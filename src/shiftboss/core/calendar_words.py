"""Calendar events and recurrence rules in words: "Monday to Friday at 09:00", "every 2 weeks on Tuesday".

Rules of this file
- Common forms get a sentence; of all others the expression itself is shown, because a wrong sentence is worse.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

from shiftboss.core.pattern import lazy_pattern
from shiftboss.core.schedules.calendar_event import WEEKDAYS, EventDays, Item, parsed

DAYS = tuple(name.capitalize() for name in WEEKDAYS)
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
MAX_TIMES = 6  # of a day, named one by one
UNITS = {"DAILY": "day", "WEEKLY": "week", "MONTHLY": "month", "YEARLY": "year"}
KNOWN_PARTS = {"FREQ", "INTERVAL", "BYDAY", "BYMONTHDAY", "BYMONTH", "COUNT", "UNTIL", "WKST"}
RULE_DAY = lazy_pattern(r"([+-]?\d+)?(MO|TU|WE|TH|FR|SA|SU)")


def weekdays_in_words(weekdays: Collection[int]) -> str:
    """ "Monday to Friday", "Monday and Thursday"; 0 is Monday."""
    each = sorted(weekdays)
    if len(each) > 2 and each == list(range(each[0], each[-1] + 1)):
        return f"{DAYS[each[0]]} to {DAYS[each[-1]]}"
    return listed([DAYS[day] for day in each])


# ── calendar events ──────────────────────────────────────────────────────────────────────────────────────────────


def event_in_words(expression: str) -> str:
    """A calendar event in words, or the expression where there are none."""
    event = parsed(expression)
    days, times = _days(event.days), event.pattern.times
    if days is None:
        return f"on calendar {expression}"
    steps = {later - earlier for earlier, later in pairwise(times)}
    if len(steps) == 1 and len(times) * (step := steps.pop()) == 86_400:
        distance = _distance(step, times[0])
        if distance is not None:
            return distance if days == "every day" else f"{days}, {distance}"
    if len(times) > MAX_TIMES:
        return f"on calendar {expression}"
    has_seconds = any(second % 60 for second in times)
    clock = [f"{at // 3600:02d}:{at % 3600 // 60:02d}" + (f":{at % 60:02d}" if has_seconds else "") for at in times]
    return f"{days} at {listed(clock)}"


def _distance(step_s: int, first_s: int) -> str | None:
    for unit, size in (("hour", 3600), ("minute", 60), ("second", 1)):
        count, rest = divmod(step_s, size)
        if not rest and first_s == 0:
            return f"every {unit}" if count == 1 else f"every {count} {unit}s"
    return None


def _days(days: EventDays) -> str | None:
    if days.years != (Item(1970, 2199, 1),):
        return _one_date(days)
    months = _all(days.months, 12)
    if days.days == (Item(1, 31, 1),) and not days.from_end:
        weekdays = "every day" if len(days.weekdays) == 7 else weekdays_in_words(days.weekdays)
        return weekdays if months is None else f"{weekdays} in {listed([MONTHS[month - 1] for month in months])}"
    numbers = _all(days.days, 31)
    if numbers is None or len(days.weekdays) < 7:
        return None
    if days.from_end:
        named = listed(["last day" if number == 1 else f"last day but {number - 1}" for number in numbers])
        return f"on the {named} of " + ("every month" if months is None else listed([MONTHS[m - 1] for m in months]))
    if months is None:
        return f"monthly on day{'s' if len(numbers) > 1 else ''} {listed([str(number) for number in numbers])}"
    return listed([f"{number} {MONTHS[month - 1]}" for month in months for number in numbers]) + " of every year"


def _one_date(days: EventDays) -> str | None:
    each = (*days.years, *days.months, *days.days)
    if len(each) != 3 or any(item.low != item.high for item in each) or days.from_end or len(days.weekdays) < 7:
        return None
    return "on " + "-".join(f"{item.low:02d}" for item in each)


def _all(items: Collection[Item], most: int) -> list[int] | None:
    """Every value of *items*; None if that is every value up to *most*."""
    values = [value for value in range(1, most + 1) if any(item.has(value) for item in items)]
    return None if len(values) == most else values


# ── recurrence rules ─────────────────────────────────────────────────────────────────────────────────────────────


def rule_in_words(rule: str) -> str:
    """A recurrence rule in words, or the rule where there are none."""
    parts = dict(part.partition("=")[::2] for part in rule.upper().split(";"))
    unit = UNITS.get(parts.get("FREQ", ""))
    if "\n" in rule or unit is None or not parts.keys() <= KNOWN_PARTS:
        return f"by the rule {' '.join(rule.split())}"
    interval = int(parts.get("INTERVAL", "1"))
    words = [f"every {unit}" if interval == 1 else f"every {interval} {unit}s"]
    if "BYDAY" in parts:
        words.append("on " + listed([_rule_day(day) for day in parts["BYDAY"].split(",")]))
    if "BYMONTHDAY" in parts:
        words.append("on " + listed([_month_day(int(day)) for day in parts["BYMONTHDAY"].split(",")]))
    if "BYMONTH" in parts:
        words.append("in " + listed([MONTHS[int(month) - 1] for month in parts["BYMONTH"].split(",")]))
    if "UNTIL" in parts:
        until = parts["UNTIL"]
        words.append(f"until {until[:4]}-{until[4:6]}-{until[6:8]}")
    if "COUNT" in parts:
        words.append(f"({parts['COUNT']} times)")
    return " ".join(words)


def _rule_day(text: str) -> str:
    match = RULE_DAY.fullmatch(text)
    if match is None:
        return text
    day = next(name for name in DAYS if name.upper().startswith(match[2]))
    if match[1] is None:
        return day
    return f"the {_ordinal(int(match[1]))} {day}"


def _month_day(number: int) -> str:
    return f"day {number}" if number > 0 else "the last day" if number == -1 else f"the last day but {-number - 1}"


def _ordinal(number: int) -> str:
    if number < 0:
        return "last" if number == -1 else f"{_ordinal(-number)} last"
    return {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}.get(number, f"{number}th")


def listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
