"""H5, W3: while the store takes no work, nothing starts."""

from __future__ import annotations

from builders import (
    NOON,
    a_run,
    a_snapshot,
    a_worker,
)

from shiftboss.core.explain import explain
from shiftboss.core.health import StoreTrouble
from shiftboss.core.holds import (
    StoreTakesNothing,
)

EXAMPLES = [  # a hold; its scope, its subject, whether it ends by itself; its sentence
    (StoreTakesNothing(reason="the disk is full"), ("fleet", "", False), "the disk is full"),
]


def test_it_stands_before_all_other_holds():
    """W3"""
    run = a_run(id=1)
    world = a_snapshot(run, workers=[a_worker(disabled="ada")])

    found = explain(world, NOON, run=run, live=frozenset(world.nodes), trouble=StoreTrouble("the disk is full"))

    assert [hold.gate for hold in found.holds] == ["store", "disabled"]
