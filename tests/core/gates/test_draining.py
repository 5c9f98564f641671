"""G1: a node that ends starts nothing more."""

from __future__ import annotations

from builders import (
    a_node,
    a_run,
    a_snapshot,
)

from shiftboss.core.holds import (
    IsDraining,
)
from shiftboss.core.model import NodeMode

EXAMPLES = [  # a hold; its scope, its subject, whether it ends by itself; its sentence
    (IsDraining(node="n1"), ("node", "n1", False), "node n1 is shutting down and starts no more runs"),
]


def test_a_draining_node_starts_nothing():
    world = a_snapshot(a_run(), nodes=[a_node("n1", "a", mode=NodeMode.DRAINING)])

    assert world.decide().holds == {1: (IsDraining(node="host:n1"),)}
