"""B8: no more starts of a worker in a while than its `rate`."""

from __future__ import annotations

from datetime import timedelta

import pytest
from builders import (
    FAILED,
    NOON,
    a_record,
    a_run,
    a_snapshot,
    a_worker,
    after,
    at,
    starts,
)

from shiftboss.core.gates.rate import tokens_at
from shiftboss.core.holds import (
    RateReached,
)
from shiftboss.core.policy import Rate

EXAMPLES = [  # a hold; its scope, its subject, whether it ends by itself; its sentence
    (RateReached(count=20, per_s=60.0), ("worker", "", True), "rate limit of 20/min reached"),
    (RateReached(count=5, per_s=10.0), ("worker", "", True), "rate limit of 5/10 s reached"),
]


class TestRate:
    """B8: a bucket of starts, refilled evenly."""

    TEN_A_MINUTE = Rate(count=10, per_s=60.0)

    def test_a_full_bucket_starts_as_many_at_once(self):
        world = a_snapshot(*[a_run() for _ in range(12)], workers=[a_worker(rate=self.TEN_A_MINUTE)])

        decision = world.decide()

        assert starts(decision) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
        assert decision.holds == {11: (RateReached(count=10, per_s=60.0, until=after(6), since=NOON),)}

    def test_it_refills_evenly(self):
        world = a_snapshot(*[a_run() for _ in range(12)], workers=[a_worker(rate=self.TEN_A_MINUTE)])
        world.start()

        assert world.start(after(5.9)) == []
        assert world.start(after(6)) == [11]
        assert world.start(after(11.9)) == []
        assert world.start(after(12)) == [12]

    def test_retries_count(self):
        world = a_snapshot(a_run(), workers=[a_worker(rate=Rate(count=1, per_s=60.0))])
        world.start()
        world.settle(1, FAILED)
        (retry,) = world.pending()

        (hold,) = world.decide(retry.due_at).holds[1]

        assert hold.gate == "rate"
        assert abs(hold.until - after(60)) < timedelta(milliseconds=1)

    def test_a_clock_that_went_back_refills_nothing(self):
        """B8, O4"""
        used_up = a_record(tokens=0.0, tokens_at=at("13:00"))

        assert tokens_at(used_up, self.TEN_A_MINUTE, NOON) == pytest.approx(0.0, abs=1e-5)
