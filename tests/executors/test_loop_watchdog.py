"""H6: who blocks the event loop, seen from outside."""

from __future__ import annotations

import asyncio
import threading

import pytest

from shiftboss.engine.watchdog import Blocked, Watchdog

PATIENCE_S = 20.0


class HandClock:
    boot = "boot"

    def __init__(self):
        self.at_s = 100.0

    def now(self):
        raise NotImplementedError

    def monotonic_s(self):
        return self.at_s

    lease_s = monotonic_s


@pytest.fixture
def hand():
    return HandClock()


@pytest.fixture
def watchdog(coroutines, hand):
    return Watchdog(coroutines.loop, hand, running=coroutines.executor.running, threshold_s=0.5)


def answered(bench):
    """Wait until the loop has done all that it was asked before."""

    async def nothing() -> None: ...

    asyncio.run_coroutine_threadsafe(nothing(), bench.loop).result(PATIENCE_S)


def check(watchdog, hand, *, after_s):
    hand.at_s += after_s
    return watchdog.check(hand.at_s)


def block(bench):
    """Start a body that blocks the loop; the answer lets it go."""
    occupied, free = threading.Event(), threading.Event()

    async def greedy_body() -> None:
        occupied.set()
        free.wait(PATIENCE_S)

    started = bench.start(greedy_body)
    assert occupied.wait(PATIENCE_S)
    return started, free


def test_a_loop_that_answers_is_not_blocked(coroutines, watchdog, hand):
    for _ in range(5):
        assert check(watchdog, hand, after_s=1.0) is None
        answered(coroutines)

    assert watchdog.lag_s == 0.0


def test_a_blocked_loop_is_told_once_with_the_worker_and_its_stack(coroutines, watchdog, hand):
    watchdog.check(hand.at_s)
    answered(coroutines)
    started, free = block(coroutines)

    found = [check(watchdog, hand, after_s=1.0) for _ in range(4)]
    free.set()
    started.outcome()

    blocked = found[1]
    assert [each is None for each in found] == [True, False, True, True]
    assert (blocked.worker, blocked.run, blocked.lag_s) == ("tester", started.launch.run.id, 1.0)
    assert "in greedy_body" in blocked.stack
    assert "free.wait(PATIENCE_S)" in blocked.stack
    assert str(blocked).startswith("the event loop has been blocked for 1.0 s by worker 'tester' (run")
    assert "make it a plain function" in str(blocked)


def test_the_next_blockage_is_told_again(coroutines, watchdog, hand):
    found = []
    for _ in range(2):
        started, free = block(coroutines)
        found += [check(watchdog, hand, after_s=1.0) for _ in range(3)]
        free.set()
        started.outcome()
        answered(coroutines)

    assert [each is None for each in found] == [True, False, True, True, False, True]


def test_a_delay_below_the_threshold_is_a_lag_and_no_blockage(coroutines, watchdog, hand):
    release = coroutines.occupy()
    assert check(watchdog, hand, after_s=1.0) is None
    assert check(watchdog, hand, after_s=0.4) is None
    assert watchdog.lag_s == pytest.approx(0.4)
    release()
    answered(coroutines)
    hand.at_s += 10

    assert watchdog.lag_s == pytest.approx(0.4)


def test_an_unanswered_question_counts_as_lag_at_once(coroutines, watchdog, hand):
    release = coroutines.occupy()
    check(watchdog, hand, after_s=1.0)
    hand.at_s += 7

    assert watchdog.lag_s == 7.0

    release()


def test_other_code_that_blocks_the_loop_is_told_without_a_name(coroutines, watchdog, hand):
    watchdog.check(hand.at_s)
    answered(coroutines)
    release = coroutines.occupy()
    check(watchdog, hand, after_s=1.0)

    blocked = check(watchdog, hand, after_s=1.0)
    release()

    assert (blocked.worker, blocked.run) == (None, None)
    assert "by code outside any worker" in str(blocked)
    assert "in wait" in blocked.stack


def test_a_loop_blocked_before_its_first_answer_is_told_without_a_stack(coroutines, watchdog, hand):
    release = coroutines.occupy()
    watchdog.check(hand.at_s)

    blocked = check(watchdog, hand, after_s=1.0)
    release()

    assert blocked == Blocked(worker=None, run=None, lag_s=1.0, stack="")


def test_a_loop_at_rest_or_closed_is_not_blocked(hand):
    loop = asyncio.new_event_loop()
    watchdog = Watchdog(loop, hand)

    assert [check(watchdog, hand, after_s=1.0) for _ in range(3)] == [None] * 3
    assert watchdog.lag_s == 0.0

    loop.close()

    assert check(watchdog, hand, after_s=1.0) is None


def test_a_loop_that_stops_owing_an_answer_is_not_blocked_when_it_runs_again(coroutines, watchdog, hand):
    loop = asyncio.new_event_loop()
    watchdog = Watchdog(loop, hand)
    loop.run_until_complete(rest(watchdog, hand))

    assert check(watchdog, hand, after_s=60.0) is None
    assert watchdog.lag_s == 0.0

    loop.run_until_complete(rest(watchdog, hand))

    assert watchdog.lag_s == 0.0
    loop.close()


async def rest(watchdog, hand):
    watchdog.check(hand.at_s)
