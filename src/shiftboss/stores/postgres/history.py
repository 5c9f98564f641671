"""People's queries to the server (sql/history.py has the common part).

Rules of this file
- A question with many forms is one statement with a parameter for each condition, NULL if the condition is not used.
  The server plans it for the actual values, so an unused condition is gone before an index is chosen.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

from shiftboss.core.lane import ALL_QUEUES
from shiftboss.core.model import DeadLetter, Run, Status
from shiftboss.ports.faces import HistoryFilter, LetterFilter
from shiftboss.stores.postgres import unreadable
from shiftboss.stores.postgres.sealing import question
from shiftboss.stores.postgres.wire import KEY, NUMBER, NUMBERS, TEXT, Statement
from shiftboss.stores.sql import codec, history, shapes
from shiftboss.stores.sql.statements import Pages, Question

if TYPE_CHECKING:
    from shiftboss.stores.postgres.connection import Database

PLAN_FOR_VALUES = Statement("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)")

PENDING = question(
    """
SELECT '[' || string_agg(data, ',') || ']' FROM (
  SELECT <run> AS data FROM run
  WHERE queue IS NOT NULL AND ($1 IS NULL OR worker = $1) AND ($2 IS NULL OR key = $2) AND ($3 IS NULL OR id < $3)
  ORDER BY id DESC LIMIT $4) AS page
""",
    TEXT,
    KEY,
    NUMBER,
    NUMBER,
    prepare=False,
)
RUNNING = question(
    """
SELECT '[' || string_agg(data, ',') || ']' FROM (
  SELECT <run> AS data FROM run
  WHERE queue IS NULL AND ($1 IS NULL OR worker = $1) AND ($2 IS NULL OR key = $2) AND ($3 IS NULL OR id < $3)
  ORDER BY id DESC LIMIT $4) AS page
""",
    TEXT,
    KEY,
    NUMBER,
    NUMBER,
    prepare=False,
)
_FINISHED = """
SELECT '[' || string_agg(data, ',') || ']' FROM (
  SELECT <history> AS data FROM {rows}
  WHERE ($1 IS NULL OR worker = $1) AND ($2 IS NULL OR key = $2) AND ($3 IS NULL OR id < $3)
    AND ($5 IS NULL OR error_type = $5) AND ($6 IS NULL OR finished_at >= $6)
    AND ({status})
  ORDER BY id DESC LIMIT $4) AS page
"""
_ANY_STATUS = "$7::bigint[] IS NULL OR status = ANY ($7::smallint[])"
_TYPES = (TEXT, KEY, NUMBER, NUMBER, TEXT, NUMBER)
FINISHED = question(_FINISHED.format(rows="history", status=_ANY_STATUS), *_TYPES, NUMBERS, prepare=False)
# A single failure status has an index in the order of the page.  For several, or for any status, the planner would walk
# through the ids of all successes (without statistics: 70 ms for 200,000).
FINISHED_WRONG = question(
    _FINISHED.format(rows="history", status="status = $7::smallint AND status <> 2"), *_TYPES, NUMBER, prepare=False
)
# Runs with one key are few; for the same reason they are gathered first.
FINISHED_KEYED = question(
    """
WITH keyed AS MATERIALIZED (
  SELECT id, worker, status, finished_at, error_type, key, data FROM history WHERE key = $2)"""  # noqa: S608  # put together from constants
    + _FINISHED.format(rows="keyed", status=_ANY_STATUS),
    *_TYPES,
    NUMBERS,
    prepare=False,
)
LETTERS = question(
    """
SELECT '[' || string_agg(data, ',') || ']' FROM (
  SELECT <dead_letter> AS data FROM dead_letter
  WHERE ($1 IS NULL OR worker = $1) AND ($2 IS NULL OR error_type = $2) AND ($3 IS NULL OR entered_at >= $3)
    AND ($4 IS NULL OR state = $4) AND ($5 IS NULL OR run < $5) AND ($6::bigint[] IS NULL OR run = ANY ($6))
  ORDER BY run DESC LIMIT $7) AS page
""",
    TEXT,
    TEXT,
    NUMBER,
    TEXT,
    NUMBER,
    NUMBERS,
    NUMBER,
    prepare=False,
)

EVENTS = question(
    """
SELECT '[' || string_agg('[' || id || ',' || data || ']', ',') || ']'
FROM (SELECT id, <event> AS data FROM event WHERE id > $1 ORDER BY id LIMIT $2) AS page
""",
    NUMBER,
    NUMBER,
)
EVENTS_OF_WORKER = question(
    """
SELECT '[' || string_agg('[' || id || ',' || data || ']', ',') || ']'
FROM (SELECT id, <event> AS data FROM event WHERE worker = $1 AND worker <> '' AND id > $2 ORDER BY id LIMIT $3) AS page
""",
    TEXT,
    NUMBER,
    NUMBER,
)
# The text is given byte by byte.
AUDIT_ROW = "json_build_array(id, at, encode(convert_to(data, 'UTF8'), 'hex'))::text"
AUDIT = Statement(
    f"""
SELECT '[' || string_agg({AUDIT_ROW}, ',' ORDER BY id) || ']'
FROM (SELECT id, at, data FROM audit WHERE id > $1 ORDER BY id LIMIT $2) AS page
""",  # noqa: S608
    NUMBER,
    NUMBER,
)
AUDIT_BEFORE = Statement(
    f"""
SELECT '[' || string_agg({AUDIT_ROW}, ',' ORDER BY id DESC) || ']'
FROM (SELECT id, at, data FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2) AS page
""",  # noqa: S608
    NUMBER,
    NUMBER,
)
SEAL_ROW = "json_build_array(id, encode(convert_to(data, 'UTF8'), 'hex'))::text"
SEALS = Statement(
    f"""
SELECT '[' || string_agg({SEAL_ROW}, ',' ORDER BY id) || ']'
FROM (SELECT id, data FROM audit_seal WHERE id > $1 ORDER BY id LIMIT $2) AS page
""",  # noqa: S608
    NUMBER,
    NUMBER,
)
LAST_SEAL = Statement(
    f"""
SELECT '[' || string_agg({SEAL_ROW}, ',') || ']'
FROM (SELECT id, data FROM audit_seal ORDER BY id DESC LIMIT 1) AS newest
"""  # noqa: S608
)
LINES = question(
    """
SELECT '[' || string_agg(data, ',') || ']' FROM (
  SELECT <log> AS data FROM log WHERE run = $1 AND (fence, number) > ($2, $3) ORDER BY fence, number LIMIT $4) AS page
""",
    NUMBER,
    NUMBER,
    NUMBER,
    NUMBER,
)
WORKER_NAMES = question("SELECT '[' || string_agg(to_json(name)::text, ',') || ']' FROM worker WHERE state IS NOT NULL")

# The workers that have waiting runs: from one to the next, never through the backlog.
WAITING_WORKERS = """waiting(worker) AS (
  (SELECT worker FROM run WHERE queue IS NOT NULL ORDER BY worker, queue, due_at, id LIMIT 1)
  UNION ALL
  SELECT (SELECT run.worker FROM run
          WHERE run.queue IS NOT NULL AND run.worker > waiting.worker
          ORDER BY run.worker, run.queue, run.due_at, run.id LIMIT 1)
  FROM waiting WHERE waiting.worker IS NOT NULL
)"""

# ["name", pending, due] for each worker with waiting runs, counted up to the limit.
WAITING_COUNTS = question(
    f"""
WITH RECURSIVE {WAITING_WORKERS}, counted AS (
  SELECT worker,
    (SELECT count(*) FROM (
      SELECT 1 FROM run WHERE run.worker = waiting.worker AND run.queue IS NOT NULL LIMIT $1) AS first) AS pending,
    (SELECT sum((SELECT count(*) FROM (
       SELECT 1 FROM run
       WHERE run.worker = waiting.worker AND run.queue = nth AND run.due_at <= $2 LIMIT $1) AS first))
     FROM generate_series(0, {ALL_QUEUES[-1]}) AS queues(nth)) AS due
  FROM waiting WHERE worker IS NOT NULL
)
SELECT '[' || string_agg('[' || to_json(worker)::text || ',' || pending || ',' || due || ']', ',') || ']' FROM counted
""",  # noqa: S608
    NUMBER,
    NUMBER,
)
RUNNING_COUNTS = question(
    """
SELECT '[' || string_agg('[' || to_json(worker)::text || ',' || found || ',0]', ',') || ']'
FROM (SELECT worker, count(*) AS found FROM run WHERE queue IS NULL GROUP BY worker) AS counted
"""
)
LETTER_COUNTS = question(
    """
SELECT '[' || string_agg('[' || to_json(worker)::text || ',' || found || ',0]', ',') || ']'
FROM (SELECT worker, count(*) AS found FROM dead_letter WHERE state = 'open' GROUP BY worker) AS counted
"""
)

PAGES = Pages(
    events=EVENTS,
    events_of_worker=EVENTS_OF_WORKER,
    lines=LINES,
    worker_names=WORKER_NAMES,
    waiting_counts=WAITING_COUNTS,
    running_counts=RUNNING_COUNTS,
    letter_counts=LETTER_COUNTS,
    audit=AUDIT,
    audit_before=AUDIT_BEFORE,
    seals=SEALS,
    last_seal=LAST_SEAL,
)

META = Statement("SELECT schema, number, next_event, store FROM meta WHERE id = 1", prepare=False)
LAST = Statement(
    """
SELECT CASE WHEN stamp.is_called THEN stamp.last_value ELSE 0 END,
  CASE WHEN run_id.is_called THEN run_id.last_value ELSE run_id.last_value - 1 END
FROM stamp, run_id
"""
)
FACTS = Statement(
    """
SELECT current_setting('server_version'), current_database(), current_user, current_setting('synchronous_commit'),
  current_setting('fsync'), (SELECT sum(pg_total_relation_size(oid)) FROM pg_class
  WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r')::bigint,
  (SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database())
""",
    prepare=False,
)


class Queries(history.Queries[Statement]):
    """The reader's half for people; the half for the cycle builds on it."""

    pages = PAGES
    walk = unreadable.WALK
    _db: Database

    def _pending(self, wanted: HistoryFilter) -> list[Run]:
        return self._page(PENDING, wanted)

    def _running(self, wanted: HistoryFilter) -> list[Run]:
        return self._page(RUNNING, wanted)

    def _page(self, asked: Question[Statement], wanted: HistoryFilter, *more: Any) -> list[Run]:
        values = (wanted.worker, wanted.key, wanted.before, wanted.limit, *more)
        self._db.do(PLAN_FOR_VALUES, ())
        return self._ask(shapes.RUNS, asked, values)

    def _finished(self, wanted: HistoryFilter, codes: list[int]) -> list[Run]:
        filters = (wanted.error_type, codec.micros_or_none(wanted.since))
        if wanted.key is None and wanted.worker is None and codec.STATUSES[Status.SUCCEEDED] not in codes:
            pages = [self._page(FINISHED_WRONG, wanted, *filters, code) for code in codes]
            return list(heapq.merge(*pages, key=lambda run: -run.id))[: wanted.limit]
        statement = FINISHED if wanted.key is None else FINISHED_KEYED
        return self._page(statement, wanted, *filters, codes if len(codes) < len(codec.STATUSES) else None)

    def letters(self, wanted: LetterFilter) -> list[DeadLetter]:
        values = (
            wanted.worker,
            wanted.error_type,
            codec.micros_or_none(wanted.since),
            wanted.state,
            wanted.before,
            list(wanted.ids) if wanted.ids else None,
            wanted.limit,
        )
        self._db.do(PLAN_FOR_VALUES, ())
        return self._ask(shapes.LETTERS, LETTERS, values)

    def last_event(self) -> int:
        (meta,) = self._db.exchange((META, ()))
        return meta.number(0, 2) - 1

    def info(self) -> dict[str, Any]:
        meta, last, facts = self._db.exchange((META, ()), (LAST, ()), (FACTS, ()))
        schema, number, next_event = (meta.number(0, column) for column in range(3))
        version, database, role, synchronous, fsync = (facts.text(0, column) for column in range(5))
        return {
            "engine": f"PostgreSQL {version} by psycopg",
            "database": database,
            "role": role,
            "schema_name": self._db.address.schema,
            "schema": schema,
            "commits": number,
            "next_run": last.number(0, 1) + 1,
            "next_event": next_event,
            "size_bytes": facts.number(0, 5),
            "synchronous_commit": synchronous,
            "fsync": fsync,
            "pooled": "no" if self._db.is_direct else "yes: there is a pooler such as PgBouncer in between",
            "integrity": _integrity(facts.number_or_none(0, 6)),
        }


def _integrity(failures: int | None) -> str:
    """What the server found whenever it read a page; None if it does not check."""
    if failures is None:
        return "not checked: the cluster was created without data checksums"
    return "ok" if failures == 0 else f"{failures} pages failed their checksum; see the server's log"
