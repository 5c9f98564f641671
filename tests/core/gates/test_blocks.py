"""B1: runs of workers that exclude each other never run at the same time."""

from __future__ import annotations

import pytest
from builders import (
    FAILED,
    NOON,
    a_run,
    a_snapshot,
    a_worker,
    at,
    gates,
    starts,
)

from shiftboss.core.holds import (
    IsBlocked,
)
from shiftboss.core.model import Status

RUNNING = Status.RUNNING

EXAMPLES = [  # a hold; its scope, its subject, whether it ends by itself; its sentence
    (IsBlocked(by="b", run=6, node="n1"), ("component", "b", True), "blocked by b (run #6)"),
    (
        IsBlocked(by="b", run=6, node="n1", zombie=True),
        ("component", "b", True),
        "blocked by b (run #6 was told to end, but its code is still running)",
    ),
]


class TestBlocks:
    """B1: no two that exclude each other ever run at the same time."""

    @pytest.mark.parametrize("side", ["report", "backup"])
    def test_a_run_waits_for_its_blocker_whichever_side_declares_it(self, side):
        workers = [a_worker("report"), a_worker("backup")]
        other = {"report": "backup", "backup": "report"}[side]
        workers = [a_worker(w.name, blocks=(other,)) if w.name == side else w for w in workers]
        world = a_snapshot(a_run("backup", RUNNING), a_run("report"), workers=workers)

        blocked = IsBlocked(by="backup", run=1, node="host:n1", since=NOON)
        assert world.decide().holds == {2: (blocked,)}

        world.settle(1)
        assert starts(world.decide()) == [2]

    def test_one_walk_starts_only_one_of_two(self):
        world = a_snapshot(a_run("a"), a_run("b"), workers=[a_worker("a", blocks=("b",)), a_worker("b")])

        decision = world.decide()

        assert (starts(decision), gates(decision, 2)) == ([1], ["blocks"])

    def test_a_tag_stands_for_all_workers_that_have_it(self):
        workers = [a_worker("a", blocks=("tag:db",)), a_worker("b", tags=("db",)), a_worker("c", tags=("net",))]
        world = a_snapshot(a_run("a", RUNNING), a_run("b"), a_run("c"), workers=workers)

        decision = world.decide()

        assert (starts(decision), gates(decision, 2)) == ([3], ["blocks"])

    def test_a_worker_never_blocks_itself(self):
        worker = a_worker("a", tags=("db",), blocks=("tag:db",))

        assert starts(a_snapshot(a_run("a"), a_run("a"), workers=[worker]).decide()) == [1, 2]

    def test_two_that_only_share_a_blocker_run_together(self):
        workers = [a_worker("a", blocks=("b", "c")), a_worker("b"), a_worker("c")]

        assert starts(a_snapshot(a_run("b"), a_run("c"), workers=workers).decide()) == [1, 2]

    def test_a_zombie_blocks_and_is_named_as_one(self):
        """B6"""
        workers = [a_worker("a", blocks=("b",)), a_worker("b")]
        world = a_snapshot(a_run("a", RUNNING, zombie_since=at("11:59:50")), a_run("b"), workers=workers)

        (hold,) = world.decide().holds[2]

        assert str(hold) == "blocked by a (run #1 was told to end, but its code is still running)"

    def test_a_blocker_in_back_off_blocks_nothing(self):
        """B5"""
        world = a_snapshot(a_run("a"), a_run("b"), workers=[a_worker("a", blocks=("b",)), a_worker("b")])
        world.start()
        world.settle(1, FAILED)

        assert starts(world.decide(NOON)) == [2]
