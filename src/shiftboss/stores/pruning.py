"""A4: what may go, in small batches.

Rules of this file
- A finished run stays while a dead letter about it does, and while a live run or the dead run of an open letter refers
  to it (replay_of, caused_by).
- Only letters that are closed go; events go from the oldest on.
- Of the audit whole seals go, and the last of them stays: the rest of the chain begins at its digest (A8).
- Pruning is no commit that anybody's snapshot could care about: it takes no number.
"""

from __future__ import annotations

from datetime import datetime

from shiftboss.stores import rows, shapes
from shiftboss.stores.statements import Connection, Prunings, S


def prune(
    db: Connection[S],
    sql: Prunings[S],
    *,
    runs_before: datetime,
    letters_before: datetime,
    events_before: datetime,
    audit_before: datetime | None,
    limit: int,
) -> int:
    """Within a transaction of the caller: delete at most *limit* rows; how many went."""
    gone = _prune(db, sql.letters, letters_before, limit, sql.delete_letters)
    gone += _prune(db, sql.runs, runs_before, limit - gone, sql.delete_runs, sql.delete_payloads, sql.delete_lines)
    gone += _prune(db, sql.events, events_before, limit - gone, sql.delete_events)
    if audit_before is None:
        return gone
    return gone + _prune(db, sql.audit, audit_before, limit - gone, sql.delete_audit, sql.delete_seals)


def _prune(db: Connection[S], prunable: S, before: datetime, limit: int, *deletions: S) -> int:
    if limit <= 0:
        return 0
    found = shapes.NUMBERS.read(db.ask((prunable, (rows.micros(before), limit)))[0])
    for deletion in deletions if found else ():
        db.do(deletion, (db.numbers(found),))
    return len(found)
