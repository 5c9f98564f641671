"""A schedule as an operator reads it: the common forms in a few words, all others by cronsim."""

from datetime import UTC, date, datetime

import pytest

from shiftboss.core.schedule import Anchored, At, CalendarEvent, Cron, Every, RRule, Schedule, Several, Within
from shiftboss.core.schedule_words import in_words, until_words
from shiftboss.core.schedules.within import DayFilter, Otherwise

BERLIN, KOLKATA = "Europe/Berlin", "Asia/Kolkata"


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (Every(60.0), "every minute"),
        (Every(300.0), "every 5 minutes"),
        (Every(3600.0), "every hour"),
        (Every(172_800.0), "every 2 days"),
        (Every(1.0), "every second"),
        (Every(0.25), "every 250 ms"),
        (Every(0.001 * 10), "every 10 ms"),
        (Every(5400.0), "every 1 h 30 min"),
        (Every(1 / 3), "every 333 ms 333 µs"),
        (Every(86_401.5), "every 1 d 1 s 500 ms"),
    ],
)
def test_an_interval_is_said_in_the_largest_unit_that_fits(schedule: Schedule, words: str):
    assert in_words(schedule) == words


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (Cron("* * * * *"), "every minute"),
        (Cron("*/5 * * * *"), "every 5 minutes"),
        (Cron("@hourly"), "every hour"),
        (Cron("15 * * * *"), "every hour at :15"),
        (Cron("*/5 * * * *", KOLKATA), "every 5 minutes (Asia/Kolkata)"),
        (Cron("0 */6 * * *"), "every 6 hours (UTC)"),
        (Cron("5 */6 * * *"), "every 6 hours at :05 (UTC)"),
        (Cron("0 3 * * *", BERLIN), "every day at 03:00 (Europe/Berlin)"),
        (Cron("0 0 3 * * *", BERLIN), "every day at 03:00 (Europe/Berlin)"),
        (Cron("30 6,18 * * *"), "every day at 06:30 and 18:30 (UTC)"),
        (Cron("15 6 * * 1"), "Mondays at 06:15 (UTC)"),
        (Cron("0 9 * * MON,WED,FRI"), "Mondays, Wednesdays and Fridays at 09:00 (UTC)"),
        (Cron("30 9 * * MON-FRI", KOLKATA), "Monday to Friday at 09:30 (Asia/Kolkata)"),
        (Cron("0 9-17 * * *"), "every day, every hour from 09:00 to 17:00 (UTC)"),
        (Cron("*/15 9-17 * * 1-5"), "Monday to Friday, every 15 minutes from 09:00 to 17:45 (UTC)"),
        (Cron("@weekly"), "Sundays at 00:00 (UTC)"),
        (Cron("0 8 * * 7"), "Sundays at 08:00 (UTC)"),
        (Cron("@monthly"), "monthly on day 1 at 00:00 (UTC)"),
        (Cron("0 2 1,15 * *"), "monthly on days 1 and 15 at 02:00 (UTC)"),
        (Cron("0 2 1-5 * *"), "at 02:00 on every day of month from 1 through 5 (UTC)"),
        (Cron("@yearly"), "yearly on 1 January at 00:00 (UTC)"),
    ],
)
def test_a_common_cron_expression_is_a_short_sentence(schedule: Schedule, words: str):
    assert in_words(schedule) == words


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("15 * * * * *", "at second 15 of every minute (UTC)"),
        ("*/7 * * * *", "every seventh minute of every hour (UTC)"),
        ("0 3 1 * 1", "at 03:00 on the first day of month and on Monday (UTC)"),
        ("0 9 * * MON#2", "at 09:00 on the second Monday of the month (UTC)"),
    ],
)
def test_any_other_cron_expression_is_worded_by_cronsim(expression: str, words: str):
    assert in_words(Cron(expression)) == words


NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
NINE = Cron("0 9 * * *", BERLIN)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (Anchored(1_209_600.0, NEW_YEAR, 14, BERLIN), "every 14 days from Thursday 2026-01-01 01:00 (Europe/Berlin)"),
        (At((NEW_YEAR,)), "at 2026-01-01 00:00 (UTC)"),
        (
            At(tuple(NEW_YEAR.replace(day=day) for day in (1, 2, 3, 4, 5))),
            "at 2026-01-01 00:00, 2026-01-02 00:00, 2026-01-03 00:00 and 2 more times (UTC)",
        ),
        (CalendarEvent("Mon..Fri 09:00"), "Monday to Friday at 09:00 (UTC)"),
        (CalendarEvent("Mon,Thu 06,18:30", BERLIN), "Monday and Thursday at 06:30 and 18:30 (Europe/Berlin)"),
        (CalendarEvent("*:0/15"), "every 15 minutes (UTC)"),
        (CalendarEvent("Sat *:0/15"), "Saturday, every 15 minutes (UTC)"),
        (CalendarEvent("*:05"), "on calendar *:05 (UTC)"),
        (CalendarEvent("*:*:0/10"), "every 10 seconds (UTC)"),
        (CalendarEvent("hourly"), "every hour (UTC)"),
        (CalendarEvent("12:00:30"), "every day at 12:00:30 (UTC)"),
        (CalendarEvent("*-*-1,15 06:30"), "monthly on days 1 and 15 at 06:30 (UTC)"),
        (CalendarEvent("*-*~01 18:00"), "on the last day of every month at 18:00 (UTC)"),
        (CalendarEvent("*-02~02 18:00"), "on the last day but 1 of February at 18:00 (UTC)"),
        (CalendarEvent("*-12-24 10:00"), "24 December of every year at 10:00 (UTC)"),
        (CalendarEvent("Mon *-06..08-* 10:00"), "Monday in June, July and August at 10:00 (UTC)"),
        (CalendarEvent("2026-12-24 10:00"), "on 2026-12-24 at 10:00 (UTC)"),
        (CalendarEvent("Mon *-05~07/1"), "on calendar Mon *-05~07/1 (UTC)"),
        (
            RRule("FREQ=MONTHLY;BYDAY=-1FR", NEW_YEAR),
            "every month on the last Friday, from Thursday 2026-01-01 00:00 (UTC)",
        ),
        (
            RRule("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,TH;COUNT=5", NEW_YEAR),
            "every 2 weeks on Tuesday and Thursday (5 times), from Thursday 2026-01-01 00:00 (UTC)",
        ),
        (
            RRule("FREQ=MONTHLY;BYMONTHDAY=1,-1;BYMONTH=3;UNTIL=20300501T000000Z", NEW_YEAR),
            "every month on day 1 and the last day in March until 2030-05-01, from Thursday 2026-01-01 00:00 (UTC)",
        ),
        (
            RRule("FREQ=YEARLY;BYDAY=2TU,-2FR,20MO", NEW_YEAR),
            "every year on the second Tuesday, the second last Friday and the 20th Monday, "
            "from Thursday 2026-01-01 00:00 (UTC)",
        ),
        (
            RRule("FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=-1", NEW_YEAR),
            "by the rule FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=-1, from Thursday 2026-01-01 00:00 (UTC)",
        ),
        (
            Several((NINE, Cron("30 17 * * MON-FRI", BERLIN))),
            "every day at 09:00; Monday to Friday at 17:30 (Europe/Berlin)",
        ),
        (
            Within(NINE, DayFilter((0, 1, 2, 3, 4), country="DE", subdivision="BY", otherwise=Otherwise.NEXT)),
            "every day at 09:00, Monday to Friday only, not on public holidays of DE-BY, but on the next such day "
            "instead (Europe/Berlin)",
        ),
        (
            Within(NINE, DayFilter((0, 2), except_dates=(date(2026, 1, 5),), hours=(28_800, 61_200))),
            "every day at 09:00, Monday and Wednesday only, not on 2026-01-05, from 08:00 to before 17:00 only "
            "(Europe/Berlin)",
        ),
    ],
)  # fmt: skip
def test_schedules_of_the_calendar_are_said_in_words(schedule: Schedule, words: str):
    assert in_words(schedule) == words


def test_the_end_of_a_schedule_is_said_in_its_zone():
    """M4"""
    assert until_words(None, None, BERLIN) == ""
    assert until_words(NEW_YEAR, None, BERLIN) == "until 2026-01-01 01:00"
    assert until_words(NEW_YEAR, 1, "UTC") == "until 2026-01-01 00:00, once"
    assert until_words(None, 1000, "UTC") == "1,000 times"
