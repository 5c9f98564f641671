"""P3: a node runs as many at once as it has slots, and keeps some of them for high and critical runs."""

from __future__ import annotations

import pytest
from builders import (
    a_node,
    a_run,
    a_snapshot,
    a_worker,
    gates,
    starts,
)

from shiftboss.core.holds import (
    NoSlot,
)
from shiftboss.core.model import Status
from shiftboss.core.waitlists import SLOT

RUNNING = Status.RUNNING

EXAMPLES = [  # a hold; its scope, its subject, whether it ends by itself; its sentence
    (NoSlot(node="n1", slots=4), ("node", "n1", True), "all 4 slots of node n1 are in use"),
    (
        NoSlot(node="n1", slots=2, executor="thread"),
        ("node", "n1", True),
        "all 2 thread slots of node n1 are in use",
    ),
    (
        NoSlot(node="n1", kept=True),
        ("node", "n1", True),
        "the free slots of node n1 are kept for high and critical runs",
    ),
]


def test_a_run_waits_for_a_slot_of_its_executor():
    """P3"""
    workers = [a_worker("a", executor="thread"), a_worker("b")]
    runs = [a_run("a", RUNNING), a_run("a"), a_run("b")]
    world = a_snapshot(*runs, workers=workers, nodes=[a_node(executors={"thread": 1, "coroutine": 10})])
    decision = world.decide()

    assert decision.holds == {2: (NoSlot(node="host:n1", slots=1, executor="thread"),)}
    assert world.filed("a") == {SLOT}


def test_of_five_slots_one_is_kept_for_high_and_critical():
    """P3"""
    runs = [*(a_run(status=RUNNING) for _ in range(4)), a_run(), a_run(priority="high")]
    world = a_snapshot(*runs, nodes=[a_node(slots=5)])
    decision = world.decide()

    assert starts(decision) == [6]
    assert world.filed("a") == {SLOT}


@pytest.mark.parametrize(
    ("slots", "held", "waits_for"), [(1, ["concurrency", "slots"], {SLOT}), (2, ["concurrency"], set())]
)
def test_who_lacks_more_than_a_slot_is_asked_about_the_rest_when_one_is_free(slots, held, waits_for):
    workers = [a_worker("a", executor="thread", concurrency=1)]
    world = a_snapshot(a_run(status=RUNNING), a_run(), workers=workers, nodes=[a_node(executors={"thread": slots})])

    assert gates(world.decide(), 2) == held
    assert world.filed("a") == waits_for
