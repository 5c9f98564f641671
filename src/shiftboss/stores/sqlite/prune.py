"""A4 in SQLite's SQL: what may be deleted, and how (core/retention.py has the order and the limits)."""

from __future__ import annotations

from shiftboss.stores.sql.statements import Prunings

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

# Events are in order of time, except after a step of the clock: it is enough to look at the oldest.
PRUNABLE_EVENTS = """
SELECT json_group_array(id) FROM (SELECT id, at FROM event ORDER BY id LIMIT ?2) WHERE at < ?1
"""

OLDEST_AUDIT = """
SELECT json_group_array(json_array(id, at)) FROM (SELECT id, at FROM audit ORDER BY id LIMIT ?)
"""
OLDEST_SEALS = "SELECT json_group_array(id) FROM (SELECT id FROM audit_seal ORDER BY id LIMIT ?)"

PRUNINGS = Prunings(
    letters=PRUNABLE_LETTERS,
    runs=PRUNABLE_RUNS,
    events=PRUNABLE_EVENTS,
    delete_letters="DELETE FROM dead_letter WHERE run IN (SELECT value FROM json_each(?))",
    delete_runs="DELETE FROM history WHERE id IN (SELECT value FROM json_each(?))",
    delete_payloads="DELETE FROM payload WHERE run IN (SELECT value FROM json_each(?))",
    delete_lines="DELETE FROM log WHERE run IN (SELECT value FROM json_each(?))",
    delete_events="DELETE FROM event WHERE id IN (SELECT value FROM json_each(?))",
    audit=OLDEST_AUDIT,
    seals=OLDEST_SEALS,
    delete_audit="DELETE FROM audit WHERE id IN (SELECT value FROM json_each(?))",
    delete_seals="DELETE FROM audit_seal WHERE id < (SELECT max(value) FROM json_each(?))",
)
