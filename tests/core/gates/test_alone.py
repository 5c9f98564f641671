"""C8: a run that was there when nodes went down runs alone on its node.  How long: tests/core/test_isolation.py."""

from __future__ import annotations

from builders import (
    NOON,
    a_node,
    a_run,
    a_snapshot,
    a_worker,
    after,
    gates,
)

from shiftboss.core.holds import (
    IsIsolated,
    MakesWay,
)
from shiftboss.core.model import Status

RUNNING = Status.RUNNING

EXAMPLES = [  # a hold; its scope, its subject, whether it ends by itself; its sentence
    (
        IsIsolated(node="n1", rescues=2),
        ("node", "n1", True),
        "waiting to run alone on node n1, because its node went down 2 times while it ran; that shows whether it is "
        "the cause",
    ),
    (
        MakesWay(worker="w", run=9, node="n1"),
        ("node", "w", True),
        "w (run #9) runs alone on node n1 for a minute at most, because nodes went down while it ran",
    ),
    (
        MakesWay(worker="w", run=9, node="n1", runs=False),
        ("node", "w", True),
        "w (run #9) is about to run alone on node n1 for a minute at most, because nodes went down while it ran",
    ),
]


def test_it_waits_for_company_to_end_and_others_make_way():
    """C8"""
    node = a_node(started_at=NOON)
    runs = [a_run("a", RUNNING), a_run("suspect", rescues=2), a_run("b")]
    workers = [a_worker(name) for name in ("a", "b", "suspect")]
    decision = a_snapshot(*runs, workers=workers, nodes=[node]).decide(after(1))

    assert [gates(decision, run_id) for run_id in (2, 3)] == [["isolated"], ["makes_way"]]
    assert decision.held_by_company == {"suspect", "b"}
    assert [run.id for run in decision.isolated.values()] == [2]
