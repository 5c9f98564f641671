"""A4: what may go, in small batches.

Rules of this file
- A finished run stays while a dead letter about it does, and while a live run or the dead run of an open letter refers
  to it (replay_of, caused_by).
- Only letters that are closed go; events go from the oldest on.
- Pruning is no commit that anybody's snapshot could care about: it takes no number.
"""

from __future__ import annotations

from datetime import datetime

from shiftboss.stores import rows
from shiftboss.stores.sqlite_file import Database

NOTHING_REFERS_TO = """
  NOT EXISTS (SELECT 1 FROM run WHERE run.replay_of = {id})
  AND NOT EXISTS (SELECT 1 FROM run WHERE run.caused_by = {id})
  AND NOT EXISTS (SELECT 1 FROM dead_letter AS letter WHERE letter.replay_of = {id} AND letter.state = 'open')
  AND NOT EXISTS (SELECT 1 FROM dead_letter AS letter WHERE letter.caused_by = {id} AND letter.state = 'open')
"""

PRUNABLE_LETTERS = f"""
SELECT json_group_array(run) FROM (
  SELECT closed.run FROM dead_letter AS closed
  WHERE closed.state <> 'open' AND closed.closed_at < ? AND {NOTHING_REFERS_TO.format(id="closed.run")}
  ORDER BY closed.closed_at, closed.run LIMIT ?)
"""  # noqa: S608

PRUNABLE_RUNS = f"""
SELECT json_group_array(id) FROM (
  SELECT history.id FROM history INDEXED BY history_finished
  WHERE history.finished_at < ?
    AND NOT EXISTS (SELECT 1 FROM dead_letter AS about WHERE about.run = history.id)
    AND {NOTHING_REFERS_TO.format(id="history.id")}
  ORDER BY history.finished_at, history.id LIMIT ?)
"""  # noqa: S608

# Events are written in order of time but for clock steps: it is enough to look at the oldest.
PRUNABLE_EVENTS = """
SELECT json_group_array(id) FROM (SELECT id, at FROM event ORDER BY id LIMIT ?2) WHERE at < ?1
"""

DELETE_LETTERS = "DELETE FROM dead_letter WHERE run IN (SELECT value FROM json_each(?))"
DELETE_RUNS = "DELETE FROM history WHERE id IN (SELECT value FROM json_each(?))"
DELETE_PAYLOADS = "DELETE FROM payload WHERE run IN (SELECT value FROM json_each(?))"
DELETE_LINES = "DELETE FROM log WHERE run IN (SELECT value FROM json_each(?))"
DELETE_EVENTS = "DELETE FROM event WHERE id IN (SELECT value FROM json_each(?))"


def prune(db: Database, *, runs_before: datetime, letters_before: datetime, events_before: datetime, limit: int) -> int:
    """Within a transaction of the caller: delete at most *limit* rows; how many went."""
    gone = _prune(db, PRUNABLE_LETTERS, letters_before, limit, DELETE_LETTERS)
    gone += _prune(db, PRUNABLE_RUNS, runs_before, limit - gone, DELETE_RUNS, DELETE_PAYLOADS, DELETE_LINES)
    return gone + _prune(db, PRUNABLE_EVENTS, events_before, limit - gone, DELETE_EVENTS)


def _prune(db: Database, prunable: str, before: datetime, limit: int, *deletions: str) -> int:
    if limit <= 0:
        return 0
    found = rows.numbers_of(db.text(prunable, (rows.micros(before), limit)))
    for deletion in deletions if found else ():
        db.run(deletion, (rows.json_of(found),))
    return len(found)
