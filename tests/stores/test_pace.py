"""A few in a row, then evenly."""

from __future__ import annotations

from shiftboss.stores.sql.pace import Pace


def times_s(pace: Pace, seconds: float) -> list[float]:
    """When something happens that is done as soon as it may be."""
    now_s, times = 0.0, []
    while now_s < seconds:
        times.append(round(now_s, 6))
        pace.took(now_s)
        now_s += pace.left_s(now_s)
    return times


def test_a_few_come_at_once_and_the_others_evenly():
    assert times_s(Pace(0.5, burst=3), 2.0) == [0.0, 0.0, 0.0, 0.5, 1.0, 1.5]


def test_without_a_burst_there_is_a_gap_after_each():
    assert times_s(Pace(0.5, burst=1), 2.0) == [0.0, 0.5, 1.0, 1.5]


def test_a_pause_earns_no_more_than_the_burst():
    pace = Pace(0.5, burst=2)
    times_s(pace, 2.0)
    now_s = 100.0
    left = []
    for _ in range(3):
        pace.took(now_s)
        left.append(pace.left_s(now_s))

    assert left == [0.0, 0.5, 1.0]
