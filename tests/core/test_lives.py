"""Where a store goes on that was put back: beyond everything that was given, seen or not (C9)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shiftboss.core.lives import Counted, fences_of_next_boot, next_life

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON_US = 1_772_366_400_000_000
STORED = Counted(number=63, stamp=70, run_id=50, event_id=200)


def test_fences_go_on_from_the_clock_and_ids_by_what_can_have_been_given():
    assert next_life(STORED, Counted(), NOON, lived_at=NOON - timedelta(seconds=60)) == Counted(
        NOON_US + 1, NOON_US + 1, 50 + 61_000, 200 + 61_000
    )


def test_what_was_seen_is_outrun_also_by_a_clock_that_was_set_back():
    seen = Counted(number=NOON_US + 5, stamp=NOON_US + 9, run_id=1000, event_id=10)

    assert next_life(STORED, seen, NOON, lived_at=NOON) == Counted(NOON_US + 10, NOON_US + 10, 2000, 1200)


def test_a_store_that_does_not_say_when_it_lived_last_skips_a_million_ids():
    assert next_life(STORED, Counted(), NOON, lived_at=None).run_id == 1_000_050


def test_a_clock_that_stands_before_what_is_stored_skips_as_much_as_one_that_is_ahead():
    assert next_life(STORED, Counted(), NOON, lived_at=NOON + timedelta(seconds=60)).run_id == 50 + 61_000


def test_two_restores_within_a_microsecond_never_begin_at_the_same_fence():
    first = next_life(STORED, Counted(), NOON, lived_at=NOON)
    second = next_life(STORED, first, NOON, lived_at=NOON)

    assert second.number == second.stamp == first.number + 1


def test_fences_stay_what_a_browser_can_tell_apart_for_two_centuries():
    at = datetime(2250, 1, 1, tzinfo=UTC)

    assert next_life(STORED, Counted(), at, lived_at=None).number < 1 << 53


def test_after_a_boot_only_fences_jump():
    assert fences_of_next_boot(STORED, NOON) == Counted(NOON_US + 1, NOON_US + 1, 50, 200)
