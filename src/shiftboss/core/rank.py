"""Which run goes before which?  Priority with ageing (P2) and lent priority (D9).

Rules of this file
- Waiting is ageing: a run's rank is fixed when it becomes due, and no row is ever updated for it.  An interrupted or
  rescued run keeps the rank that it had.
- Nothing ages past critical.
- A run that depends_on holds lends its priority to the runs that it waits for, along the whole chain.  This is computed
  each time and never stored.  A disabled worker neither lends nor borrows: it waits for nobody, and nobody waits for
  its waiting runs (D6).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice

from shiftboss.core.isolation import is_isolated, lived_s
from shiftboss.core.lane import QUEUES
from shiftboss.core.model import Run
from shiftboss.core.policy import Priority
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.value import EPOCH, later

OFFSET = {
    Priority.CRITICAL: timedelta(0),
    Priority.HIGH: timedelta(0),
    Priority.NORMAL: timedelta(seconds=60),
    Priority.LOW: timedelta(seconds=600),
}

Rank = tuple[int, datetime, int]
Lent = dict[str, list[tuple[datetime, Priority]]]  # worker → (for runs up to this logical time, this priority)


def rank(run: Run, priority: Priority) -> Rank:
    """Critical runs first, then by place plus the priority's offset, then by id.

    Isolated runs come before all of them (C8), the shortest-lived first: it tells the soonest whether it is guilty.
    """
    if is_isolated(run):
        return (-1, later(EPOCH, lived_s(run)), run.id)
    return (0 if priority is Priority.CRITICAL else 1, run.ranks_from + OFFSET[priority], run.id)


def effective(run: Run, lent: Lent) -> Priority:
    """The run's own priority or the highest that is lent to it."""
    best = run.priority
    for up_to, priority in lent.get(run.worker, ()):
        if run.occurs_at <= up_to and priority > best:
            best = priority
    return best


def lenders(snapshot: Snapshot, names: Collection[str]) -> Iterator[Run]:
    """The waiting runs in the lanes of *names* that may lend: the first of each queue, and the least."""
    for name in names:
        if snapshot.workers[name].definition.depends_on:
            lane = snapshot.lane(name)
            for number in range(QUEUES):
                yield from islice(lane.heads(number), 1)
            if lane.least is not None:
                yield lane.least


def lend(snapshot: Snapshot, now: datetime, heads: Iterable[Run], *, to: Collection[str] | None = None) -> Lent:
    """The priorities that the due runs in *heads* lend to the waiting runs of their upstreams.

    *to* holds the only workers that matter; None: all.
    """
    lent: Lent = {}
    todo = [
        (run.worker, run.occurs_at, run.priority) for run in heads if run.due_at <= now and _may_start(snapshot, run)
    ]
    while todo:
        name, occurs_at, priority = todo.pop()
        for edge in snapshot.workers[name].definition.depends_on:
            upstream = snapshot.workers.get(edge.worker) if to is None or edge.worker in to else None
            if upstream is None or upstream.disabled is not None:
                continue
            lane = snapshot.lane(edge.worker)
            if lane.least is None or lane.least.occurs_at > occurs_at or not lane.holds_below(priority):
                continue
            loans = lent.setdefault(edge.worker, [])
            if not any(up_to >= occurs_at and loan >= priority for up_to, loan in loans):
                loans.append((occurs_at, priority))
                todo.append((edge.worker, occurs_at, priority))
    return lent


def _may_start(snapshot: Snapshot, run: Run) -> bool:
    return run.forced or snapshot.workers[run.worker].disabled is None
