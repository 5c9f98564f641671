"""The circuit breaker, as a fold over the ends of attempts."""

from __future__ import annotations

import pytest
from builders import (
    AT_ONCE,
    FAILED,
    NOON,
    OK,
    TIMED_OUT,
    a_breaker,
    a_run,
    a_snapshot,
    a_worker,
    after,
    at,
)

from shiftboss.core.breaker import after_attempt, reset
from shiftboss.core.events import BreakerClosed, BreakerOpened
from shiftboss.core.model import BreakerMode, BreakerState, Cancelled, Claim, Interrupted, Status, Unfit
from shiftboss.core.policy import BreakerPolicy

CLOSED, OPEN, HALF_OPEN = BreakerMode.CLOSED, BreakerMode.OPEN, BreakerMode.HALF_OPEN


def a_claim(since=NOON, **marks):
    return Claim(node="n1", fence=1, at=since, **marks)


def fold(breaker, results, *, claim=None, now=NOON):
    """The breaker after one attempt for each letter: + succeeded, - failed."""
    for letter in results:
        breaker, _ = after_attempt(breaker, now, claim=claim or a_claim(now), ok=letter == "+")
    return breaker


class TestOpening:
    """K1: so many failed attempts in a row, or a rate over a window."""

    @pytest.mark.parametrize(
        ("results", "mode"), [("----", CLOSED), ("-----", OPEN), ("----+----", CLOSED), ("--+-----", OPEN)]
    )
    def test_five_failures_in_a_row_open_it(self, results, mode):
        assert fold(BreakerState(name="x"), results).mode is mode

    def test_it_opens_for_the_cooldown_and_says_so(self):
        breaker = fold(BreakerState(name="x"), "----")
        opened, events = after_attempt(breaker, NOON, claim=a_claim(), ok=False)

        assert (opened.opened_at, opened.until, opened.cooldown_s) == (NOON, after(30), 30.0)
        assert events == (BreakerOpened(at=NOON, breaker="x", until=after(30)),)

    @pytest.mark.parametrize(
        ("results", "mode"), [("-+-+-+-+-", CLOSED), ("-+-+-+-+-+", CLOSED), ("-+-+-+-+--", OPEN), ("++++----", CLOSED)]
    )
    def test_a_rate_counts_from_the_least_number_of_calls_on(self, results, mode):
        policy = BreakerPolicy(failures=100, rate=0.5, window=10, min_calls=10)

        assert fold(BreakerState(name="x", policy=policy), results).mode is mode

    @pytest.mark.parametrize(("results", "mode"), [("--++-", OPEN), ("--+++-", CLOSED), ("++++--", OPEN)])
    def test_a_rate_looks_back_no_farther_than_its_window(self, results, mode):
        policy = BreakerPolicy(failures=100, rate=0.5, window=4, min_calls=4)

        assert fold(BreakerState(name="x", policy=policy), results).mode is mode

    def test_attempts_count_not_runs(self):
        world = a_snapshot(a_run(), workers=[a_worker(breaker="x", retry=AT_ONCE)])
        world.breakers["x"] = BreakerState(name="x", policy=BreakerPolicy(failures=2))
        world.start()
        world.settle(1, FAILED)
        world.start()
        world.settle(1, TIMED_OUT)

        assert world.breakers["x"].mode is OPEN
        assert world.pending()[0].attempt == 2

    def test_workers_may_share_one(self):
        workers = [a_worker(name, breaker="x") for name in ("a", "b")]
        world = a_snapshot(a_run("a"), a_run("b"), workers=workers)
        world.breakers["x"] = BreakerState(name="x", policy=BreakerPolicy(failures=2))
        world.start()
        world.settle(1, FAILED)
        world.settle(2, FAILED)

        assert world.breakers["x"].mode is OPEN

    @pytest.mark.parametrize(
        "outcome", [Cancelled(), Interrupted(), Unfit(FAILED.error)], ids=["cancelled", "interrupted", "unfit"]
    )
    def test_other_ends_count_for_nothing(self, outcome):
        """K1, R2, T4"""
        world = a_snapshot(a_run(), workers=[a_worker(breaker="x")])
        world.breakers["x"] = BreakerState(name="x", policy=BreakerPolicy(failures=1))
        world.start()
        world.settle(1, outcome)

        assert world.breakers["x"].mode is CLOSED


class TestProbing:
    """K2: success closes, failure opens again for twice as long."""

    HALF = a_breaker("x", HALF_OPEN)
    PROBE = a_claim(after(30), probe=True)

    def test_a_success_closes_it(self):
        closed, events = after_attempt(self.HALF, after(31), claim=self.PROBE, ok=True)

        assert (closed.mode, closed.failures, closed.until, closed.cooldown_s) == (CLOSED, 0, None, None)
        assert events == (BreakerClosed(at=after(31), breaker="x"),)

    def test_a_failure_opens_it_for_twice_as_long_up_to_the_cap(self):
        breaker, cooldowns, now = self.HALF, [], after(30)
        for _ in range(6):
            breaker, _ = after_attempt(breaker, now, claim=a_claim(now, probe=True), ok=False)
            cooldowns.append(breaker.cooldown_s)
            now = breaker.until

        assert cooldowns == [60.0, 120.0, 240.0, 480.0, 600.0, 600.0]
        assert breaker.mode is OPEN

    def test_after_it_closed_the_next_opening_begins_with_the_short_cooldown(self):
        breaker, _ = after_attempt(self.HALF, after(31), claim=self.PROBE, ok=False)
        breaker, _ = after_attempt(breaker, after(92), claim=a_claim(after(91), probe=True), ok=True)
        breaker = fold(breaker, "-----", now=after(100))

        assert (breaker.mode, breaker.cooldown_s) == (OPEN, 30.0)

    def test_as_many_successes_as_asked_for_close_it(self):
        breaker = a_breaker("x", HALF_OPEN, policy=BreakerPolicy(successes=2))
        breaker, _ = after_attempt(breaker, after(31), claim=self.PROBE, ok=True)
        assert (breaker.mode, breaker.successes) == (HALF_OPEN, 1)

        breaker, _ = after_attempt(breaker, after(32), claim=self.PROBE, ok=True)
        assert breaker.mode is CLOSED

    @pytest.mark.parametrize("ok", [True, False])
    def test_an_attempt_that_began_before_it_opened_changes_nothing(self, ok):
        for claim in (a_claim(at("11:59")), a_claim(at("11:59"), probe=True)):
            assert after_attempt(self.HALF, after(31), claim=claim, ok=ok) == (self.HALF, ())

    def test_also_after_it_has_closed_again(self):
        closed, _ = after_attempt(self.HALF, after(31), claim=self.PROBE, ok=True)

        assert fold(closed, "-----", claim=a_claim(at("11:59"))) == closed

    @pytest.mark.parametrize("ok", [True, False])
    def test_half_open_only_the_probe_counts(self, ok):
        assert after_attempt(self.HALF, after(31), claim=a_claim(after(30)), ok=ok) == (self.HALF, ())

    @pytest.mark.parametrize("ok", [True, False])
    def test_it_learns_nothing_from_a_fallback(self, ok):
        """K3"""
        open_ = a_breaker("x", OPEN)

        assert after_attempt(open_, after(31), claim=a_claim(after(30), fallback=True), ok=ok) == (open_, ())

    @pytest.mark.parametrize("outcome", [Cancelled(), Interrupted(), Unfit(FAILED.error)])
    def test_after_any_other_end_of_the_probe_the_next_run_probes(self, outcome):
        world = a_snapshot(a_run(), a_run(), workers=[a_worker(breaker="x")], breakers=[a_breaker("x")])
        world.start(after(30))
        world.settle(1, outcome, after(31))

        assert world.breakers["x"].mode is HALF_OPEN
        assert [grant.probe for grant in world.decide(after(31)).grants] == [True]

    def test_no_attempt_is_burnt_while_it_is_open(self):
        world = a_snapshot(a_run(), workers=[a_worker(breaker="x")], breakers=[a_breaker("x")])
        world.start(after(29))

        assert (world.pending()[0].status, world.pending()[0].attempt) == (Status.PENDING, 0)

    def test_a_fallback_succeeds_degraded(self):
        """K3"""
        worker = a_worker(breaker="x", fallback=True)
        world = a_snapshot(a_run(), workers=[worker], breakers=[a_breaker("x")])
        world.start()
        world.settle(1, OK)

        assert (world.ended[1].status, world.ended[1].degraded) == (Status.SUCCEEDED, True)
        assert world.breakers["x"].mode is OPEN


def test_a_reset_breaker_is_as_new_but_for_what_began_before():
    """K5"""
    breaker = a_breaker("x", OPEN, failures=5, policy=BreakerPolicy(failures=5))

    assert reset(breaker) == BreakerState(name="x", policy=BreakerPolicy(failures=5), opened_at=NOON)
