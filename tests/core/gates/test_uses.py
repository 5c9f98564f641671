"""B9: a run starts when the permits that its worker uses are free."""

from __future__ import annotations

from builders import (
    NOON,
    a_run,
    a_snapshot,
    a_worker,
    gates,
    starts,
)

from shiftboss.core.holds import (
    NoPermit,
)
from shiftboss.core.model import Status

RUNNING = Status.RUNNING

EXAMPLES = [  # a hold; its scope, its subject, whether it ends by itself; its sentence
    (
        NoPermit(resource="r", wanted=1, free=0, runs=(7,)),
        ("component", "r", True),
        "resource r has 0 free, 1 needed, used by run #7",
    ),
    (NoPermit(resource="r", wanted=2, free=-1), ("component", "r", True), "resource r has -1 free, 2 needed"),
]


class TestUses:
    """B9: permits of a named resource, fleet-wide."""

    def test_a_run_waits_until_enough_permits_are_free(self):
        workers = [a_worker("a", uses={"db": 1}), a_worker("b", uses={"db": 2})]
        world = a_snapshot(a_run("a", RUNNING), a_run("b"), workers=workers, resources={"db": 2})

        assert world.decide().holds == {2: (NoPermit(resource="db", wanted=2, free=1, runs=(1,), since=NOON),)}

        world.settle(1)
        assert starts(world.decide()) == [2]

    def test_one_walk_grants_no_more_permits_than_there_are(self):
        world = a_snapshot(*[a_run() for _ in range(4)], workers=[a_worker(uses={"db": 2})], resources={"db": 5})

        decision = world.decide()

        assert (starts(decision), gates(decision, 3)) == ([1, 2], ["uses"])

    def test_a_resource_that_shrank_holds_until_it_fits_again(self):
        world = a_snapshot(a_run(status=RUNNING), a_run(), workers=[a_worker(uses={"db": 2})], resources={"db": 1})

        assert world.decide().holds[2][0].free == -1
