"""A schedule as an operator reads it: "every 5 minutes", "Mondays at 06:15 (Europe/Berlin)".

Rules of this file
- Common forms get a short sentence here; cronsim words the other crons, calendar_words.py calendar events and rules.
- The zone of a cron is left out only where it changes nothing: UTC, and the same in every hour.  It stands once, at the
  end of all that it is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache

from shiftboss.core.calendar_words import MAX_TIMES, MONTHS, event_in_words, listed, rule_in_words, weekdays_in_words
from shiftboss.core.pattern import lazy_pattern
from shiftboss.core.schedule import Anchored, At, CalendarEvent, Cron, Every, RRule, Schedule, Several, Within
from shiftboss.core.schedules.by_calendar import ByCalendar
from shiftboss.core.schedules.cron import NICKNAMES
from shiftboss.core.schedules.within import DayFilter, Otherwise
from shiftboss.core.schedules.zone import to_local
from shiftboss.core.value import EPOCH
from shiftboss.errors import InternalError

UNITS = {"d": "day", "h": "hour", "min": "minute", "s": "second", "ms": "ms", "µs": "µs"}
SIZES_US = {"d": 86_400_000_000, "h": 3_600_000_000, "min": 60_000_000, "s": 1_000_000, "ms": 1_000, "µs": 1}
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")  # 0 and 7
MAX_NAMED = 3  # times and days written out
STEP = lazy_pattern(r"\*/(\d+)", re.ASCII)
RANGE = lazy_pattern(r"(\d+)-(\d+)", re.ASCII)
NUMBERS = lazy_pattern(r"\d+(,\d+)*", re.ASCII)


@lru_cache(maxsize=4096)  # every look at a status words the schedules of all workers
def in_words(schedule: Schedule) -> str:
    """ "every minute", "every day at 03:00 (Europe/Berlin)"."""
    if isinstance(schedule, Every):
        return _every(schedule.step)
    text, needs_zone = _worded(schedule)
    return f"{text} ({schedule.zone})" if needs_zone or schedule.zone != "UTC" else text


def until_words(until: datetime | None, times: int | None, zone: str) -> str:
    """How a schedule ends: "until 2026-12-31 23:59, 3 times"; empty if it does not."""
    parts = [] if until is None else [f"until {to_local(until, zone):%Y-%m-%d %H:%M}"]
    parts += [] if times is None else ["once" if times == 1 else f"{times:,} times"]
    return ", ".join(parts)


def _worded(schedule: ByCalendar) -> tuple[str, bool]:
    """The text, and whether its zone must be named even if it is UTC."""
    match schedule:
        case Cron(expression=expression):
            fields = NICKNAMES.get(expression.lower(), expression).split()
            text = _within_an_hour(*["0", *fields][-6:])
            if text is not None:
                return text, False
            return _at_times(*["0", *fields][-6:]) or _by_cronsim(fields), True
        case Anchored(step=step, anchor=anchor, zone=zone):
            return f"{_every(step)} from {to_local(anchor, zone):%A %Y-%m-%d %H:%M}", True
        case At(instants=instants, zone=zone):
            named = [f"{to_local(at, zone):%Y-%m-%d %H:%M}" for at in instants[:MAX_NAMED]]
            more = len(instants) - len(named)
            return f"at {listed([*named, f'{more:,} more times'] if more else named)}", True
        case CalendarEvent(expression=expression):
            return event_in_words(expression), True
        case RRule(rule=rule, anchor=anchor, zone=zone):
            return f"{rule_in_words(rule)}, from {to_local(anchor, zone):%A %Y-%m-%d %H:%M}", True
        case Several(rules=rules):
            worded = [_worded(rule) for rule in rules]
            return "; ".join(text for text, _ in worded), any(needs_zone for _, needs_zone in worded)
        case Within(rule=rule, days=days):
            return ", ".join([_worded(rule)[0], *_days_in_words(days)]), True
    raise InternalError(f"a schedule of the kind {type(schedule).__name__} has no words; please report this")


def _days_in_words(days: DayFilter) -> Iterator[str]:
    """ "Monday to Friday only, not on public holidays of DE-BY"."""
    if len(days.weekdays) < 7:
        yield f"{weekdays_in_words(days.weekdays)} only"
    if days.country:
        yield f"not on public holidays of {'-'.join(filter(None, (days.country, days.subdivision)))}"
    if days.except_dates:
        named = [str(day) for day in days.except_dates[:MAX_NAMED]]
        more = len(days.except_dates) - len(named)
        yield f"not on {listed([*named, f'{more:,} more days'] if more else named)}"
    if days.otherwise is Otherwise.NEXT:
        yield "but on the next such day instead"
    if days.hours is not None:
        first, last = (f"{second // 3600:02d}:{second % 3600 // 60:02d}" for second in days.hours)
        yield f"from {first} to before {last} only"


def _every(step: timedelta) -> str:
    rest, counts = step // timedelta(microseconds=1), {}
    for unit, size in SIZES_US.items():
        count, rest = divmod(rest, size)
        if count:
            counts[unit] = count
    if len(counts) > 1:
        return " ".join(["every", *(f"{count} {unit}" for unit, count in counts.items())])
    unit, count = next(iter(counts.items()))
    return _each(count, UNITS[unit])


def _each(count: int, unit: str) -> str:
    """ "every hour", "every 2 hours", "every 250 ms"."""
    if unit in SIZES_US:  # a symbol: it has no plural
        return f"every {count} {unit}"
    return f"every {unit}" if count == 1 else f"every {count} {unit}s"


def _within_an_hour(second: str, minute: str, hour: str, *rest: str) -> str | None:
    """What is the same in every hour: "every 5 minutes", "every hour at :15"."""
    if second != "0" or (hour, *rest) != ("*",) * 4:
        return None
    if minute == "*":
        return "every minute"
    step = STEP.fullmatch(minute)
    if step is not None and 60 % int(step[1]) == 0:
        return _each(int(step[1]), "minute")
    if minute.isdigit():
        return "every hour" if int(minute) == 0 else f"every hour at :{int(minute):02d}"
    return None


def _at_times(second: str, minute: str, hour: str, day: str, month: str, weekday: str) -> str | None:
    """What fires at some times of some days: "Monday to Friday at 09:30"."""
    days = _days(day, month, weekday)
    if second != "0" or days is None:
        return None
    span, step = RANGE.fullmatch(hour), STEP.fullmatch(hour)
    if span is not None:
        return _from_to(days, minute, int(span[1]), int(span[2]))
    if step is not None and 24 % int(step[1]) == 0 and days == "every day" and minute.isdigit():
        return _each(int(step[1]), "hour") + ("" if int(minute) == 0 else f" at :{int(minute):02d}")
    if not (NUMBERS.fullmatch(hour) and NUMBERS.fullmatch(minute)):
        return None
    times = sorted({f"{int(h):02d}:{int(m):02d}" for h in hour.split(",") for m in minute.split(",")})
    return f"{days} at {listed(times)}" if len(times) <= MAX_TIMES else None


def _from_to(days: str, minute: str, first: int, last: int) -> str | None:
    """ "Monday to Friday, every 15 minutes from 09:00 to 17:45"."""
    step = STEP.fullmatch(minute)
    if minute.isdigit():
        return f"{days}, every hour from {first:02d}:{int(minute):02d} to {last:02d}:{int(minute):02d}"
    if step is None or 60 % int(step[1]):
        return None
    return f"{days}, {_each(int(step[1]), 'minute')} from {first:02d}:00 to {last:02d}:{60 - int(step[1]):02d}"


def _days(day: str, month: str, weekday: str) -> str | None:
    if (day, month) == ("*", "*"):
        return "every day" if weekday == "*" else _weekdays(weekday)
    if weekday != "*" or not NUMBERS.fullmatch(day):
        return None
    if month == "*":
        return f"monthly on day{'s' if ',' in day else ''} {listed(day.split(','))}"
    return f"yearly on {int(day)} {MONTHS[int(month) - 1]}" if day.isdigit() and month.isdigit() else None


def _weekdays(text: str) -> str | None:
    """ "Mondays", "Mondays and Thursdays", "Monday to Friday"."""
    named = [[_weekday(each) for each in part.split("-")] for part in text.split(",")]
    if any(name is None for part in named for name in part):
        return None
    match named:
        case [[first, last]]:
            return f"{first} to {last}"
        case _ if all(len(part) == 1 for part in named):
            return listed([f"{part[0]}s" for part in named])
    return None


def _weekday(text: str) -> str | None:
    if text.isdigit():
        return DAYS[int(text)]
    return next((name for name in DAYS if name[:3].upper() == text.upper()), None)


def _by_cronsim(fields: list[str]) -> str:
    from cronsim import CronSim  # 3 ms of import, for who has a cron only

    text = str(CronSim(" ".join(fields), EPOCH).explain())
    return f"{text[0].lower()}{text[1:]}"
