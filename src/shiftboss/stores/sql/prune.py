"""A4: what may go is selected, what core says goes is deleted; in small batches.

Rules of this file
- A finished run stays while a dead letter about it does, and while a live run or the dead run of an open letter refers
  to it (replay_of, caused_by).
- How much of each kind, and what of the audit, is core's to say (core/retention.py).
- Pruning is no commit that anybody's snapshot could care about: it takes no number.
"""

from __future__ import annotations

from datetime import datetime

from shiftboss.core.retention import Batch, Cutoffs, Prunable, sealed_among
from shiftboss.stores.sql import codec, shapes
from shiftboss.stores.sql.statements import Connection, Prunings, S


def prune(db: Connection[S], sql: Prunings[S], cutoffs: Cutoffs, *, limit: int) -> int:
    """Within a transaction of the caller: delete at most *limit* rows; how many went."""
    batch = Batch(cutoffs, limit=limit)
    for kind, before, room in batch:
        going = _going(db, sql, kind, before, room)
        for deletion in sql.deletions(kind) if going else ():
            db.do(deletion, (db.numbers(going),))
        batch.went(len(going))
    return batch.gone


def _going(db: Connection[S], sql: Prunings[S], kind: Prunable, before: datetime, limit: int) -> list[int]:
    before_us = codec.micros(before)
    if kind is Prunable.AUDIT:
        oldest, seals = db.ask((sql.audit, (limit,)), (sql.seals, (limit + 1,)))
        return sealed_among(shapes.INSTANTS_BY_ID.read(oldest), shapes.NUMBERS.read(seals), before_us=before_us)
    selection = {Prunable.LETTERS: sql.letters, Prunable.RUNS: sql.runs, Prunable.EVENTS: sql.events}[kind]
    return shapes.NUMBERS.read(db.ask((selection, (before_us, limit)))[0])
