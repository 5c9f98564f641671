"""Every kind of schedule that follows the calendar: which times it has, looking ahead and back, and how it ends.

The values of the named tests were worked out by hand from a calendar and the zones' rules.  The properties compare what
a schedule answers with its own times, written out one after another.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import examples
from shiftboss.core import schedule
from shiftboss.core.schedule import Anchored, At, CalendarEvent, Cron, Every, RRule, Schedule, Several, Within
from shiftboss.core.schedules.by_calendar import ByCalendar
from shiftboss.core.schedules.rrule import rule_text
from shiftboss.core.schedules.within import DayFilter, Otherwise, public_holidays
from shiftboss.core.schedules.zone import to_local, to_utc
from shiftboss.errors import ConfigurationError

BERLIN, NEW_YORK, LORD_HOWE, APIA = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"
MOMENT = timedelta(microseconds=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(rule: ByCalendar, start: str, number: int) -> list[str]:
    """Its next times after the UTC time *start*, as its zone's clock shows them."""
    found, at = [], rule.after(utc(start))
    while at is not None and len(found) < number:
        found.append(f"{to_local(at, rule.zone):%a %m-%d %H:%M}")
        at = rule.after(at)
    return found


# ── local times ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("zone", "shown", "at"),
    [
        ("UTC", "2026-01-05T09:00", "2026-01-05T09:00"),
        (BERLIN, "2026-01-05T09:00", "2026-01-05T08:00"),
        (BERLIN, "2026-03-29T01:59:59.999999", "2026-03-29T00:59:59.999999"),
        (BERLIN, "2026-03-29T02:00", "2026-03-29T01:00"),  # clocks go from 02:00 to 03:00
        (BERLIN, "2026-03-29T02:59:59.5", "2026-03-29T01:00"),
        (BERLIN, "2026-03-29T03:00", "2026-03-29T01:00"),
        (BERLIN, "2026-10-25T02:30", "2026-10-25T00:30"),  # twice: the first
        (BERLIN, "2026-10-25T03:00", "2026-10-25T02:00"),
        (LORD_HOWE, "2026-10-04T02:15", "2026-10-03T15:30"),  # half an hour is left out
        (APIA, "2011-12-30T12:00", "2011-12-30T10:00"),  # a day that Samoa left out
        (APIA, "2011-12-31T12:00", "2011-12-30T22:00"),
    ],
)
def test_a_local_time_is_the_first_moment_at_which_the_clock_shows_or_passes_it(zone, shown, at):
    """O3"""
    assert to_utc(datetime.fromisoformat(shown), zone) == utc(at)


def test_what_a_clock_shows_is_its_local_time():
    assert to_local(utc("2026-07-01T10:00:00.25"), BERLIN) == datetime.fromisoformat("2026-07-01T12:00:00.250000")


# ── every= with an anchor ────────────────────────────────────────────────────────────────────────────────────────


def test_days_and_weeks_from_an_anchor_keep_the_local_time():
    """M4"""
    every = Anchored(14 * 86_400.0, utc("2026-03-09T08:00"), 14, BERLIN)

    assert local(every, "2026-03-09T07:59", 4) == [
        "Mon 03-09 09:00", "Mon 03-23 09:00", "Mon 04-06 09:00", "Mon 04-20 09:00",
    ]  # fmt: skip
    assert every.after(utc("2026-03-23T08:00")) == utc("2026-04-06T07:00")


def test_a_local_time_that_a_day_leaves_out_fires_after_the_gap_and_the_next_day_as_ever():
    """M4, O3"""
    every = Anchored(86_400.0, utc("2026-03-27T01:30"), 1, BERLIN)

    assert local(every, "2026-03-28T00:00", 3) == ["Sat 03-28 02:30", "Sun 03-29 03:00", "Mon 03-30 02:30"]


def test_other_distances_from_an_anchor_are_elapsed_time():
    """M4"""
    every = Anchored(86_400.0, utc("2026-03-28T08:00"), 0, BERLIN)

    assert local(every, "2026-03-28T08:00", 2) == ["Sun 03-29 10:00", "Mon 03-30 10:00"]


def test_nothing_comes_before_the_anchor():
    """M4"""
    for days in (0, 7):
        every = Anchored(7 * 86_400.0, utc("2026-03-09T08:00"), days, BERLIN)
        assert every.after(utc("1971-01-01")) == every.anchor
        assert every.after(every.anchor - MOMENT) == every.anchor
        assert every.after(every.anchor) > every.anchor
        assert every.last(utc("2026-03-09T07:00"), first=utc("2026-01-01")) == utc("2026-01-01")
        assert every.last(every.anchor, first=utc("2026-01-01")) == every.anchor


def test_a_distance_below_a_second_is_exact():
    """M4"""
    every = Anchored(0.25, utc("2026-01-01"))

    assert every.after(utc("2026-01-01T00:00:01.25")) == utc("2026-01-01T00:00:01.5")
    assert every.count(utc("2026-01-01"), utc("2026-01-01T00:00:01"), limit=100) == 5
    assert every.count(utc("2026-01-01"), utc("2026-01-01T00:00:01"), limit=3) == 3
    assert every.count(utc("2026-01-02"), utc("2026-01-01"), limit=3) == 1
    assert every.count(utc("2025-01-02"), utc("2026-01-01T00:00:00.25"), limit=9) == 2


# ── at= ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_times_written_out_come_in_order_and_end():
    at = At((utc("2026-01-01"), utc("2026-02-01"), utc("2026-03-01")))

    assert at.after(utc("2025-01-01")) == utc("2026-01-01")
    assert at.after(utc("2026-01-01")) == utc("2026-02-01")
    assert at.after(utc("2026-03-01")) is None
    assert at.last(utc("2026-02-28"), first=utc("2026-01-01")) == utc("2026-02-01")
    assert at.last(utc("2025-12-31"), first=utc("2025-12-30")) == utc("2025-12-30")
    assert at.count(utc("2026-01-01"), utc("2026-03-01"), limit=10) == 3
    assert at.count(utc("2026-01-01"), utc("2026-03-01"), limit=2) == 2
    assert at.count(utc("2026-01-01"), utc("2026-01-01"), limit=2) == 1


@pytest.mark.parametrize("instants", [(), (utc("2026-02-01"), utc("2026-01-01")), (utc("2026-01-01"),) * 2])
def test_times_must_ascend(instants):
    with pytest.raises(ConfigurationError, match=r"^at="):
        At(instants)


# ── calendar events ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("expression", "following"),
    [  # the first times after Thursday 2026-01-01 00:00 UTC
        ("Mon..Fri 09:00", ["Thu 01-01 09:00", "Fri 01-02 09:00", "Mon 01-05 09:00"]),
        ("Fri..Mon 09:00", ["Fri 01-02 09:00", "Sat 01-03 09:00", "Sun 01-04 09:00"]),
        ("monday,Thu 9:5", ["Thu 01-01 09:05", "Mon 01-05 09:05", "Thu 01-08 09:05"]),
        ("Sat", ["Sat 01-03 00:00", "Sat 01-10 00:00", "Sat 01-17 00:00"]),
        ("*-*-* 00/8:00", ["Thu 01-01 08:00", "Thu 01-01 16:00", "Fri 01-02 00:00"]),
        ("*:0/20", ["Thu 01-01 00:20", "Thu 01-01 00:40", "Thu 01-01 01:00"]),
        ("*-*-1,15 06:30", ["Thu 01-01 06:30", "Thu 01-15 06:30", "Sun 02-01 06:30"]),
        ("*-*~01 18:00", ["Sat 01-31 18:00", "Sat 02-28 18:00", "Tue 03-31 18:00"]),
        ("*-02~03", ["Thu 02-26 00:00", "Fri 02-26 00:00", "Sun 02-27 00:00"]),  # 2028 is a leap year
        ("Mon *-05~07/1 12:00", ["Mon 05-25 12:00", "Mon 05-31 12:00", "Mon 05-29 12:00"]),  # the last Monday in May
        ("*-02~08/3 00:00", ["Sat 02-21 00:00", "Tue 02-24 00:00", "Fri 02-27 00:00"]),  # 8, 5, 2 from the end
        ("*-01..03-05 00:00", ["Mon 01-05 00:00", "Thu 02-05 00:00", "Thu 03-05 00:00"]),
        ("*-*/6-01 00:00", ["Wed 07-01 00:00", "Fri 01-01 00:00", "Thu 07-01 00:00"]),
        ("05-17 08:00", ["Sun 05-17 08:00", "Mon 05-17 08:00", "Wed 05-17 08:00"]),
        ("2026..2027-12-24 10:00", ["Thu 12-24 10:00", "Fri 12-24 10:00"]),
        ("2026-02-30,03 00:00", ["Tue 02-03 00:00"]),
        ("hourly", ["Thu 01-01 01:00", "Thu 01-01 02:00", "Thu 01-01 03:00"]),
        ("weekly", ["Mon 01-05 00:00", "Mon 01-12 00:00", "Mon 01-19 00:00"]),
        ("quarterly", ["Wed 04-01 00:00", "Wed 07-01 00:00", "Thu 10-01 00:00"]),
        ("*-*-* 12:00 America/New_York", ["Thu 01-01 12:00", "Fri 01-02 12:00", "Sat 01-03 12:00"]),
    ],
)
def test_a_calendar_event_fires_when_its_words_say(expression, following):
    """O3"""
    assert local(CalendarEvent(expression), "2026-01-01", 3) == following


def test_an_event_with_seconds_fires_at_them():
    event = CalendarEvent("*:*:10,40")

    assert event.after(utc("2026-01-01")) == utc("2026-01-01T00:00:10")
    assert event.after(utc("2026-01-01T00:00:10")) == utc("2026-01-01T00:00:40")


def test_a_zone_in_the_expression_goes_before_the_workers():
    assert CalendarEvent("daily Europe/Berlin", NEW_YORK).zone == BERLIN
    assert CalendarEvent("12:00 UTC", NEW_YORK).zone == "UTC"
    assert CalendarEvent("12:00", NEW_YORK).zone == NEW_YORK


def test_clock_changes_are_those_of_cron():
    """O3: a fixed time fires after the gap, a repeated one once, and a wildcard hour follows elapsed time."""
    fixed, hourly = CalendarEvent("02:30", BERLIN), CalendarEvent("*:30", BERLIN)

    assert local(fixed, "2026-03-28T12:00", 2) == ["Sun 03-29 03:00", "Mon 03-30 02:30"]
    assert local(fixed, "2026-10-24T12:00", 2) == ["Sun 10-25 02:30", "Mon 10-26 02:30"]
    assert local(hourly, "2026-10-25T00:00", 3) == ["Sun 10-25 02:30", "Sun 10-25 02:30", "Sun 10-25 03:30"]


@pytest.mark.parametrize(
    ("expression", "fact"),
    [
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("Mon..Fri..Sat", "is not a weekday"),
        ("Mun 09:00", "is not a weekday"),
        ("09:00:00.5", "no fractions of a second"),
        ("25:00", "the hour '25' is out of range"),
        ("09:60", "the minute '60' is out of range"),
        ("*-13-01", "the month '13' is out of range"),
        ("*-*-32", "the day '32' is out of range"),
        ("*-*-0", "the day '0' is out of range"),
        ("1969-01-01", "the year '1969' is out of range"),
        ("*-*-5..3", "the day '5..3' is out of range"),
        ("*:0/0", "the minute '0/0' is out of range"),
        ("*:*:*:*", "is not a time"),
        ("09:00 10:00", "'10:00' is not understood"),
        ("*-02-30", "never fires"),
        ("2020-01-01", "never fires"),
        ("12:00 Europe/Berln", "unknown"),
        ("1,,2:00", "is not understood"),
        ("9..:00", "is not understood"),
        ("*" * 10_000, "is not understood"),
    ],
)
def test_what_no_event_says_is_refused_with_the_part_at_fault(expression, fact):
    with pytest.raises(ConfigurationError, match=fact):
        CalendarEvent(expression)


# ── recurrence rules ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rule", "following"),
    [  # from Thursday 2026-01-01 17:00 in Berlin
        ("FREQ=MONTHLY;BYDAY=-1FR", ["Fri 01-30 17:00", "Fri 02-27 17:00", "Fri 03-27 17:00"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,TH", ["Thu 01-01 17:00", "Tue 01-13 17:00", "Thu 01-15 17:00"]),
        ("FREQ=DAILY;COUNT=2", ["Thu 01-01 17:00", "Fri 01-02 17:00"]),
        ("FREQ=DAILY;UNTIL=20260102T160000Z", ["Thu 01-01 17:00", "Fri 01-02 17:00"]),
        ("FREQ=DAILY;UNTIL=20260102T155959Z", ["Thu 01-01 17:00"]),
        ("FREQ=DAILY;COUNT=3\nEXDATE:20260102T170000", ["Thu 01-01 17:00", "Sat 01-03 17:00"]),
        ("FREQ=YEARLY;COUNT=1\nRDATE:20260201T080000", ["Thu 01-01 17:00", "Sun 02-01 08:00"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", ["Fri 01-30 17:00", "Fri 02-27 17:00", "Tue 03-31 17:00"]),
    ],
)
def test_a_recurrence_rule_fires_when_it_says(rule, following):
    assert local(RRule(rule, utc("2026-01-01T16:00"), BERLIN), "2025-01-01", 3) == following


def test_a_rule_keeps_its_local_time_over_clock_changes():
    """O3"""
    rule = RRule("FREQ=DAILY", utc("2026-03-27T01:30"), BERLIN)

    assert local(rule, "2026-03-28T00:00", 3) == ["Sat 03-28 02:30", "Sun 03-29 03:00", "Mon 03-30 02:30"]


@pytest.mark.parametrize(
    ("rule", "fact"),
    [
        ("FREQ=HOURLY", "too often"),
        ("FREQ=MINUTELY", "too often"),
        ("FREQ=SECONDLY", "too often"),
        ("FREQ=SOMETIMES", "not understood"),
        ("FREQ=DAILY;INTERVAL=x", "not understood"),
        ("FREQ=MONTHLY;BYMONTHDAY=40", "not understood|never fires"),
        ("FREQ=DAILY;UNTIL=20200101T000000Z", "never fires"),
        ("FREQ=DAILY;UNTIL=20261301T000000Z", "not understood"),
    ],
)
def test_a_rule_that_cannot_be_kept_is_refused(rule, fact):
    with pytest.raises(ConfigurationError, match=fact):
        RRule(rule, utc("2026-01-01"))


def test_a_rule_is_taken_in_its_normal_form_line_by_line():
    """W9"""
    assert rule_text(" RRULE:FREQ=DAILY \n\nEXDATE:20260101T000000 ", name="rrule") == (
        "FREQ=DAILY\nEXDATE:20260101T000000"
    )
    for text, fact in (
        ("EXDATE:20260101T000000", "has no FREQ="),
        ("DTSTART:20260101T000000\nFREQ=DAILY", "give the start as anchor="),
        ("DAILY", "is not understood"),
        ("", "is empty"),
    ):
        with pytest.raises(ConfigurationError, match=fact):
            rule_text(text, name="rrule")


def test_a_rule_with_too_many_times_says_so_instead_of_filling_the_memory():
    minutes = ",".join(map(str, range(60)))
    rule = RRule(f"FREQ=DAILY;BYHOUR={','.join(map(str, range(24)))};BYMINUTE={minutes}", utc("2026-01-01"))

    with pytest.raises(ConfigurationError, match="more than 100,000 times since its anchor"):
        rule.after(utc("2030-01-01"))


# ── several, and calendars ───────────────────────────────────────────────────────────────────────────────────────


def test_several_schedules_fire_together_once():
    rule = Several((Cron("0 6 * * *", BERLIN), Cron("0 6,18 * * MON", BERLIN)))

    assert local(rule, "2026-01-04T00:00", 4) == [
        "Sun 01-04 06:00", "Mon 01-05 06:00", "Mon 01-05 18:00", "Tue 01-06 06:00",
    ]  # fmt: skip
    assert rule.count(utc("2026-01-04T05:00"), utc("2026-01-06T05:00"), limit=10) == 4


def test_several_schedules_have_one_zone():
    with pytest.raises(ConfigurationError, match="have several time zones"):
        Several((Cron("0 6 * * *", BERLIN), Cron("0 6 * * *")))
    with pytest.raises(ConfigurationError, match="at least two"):
        Several((Cron("0 6 * * *"),))


WORKDAYS = (0, 1, 2, 3, 4)


def test_days_that_a_calendar_leaves_out_are_skipped_or_moved():
    first_of_month = Cron("0 9 1 * *", BERLIN)
    skip = DayFilter(WORKDAYS, country="DE")
    instead = DayFilter(WORKDAYS, country="DE", otherwise=Otherwise.NEXT)

    assert local(Within(first_of_month, skip), "2025-12-31T12:00", 3) == [
        "Wed 04-01 09:00", "Mon 06-01 09:00", "Wed 07-01 09:00",
    ]  # fmt: skip
    assert local(Within(first_of_month, instead), "2025-12-31T12:00", 5) == [
        "Fri 01-02 09:00", "Mon 02-02 09:00", "Mon 03-02 09:00", "Wed 04-01 09:00", "Mon 05-04 09:00",
    ]  # fmt: skip


def test_a_time_that_is_moved_onto_another_one_fires_once():
    daily = Within(Cron("0 9 * * *"), DayFilter(WORKDAYS, otherwise=Otherwise.NEXT))

    assert local(daily, "2026-01-02T00:00", 3) == ["Fri 01-02 09:00", "Mon 01-05 09:00", "Tue 01-06 09:00"]
    assert daily.count(utc("2026-01-02T09:00"), utc("2026-01-06T09:00"), limit=10) == 3


def test_what_is_moved_keeps_the_order_of_the_day_it_comes_to():
    """On Monday the times of Saturday, Sunday and Monday stand in the order of the clock."""
    rule = Within(
        Several((Cron("0 18 * * SAT"), Cron("0 7 * * SUN"), Cron("0 9 * * MON"))),
        DayFilter(WORKDAYS, otherwise=Otherwise.NEXT),
    )

    assert local(rule, "2026-01-02T00:00", 4) == [
        "Mon 01-05 07:00", "Mon 01-05 09:00", "Mon 01-05 18:00", "Mon 01-12 07:00",
    ]  # fmt: skip


def test_hours_hold_from_the_first_to_before_the_last():
    rule = Within(Cron("0 * * * *", BERLIN), DayFilter(hours=(9 * 3600, 17 * 3600)))
    night = Within(Cron("0 */2 * * *", BERLIN), DayFilter(hours=(22 * 3600, 6 * 3600)))

    assert local(rule, "2026-01-01T14:30", 3) == ["Thu 01-01 16:00", "Fri 01-02 09:00", "Fri 01-02 10:00"]
    assert local(night, "2026-01-01T12:00", 5) == [
        "Thu 01-01 22:00", "Fri 01-02 00:00", "Fri 01-02 02:00", "Fri 01-02 04:00", "Fri 01-02 22:00",
    ]  # fmt: skip


def test_dates_can_be_left_out():
    rule = Within(Cron("0 9 * * *"), DayFilter(except_dates=(date(2026, 1, 2), date(2026, 1, 3))))

    assert local(rule, "2026-01-01T00:00", 2) == ["Thu 01-01 09:00", "Sun 01-04 09:00"]


@pytest.mark.parametrize(
    ("country", "part", "closed"),
    [  # the public holidays of 2026 that fall on Monday to Friday, from each country's own list
        ("DE", "", ["01-01", "04-03", "04-06", "05-01", "05-14", "05-25", "12-25"]),
        ("DE", "BY", ["01-01", "01-06", "04-03", "04-06", "05-01", "05-14", "05-25", "06-04", "12-25"]),
        ("US", "", ["01-01", "01-19", "02-16", "05-25", "06-19", "07-03", "09-07", "10-12", "11-11", "11-26", "12-25"]),
        ("JP", "", ["01-01", "01-12", "02-11", "02-23", "03-20", "04-29", "05-04", "05-05", "05-06", "07-20", "08-11",
                    "09-21", "09-22", "09-23", "10-12", "11-03", "11-23"]),
    ],
)  # fmt: skip
def test_a_year_of_business_days_in_three_countries(country, part, closed):
    rule = Within(Cron("0 12 * * *"), DayFilter(WORKDAYS, country=country, subdivision=part))
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]
    expected = [day for day in days if day.weekday() < 5 and f"{day:%m-%d}" not in closed]
    found, at = [], rule.after(utc("2026-01-01"))
    while at is not None and at.year == 2026:
        found.append(at.date())
        at = rule.after(at)

    assert found == expected


def test_public_holidays_are_those_of_the_country_and_of_its_part():
    public_holidays.cache_clear()
    epiphany, new_year = date(2026, 1, 6), date(2026, 1, 1)

    assert new_year in public_holidays("DE", "")
    assert epiphany not in public_holidays("DE", "")
    assert epiphany in public_holidays("DE", "BY")


@pytest.mark.parametrize(
    ("days", "fact"),
    [
        ({"weekdays": ()}, "no weekday"),
        ({"country": "XX"}, "is not a country that is known"),
        ({"country": "DE", "subdivision": "TX"}, "DE has no part 'TX'"),
    ],
)
def test_a_calendar_without_days_and_an_unknown_country_are_refused(days, fact):
    with pytest.raises(ConfigurationError, match=fact):
        DayFilter(**days)


def test_a_calendar_that_leaves_nothing_is_refused():
    with pytest.raises(ConfigurationError, match="leaves nothing of the schedule"):
        Within(Cron("0 9 * * SAT"), DayFilter(WORKDAYS))
    with pytest.raises(ConfigurationError, match="leaves nothing of the schedule"):
        Within(Cron("0 3 * * *"), DayFilter(hours=(9 * 3600, 17 * 3600)))


# ── what holds for all kinds ─────────────────────────────────────────────────────────────────────────────────────

KINDS: list[ByCalendar] = [
    Anchored(7 * 86_400.0, utc("2026-01-05T08:00"), 7, BERLIN),
    Anchored(86_400.0, utc("2026-01-05T01:30"), 1, BERLIN),
    Anchored(5400.0, utc("2026-01-05T08:00"), 0, BERLIN),
    At(tuple(utc("2026-03-28") + timedelta(hours=7 * n) for n in range(40)), BERLIN),
    CalendarEvent("Mon..Fri 02,14:30", BERLIN),
    CalendarEvent("*-*~01 18:00", LORD_HOWE),
    CalendarEvent("2026-03..11-* 06:00", BERLIN),
    Cron("*/45 * * * *", LORD_HOWE),
    RRule("FREQ=WEEKLY;BYDAY=MO,SU", utc("2026-01-01T01:30"), BERLIN),
    RRule("FREQ=DAILY;COUNT=90", utc("2026-02-01T01:30"), BERLIN),
    Several((Cron("0 6 * * *", BERLIN), CalendarEvent("Sat,Sun 02:30", BERLIN))),
    Within(Cron("0 9 * * *", BERLIN), DayFilter(WORKDAYS, country="DE")),
    Within(Cron("30 2,20 * * *", BERLIN), DayFilter(WORKDAYS, country="DE", otherwise=Otherwise.NEXT)),
    Within(Anchored(86_400.0, utc("2026-01-05T01:30"), 1, BERLIN), DayFilter((0, 6), otherwise=Otherwise.NEXT)),
    Within(Cron("*/20 * * * *", BERLIN), DayFilter(WORKDAYS, hours=(22 * 3600, 3 * 3600))),
]
moments = st.integers(0, 300 * 86_400 * 10**6).map(lambda us: utc("2026-01-20") + timedelta(microseconds=us))


@given(rule=st.sampled_from(KINDS), after=moments, steps=st.integers(1, 12))
@settings(deadline=None, max_examples=examples(60, of=600))
def test_times_only_grow_and_looking_back_finds_them_again(rule, after, steps):
    """M3, O2"""
    found, at = [], rule.after(after)
    while at is not None and len(found) <= steps:
        found.append(at)
        at = rule.after(at)
    if not found:
        return

    assert found[0] > after
    for earlier, later in pairwise(found):
        assert later > earlier
        assert rule.after(later - MOMENT) == later
        assert rule.last(later, first=found[0]) == later
        assert rule.last(later - MOMENT, first=found[0]) == earlier
    assert rule.count(found[0], found[-1], limit=10**6) == len(found)
    assert rule.count(found[0], found[-1], limit=2) == min(2, len(found))
    assert rule.last(found[0] - MOMENT, first=found[0]) == found[0]
    newest = schedule.newest(rule, found[-1], first=found[0], anchor=None, limit=3)
    assert newest == found[-3:][0]


@pytest.mark.parametrize("rule", [*KINDS, Every(90.0)], ids=lambda rule: type(rule).__name__)
def test_a_schedule_of_any_kind_survives_being_stored(rule):
    assert msgspec.json.decode(msgspec.json.encode(rule), type=Schedule) == rule


@pytest.mark.parametrize("rule", KINDS, ids=lambda rule: type(rule).__name__)
def test_all_kinds_but_a_plain_distance_follow_the_calendar(rule):
    """O4"""
    assert schedule.follows_calendar(rule)
    assert not schedule.follows_calendar(Every(60.0))
    assert not schedule.follows_calendar(None)
