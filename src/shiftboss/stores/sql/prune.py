"""A4: SQL selects what may be deleted, core decides, and it is deleted in small batches.

Rules of this file
- A finished run stays while a dead letter about it exists, and while a live run or the dead run of an open dead letter
  refers to it (replay_of, caused_by).
- core/retention.py decides how much of each kind is deleted, and what of the audit.
- Pruning changes nothing that a snapshot contains, so it takes no commit number.
"""

from __future__ import annotations

from datetime import datetime

from shiftboss.core.retention import Batch, Cutoffs, Prunable, sealed_among
from shiftboss.stores.sql import codec, shapes
from shiftboss.stores.sql.statements import Connection, Prunings, S


def prune(db: Connection[S], sql: Prunings[S], cutoffs: Cutoffs, *, limit: int) -> int:
    """Within a transaction of the caller: delete at most *limit* rows; returns how many were deleted."""
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
        oldest, seals = db.query((sql.audit, (limit,)), (sql.seals, (limit + 1,)))
        return sealed_among(shapes.INSTANTS_BY_ID.read(oldest), shapes.NUMBERS.read(seals), before_us=before_us)
    selection = {Prunable.LETTERS: sql.letters, Prunable.RUNS: sql.runs, Prunable.EVENTS: sql.events}[kind]
    return shapes.NUMBERS.read(db.query((selection, (before_us, limit)))[0])
