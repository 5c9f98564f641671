"""One serialised transaction: which rows a change becomes, and in which order they are written.

Rules of this file
- Ended runs leave first and new ones come last, so that a key or a scheduled time that one commit frees and takes again
  does not collide with itself.
- The caller knows whether a row is to be inserted or updated.  If another number of rows changed than expected, the
  write is refused and never worked around: no run ends twice, none comes back from the history.
- Payloads are written once, with the run; no later write touches them.
- Each database decides which number a commit, a run and an event gets.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Generic, NamedTuple

from shiftboss.core.audit import Seal
from shiftboss.core.events import Event
from shiftboss.core.lane import place_of, queue_of
from shiftboss.core.model import MAX_LINES, DeadLetter, LogLine, Origin, Run, Status
from shiftboss.core.shift import Shift
from shiftboss.core.snapshot import Change
from shiftboss.core.unreadable import SetAside
from shiftboss.errors import ShiftbossError, StoreRejected
from shiftboss.stores.sql import codec
from shiftboss.stores.sql.statements import C, Values, Writings

LIVE = (Status.PENDING, Status.RUNNING)  # looked at for each run: `is_final` costs five times as much


class Moves(NamedTuple):
    """The runs of a change, by what happens to their rows."""

    fresh: list[Run]  # new and live
    changed: list[Run]  # live, and stay live
    ended: list[Run]  # move to the history
    leaving: list[int]  # of the ended ones, the ids that have a live row
    payloads: list[Values]

    @classmethod
    def of(cls, runs: Iterable[Run], new: Collection[int]) -> Moves:
        moves = cls([], [], [], [], [])
        fresh, changed, ended, leaving, payloads = moves
        for run in runs:
            run_id = run.id
            is_new = run_id in new
            if run.status in LIVE:
                (fresh if is_new else changed).append(run)
            else:
                ended.append(run)
                if not is_new:
                    leaving.append(run_id)
            if is_new and run.payload is not None:
                payloads.append((run_id, run.payload))
        return moves


class Writes(Generic[C]):
    """The writing half of a transaction; its session opens and ends it."""

    writings: Writings[C]  # set by each store
    _db: C
    _place: str  # the name of the store in messages

    def __init__(self, number: int) -> None:
        self.number = number
        self.has_written = False
        self.failure: ShiftbossError | None = None  # of a write; after it the transaction can only be rolled back

    def write(self, change: Change, *, new: Collection[int]) -> None:
        self.has_written = True
        try:
            self._write(change, new)
        except ShiftbossError as error:
            self.failure = error
            raise

    def _write(self, change: Change, new: Collection[int]) -> None:
        db, sql, number = self._db, self.writings, self.number
        for row in change.set_aside:
            if row.data:
                self._keep_aside(row)
            else:
                self._set_aside(row)
        if change.runs:
            self._write_runs(Moves.of(change.runs, new if isinstance(new, set | frozenset) else frozenset(new)))
        self._write_workers(change)
        if change.breakers:
            sql.put_breakers.run(db, [(breaker.name, number, codec.text_of(breaker)) for breaker in change.breakers])
        if change.resources:
            sql.put_resources.run(db, change.resources)
        if change.size_declarations:
            rows_of_sizes = [(name, codec.text_of(declarations)) for name, declarations in change.size_declarations]
            sql.put_size_declarations.run(db, rows_of_sizes)
        if change.nodes:
            sql.put_nodes.run(db, [(node.id, codec.text_of(node)) for node in change.nodes])
        if change.gone_nodes:
            sql.delete_nodes.run(db, [(node_id,) for node_id in change.gone_nodes])
        if change.letters:
            sql.put_letters.run(db, [letter_row(letter) for letter in change.letters])
        if change.lines:
            self._write_lines(change.lines)
        if change.clock is not None:
            self._mark_clock(codec.text_of(change.clock))
        if change.shift is not None:
            self._shift(change.shift)
        self._write_events(change.events, keeps_audit=change.audit is None)
        if change.audit:
            sql.insert_audit.run(db, [(row.id, row.at_us, row.data.decode()) for row in change.audit])
            self._number_events_after(change.audit[-1].id)
        if change.seals:
            sql.insert_seals.run(db, [seal_row(seal) for seal in change.seals])

    # ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _write_runs(self, moves: Moves) -> None:
        db, sql, number = self._db, self.writings, self.number
        if moves.ended:
            sql.insert_finished.run(db, [finished_row(run) for run in moves.ended])
        if moves.leaving:
            gone = sql.delete_finished.run(db, [(run_id,) for run_id in moves.leaving])
            self._must_be_all(gone, moves.leaving, "ended")
        if moves.changed:
            count = sql.update_runs.run(db, [changed_row(run, number) for run in moves.changed])
            self._must_be_all(count, [run.id for run in moves.changed], "changed")
        if moves.fresh:
            occurrences = [run for run in moves.fresh if run.origin is Origin.OCCURRENCE]
            if occurrences:
                self._must_not_have_fired([(run.worker, codec.micros(run.occurs_at)) for run in occurrences])
            sql.insert_runs.run(db, [new_row(run, number) for run in moves.fresh])
        if moves.payloads:
            sql.insert_payloads.run(db, moves.payloads)

    def _must_be_all(self, count: int, ids: list[int], what: str) -> None:
        if count != len(ids):
            raise StoreRejected(
                f"{self._place}: of {len(ids)} runs to be {what} only {count} are live (first: run {ids[0]}); "
                "the change that needs it is refused"
            )

    def _must_not_have_fired(self, occurrences: list[tuple[str, int]]) -> None:
        """O1, against ended runs as well.  It is checked here, because at its end a run can no longer be refused."""
        raise NotImplementedError

    # ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _write_workers(self, change: Change) -> None:
        db, sql, number = self._db, self.writings, self.number
        if change.forgotten:
            sql.forget_workers.run(db, [(name, number) for name in change.forgotten])
        if change.workers:
            sql.put_workers.run(db, [(state.name, number, codec.text_of(state)) for state in change.workers])
        touched: dict[str, str | None] = dict.fromkeys(run.worker for run in change.runs)
        touched.update((row.worker, None) for row in change.set_aside if row.worker)
        for name, record in change.records:
            touched[name] = codec.text_of(record)
        if touched:
            sql.touch_workers.run(db, [(name, number, text) for name, text in touched.items()])

    # ── set aside ────────────────────────────────────────────────────────────────────────────────────────────────

    def _set_aside(self, row: SetAside) -> None:
        """Keep the whole row in `set_aside`; a row that leaves is deleted, except for a worker's name."""
        raise NotImplementedError

    def _keep_aside(self, row: SetAside) -> None:
        """Keep a row that another store had set aside: it is complete."""
        raise NotImplementedError

    # ── the clock ────────────────────────────────────────────────────────────────────────────────────────────────

    def _mark_clock(self, text: str) -> None:
        raise NotImplementedError

    def _shift(self, shift: Shift) -> None:
        """O4: all waiting runs but scheduled runs not yet begun (core/shift.py); every worker counts as changed."""
        raise NotImplementedError

    # ── events, lines ────────────────────────────────────────────────────────────────────────────────────────────

    def _write_lines(self, lines: Collection[LogLine]) -> None:
        last: dict[tuple[int, int], int] = {}
        for line in lines:
            last[line.run, line.fence] = max(line.number, last.get((line.run, line.fence), 0))
        self.writings.insert_lines.run(
            self._db, [(line.run, line.fence, line.number, codec.text_of(line)) for line in lines]
        )
        too_old = [(*of, number - MAX_LINES) for of, number in last.items() if number > MAX_LINES]
        if too_old:
            self.writings.trim_lines.run(self._db, too_old)

    def _write_events(self, events: Iterable[Event], *, keeps_audit: bool) -> None:
        stored = [event for event in events if event.STORED]
        if stored:
            self._tell(stored, keeps_audit=keeps_audit)

    def _tell(self, events: Collection[Event], *, keeps_audit: bool) -> None:
        """Store *events* after those of all earlier commits; what people did is in the audit under the same number."""
        raise NotImplementedError

    def _number_events_after(self, number: int) -> None:
        """The next event has a larger number."""
        raise NotImplementedError


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def new_row(run: Run, number: int) -> Values:
    return (
        run.id,
        number,
        run.worker,
        None if run.status is Status.RUNNING else queue_of(run),
        codec.micros(place_of(run)[0]),  # queues are ordered by the column `due_at`
        codec.timed(run),
        codec.micros(run.occurs_at),
        codec.ORIGINS[run.origin],
        run.key,
        codec.micros_or_none(run.give_up_at),
        run.replay_of,
        run.caused_by,
        codec.text_of_run(run),
    )


def changed_row(run: Run, number: int) -> Values:
    return (
        run.id,
        number,
        None if run.status is Status.RUNNING else queue_of(run),
        codec.micros(place_of(run)[0]),  # queues are ordered by the column `due_at`
        codec.timed(run),
        codec.micros(run.occurs_at),
        codec.micros_or_none(run.give_up_at),
        codec.text_of_run(run),
    )


def finished_row(run: Run) -> Values:
    ended_at = run.finished_at if run.finished_at is not None else run.due_at
    return (
        run.id,
        run.worker,
        codec.STATUSES[run.status],
        codec.micros(ended_at),
        run.error.type if run.error is not None else None,
        run.key,
        codec.fired_at(run),
        codec.text_of_run(run),
        run.result,
    )


def seal_row(seal: Seal) -> Values:
    return seal.id, codec.text_of(seal)


def letter_row(letter: DeadLetter) -> Values:
    return (
        letter.run,
        letter.worker,
        letter.state,
        letter.error_type,
        codec.micros(letter.entered_at),
        codec.micros_or_none(letter.closed_at),
        int(letter.has_payload),
        codec.text_of(letter),
    )
