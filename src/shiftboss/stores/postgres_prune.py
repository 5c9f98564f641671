"""A4 in the words of PostgreSQL: what may go, and how it goes (pruning.py has the order and the bounds)."""

from __future__ import annotations

from shiftboss.stores.postgres_wire import NUMBER, NUMBERS, Statement
from shiftboss.stores.statements import Prunings

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
# Events are written in order of time but for clock steps: it is enough to look at the oldest.
PRUNABLE_EVENTS = Statement(
    """
SELECT to_json(array_agg(id))::text FROM (SELECT id, at FROM event ORDER BY id LIMIT $2) AS oldest WHERE at < $1
""",
    NUMBER,
    NUMBER,
)

# Whole seals, so that the last of them says where the rest of the chain begins; without any, whatever is old.
PRUNABLE_AUDIT = Statement(
    """
WITH oldest AS (SELECT id, at FROM audit ORDER BY id LIMIT $2),
  old AS (SELECT id FROM oldest WHERE id < coalesce((SELECT min(id) FROM oldest WHERE at >= $1), 1::bigint << 62))
SELECT to_json(array_agg(id))::text FROM old WHERE id <= CASE WHEN EXISTS (SELECT FROM audit_seal)
  THEN (SELECT max(id) FROM audit_seal WHERE id <= (SELECT max(id) FROM old)) ELSE 1::bigint << 62 END
""",
    NUMBER,
    NUMBER,
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
    audit=PRUNABLE_AUDIT,
    delete_audit=Statement("DELETE FROM audit WHERE id = ANY ($1)", NUMBERS),
    delete_seals=Statement("DELETE FROM audit_seal WHERE id < (SELECT max(id) FROM unnest($1) AS gone(id))", NUMBERS),
)
