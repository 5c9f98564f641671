"""A schedule as an operator reads it: the common forms in a few words, all others by cronsim."""

import pytest

from shiftboss.core.schedule import Cron, Every, Schedule
from shiftboss.core.schedule_words import in_words

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
