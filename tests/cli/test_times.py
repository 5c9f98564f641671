"""Instants and spans in the words of people."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from shiftboss.cli import times

NOON = datetime(2027, 3, 27, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "just now"),
        (1, "1 s ago"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (3600, "1 h ago"),
        (86_399, "23 h ago"),
        (86_400, "1 d ago"),
        (400 * 86_400, "400 d ago"),
    ],
)
def test_the_past_is_said_in_one_unit_rounded_down(seconds, said):
    assert times.ago(NOON - timedelta(seconds=seconds), NOON) == said


def test_what_lies_ahead_by_another_clock_happened_just_now():
    assert times.ago(NOON + timedelta(seconds=3), NOON) == "just now"


@pytest.mark.parametrize(("seconds", "said"), [(-5, "now"), (0.5, "now"), (31, "in 31 s"), (150, "in 2 min")])
def test_the_future_is_said_the_same_way(seconds, said):
    assert times.until(NOON + timedelta(seconds=seconds), NOON) == said


def test_relative_says_past_or_future_as_it_is():
    assert times.relative(NOON + timedelta(hours=4), NOON) == "in 4 h"
    assert times.relative(NOON - timedelta(hours=4), NOON) == "4 h ago"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "<1 ms"),
        (0.042, "42 ms"),
        (0.9999, "1.0 s"),
        (2, "2.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (252, "4 min 12 s"),
        (720, "12 min"),
        (6000, "1 h 40 min"),
        (50_400, "14 h"),
        (273_600, "3 d 4 h"),
    ],
)
def test_a_span_has_two_units_while_the_first_is_small(seconds, said):
    assert times.span(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "unlimited"), (0.25, "0.25 s"), (30, "30 s"), (60, "1 min"), (90, "1 min 30 s"), (5400, "1 h 30 min")],
)
def test_a_setting_is_said_exactly(seconds, said):
    assert times.length(seconds) == said


def test_a_clock_time_has_as_much_of_the_date_as_it_needs():
    assert times.clock(NOON.replace(hour=14, second=40), NOON, UTC) == "14:00:40"
    assert times.clock(NOON + timedelta(days=2), NOON, UTC) == "Mon 12:00"
    assert times.clock(NOON - timedelta(days=30), NOON, UTC) == "2027-02-25 12:00"


def test_a_clock_time_is_that_of_the_readers_zone():
    east = timezone(timedelta(hours=13))

    assert times.clock(NOON, NOON, east) == "01:00:00"
    assert times.stamp(NOON, east) == "2027-03-28 01:00:00"
