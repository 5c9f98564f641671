"""What every SQL store is asked for: the same intentions, with each database's own statements.

Rules of this file
- A question gathers its rows into one JSON text; a batch takes many rows at once.  So the number of steps, or of round
  trips, does not grow with the number of rows.
- The connection knows how names, numbers and pairs become parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from shiftboss.core.retention import Prunable
from shiftboss.stores.sql import inserts
from shiftboss.stores.sql.codec import Text
from shiftboss.stores.sql.inserts import Insert

S = TypeVar("S")  # a statement, as the database's driver takes it
C = TypeVar("C")  # a connection
S_contra = TypeVar("S_contra", contravariant=True)
C_contra = TypeVar("C_contra", contravariant=True)

Values = tuple[Any, ...]


class Connection(Protocol[S_contra]):
    """What readers and writers ask of either database."""

    def query(self, *questions: tuple[S_contra, Values]) -> Sequence[Text]:
        """The one text of each question, in order; a server is asked all of them in one round trip."""
        ...

    def do(self, statement: S_contra, values: Values) -> None:
        """Carry it out before the next question; an error is raised here or then."""
        ...

    def names(self, values: Collection[str]) -> Any:
        """Texts as one parameter."""
        ...

    def numbers(self, values: Collection[int]) -> Any:
        """Whole numbers as one parameter."""
        ...

    def pairs(self, values: Collection[tuple[str, str]]) -> Values:
        """Pairs of texts as parameters."""
        ...


@dataclass(frozen=True)
class Question(Generic[S]):
    """A question with one text as its answer, and its careful form (shapes.py)."""

    plain: S
    careful: S


class BatchStatement(Protocol[C_contra]):
    """A statement that takes many rows at once."""

    def run(self, db: C_contra, rows: Sequence[Values]) -> int:
        """How many rows were changed; a database may itself refuse if not all were."""
        ...


@dataclass(frozen=True)
class Readings(Generic[S]):
    """The questions of the cycle (ports.Reader)."""

    changed_workers: Question[S]  # (number) → [[name, state, record], …]
    all_workers: Question[S]  # (after, limit) → the same, by name
    changed_breakers: Question[S]  # (number); all of them since -1
    resources: Question[S]  # → {name: [size, declarations as text]}
    nodes: Question[S]
    claims: Question[S]  # (number) → [[id of every claim, …], [run changed since, …]]; likewise
    waiting: Question[S]  # → [[worker, due_at], …]
    # (names, limit) → [[name, [[run, …]]], …] if that is all; else [[name, [[queue 0], …, [standing], [least]]], …]
    lanes: Question[S]
    changed_lanes: Question[S]  # (number, limit) → the same, of workers changed since
    live_runs: Question[S]  # (ids)
    finished_runs: Question[S]  # (ids)
    keyed: Question[S]  # (pairs)
    fired: S  # (names, after) → [[worker, scheduled time], …]
    clock: S  # → a ClockMark
    expiring: Question[S]  # (now, limit)
    next_give_up: S  # (after) → microseconds
    open_letters: Question[S]  # (worker, has payload at most, limit)


@dataclass(frozen=True)
class Pages(Generic[S]):
    """Those of people's questions that have one form only."""

    events: Question[S]  # (after, limit) → [[number, event], …]
    events_of_worker: Question[S]  # (worker, after, limit)
    lines: Question[S]  # (run, fence, number, limit)
    worker_names: Question[S]
    waiting_counts: Question[S]  # (most, now) → [[worker, pending, due], …]
    running_counts: Question[S]  # → [[worker, running, 0], …]
    letter_counts: Question[S]  # → [[worker, letters, 0], …]
    # (after, limit) → [[id, at, data in hexadecimal], …], in order …
    audit: S
    audit_before: S  # … (before, limit) and the newest first
    seals: S  # (after, limit) → [[id, data in hexadecimal], …]
    last_seal: S  # the same, at most one


@dataclass(frozen=True)
class Writings(Generic[C]):
    """The statements that write a change.  Each takes rows with the columns in the order of `writes.py`."""

    insert_runs: BatchStatement[C]
    update_runs: BatchStatement[C]  # all of them must be live
    insert_finished: BatchStatement[C]
    delete_finished: BatchStatement[C]  # all of them must be live
    insert_payloads: BatchStatement[C]
    put_workers: BatchStatement[C]
    forget_workers: BatchStatement[C]
    touch_workers: BatchStatement[C]
    put_breakers: BatchStatement[C]
    put_resources: BatchStatement[C]
    put_size_declarations: BatchStatement[C]
    put_nodes: BatchStatement[C]
    delete_nodes: BatchStatement[C]
    put_letters: BatchStatement[C]
    insert_lines: BatchStatement[C]
    trim_lines: BatchStatement[C]
    insert_audit: BatchStatement[C]
    insert_seals: BatchStatement[C]  # a seal that exists already stays

    @classmethod
    def of(
        cls,
        inserted: Callable[[Insert], BatchStatement[C]],
        *,
        update_runs: BatchStatement[C],
        delete_finished: BatchStatement[C],
        forget_workers: BatchStatement[C],
        touch_workers: BatchStatement[C],
        put_size_declarations: BatchStatement[C],
        delete_nodes: BatchStatement[C],
        put_letters: BatchStatement[C],
        trim_lines: BatchStatement[C],
    ) -> Writings[C]:
        """The database's own statements, and the inserts, which *inserted* makes for it."""
        return cls(
            insert_runs=inserted(inserts.RUNS),
            update_runs=update_runs,
            insert_finished=inserted(inserts.FINISHED),
            delete_finished=delete_finished,
            insert_payloads=inserted(inserts.PAYLOADS),
            put_workers=inserted(inserts.WORKERS),
            forget_workers=forget_workers,
            touch_workers=touch_workers,
            put_breakers=inserted(inserts.BREAKERS),
            put_resources=inserted(inserts.RESOURCES),
            put_size_declarations=put_size_declarations,
            put_nodes=inserted(inserts.NODES),
            delete_nodes=delete_nodes,
            put_letters=put_letters,
            insert_lines=inserted(inserts.LINES),
            trim_lines=trim_lines,
            insert_audit=inserted(inserts.AUDIT),
            insert_seals=inserted(inserts.SEALS),
        )


@dataclass(frozen=True)
class Prunings(Generic[S]):
    """A4: which rows may be deleted ((before, limit) → ids), and how they are deleted ((ids)).

    Of the audit: the oldest rows ((limit) → ids with times) and the oldest seals ((limit) → ids).
    """

    letters: S
    runs: S
    events: S
    delete_letters: S
    delete_runs: S
    delete_payloads: S
    delete_lines: S
    delete_events: S
    audit: S
    seals: S
    delete_audit: S
    delete_seals: S

    def deletions(self, kind: Prunable) -> tuple[S, ...]:
        match kind:
            case Prunable.LETTERS:
                return (self.delete_letters,)
            case Prunable.RUNS:
                return (self.delete_runs, self.delete_payloads, self.delete_lines)
            case Prunable.EVENTS:
                return (self.delete_events,)
            case Prunable.AUDIT:
                return (self.delete_audit, self.delete_seals)
