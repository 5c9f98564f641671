"""Who blocks the event loop (H6), by a loop that the test moves."""

from __future__ import annotations

import threading

import pytest

from shiftboss.engine.watchdog import MAX_FRAMES, Blocked, Watchdog
from shiftboss.testing.clock import VirtualClock


class Loop:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.runs, self.closed = True, False
        self.asked: list[tuple[object, tuple[object, ...]]] = []

    def is_running(self) -> bool:
        return self.runs

    def call_soon_threadsafe(self, function, *arguments):
        if self.closed:
            raise RuntimeError("Event loop is closed")
        self.asked.append((function, arguments))

    def answer(self) -> None:
        asked, self.asked = self.asked, []
        for function, arguments in asked:
            function(*arguments)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def watchdog(loop, clock) -> Watchdog:
    return Watchdog(loop, clock, running=lambda: ("report", 7))


def check(watchdog, clock, after_s: float = 0.0):
    clock.advance(after_s)
    return watchdog.check(clock.monotonic_s())


def test_a_loop_that_answers_is_not_blocked_and_its_lag_is_known(watchdog, loop, clock):
    assert check(watchdog, clock) is None
    clock.advance(0.2)
    assert watchdog.lag_s == 0.2
    loop.answer()
    assert watchdog.lag_s == 0.2
    clock.advance(5)
    assert watchdog.lag_s == 0.2, "it owes nothing"
    assert (check(watchdog, clock), len(loop.asked)) == (None, 1)


def test_the_last_lag_counts_until_a_longer_one_is_owed(watchdog, loop, clock):
    check(watchdog, clock)
    clock.advance(0.3)
    loop.answer()
    check(watchdog, clock, 1.0)
    clock.advance(0.1)
    assert watchdog.lag_s == 0.3
    clock.advance(0.4)
    assert watchdog.lag_s == 0.5


def test_whoever_runs_when_half_a_second_has_passed_is_named_once(watchdog, loop, clock):
    """H6"""
    check(watchdog, clock)
    assert check(watchdog, clock, 0.499) is None
    assert check(watchdog, clock, 0.001) == Blocked("report", 7, 0.5, "")
    assert check(watchdog, clock, 1.0) is None
    assert len(loop.asked) == 1, "it still owes the first answer"

    loop.answer()
    assert check(watchdog, clock) is None
    assert check(watchdog, clock, 2.0).lag_s == 2.0


def test_where_no_worker_runs_other_code_blocks_it(loop, clock):
    watchdog = Watchdog(loop, clock)
    check(watchdog, clock)
    blocked = check(watchdog, clock, 2.0)

    assert blocked == Blocked(None, None, 2.0, "")
    assert str(blocked) == (
        "the event loop has been blocked for 2.0 s by code outside any worker; make it a plain function, which "
        "runs in a thread, or use await asyncio.to_thread(...)"
    )


def test_a_loop_at_rest_is_not_blocked_and_owes_nothing(watchdog, loop, clock):
    check(watchdog, clock)
    clock.advance(1)
    loop.runs = False
    assert watchdog.lag_s == 0.0
    assert check(watchdog, clock, 10) is None
    loop.runs = True
    assert check(watchdog, clock) is None
    assert watchdog.lag_s == 0.0


def test_after_a_rest_it_is_told_again(watchdog, loop, clock):
    check(watchdog, clock)
    check(watchdog, clock, 1)
    loop.runs = False
    check(watchdog, clock)
    loop.runs = True
    check(watchdog, clock)

    assert check(watchdog, clock, 1).lag_s == 1.0


def test_an_answer_to_a_question_from_before_a_rest_says_nothing(watchdog, loop, clock):
    check(watchdog, clock)
    loop.runs = False
    check(watchdog, clock, 60)
    loop.runs = True
    check(watchdog, clock)
    old, new = loop.asked
    old[0](*old[1])
    assert watchdog.lag_s == 0.0
    clock.advance(0.5)
    new[0](*new[1])
    assert watchdog.lag_s == 0.5


def test_a_loop_that_is_closed_meanwhile_owes_nothing(watchdog, loop, clock):
    loop.closed = True
    check(watchdog, clock)
    clock.advance(9)

    assert watchdog.lag_s == 0.0


def test_the_stack_of_its_thread_is_shown_the_innermost_frames(watchdog, loop, clock):
    """H6: its thread is known from its first answer."""
    check(watchdog, clock)
    loop.answer()

    def deep(levels: int):
        return deep(levels - 1) if levels else watchdog._stack()

    stack = deep(MAX_FRAMES + 5)
    assert MAX_FRAMES == 20
    assert stack.count(" in deep\n") == 3
    assert "[Previous line repeated 16 more times]" in stack, "with the one that asks that makes twenty"


def test_of_a_thread_that_has_ended_there_is_no_stack(watchdog, loop, clock):
    check(watchdog, clock)
    thread = threading.Thread(target=loop.answer)
    thread.start()
    thread.join()

    assert watchdog._stack() == ""
