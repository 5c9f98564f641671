"""M2: a run waits until it is due, and a retry until its back-off is over."""

from __future__ import annotations

from builders import (
    NOON,
    a_run,
    a_snapshot,
    after,
)

from shiftboss.core.holds import (
    NotDue,
)
from shiftboss.core.value import replace

EXAMPLES = [  # a hold; its scope, its subject, whether it ends by itself; its sentence
    (NotDue(), ("run", "", False), "not due yet"),
    (NotDue(attempt=2), ("run", "", False), "waiting to retry after attempt 2"),
]


def test_a_run_that_is_not_due_is_held_until_then():
    """M2"""
    run = a_run(due_at=after(9), created_at=NOON)

    assert a_snapshot(run).why(replace(run, id=1)).holds == (NotDue(since=NOON, until=after(9)),)


def test_only_a_retry_is_not_as_planned():
    assert [NotDue(attempt=number).is_planned for number in (0, 1)] == [True, False]
