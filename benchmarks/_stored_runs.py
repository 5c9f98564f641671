"""Due runs in a store, as a node would have written them; a benchmark then measures how they are drained, or passed by.

No benchmark itself: `backlog.py` and `width.py` import it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import cycle, islice

from shiftboss.core.model import Origin, Run, Status
from shiftboss.core.policy import Priority
from shiftboss.core.snapshot import Change
from shiftboss.ports.store import Session

CHUNK = 10_000  # runs in one transaction


def store_runs(session: Session, workers: Sequence[str], count: int, *, due_at: datetime) -> None:
    """*count* triggered runs of *workers*, in turn; the workers are declared already."""
    names = cycle(workers)
    for first in range(0, count, CHUNK):
        with session.begin() as tx:
            tx.changes()
            ids = tx.ids()
            runs = tuple(
                Run(
                    id=next(ids),
                    worker=name,
                    origin=Origin.TRIGGER,
                    status=Status.PENDING,
                    priority=Priority.NORMAL,
                    created_at=due_at,
                    occurs_at=due_at,
                    due_at=due_at,
                )
                for name in islice(names, min(CHUNK, count - first))
            )
            tx.write(Change(runs=runs), new={run.id for run in runs})
