"""How much a node takes of a store that it shares, and how long it waits for what others hold."""

from __future__ import annotations

from shiftboss.core.graph import PARTITIONS
from shiftboss.engine.partition_picker import BACKOFF_S, PartitionPicker


class Clock:
    now_s = 0.0

    def elapsed_s(self) -> float:
        return self.now_s


def test_alone_it_takes_everything_and_waits_for_nothing():
    picker = PartitionPicker(Clock().elapsed_s)
    pick = picker.pick(range(8))
    picker.on_acquired(pick, range(8))

    assert pick == (list(range(8)), False)
    assert picker.is_alone


def test_who_misses_something_takes_half_and_first_what_it_missed():
    picker = PartitionPicker(Clock().elapsed_s)
    picker.on_acquired(picker.pick(range(8)), {0, 1, 2, 3})

    assert not picker.is_alone
    assert picker.pick(range(8)) == ([4, 5, 6, 7], True)


def test_of_those_wanted_equally_long_the_missed_one_comes_first():
    picker = PartitionPicker(Clock().elapsed_s)
    picker.on_acquired(picker.pick([90, 91, 92]), ())  # from now on two at a time
    picker.on_acquired(picker.pick(range(8)), {0})

    assert picker.pick(range(8)) == ([1], True)


def test_what_was_wanted_longest_comes_first_so_that_none_starves():
    picker = PartitionPicker(Clock().elapsed_s)
    picker.on_acquired(picker.pick(range(64)), ())  # from now on few at a time
    had: set[int] = set()
    for _ in range(64):
        pick = picker.pick(range(64))
        picker.on_acquired(pick, pick.partitions[:2])
        had.update(pick.partitions[:2])

    assert had == set(range(64))


def test_one_that_stands_still_is_left_in_peace_for_a_while_and_tried_in_passing():
    clock = Clock()
    picker = PartitionPicker(clock.elapsed_s)
    picker.on_acquired(picker.pick([1, 2]), {2})
    waiting = picker.pick([1, 2])
    picker.on_acquired(waiting, ())
    assert waiting == ([1], True)

    assert picker.pick([1, 2]) == ([2, 1], True)
    picker.on_acquired(picker.pick([1, 2]), {2})
    assert picker.pick([1]) == ([1], False)
    clock.now_s += BACKOFF_S
    assert picker.pick([1]) == ([1], True)


def test_a_wait_that_was_not_in_vain_leaves_nobody_in_peace():
    picker = PartitionPicker(Clock().elapsed_s)
    picker.on_acquired(picker.pick([1, 2]), {2})
    waiting = picker.pick([1, 2])
    picker.on_acquired(waiting, waiting.partitions)
    assert waiting == ([1], True)

    assert picker.pick([1]) == ([1], True)


def test_the_limit_grows_again_when_nobody_is_met():
    picker = PartitionPicker(Clock().elapsed_s)
    picker.on_acquired(picker.pick(range(8)), ())
    for _ in range(PARTITIONS):
        picker.on_acquired(picker.pick(range(2)), range(2))

    assert picker.is_alone
