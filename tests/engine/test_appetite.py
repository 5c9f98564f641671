"""How much a node takes of a store that it shares, and how long it waits for what others hold."""

from __future__ import annotations

from shiftboss.core.graph import PARTS
from shiftboss.engine.appetite import LEFT_IN_PEACE_S, Appetite


class Clock:
    now_s = 0.0

    def elapsed_s(self) -> float:
        return self.now_s


def test_alone_it_takes_everything_and_waits_for_nothing():
    appetite = Appetite(Clock().elapsed_s)
    choice = appetite.choose(range(8))
    appetite.learn(choice, range(8))

    assert choice == (list(range(8)), False)
    assert appetite.is_alone


def test_who_misses_something_takes_half_and_first_what_it_missed():
    appetite = Appetite(Clock().elapsed_s)
    appetite.learn(appetite.choose(range(8)), {0, 1, 2, 3})

    assert not appetite.is_alone
    assert appetite.choose(range(8)) == ([4, 5, 6, 7], True)


def test_what_was_wanted_longest_comes_first_so_that_none_starves():
    appetite = Appetite(Clock().elapsed_s)
    appetite.learn(appetite.choose(range(64)), ())  # from now on few at a time
    had: set[int] = set()
    for _ in range(64):
        choice = appetite.choose(range(64))
        appetite.learn(choice, choice.parts[:2])
        had.update(choice.parts[:2])

    assert had == set(range(64))


def test_one_that_stands_still_is_left_in_peace_for_a_while_and_tried_in_passing():
    clock = Clock()
    appetite = Appetite(clock.elapsed_s)
    appetite.learn(appetite.choose([1, 2]), {2})
    waiting = appetite.choose([1, 2])
    appetite.learn(waiting, ())
    assert waiting == ([1], True)

    assert appetite.choose([1, 2]) == ([2, 1], True)
    appetite.learn(appetite.choose([1, 2]), {2})
    assert appetite.choose([1]) == ([1], False)
    clock.now_s += LEFT_IN_PEACE_S
    assert appetite.choose([1]) == ([1], True)


def test_appetite_comes_back_when_nobody_is_met():
    appetite = Appetite(Clock().elapsed_s)
    appetite.learn(appetite.choose(range(8)), ())
    for _ in range(PARTS):
        appetite.learn(appetite.choose(range(2)), range(2))

    assert appetite.is_alone
