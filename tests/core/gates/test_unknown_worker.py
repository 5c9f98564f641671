"""Q1: a run waits for a node that declares its worker."""

from __future__ import annotations

from builders import (
    a_node,
    a_run,
    a_snapshot,
    a_worker,
)

from shiftboss.core.holds import (
    NotHere,
)

EXAMPLES = [  # a hold; its scope, its subject, whether it ends by itself; its sentence
    (NotHere(worker="w"), ("node", "", False), "no live node runs this worker"),
    (NotHere(worker="w", node="n1"), ("node", "n1", False), "node n1 does not run this worker"),
]


def test_a_node_leaves_workers_that_it_does_not_declare_to_others():
    world = a_snapshot(a_run("b"), workers=[a_worker("a"), a_worker("b")], nodes=[a_node("n1", "a")])

    assert world.decide().holds == {1: (NotHere(worker="b", node="host:n1"),)}
