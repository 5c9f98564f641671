"""A4 in PostgreSQL's SQL: what may be deleted, and how (core/retention.py has the order and the limits)."""

from __future__ import annotations

from shiftboss.stores.postgres.wire import NUMBER, NUMBERS, Statement
from shiftboss.stores.sql.statements import Prunings

NOTHING_REFERS_TO = """
  NOT EXISTS (SELECT 1 FROM run WHERE run.replay_of = {id})
  AND NOT EXISTS (SELECT 1 FROM run WHERE run.caused_by = {id})
  AND NOT EXISTS (SELECT 1 FROM dead_letter AS letter WHERE letter.replay_of = {id} AND letter.state = 'open')
  AND NOT EXISTS (SELECT 1 FROM dead_letter AS letter WHERE letter.caused_by = {id} AND letter.state = 'open')
"""

PRUNABLE_LETTERS = Statement(
    f"""
SELECT to_json(array_agg(run))::text FROM (
  SELECT closed.run FROM dead_letter AS closed
  WHERE closed.state <> 'open' AND closed.closed_at < $1 AND {NOTHING_REFERS_TO.format(id="closed.run")}
  ORDER BY closed.closed_at, closed.run LIMIT $2) AS prunable
""",  # noqa: S608
    NUMBER,
    NUMBER,
)
PRUNABLE_RUNS = Statement(
    f"""
SELECT to_json(array_agg(id))::text FROM (
  SELECT history.id FROM history
  WHERE history.finished_at < $1
    AND NOT EXISTS (SELECT 1 FROM dead_letter AS about WHERE about.run = history.id)
    AND {NOTHING_REFERS_TO.format(id="history.id")}
  ORDER BY history.finished_at, history.id LIMIT $2) AS prunable
""",  # noqa: S608
    NUMBER,
    NUMBER,
)
# Events are in order of time, except after a step of the clock: it is enough to look at the oldest.
PRUNABLE_EVENTS = Statement(
    """
SELECT to_json(array_agg(id))::text FROM (SELECT id, at FROM event ORDER BY id LIMIT $2) AS oldest WHERE at < $1
""",
    NUMBER,
    NUMBER,
)

OLDEST_AUDIT = Statement(
    """
SELECT json_agg(json_build_array(id, at) ORDER BY id)::text
FROM (SELECT id, at FROM audit ORDER BY id LIMIT $1) AS oldest
""",
    NUMBER,
)
OLDEST_SEALS = Statement(
    "SELECT json_agg(id ORDER BY id)::text FROM (SELECT id FROM audit_seal ORDER BY id LIMIT $1) AS oldest", NUMBER
)

PRUNINGS = Prunings(
    letters=PRUNABLE_LETTERS,
    runs=PRUNABLE_RUNS,
    events=PRUNABLE_EVENTS,
    delete_letters=Statement("DELETE FROM dead_letter WHERE run = ANY ($1)", NUMBERS),
    delete_runs=Statement("DELETE FROM history WHERE id = ANY ($1)", NUMBERS),
    delete_payloads=Statement("DELETE FROM payload WHERE run = ANY ($1)", NUMBERS),
    delete_lines=Statement("DELETE FROM log WHERE run = ANY ($1)", NUMBERS),
    delete_events=Statement("DELETE FROM event WHERE id = ANY ($1)", NUMBERS),
    audit=OLDEST_AUDIT,
    seals=OLDEST_SEALS,
    delete_audit=Statement("DELETE FROM audit WHERE id = ANY ($1)", NUMBERS),
    delete_seals=Statement("DELETE FROM audit_seal WHERE id < (SELECT max(id) FROM unnest($1) AS gone(id))", NUMBERS),
)
