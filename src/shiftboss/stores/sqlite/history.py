"""People's queries to the file, in SQLite's SQL (sql/history.py has the common part).

Rules of this file
- Conditions are put together from constants; values are always parameters.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftboss.core.lane import ALL_QUEUES
from shiftboss.core.model import DeadLetter, Run, Status
from shiftboss.ports.faces import HistoryFilter, LetterFilter
from shiftboss.ports.store import Past
from shiftboss.stores.sql import codec, history, shapes
from shiftboss.stores.sql.statements import Pages, Question
from shiftboss.stores.sqlite import connection, unreadable
from shiftboss.stores.sqlite import readers as sqlite_readers
from shiftboss.stores.sqlite.disk_reserve import RESERVE_BYTES
from shiftboss.stores.sqlite.sealing import question

if TYPE_CHECKING:
    from shiftboss.stores.sqlite.connection import Database, Scalar

CHECK_S = 2.0  # of SQLite's quick check, for `doctor`
FEW = 2000  # runs that ended since a time: found by that time and sorted in a millisecond
NEAR = 5000  # newest ids that are searched if more runs have ended since

# The ids come from an index alone; only the rows of the page are read.
HISTORY = """
SELECT '[' || group_concat(data) || ']' FROM (
  SELECT <history> AS data FROM history
  WHERE id IN (SELECT id FROM history{where} ORDER BY id DESC LIMIT ?) ORDER BY id DESC)
"""
# Whether more than a given number ended since; it reads no more of the index than that.
MANY_SINCE = """
SELECT count(*) FROM (SELECT 1 FROM history INDEXED BY history_finished WHERE finished_at >= ? LIMIT ?)
"""
LIVE = """
SELECT '[' || group_concat(data) || ']' FROM (
  SELECT <run> AS data FROM run WHERE id IN (SELECT id FROM run{where} ORDER BY id DESC LIMIT ?) ORDER BY id DESC)
"""

LETTERS = """
SELECT '[' || group_concat(data) || ']' FROM (
  SELECT <dead_letter> AS data FROM dead_letter{where} ORDER BY run DESC LIMIT ?)
"""

EVENTS = """
SELECT '[' || group_concat('[' || id || ',' || data || ']') || ']'
FROM (SELECT id, <event> AS data FROM event WHERE id > ? ORDER BY id LIMIT ?)
"""
EVENTS_OF_WORKER = """
SELECT '[' || group_concat('[' || id || ',' || data || ']') || ']'
FROM (SELECT id, <event> AS data FROM event INDEXED BY event_worker
      WHERE worker = ? AND worker <> '' AND id > ? ORDER BY id LIMIT ?)
"""

LINES = """
SELECT '[' || group_concat(data) || ']' FROM (
  SELECT <log> AS data FROM log WHERE run = ? AND (fence, number) > (?, ?) ORDER BY fence, number LIMIT ?)
"""

# The text is given byte by byte, whatever somebody has put there.
AUDIT_ROW = "json_array(id, at, hex(data))"
AUDIT = f"""
SELECT '[' || group_concat({AUDIT_ROW}) || ']' FROM (SELECT id, at, data FROM audit WHERE id > ? ORDER BY id LIMIT ?)
"""  # noqa: S608
AUDIT_BEFORE = f"""
SELECT '[' || group_concat({AUDIT_ROW}) || ']'
FROM (SELECT id, at, data FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?)
"""  # noqa: S608
SEALS = """
SELECT '[' || group_concat(json_array(id, hex(data))) || ']'
FROM (SELECT id, data FROM audit_seal WHERE id > ? ORDER BY id LIMIT ?)
"""
LAST_SEAL = """
SELECT '[' || group_concat(json_array(id, hex(data))) || ']'
FROM (SELECT id, data FROM audit_seal ORDER BY id DESC LIMIT 1)
"""

WORKER_NAMES = "SELECT '[' || group_concat(json_quote(name)) || ']' FROM worker WHERE state IS NOT NULL"

# The workers that have waiting runs: from one to the next, never through the backlog.
WAITING_WORKERS = """waiting(worker) AS (
    SELECT (SELECT worker FROM run INDEXED BY run_lane WHERE queue IS NOT NULL ORDER BY worker LIMIT 1)
    UNION ALL
    SELECT (SELECT run.worker FROM run INDEXED BY run_lane
            WHERE run.queue IS NOT NULL AND run.worker > waiting.worker ORDER BY run.worker LIMIT 1)
    FROM waiting WHERE waiting.worker IS NOT NULL
  )"""

# '["name", pending, due]' for each worker with waiting runs, counted up to MAX_COUNTED.
WAITING_COUNTS = f"""
WITH RECURSIVE
  {WAITING_WORKERS},
  counted(worker, pending, due) AS (
    SELECT waiting.worker,
      (SELECT count(*) FROM (
        SELECT 1 FROM run INDEXED BY run_lane
        WHERE run.worker = waiting.worker AND run.queue IS NOT NULL LIMIT ?1)),
      (SELECT sum((SELECT count(*) FROM (
         SELECT 1 FROM run INDEXED BY run_lane
         WHERE run.worker = waiting.worker AND run.queue = queues.value AND run.due_at <= ?2 LIMIT ?1)))
       FROM json_each('{list(ALL_QUEUES)}') AS queues)
    FROM waiting WHERE waiting.worker IS NOT NULL
  )
SELECT '[' || group_concat('[' || json_quote(worker) || ',' || pending || ',' || due || ']') || ']' FROM counted
"""  # noqa: S608

RUNNING_COUNTS = """
SELECT '[' || group_concat('[' || json_quote(worker) || ',' || found || ',0]') || ']'
FROM (SELECT worker, count(*) AS found FROM run WHERE id IN (SELECT id FROM run INDEXED BY run_running
      WHERE queue IS NULL) GROUP BY worker)
"""

LETTER_COUNTS = """
SELECT '[' || group_concat('[' || json_quote(worker) || ',' || found || ',0]') || ']'
FROM (SELECT worker, count(*) AS found FROM dead_letter INDEXED BY dead_letter_open
      WHERE state = 'open' GROUP BY worker)
"""


PAGES = Pages(
    events=question(EVENTS),
    events_of_worker=question(EVENTS_OF_WORKER),
    lines=question(LINES),
    worker_names=question(WORKER_NAMES),
    waiting_counts=question(WAITING_COUNTS),
    running_counts=question(RUNNING_COUNTS),
    letter_counts=question(LETTER_COUNTS),
    audit=AUDIT,
    audit_before=AUDIT_BEFORE,
    seals=SEALS,
    last_seal=LAST_SEAL,
)


class Conditions:
    """A WHERE clause under construction."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self.values: list[Scalar] = []

    def add(self, text: str, *values: Scalar) -> None:
        self._texts.append(text)
        self.values.extend(values)

    def in_(self, statement: str, *, hint: str = "") -> Question[str]:
        return question(statement.format(where=hint + (" WHERE " + " AND ".join(self._texts) if self._texts else "")))


class Queries(history.Queries[str]):
    """The reader's half for people; the half for the cycle builds on it."""

    pages = PAGES
    walk = unreadable.WALK
    _db: Database

    # ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _pending(self, wanted: HistoryFilter) -> list[Run]:
        return self._live(wanted, "queue IS NOT NULL")

    def _running(self, wanted: HistoryFilter) -> list[Run]:
        return self._live(wanted, "queue IS NULL")

    def _live(self, wanted: HistoryFilter, which: str) -> list[Run]:
        where = Conditions()
        where.add(which)
        if wanted.worker is not None:
            where.add("worker = ?", wanted.worker)
        if wanted.key is not None:
            where.add("key = ?", wanted.key)
        if wanted.before is not None:
            where.add("id < ?", wanted.before)
        return self._ask(shapes.RUNS, where.in_(LIVE), (*where.values, wanted.limit))

    def _finished(self, wanted: HistoryFilter, codes: list[int]) -> list[Run]:
        """Newest ids first.  With only `since` they come from the index of ends, which takes long for a long period.

        If many runs have ended since then, the page is searched among the newest ids, because ids grow with time.  If
        it is not there, as at the far end of the period, the index is read after all.
        """
        is_narrow = not (wanted.worker is None and wanted.key is None and wanted.error_type is None)
        is_narrow = is_narrow or codec.STATUSES[Status.SUCCEEDED] not in codes  # an index leads to these
        if wanted.since is None or is_narrow:
            return self._ended(wanted, codes)
        if self._db.number(MANY_SINCE, (codec.micros(wanted.since), FEW)) == FEW:
            page = self._ended(wanted, codes, near="id > coalesce(?, (SELECT max(id) + 1 FROM history)) - ?")
            if len(page) == wanted.limit:
                return page
        return self._ended(wanted, codes, hint=" INDEXED BY history_finished")

    def _ended(self, wanted: HistoryFilter, codes: list[int], *, near: str = "", hint: str = "") -> list[Run]:
        where = Conditions()
        if wanted.worker is not None:
            where.add("worker = ?", wanted.worker)
        if wanted.key is not None:
            where.add("key = ?", wanted.key)
        if wanted.error_type is not None:
            where.add("error_type = ?", wanted.error_type)
        if wanted.before is not None:
            where.add("id < ?", wanted.before)
        if wanted.since is not None:
            where.add("finished_at >= ?", codec.micros(wanted.since))
        if len(codes) < len(codec.STATUSES):
            where.add("status IN (" + ",".join("?" * len(codes)) + ")", *codes)
            if codec.STATUSES[Status.SUCCEEDED] not in codes:
                where.add("status <> 2")  # so that the partial index of failed runs can be used
        if near:
            where.add(near, wanted.before, NEAR)
            hint = " NOT INDEXED"  # in the order of ids
        return self._ask(shapes.RUNS, where.in_(HISTORY, hint=hint), (*where.values, wanted.limit))

    # ── dead letters, facts ──────────────────────────────────────────────────────────────────────────────────────────

    def letters(self, wanted: LetterFilter) -> list[DeadLetter]:
        where = Conditions()
        if wanted.ids:
            where.add("run IN (SELECT value FROM json_each(?))", codec.json_of(list(wanted.ids)))
        if wanted.worker is not None:
            where.add("worker = ?", wanted.worker)
        if wanted.error_type is not None:
            where.add("error_type = ?", wanted.error_type)
        if wanted.since is not None:
            where.add("entered_at >= ?", codec.micros(wanted.since))
        if wanted.state is not None:
            where.add("state = ?", wanted.state)
        if wanted.before is not None:
            where.add("run < ?", wanted.before)
        return self._ask(shapes.LETTERS, where.in_(LETTERS), (*where.values, wanted.limit))

    def last_event(self) -> int:
        return self._db.number("SELECT next_event - 1 FROM meta WHERE id = 1")

    has_arrivals = False  # nobody else has transactions here

    def past(self) -> Past:
        return Past(self._db.number("SELECT number FROM meta"), self._db.number("SELECT next_run - 1 FROM meta"))

    def info(self) -> dict[str, Any]:
        db, path = self._db, self._db.path
        number, next_run, next_event = db.row("SELECT number, next_run, next_event FROM meta WHERE id = 1")
        readers = sqlite_readers.readers(path)
        integrity = db.check(CHECK_S)  # takes a while if the file is large
        long_readers = readers & sqlite_readers.readers(path) - {os.getpid()}
        return {
            "engine": connection.engine(),
            "path": str(path),
            "schema": db.number("PRAGMA user_version"),
            "commits": number,
            "next_run": next_run,
            "next_event": next_event,
            "size_bytes": _size(path),
            "wal_bytes": _size(Path(f"{path}-wal")),
            "free_pages": db.number("PRAGMA freelist_count"),
            "page_bytes": db.number("PRAGMA page_size"),
            "journal_mode": db.row("PRAGMA journal_mode")[0],
            "synchronous": db.number("PRAGMA synchronous"),
            "reserve": "set aside" if _size(Path(f"{path}.reserve")) >= RESERVE_BYTES else "released: the disk is full",
            "integrity": integrity,
            "long_readers": sqlite_readers.named(long_readers),
        }


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
