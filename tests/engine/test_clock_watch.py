"""Was the wall clock set?  Told from elapsed time and from what the store remembers (O4)."""

from __future__ import annotations

import pytest

from shiftboss.core.clock_step import STEP_US, age_us
from shiftboss.core.model import ClockMark
from shiftboss.engine.clock_watch import DRIFT_US, MAX_STEPS, ClockWatch, is_outdated
from shiftboss.testing.clock import VirtualClock

S = 1_000_000


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock("2026-03-01", boot="b1")


@pytest.fixture
def watch(clock) -> ClockWatch:
    return ClockWatch(clock)


def test_before_the_first_look_nobody_can_tell(watch, clock):
    assert not watch.seems_set
    assert watch.step_us(None) is None
    clock.step_wall(3600)
    assert (watch.seems_set, watch.step_us(None)) == (False, None)


def test_time_that_passes_is_no_step(watch, clock):
    watch.saw(None)
    clock.advance(86_400)

    assert (watch.seems_set, watch.step_us(None)) == (False, 0)


@pytest.mark.parametrize("step_s", [3600, -3600, 2.0, -2.0])
def test_a_step_of_two_seconds_or_more_is_seen_without_a_look_into_the_store(watch, clock, step_s):
    watch.saw(None)
    clock.advance(5)
    clock.step_wall(step_s)

    assert STEP_US == 2 * S
    assert (watch.seems_set, watch.step_us(None)) == (True, step_s * S)


@pytest.mark.parametrize("step_s", [1.999999, -1.999999])
def test_less_is_slewing(watch, clock, step_s):
    watch.saw(None)
    clock.step_wall(step_s)

    assert not watch.seems_set


def test_a_step_that_was_taken_in_is_none_any_more_and_is_remembered(watch, clock):
    first = watch.saw(None)
    clock.advance(10)
    clock.step_wall(3600)
    seen = watch.saw(first, step_us=3600 * S)

    assert (watch.seems_set, watch.step_us(seen)) == (False, 0)
    assert (seen.boot, seen.set_us, seen.offset_us) == ("b1", 3600 * S, first.offset_us)
    assert seen.steps == ((age_us(seen, clock.now()), 0),)


def test_a_step_that_another_node_took_in_is_not_taken_in_twice(watch, clock):
    """The store says how far the clock was set in all."""
    first = watch.saw(None)
    clock.step_wall(3600)
    others = ClockMark("b1", first.offset_us, 3600 * S, ((1, 0),))

    assert watch.seems_set
    assert watch.step_us(others) == 0
    assert watch.saw(others) == others
    assert not watch.seems_set


def test_a_process_that_starts_later_sees_what_happened_before_within_the_same_boot(clock):
    mark = ClockWatch(clock).saw(None)
    clock.step_wall(-600)

    assert ClockWatch(clock).step_us(mark) == -600 * S
    assert ClockWatch(VirtualClock("2026-03-01", boot="b2")).step_us(mark) is None


def test_what_it_saw_itself_goes_before_what_the_store_remembers(watch, clock):
    watch.saw(None)
    older = ClockMark("b1", 0, 0)

    assert watch.step_us(older) == 0


def test_after_a_failed_commit_it_looks_again_until_it_has_seen(watch):
    """What it took in may not be stored."""
    watch.saw(None)
    watch.doubt()
    assert watch.seems_set
    watch.saw(None)
    assert not watch.seems_set


def test_twenty_steps_are_remembered_the_newest(watch, clock):
    mark = watch.saw(None)
    for _ in range(MAX_STEPS + 1):
        clock.step_wall(10)
        mark = watch.saw(mark, step_us=10 * S)

    assert (MAX_STEPS, len(mark.steps), mark.set_us) == (20, 20, 210 * S)
    assert [before_us for _, before_us in mark.steps] == [10 * S * number for number in range(1, 21)]


@pytest.mark.parametrize(
    ("mark", "outdated"),
    [
        (None, True),
        (ClockMark("b2", 0, 0), True),
        (ClockMark("b1", 0, 0), False),
        (ClockMark("b1", 499_999, 0), False),
        (ClockMark("b1", -500_000, 0), True),
        (ClockMark("b1", 500_000, 0), True),
    ],
)
def test_the_store_is_told_anew_after_half_a_second_of_slewing(mark, outdated):
    """Long before that could be taken for a step."""
    assert DRIFT_US == 500_000
    assert is_outdated(mark, ClockMark("b1", 0, 0)) is outdated
