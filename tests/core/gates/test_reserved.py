"""B4: no run takes what one of higher rank waits for beyond its patience.  Who reserves: tests/core/test_decide.py."""

from __future__ import annotations

from builders import (
    NOON,
    a_run,
    a_snapshot,
    a_worker,
    after,
)

from shiftboss.core.holds import (
    IsReserved,
)
from shiftboss.core.model import Status

RUNNING = Status.RUNNING

EXAMPLES = [  # a hold; its scope, its subject, whether it ends by itself; its sentence
    (
        IsReserved(worker="w", run=8),
        ("component", "w", True),
        "reserved for w (run #8), which has waited longer than its patience",
    ),
]


def test_what_a_run_of_higher_rank_has_waited_for_is_not_taken():
    """B4"""
    workers = [a_worker("long"), a_worker("patient", blocks=("long", "other"), patience_s=30.0), a_worker("other")]
    running, waiting = a_run("long", RUNNING), a_run("patient", due_at=after(-31))
    decision = a_snapshot(running, waiting, a_run("other"), workers=workers).decide()

    assert decision.holds[3] == (IsReserved(worker="patient", run=2, since=NOON),)
    assert decision.held_by_nodes == {"other"}
