"""H4: a node that is short of something holds back low runs, then normal ones."""

from __future__ import annotations

import pytest
from builders import (
    a_node,
    a_run,
    a_snapshot,
    a_worker,
    starts,
)

from shiftboss.core.holds import (
    IsShed,
)
from shiftboss.core.model import Shed
from shiftboss.core.policy import Priority
from shiftboss.core.waitlists import SLOT

EXAMPLES = [  # a hold; its scope, its subject, whether it ends by itself; its sentence
    (
        IsShed(node="n1", reason="short of memory", priority=Priority.LOW),
        ("node", "n1", True),
        "node n1 sheds load and starts no low runs: short of memory",
    ),
]


@pytest.mark.parametrize(
    ("level", "started"),
    [(Shed.NOTHING, [4, 3, 2, 1]), (Shed.LOW, [4, 3, 2]), (Shed.NORMAL, [4, 3])],
)
def test_a_node_sheds_low_then_normal_and_never_more(level, started):
    """H4"""
    runs = [a_run(priority=name) for name in ("low", "normal", "high", "critical")]
    world = a_snapshot(*runs, nodes=[a_node("n1", "a", shed=level, shed_reason="lag")])

    assert starts(world.decide()) == started


def test_what_is_shed_is_held_with_the_reason():
    """H4"""
    run = a_run(priority="low")
    world = a_snapshot(run, nodes=[a_node("n1", "a", shed=Shed.LOW, shed_reason="lag")])
    decision = world.decide()

    assert decision.holds == {1: (IsShed(node="host:n1", reason="lag", priority=Priority.LOW),)}
    assert world.filed("a") == {SLOT}


def test_what_a_critical_run_waits_for_is_not_shed():
    """D9, H4"""
    workers = [a_worker("a"), a_worker("b", depends_on=["a"])]
    node = a_node("n1", "a", "b", shed=Shed.NORMAL)
    world = a_snapshot(a_run("a", priority="low"), a_run("b", priority="critical"), workers=workers, nodes=[node])

    assert starts(world.decide()) == [1]
