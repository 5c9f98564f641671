"""What the cycle asks of the file, within one consistent view.

Rules of this file
- Each question is one statement that gathers its rows into one JSON text: one step, one decoding, however many rows.
  (Row by row, beside one CPU-bound thread, 1,000 rows took 505 ms; gathered, 6.)
- Each probes one index as far as it needs and no further: nothing here gets slower because a lot is waiting.
- What is gathered keeps the order of the subquery it is gathered from, which SQLite does not flatten where it has a
  LIMIT or an ORDER BY of its own; the contract suite would see it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from shiftboss.core.lane import QUEUES, Lane, queue_of
from shiftboss.core.model import DeadLetter, Record, Run, WorkerState
from shiftboss.ports import NO_DELTA, Delta
from shiftboss.stores import rows
from shiftboss.stores.sqlite_batch import Wide
from shiftboss.stores.sqlite_queries import Queries

if TYPE_CHECKING:
    from shiftboss.clock import Clock
    from shiftboss.stores.sqlite_file import Database
    from shiftboss.stores.sqlite_session import Seen

# A row of workers is '["name", state or null, record or null]'.
WORKER_ROW = "'[' || json_quote(name) || ',' || coalesce(state, 'null') || ',' || coalesce(record, 'null') || ']'"

CHANGED_WORKERS = f"SELECT '[' || group_concat({WORKER_ROW}) || ']' FROM worker WHERE number > ?"  # noqa: S608

ALL_WORKERS = f"""
SELECT '[' || group_concat({WORKER_ROW}) || ']'
FROM (SELECT name, state, record FROM worker WHERE name > ? AND state IS NOT NULL ORDER BY name LIMIT ?)
"""  # noqa: S608
PAGE = 5000  # workers in one text: a few MiB

CHANGED_BREAKERS = "SELECT '[' || group_concat(data) || ']' FROM breaker WHERE number > ?"

RESOURCES = "SELECT '{' || group_concat(json_quote(name) || ':' || size) || '}' FROM resource"

NODES = "SELECT '[' || group_concat(data) || ']' FROM (SELECT data FROM node ORDER BY id)"

RUNNING = """
SELECT '[' || group_concat(data) || ']'
FROM (SELECT data FROM run INDEXED BY run_running WHERE queue IS NULL ORDER BY id)
"""

# From one worker with waiting runs to the next, and in each from queue to queue: the backlog is never walked.
WAITING = """
WITH RECURSIVE
  waiting(worker) AS (
    SELECT (SELECT worker FROM run INDEXED BY run_lane WHERE queue IS NOT NULL ORDER BY worker LIMIT 1)
    UNION ALL
    SELECT (SELECT run.worker FROM run INDEXED BY run_lane
            WHERE run.queue IS NOT NULL AND run.worker > waiting.worker ORDER BY run.worker LIMIT 1)
    FROM waiting WHERE waiting.worker IS NOT NULL
  ),
  head(worker, due_at) AS (
    SELECT waiting.worker,
      (SELECT min(due_at) FROM (
        SELECT (SELECT due_at FROM run INDEXED BY run_lane
                WHERE run.worker = waiting.worker AND run.queue = queues.value ORDER BY due_at LIMIT 1) AS due_at
        FROM json_each('[0,1,2,3,4]') AS queues))
    FROM waiting WHERE waiting.worker IS NOT NULL
  )
SELECT '[' || group_concat('[' || json_quote(worker) || ',' || due_at || ']') || ']' FROM head
"""

# The first runs of all queues together: whoever has fewer than the limit is known in full after this.
LANE_HEADS = """
SELECT '[' || group_concat('[' || json_quote(names.value) || ',[' || coalesce(
    (SELECT group_concat(data) FROM (
      SELECT data FROM run INDEXED BY run_lane
      WHERE worker = names.value AND queue IS NOT NULL ORDER BY queue, due_at, id LIMIT ?2)),
    '') || ']]') || ']'
FROM json_each(?1) AS names
"""


def _queue(number: int) -> str:
    return f"""(SELECT group_concat(data) FROM (
      SELECT data FROM run INDEXED BY run_lane
      WHERE worker = names.value AND queue = {number} ORDER BY due_at, id LIMIT ?2))"""  # noqa: S608


STANDING = """(SELECT group_concat(data) FROM (
      SELECT data FROM run INDEXED BY run_standing
      WHERE worker = names.value AND queue IS NOT NULL AND origin <= 2 ORDER BY id))"""

LEAST = """(SELECT data FROM run INDEXED BY run_least
      WHERE worker = names.value AND queue IS NOT NULL ORDER BY occurs_at, id LIMIT 1)"""

# '["name",[queue 0],[queue 1],[queue 2],[queue 3],[queue 4],[standing],[least]]'
LANES = f"""
SELECT '[' || group_concat('[' || json_quote(names.value) || ',[' || {
    " || '],[' || ".join(
        f"coalesce({part}, '')" for part in (*(_queue(number) for number in range(QUEUES)), STANDING, LEAST)
    )
} || ']]') || ']'
FROM json_each(?1) AS names
"""  # noqa: S608

LIVE_RUNS = """
SELECT '[' || group_concat(data) || ']' FROM run WHERE id IN (SELECT value FROM json_each(?))
"""
FINISHED_RUNS = """
SELECT '[' || group_concat(data) || ']' FROM history WHERE id IN (SELECT value FROM json_each(?))
"""
PAYLOADS = Wide("(SELECT bytes FROM payload WHERE run = ?)")
RESULTS = Wide("(SELECT result FROM history WHERE id = ?)")

KEYED = """
SELECT '[' || group_concat(coalesce(
    (SELECT data FROM run INDEXED BY run_key WHERE key = pairs.value ->> 1 AND worker = pairs.value ->> 0),
    (SELECT data FROM history INDEXED BY history_key
     WHERE key = pairs.value ->> 1 AND worker = pairs.value ->> 0 AND status = 2 ORDER BY id DESC LIMIT 1)
  )) || ']'
FROM json_each(?) AS pairs
"""

EXPIRING = """
SELECT '[' || group_concat(data) || ']' FROM (
  SELECT data FROM run INDEXED BY run_give_up
  WHERE queue IS NOT NULL AND give_up_at <= ? ORDER BY give_up_at, id LIMIT ?)
"""

NEXT_GIVE_UP = """
SELECT give_up_at FROM run INDEXED BY run_give_up
WHERE queue IS NOT NULL AND give_up_at IS NOT NULL ORDER BY give_up_at, id LIMIT 1
"""

OPEN_LETTERS = """
SELECT '[' || group_concat(data) || ']' FROM (
  SELECT data FROM dead_letter INDEXED BY dead_letter_open
  WHERE state = 'open' AND worker = ? AND has_payload <= ? ORDER BY has_payload, run LIMIT ?)
"""


class Reads(Queries):
    """A view of the store; as long as it is open, nothing in it changes but by its own writes."""

    def __init__(self, db: Database, clock: Clock, seen: Seen, *, number: int) -> None:
        super().__init__(db, clock)
        self._seen = seen
        self._last = number  # of the last commit in this view

    # ── what others did ──────────────────────────────────────────────────────────────────────────────────────────

    def changes(self) -> Delta:
        seen = self._seen.number
        self._seen.number = self._last
        if seen == self._last:
            return NO_DELTA
        if seen is None or seen > self._last:  # an older backup was put in place under us
            return self._everything()
        workers = rows.workers_of(self._db.text(CHANGED_WORKERS, (seen,)))
        return Delta(
            workers=_declared(workers),
            forgotten=[name for name, state, _ in workers if state is None],
            breakers=rows.breakers_of(self._db.text(CHANGED_BREAKERS, (seen,))),
            resources=rows.sizes_of(self._db.text(RESOURCES)),
            nodes=rows.nodes_of(self._db.text(NODES)),
            running=rows.runs_of(self._db.text(RUNNING)),
        )

    def _everything(self) -> Delta:
        return Delta(
            everything=True,
            workers=self._all_workers(),
            breakers=rows.breakers_of(self._db.text(CHANGED_BREAKERS, (-1,))),
            resources=rows.sizes_of(self._db.text(RESOURCES)),
            nodes=rows.nodes_of(self._db.text(NODES)),
            running=rows.runs_of(self._db.text(RUNNING)),
            waiting=rows.instants_of(self._db.text(WAITING)),
        )

    def _all_workers(self) -> list[tuple[WorkerState, Record]]:
        found: list[tuple[WorkerState, Record]] = []
        after = ""
        while page := rows.workers_of(self._db.text(ALL_WORKERS, (after, PAGE))):
            found.extend(_declared(page))
            after = page[-1][0]
        return found

    # ── lanes ────────────────────────────────────────────────────────────────────────────────────────────────────

    def lanes(self, names: Collection[str], *, limit: int) -> dict[str, Lane]:
        if not names:
            return {}
        lanes: dict[str, Lane] = {}
        long: list[str] = []
        for name, runs in rows.lane_heads_of(self._db.text(LANE_HEADS, (rows.json_of(list(names)), limit))):
            if len(runs) < limit:
                lanes[name] = _whole_lane(runs)
            else:
                long.append(name)
        if long:
            for name, *queues, standing, least in rows.lane_rows_of(self._db.text(LANES, (rows.json_of(long), limit))):
                lanes[name] = Lane.read(
                    ((number, queue, len(queue) < limit) for number, queue in enumerate(queues)),
                    standing=standing,
                    least=least[0] if least else None,
                )
        return lanes

    # ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def runs(self, ids: Collection[int]) -> list[Run]:
        if not ids:
            return []
        wanted = rows.json_of(list(ids))
        live = rows.runs_of(self._db.text(LIVE_RUNS, (wanted,)))
        finished = rows.runs_of(self._db.text(FINISHED_RUNS, (wanted,))) if len(live) < len(ids) else []
        runs = sorted([*live, *finished], key=lambda run: run.id)
        return rows.with_bytes(
            runs,
            payloads=self.payloads([run.id for run in runs]),
            results=RESULTS.ask(self._db, [run.id for run in finished]),
        )

    def keyed(self, pairs: Collection[tuple[str, str]]) -> list[Run]:
        return rows.runs_of(self._db.text(KEYED, (rows.json_of(list(pairs)),))) if pairs else []

    def payloads(self, ids: Collection[int]) -> dict[int, bytes]:
        return PAYLOADS.ask(self._db, list(ids))

    def expiring(self, now: datetime, *, limit: int) -> list[Run]:
        return rows.runs_of(self._db.text(EXPIRING, (rows.micros(now), limit)))

    def next_give_up(self) -> datetime | None:
        found = self._db.run(NEXT_GIVE_UP)
        return rows.instant_of(int(found[0][0] or 0)) if found else None

    def open_letters(self, worker: str, *, without_payload_only: bool, limit: int) -> list[DeadLetter]:
        most = 0 if without_payload_only else 1
        return rows.letters_of(self._db.text(OPEN_LETTERS, (worker, most, limit)))


def _declared(found: Iterable[rows.WorkerRow]) -> list[tuple[WorkerState, Record]]:
    return [(state, record or Record()) for _, state, record in found if state is not None]


def _whole_lane(runs: list[Run]) -> Lane:
    queues: list[list[Run]] = [[] for _ in range(QUEUES)]
    for run in runs:
        queues[queue_of(run)].append(run)
    standing = [run for run in runs if run.is_standing]
    return Lane.read(((number, queue, True) for number, queue in enumerate(queues)), standing=standing, least=None)
