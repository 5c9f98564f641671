"""C1: no more runs of a worker at once than its `concurrency`, in the whole fleet."""

from __future__ import annotations

from builders import (
    NOON,
    a_run,
    a_snapshot,
    a_worker,
    at,
    gates,
    starts,
)

from shiftboss.core.holds import (
    IsFull,
)
from shiftboss.core.model import Status

RUNNING = Status.RUNNING

EXAMPLES = [  # a hold; its scope, its subject, whether it ends by itself; its sentence
    (IsFull(limit=1, runs=(4,)), ("worker", "", True), "concurrency limit of 1 reached (run #4)"),
    (IsFull(limit=2, runs=(4, 5)), ("worker", "", True), "concurrency limit of 2 reached (runs #4, #5)"),
    (
        IsFull(limit=7, runs=(1, 2, 3, 4, 5, 6, 7)),
        ("worker", "", True),
        "concurrency limit of 7 reached (runs #1, #2, #3, #4, #5, …)",
    ),
]


class TestConcurrency:
    """C1, C6: counted from live claims."""

    def test_a_run_waits_while_as_many_as_allowed_run_anywhere(self):
        world = a_snapshot(
            a_run(status=RUNNING, node="n2", since=at("11:58")), a_run(), workers=[a_worker(concurrency=1)]
        )

        assert world.decide().holds == {2: (IsFull(limit=1, runs=(1,), since=NOON),)}

    def test_one_walk_grants_no_more_than_are_allowed(self):
        world = a_snapshot(a_run(), a_run(), a_run(), workers=[a_worker(concurrency=2)])

        decision = world.decide()

        assert starts(decision) == [1, 2]
        assert decision.holds == {3: (IsFull(limit=2, runs=(1, 2), since=NOON),)}

    def test_a_worker_without_limit_starts_everything(self):
        world = a_snapshot(a_run(), a_run(), a_run(), workers=[a_worker(concurrency=None)])

        assert starts(world.decide()) == [1, 2, 3]

    def test_a_zombie_counts(self):
        """B6"""
        zombie = a_run(status=RUNNING, zombie_since=at("11:59:30"))
        world = a_snapshot(zombie, a_run(), workers=[a_worker(concurrency=1)])

        assert gates(world.decide(), 2) == ["concurrency"]
