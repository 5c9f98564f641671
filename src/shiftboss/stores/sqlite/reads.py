"""What the cycle asks of the file, in SQLite's SQL (sql/reads.py has the common part).

Rules of this file
- Each question is one statement that gathers its rows into one JSON text: one step and one decoding for any number of
  rows.  (Beside one CPU-bound thread, 1,000 rows took 505 ms row by row, and 6 gathered.)
- The gathered rows keep the order of their subquery, which SQLite does not flatten if it has a LIMIT or an ORDER BY of
  its own; the contract tests (tests/stores/conformance) would notice.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from shiftboss.core.lane import ALL_QUEUES
from shiftboss.core.model import Run
from shiftboss.stores.sql import codec, reads, shapes
from shiftboss.stores.sql.reads import Seen
from shiftboss.stores.sql.statements import Readings
from shiftboss.stores.sqlite.batch import Wide
from shiftboss.stores.sqlite.history import WAITING_WORKERS, Queries
from shiftboss.stores.sqlite.sealing import question

if TYPE_CHECKING:
    from shiftboss.clock import Clock
    from shiftboss.stores.sqlite.connection import Database

# A row of workers is '["name", state or null, record or null]'.
WORKER_ROW = "'[' || json_quote(name) || ',' || coalesce(<worker>, 'null') || ',' || coalesce(<record>, 'null') || ']'"

CHANGED_WORKERS = f"SELECT '[' || group_concat({WORKER_ROW}) || ']' FROM worker WHERE number > ?"  # noqa: S608

ALL_WORKERS = f"""
SELECT '[' || group_concat({WORKER_ROW}) || ']'
FROM (SELECT name, state, record FROM worker WHERE name > ? AND state IS NOT NULL ORDER BY name LIMIT ?)
"""  # noqa: S608

CHANGED_BREAKERS = "SELECT '[' || group_concat(<breaker>) || ']' FROM breaker WHERE number > ?"

RESOURCES = """
SELECT '{' || group_concat(json_quote(name) || ':[' || size || ',' || json_quote(declarations) || ']') || '}'
FROM resource
"""

NODES = "SELECT '[' || group_concat(data) || ']' FROM (SELECT <node> AS data FROM node ORDER BY id)"

CLAIMS = """
SELECT '[[' || coalesce(group_concat(id), '') || '],['
  || coalesce(group_concat(data) FILTER (WHERE number > ?), '') || ']]'
FROM (SELECT id, number, <run> AS data FROM run INDEXED BY run_running WHERE queue IS NULL ORDER BY id)
"""

# Of each of them the first due time, from queue to queue.
WAITING = f"""
WITH RECURSIVE
  {WAITING_WORKERS},
  head(worker, due_at) AS (
    SELECT waiting.worker,
      (SELECT min(due_at) FROM (
        SELECT (SELECT due_at FROM run INDEXED BY run_lane
                WHERE run.worker = waiting.worker AND run.queue = queues.value ORDER BY due_at LIMIT 1) AS due_at
        FROM json_each('{list(ALL_QUEUES)}') AS queues))
    FROM waiting WHERE waiting.worker IS NOT NULL
  )
SELECT '[' || group_concat('[' || json_quote(worker) || ',' || due_at || ']') || ']' FROM head
"""  # noqa: S608


def _queue(number: int) -> str:
    return f"""(SELECT group_concat(data) FROM (
      SELECT <run> AS data FROM run INDEXED BY run_lane
      WHERE worker = names.value AND queue = {number} ORDER BY due_at, id LIMIT ?2))"""  # noqa: S608


STANDING = """(SELECT group_concat(data) FROM (
      SELECT <run> AS data FROM run INDEXED BY run_standing
      WHERE worker = names.value AND queue IS NOT NULL AND origin <= 2 ORDER BY id))"""

LEAST = """(SELECT <run> AS data FROM run INDEXED BY run_least
      WHERE worker = names.value AND queue IS NOT NULL ORDER BY occurs_at, id LIMIT 1)"""

ALL = """(SELECT group_concat(data) FROM (
      SELECT <run> AS data FROM run INDEXED BY run_lane
      WHERE worker = names.value AND queue IS NOT NULL ORDER BY queue, due_at, id LIMIT ?2))"""


def _lanes(names: str) -> str:
    """A worker with fewer runs than the limit in all queues together is returned whole, as one list."""
    parts = " || '],[' || ".join(
        f"coalesce({part}, '')" for part in (*(_queue(number) for number in ALL_QUEUES), STANDING, LEAST)
    )
    return f"""
SELECT '[' || group_concat('[' || json_quote(names.value) || ',[[' || CASE
    WHEN (SELECT id FROM run INDEXED BY run_lane
          WHERE worker = names.value AND queue IS NOT NULL LIMIT 1 OFFSET ?2 - 1) IS NULL
    THEN coalesce({ALL}, '')
    ELSE {parts} END || ']]]') || ']'
FROM {names} AS names
"""  # noqa: S608


LANES = _lanes("json_each(?1)")
CHANGED_LANES = _lanes("(SELECT name AS value FROM worker WHERE number > ?1 AND state IS NOT NULL)")

LIVE_RUNS = """
SELECT '[' || group_concat(<run>) || ']' FROM run WHERE id IN (SELECT value FROM json_each(?))
"""
FINISHED_RUNS = """
SELECT '[' || group_concat(<history>) || ']' FROM history WHERE id IN (SELECT value FROM json_each(?))
"""
PAYLOADS = Wide("(SELECT bytes FROM payload WHERE run = ?)")
RESULTS = Wide("(SELECT result FROM history WHERE id = ?)")

KEYED = """
SELECT '[' || group_concat(coalesce(
    (SELECT <run> AS data FROM run INDEXED BY run_key WHERE key = pairs.value ->> 1 AND worker = pairs.value ->> 0),
    (SELECT <history> AS data FROM history INDEXED BY history_key
     WHERE key = pairs.value ->> 1 AND worker = pairs.value ->> 0 AND status = 2 ORDER BY id DESC LIMIT 1)
  )) || ']'
FROM json_each(?) AS pairs
"""

FIRED = """
SELECT '[' || group_concat('[' || json_quote(worker) || ',' || fired_at || ']') || ']'
FROM json_each(?) AS names JOIN history INDEXED BY history_fired ON worker = names.value AND fired_at > ?
"""
CLOCK = "SELECT clock FROM meta WHERE id = 1"

EXPIRING = """
SELECT '[' || group_concat(data) || ']' FROM (
  SELECT <run> AS data FROM run INDEXED BY run_give_up
  WHERE queue IS NOT NULL AND give_up_at <= ? ORDER BY give_up_at, id LIMIT ?)
"""

NEXT_GIVE_UP = """
SELECT CAST((
  SELECT give_up_at FROM run INDEXED BY run_give_up
  WHERE queue IS NOT NULL AND give_up_at > ? ORDER BY give_up_at, id LIMIT 1) AS TEXT)
"""

OPEN_LETTERS = """
SELECT '[' || group_concat(data) || ']' FROM (
  SELECT <dead_letter> AS data FROM dead_letter INDEXED BY dead_letter_open
  WHERE state = 'open' AND worker = ? AND has_payload <= ? ORDER BY has_payload, run LIMIT ?)
"""

READINGS = Readings(
    changed_workers=question(CHANGED_WORKERS),
    all_workers=question(ALL_WORKERS),
    changed_breakers=question(CHANGED_BREAKERS),
    resources=question(RESOURCES),
    nodes=question(NODES),
    claims=question(CLAIMS),
    waiting=question(WAITING),
    lanes=question(LANES),
    changed_lanes=question(CHANGED_LANES),
    live_runs=question(LIVE_RUNS),
    finished_runs=question(FINISHED_RUNS),
    keyed=question(KEYED),
    fired=FIRED,
    clock=CLOCK,
    expiring=question(EXPIRING),
    next_give_up=NEXT_GIVE_UP,
    open_letters=question(OPEN_LETTERS),
)


class Reads(Queries, reads.Reads[str]):
    readings = READINGS
    _db: Database

    def __init__(self, db: Database, clock: Clock, seen: Seen, *, number: int, epoch: int) -> None:
        super().__init__(db, clock)
        self._seen = seen
        self._last = number
        self._epoch = epoch

    def runs(self, ids: Collection[int]) -> list[Run]:
        if not ids:
            return []
        wanted, sql = (self._db.numbers(ids),), self.readings
        live = self._ask(shapes.RUNS, sql.live_runs, wanted)
        finished = self._ask(shapes.RUNS, sql.finished_runs, wanted) if len(live) < len(ids) else []
        runs = sorted([*live, *finished], key=lambda run: run.id)
        return codec.with_bytes(
            runs,
            payloads=self.payloads([run.id for run in runs]),
            results=RESULTS.query(self._db, [run.id for run in finished]),
        )

    def payloads(self, ids: Collection[int]) -> dict[int, bytes]:
        return PAYLOADS.query(self._db, list(ids))
