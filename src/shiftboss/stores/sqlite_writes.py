"""One serialised transaction: the change of a whole cycle in a handful of statements.

Rules of this file
- What ends leaves first and what is new comes last, so that a key or an instant that one commit frees and takes again
  never stands in its own way.
- A row is inserted or updated because somebody knew which; a number of changed rows that does not fit is refused,
  never papered over: no run ends twice, none rises from the history.
- Payloads are written once, with the run; nothing later touches them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import count
from typing import TYPE_CHECKING

from shiftboss.core.control import Request
from shiftboss.core.events import Event
from shiftboss.core.lane import queue_of
from shiftboss.core.model import MAX_LINES, DeadLetter, LogLine, Origin, Run, Status
from shiftboss.core.snapshot import Change
from shiftboss.errors import ShiftbossError, StoreRejected
from shiftboss.ports import Past
from shiftboss.stores import rows
from shiftboss.stores.sqlite_batch import Batch
from shiftboss.stores.sqlite_reads import Reads

if TYPE_CHECKING:
    from shiftboss.clock import Clock
    from shiftboss.stores.sqlite_file import Database, Scalar
    from shiftboss.stores.sqlite_session import Seen

INSERT_RUNS = Batch(
    """INSERT INTO run (id, worker, queue, due_at, occurs_at, origin, key, give_up_at, replay_of, caused_by, data)
SELECT * FROM $rows WHERE column1 IS NOT NULL""",
    columns=11,
)
UPDATE_RUNS = Batch(
    """UPDATE run SET queue = column2, due_at = column3, occurs_at = column4, give_up_at = column5, data = column6
FROM $rows WHERE id = column1 AND column1 IS NOT NULL""",
    columns=6,
)
INSERT_FINISHED = Batch(
    """INSERT INTO history (id, worker, status, finished_at, error_type, key, fired_at, data, result)
SELECT * FROM $rows WHERE column1 IS NOT NULL""",
    columns=9,
)
DELETE_FINISHED = "DELETE FROM run WHERE id IN (SELECT value FROM json_each(?))"
INSERT_PAYLOADS = Batch(
    "INSERT INTO payload (run, bytes) SELECT * FROM $rows WHERE column1 IS NOT NULL",
    columns=2,
)
FIRED_BEFORE = """
SELECT '[' || group_concat(json_quote(pairs.value ->> 0)) || ']' FROM json_each(?) AS pairs
WHERE EXISTS (SELECT 1 FROM history INDEXED BY history_fired
              WHERE worker = pairs.value ->> 0 AND fired_at = pairs.value ->> 1)
"""

PUT_WORKERS = Batch(
    """INSERT INTO worker (name, number, state) SELECT * FROM $rows WHERE column1 IS NOT NULL
ON CONFLICT (name) DO UPDATE SET number = excluded.number, state = excluded.state""",
    columns=3,
)
FORGET_WORKERS = """
UPDATE worker SET number = ?, state = NULL, record = NULL
WHERE state IS NOT NULL AND name IN (SELECT value FROM json_each(?))
"""
TOUCH_WORKERS = Batch(
    """UPDATE worker SET number = column2, record = coalesce(column3, record)
FROM $rows WHERE name = column1 AND column1 IS NOT NULL AND state IS NOT NULL""",
    columns=3,
)
PUT_BREAKERS = Batch(
    """INSERT INTO breaker (name, number, data) SELECT * FROM $rows WHERE column1 IS NOT NULL
ON CONFLICT (name) DO UPDATE SET number = excluded.number, data = excluded.data""",
    columns=3,
)
PUT_RESOURCES = Batch(
    """INSERT INTO resource (name, size) SELECT * FROM $rows WHERE column1 IS NOT NULL
ON CONFLICT (name) DO UPDATE SET size = excluded.size""",
    columns=2,
)
PUT_NODES = Batch(
    """INSERT INTO node (id, data) SELECT * FROM $rows WHERE column1 IS NOT NULL
ON CONFLICT (id) DO UPDATE SET data = excluded.data""",
    columns=2,
)
DELETE_NODES = "DELETE FROM node WHERE id IN (SELECT value FROM json_each(?))"

# What the dead run refers to is kept beside its letter: retention asks for it (A4).
PUT_LETTERS = Batch(
    """INSERT INTO dead_letter
  (run, worker, state, error_type, entered_at, closed_at, has_payload, replay_of, caused_by, data)
SELECT column1, column2, column3, column4, column5, column6, column7,
  (SELECT data ->> 'replay_of' FROM history WHERE id = column1),
  (SELECT data ->> 'caused_by' FROM history WHERE id = column1), column8
FROM $rows WHERE column1 IS NOT NULL
ON CONFLICT (run) DO UPDATE SET state = excluded.state, closed_at = excluded.closed_at, data = excluded.data""",
    columns=8,
)
INSERT_EVENTS = Batch(
    "INSERT INTO event (id, at, worker, data) SELECT * FROM $rows WHERE column1 IS NOT NULL",
    columns=4,
)
INSERT_LINES = Batch(
    """INSERT INTO log (run, fence, number, data) SELECT * FROM $rows WHERE column1 IS NOT NULL
ON CONFLICT DO NOTHING""",
    columns=4,
)
# Of each attempt the last MAX_LINES stay.
TRIM_LINES = "DELETE FROM log WHERE run = ? AND fence = ? AND number <= ?"
WRITE_META = "UPDATE meta SET number = ?, next_run = ?, next_event = ? WHERE id = 1"


class SqliteTransaction(Reads):
    """Opened and ended by its session."""

    def __init__(self, db: Database, clock: Clock, seen: Seen, *, meta: tuple[int, int, int]) -> None:
        last, self._next_run, self._next_event = meta
        super().__init__(db, clock, seen, number=last)
        self.number = last + 1
        self.has_written = False
        self.failure: ShiftbossError | None = None  # of a write: the transaction can only be rolled back

    def arrivals(self, *, limit: int) -> list[Request]:
        return []

    def continue_after(self, past: Past) -> None:
        self.number = max(self.number, past.number + 1)
        self._next_run = max(self._next_run, past.run_id + 1)

    def ids(self) -> Iterator[int]:
        for run_id in count(self._next_run):
            if run_id < self._next_run:
                continue  # another iterator of this transaction has handed it out meanwhile
            self._next_run = run_id + 1
            yield run_id

    def write(self, change: Change, *, new: Collection[int]) -> None:
        self.has_written = True
        try:
            self._write(change, new)
        except ShiftbossError as error:
            self.failure = error
            raise

    def finish(self) -> None:
        """The last statement before the commit."""
        self._db.run(WRITE_META, (self.number, self._next_run, self._next_event))

    def _write(self, change: Change, new: Collection[int]) -> None:
        if change.runs:
            self._write_runs(change.runs, new if isinstance(new, set | frozenset) else frozenset(new))
        self._write_workers(change)
        if change.breakers:
            values: list[Scalar] = []
            for breaker in change.breakers:
                values += (breaker.name, self.number, rows.text_of(breaker))
            PUT_BREAKERS.run(self._db, values)
        if change.resources:
            PUT_RESOURCES.run(self._db, [scalar for pair in change.resources for scalar in pair])
        if change.nodes:
            PUT_NODES.run(self._db, [scalar for node in change.nodes for scalar in (node.id, rows.text_of(node))])
        if change.gone_nodes:
            self._db.run(DELETE_NODES, (rows.json_of(change.gone_nodes),))
        if change.letters:
            self._write_letters(change.letters)
        if change.lines:
            self._write_lines(change.lines)
        self._write_events(change.events)

    # ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _write_runs(self, runs: Iterable[Run], new: Collection[int]) -> None:
        fresh: list[Run] = []
        changed: list[Run] = []
        ended: list[Run] = []
        leaving: list[int] = []
        with_payload: list[Scalar] = []
        for run in runs:
            is_new = run.id in new
            if run.status.is_final:
                ended.append(run)
                if not is_new:
                    leaving.append(run.id)
            else:
                (fresh if is_new else changed).append(run)
            if is_new and run.payload is not None:
                with_payload += (run.id, run.payload)
        if ended:
            INSERT_FINISHED.run(self._db, _finished_rows(ended))
        if leaving:
            gone = self._db.change(DELETE_FINISHED, (rows.json_of(leaving),))
            self._must_be_all(gone, leaving, "ended")
        if changed:
            found = UPDATE_RUNS.run(self._db, _changed_rows(changed))
            self._must_be_all(found, [run.id for run in changed], "changed")
        if fresh:
            self._must_not_have_fired([run for run in fresh if run.origin is Origin.OCCURRENCE])
            INSERT_RUNS.run(self._db, _new_rows(fresh))
        if with_payload:
            INSERT_PAYLOADS.run(self._db, with_payload)

    def _must_be_all(self, found: int, ids: list[int], what: str) -> None:
        if found != len(ids):
            raise StoreRejected(
                f"{self._db.path}: of {len(ids)} runs to be {what} only {found} are live (first: run {ids[0]}); "
                "the fact that asked for it is refused"
            )

    def _must_not_have_fired(self, occurrences: list[Run]) -> None:
        """O1, also against what has ended.  Asked here: at its end it would be too late to refuse an occurrence."""
        if not occurrences:
            return
        pairs = [(run.worker, rows.micros(run.occurs_at)) for run in occurrences]
        fired = rows.names_of(self._db.text(FIRED_BEFORE, (rows.json_of(pairs),)))
        if fired:
            raise StoreRejected(f"{self._db.path}: an occurrence of {fired[0]!r} at that instant has run before (O1)")

    # ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _write_workers(self, change: Change) -> None:
        if change.forgotten:
            self._db.run(FORGET_WORKERS, (self.number, rows.json_of(change.forgotten)))
        if change.workers:
            states: list[Scalar] = []
            for state in change.workers:
                states += (state.name, self.number, rows.text_of(state))
            PUT_WORKERS.run(self._db, states)
        touched: dict[str, str | None] = dict.fromkeys(run.worker for run in change.runs)
        for name, record in change.records:
            touched[name] = rows.text_of(record)
        if touched:
            values: list[Scalar] = []
            for name, text in touched.items():
                values += (name, self.number, text)
            TOUCH_WORKERS.run(self._db, values)

    # ── letters, events ──────────────────────────────────────────────────────────────────────────────────────────

    def _write_letters(self, letters: Iterable[DeadLetter]) -> None:
        values: list[Scalar] = []
        for letter in letters:
            values += (
                letter.run,
                letter.worker,
                letter.state,
                letter.error_type,
                rows.micros(letter.entered_at),
                rows.micros_or_none(letter.closed_at),
                int(letter.has_payload),
                rows.text_of(letter),
            )
        PUT_LETTERS.run(self._db, values)

    def _write_lines(self, lines: Iterable[LogLine]) -> None:
        values: list[Scalar] = []
        last: dict[tuple[int, int], int] = {}
        for line in lines:
            values += (line.run, line.fence, line.number, rows.text_of(line))
            last[line.run, line.fence] = max(line.number, last.get((line.run, line.fence), 0))
        INSERT_LINES.run(self._db, values)
        too_old = [(*of, number - MAX_LINES) for of, number in last.items() if number > MAX_LINES]
        for run, fence, number in too_old:
            self._db.run(TRIM_LINES, (run, fence, number))

    def _write_events(self, events: Iterable[Event]) -> None:
        values: list[Scalar] = []
        for event in events:
            if event.STORED:
                values += (self._next_event, rows.micros(event.at), event.worker, rows.text_of(event))
                self._next_event += 1
        if values:
            INSERT_EVENTS.run(self._db, values)


def _new_rows(runs: Iterable[Run]) -> list[Scalar]:
    values: list[Scalar] = []
    for run in runs:
        values += (
            run.id,
            run.worker,
            None if run.status is Status.RUNNING else queue_of(run),
            rows.micros(run.due_at),
            rows.micros(run.occurs_at),
            rows.ORIGINS[run.origin],
            run.key,
            rows.micros_or_none(run.give_up_at),
            run.replay_of,
            run.caused_by,
            rows.text_of_run(run),
        )
    return values


def _changed_rows(runs: Iterable[Run]) -> list[Scalar]:
    values: list[Scalar] = []
    for run in runs:
        values += (
            run.id,
            None if run.status is Status.RUNNING else queue_of(run),
            rows.micros(run.due_at),
            rows.micros(run.occurs_at),
            rows.micros_or_none(run.give_up_at),
            rows.text_of_run(run),
        )
    return values


def _finished_rows(runs: Iterable[Run]) -> list[Scalar]:
    values: list[Scalar] = []
    for run in runs:
        ended_at = run.finished_at if run.finished_at is not None else run.due_at
        values += (
            run.id,
            run.worker,
            rows.STATUSES[run.status],
            rows.micros(ended_at),
            run.error.type if run.error is not None else None,
            run.key,
            rows.fired_at(run),
            rows.text_of_run(run),
            run.result,
        )
    return values
