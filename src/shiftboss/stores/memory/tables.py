"""The tables of the memory store: plain dicts and sorted lists, with a log to undo changes.

Rules of this file
- Every change goes through `put`, `drop`, `insort` or `remove`, which note how to undo it: a rollback costs what the
  transaction changed, never a copy of everything.
- The constraints are those of SQL: one live run for each key and each scheduled time, and no run ends twice.
- A run is kept without its bytes, as in SQLite, so that a test fails for code that forgets to load them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, MutableMapping
from datetime import datetime
from typing import Any, TypeVar

from shiftboss.core.audit import AuditRow, Seal
from shiftboss.core.declarations import Declarations
from shiftboss.core.events import Event
from shiftboss.core.lane import QUEUES, Lane, place_of, queue_of
from shiftboss.core.model import (
    MAX_LINES,
    BreakerState,
    ClockMark,
    DeadLetter,
    LogLine,
    Node,
    Origin,
    Record,
    Run,
    Status,
    WorkerState,
)
from shiftboss.core.retention import Prunable, sealed_among
from shiftboss.core.shift import Shift, shifted
from shiftboss.core.unreadable import SetAside, Unreadable
from shiftboss.core.value import replace
from shiftboss.errors import StoreRejected
from shiftboss.stores.sql.codec import micros

K = TypeVar("K")
V = TypeVar("V")

Moment = tuple[datetime, int]  # of a run: a time and its id
Place = TypeVar("Place", int, Moment)  # what is kept in order

ABSENT: Any = object()


class Waiting:
    """The waiting runs of one worker, in each order that is asked for."""

    __slots__ = ("least", "queues", "standing")

    def __init__(self) -> None:
        self.queues: tuple[list[Moment], ...] = tuple([] for _ in range(QUEUES))
        self.least: list[Moment] = []  # by logical time
        self.standing: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self.least)


class Tables:
    """Used under the store's lock only."""

    def __init__(self) -> None:
        self.number = 0
        self.epoch = 0  # the commit that began the present epoch
        self.alone = 0  # the last commit of a transaction that held the whole store
        self.next_run = 1
        self.next_event = 1
        self.live: dict[int, Run] = {}
        self.running: dict[int, int] = {}  # claim → number of the commit that last changed it
        self.waiting: dict[str, Waiting] = {}
        self.give_ups: list[Moment] = []
        self.live_keys: dict[tuple[str, str], int] = {}
        self.live_instants: dict[tuple[str, datetime], int] = {}
        self.history: dict[int, Run] = {}
        self.history_ids: list[int] = []
        self.succeeded_keys: dict[tuple[str, str], list[int]] = {}
        self.fired: dict[tuple[str, datetime], int] = {}
        self.payloads: dict[int, bytes] = {}
        self.results: dict[int, bytes] = {}
        self.letters: dict[int, DeadLetter] = {}
        self.lines: dict[int, tuple[LogLine, ...]] = {}  # run → what its attempts logged
        self.open_letters: dict[str, dict[int, None]] = {}
        self.workers: dict[str, WorkerState] = {}
        self.records: dict[str, Record] = {}
        self.worker_numbers: dict[str, int] = {}  # the latest last; names of forgotten workers too
        self.breakers: dict[str, BreakerState] = {}
        self.breaker_numbers: dict[str, int] = {}
        self.resources: dict[str, int] = {}
        self.size_declarations: dict[str, Declarations] = {}
        self.nodes: dict[str, Node] = {}
        self.clock: dict[str, ClockMark] = {}  # under "mark"
        self.events: list[tuple[int, Event]] = []
        self.audit: list[AuditRow] = []
        self.seals: dict[int, Seal] = {}  # by the number of the row
        self.aside: list[SetAside] = []
        self._undo: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    # ── changing, and undoing changes ────────────────────────────────────────────────────────────────────────────────

    def put(self, table: MutableMapping[K, V], key: K, value: V) -> None:
        self._undo.append((_restore, (table, key, table.get(key, ABSENT))))
        table[key] = value

    def drop(self, table: MutableMapping[K, V], key: K) -> None:
        """Remove a key; an unknown one is ignored."""
        value = table.pop(key, ABSENT)
        if value is not ABSENT:
            self._undo.append((_restore, (table, key, value)))

    def insort(self, numbers: list[Place], value: Place) -> None:
        insort(numbers, value)
        self._undo.append((_take_out, (numbers, value)))

    def remove(self, numbers: list[Place], value: Place) -> None:
        _take_out(numbers, value)
        self._undo.append((insort, (numbers, value)))

    def append(self, values: list[V], value: V) -> None:
        values.append(value)
        self._undo.append((values.pop, ()))

    def keep(self) -> None:
        """Make the changes permanent."""
        self._undo.clear()

    def take_back(self) -> None:
        """Undo everything since the last `keep`."""
        while self._undo:
            function, arguments = self._undo.pop()
            function(*arguments)

    # ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def write_runs(self, runs: Iterable[Run], new: frozenset[int] | set[int], *, number: int) -> None:
        """Runs that end leave first and new ones come last, as in SQL."""
        fresh: list[Run] = []
        changed: list[Run] = []
        for run in runs:
            is_new = run.id in new
            if is_new and run.payload is not None:
                self.put(self.payloads, run.id, run.payload)
            if not run.status.is_final:
                (fresh if is_new else changed).append(run)
                continue
            if not is_new:
                self._leave(run.id)
            self._end(run)
        for run in changed:
            self._leave(run.id)
        for run in changed:
            self._enter(run, number)
        for run in fresh:
            if run.id in self.live or run.id in self.history:
                raise StoreRejected(f"run {run.id} is already stored and cannot be new")
            if run.origin is Origin.OCCURRENCE and (run.worker, run.occurs_at) in self.fired:
                raise StoreRejected(f"the scheduled run of {run.worker!r} at {run.occurs_at} has already run (O1)")
            self._enter(run, number)

    def _enter(self, run: Run, number: int) -> None:
        if run.key is not None:
            self._take_wall(self.live_keys, (run.worker, run.key), run)
        if run.origin is Origin.OCCURRENCE:
            self._take_wall(self.live_instants, (run.worker, run.occurs_at), run)
        self.put(self.live, run.id, _without_bytes(run))
        if run.status is Status.RUNNING:
            self.put(self.running, run.id, number)
            return
        waiting = self.waiting.get(run.worker)
        if waiting is None:
            waiting = self.waiting[run.worker] = Waiting()
        self.insort(waiting.queues[queue_of(run)], place_of(run))
        self.insort(waiting.least, (run.occurs_at, run.id))
        if run.is_standing:
            self.put(waiting.standing, run.id, None)
        if run.give_up_at is not None:
            self.insort(self.give_ups, (run.give_up_at, run.id))

    def shift_waiting(self, shift: Shift, *, number: int) -> None:
        """O4: all waiting runs but scheduled runs that have not begun."""
        waiting = [run for run in self.live.values() if run.status is Status.PENDING and run.unreadable is None]
        for run in waiting:
            if run.origin is not Origin.OCCURRENCE or run.has_started:
                self._leave(run.id)
                self._enter(shifted(run, shift), number)

    def _take_wall(self, wall: dict[tuple[str, V], int], place: tuple[str, V], run: Run) -> None:
        if place in wall:
            raise StoreRejected(f"run {run.id} of {run.worker!r}: {place[1]} is taken by live run {wall[place]}")
        self.put(wall, place, run.id)

    def _leave(self, run_id: int) -> None:
        run = self.live.get(run_id)
        if run is None:
            raise StoreRejected(f"run {run_id} is not live; the change is refused")
        self.drop(self.live, run_id)
        if run.key is not None:
            self.drop(self.live_keys, (run.worker, run.key))
        if run.origin is Origin.OCCURRENCE:
            self.drop(self.live_instants, (run.worker, run.occurs_at))
        if run.status is Status.RUNNING:
            self.drop(self.running, run_id)
            return
        waiting = self.waiting[run.worker]
        self.remove(waiting.queues[queue_of(run)], place_of(run))
        self.remove(waiting.least, (run.occurs_at, run_id))
        self.drop(waiting.standing, run_id)
        if run.give_up_at is not None:
            self.remove(self.give_ups, (run.give_up_at, run_id))

    def _end(self, run: Run) -> None:
        if run.id in self.history:
            raise StoreRejected(f"run {run.id} has ended before; the change is refused")
        self.put(self.history, run.id, _without_bytes(run))
        self.insort(self.history_ids, run.id)
        if run.result is not None:
            self.put(self.results, run.id, run.result)
        if run.key is not None and run.status is Status.SUCCEEDED:
            self.insort(self.succeeded_keys.setdefault((run.worker, run.key), []), run.id)
        if run.origin is Origin.OCCURRENCE and run.first_started_at is not None:
            self.put(self.fired, (run.worker, run.occurs_at), run.id)

    def lane(self, name: str, limit: int) -> Lane:
        waiting = self.waiting.get(name)
        if waiting is None or not waiting.least:
            return Lane()
        live = self.live
        queues = [[live[run_id] for _, run_id in queue[:limit]] for queue in waiting.queues]
        standing = [live[run_id] for run_id in waiting.standing]
        least = live[waiting.least[0][1]]
        lane = Lane.read(
            ((number, _readable(queue), len(queue) < limit) for number, queue in enumerate(queues)),
            standing=_readable(standing),
            least=least if least.unreadable is None else None,
        )
        lane.seal(run for runs in (*queues, standing, [least]) for run in runs if run.unreadable is not None)
        return lane

    def with_bytes(self, run: Run) -> Run:
        payload, result = self.payloads.get(run.id), self.results.get(run.id)
        return run if payload is None and result is None else replace(run, payload=payload, result=result)

    # ── unreadable rows: here only those that a test has marked ──────────────────────────────────────────────────────

    def unreadable(self) -> list[Unreadable]:
        values: tuple[Any, ...] = (
            *self.live.values(),
            *self.history.values(),
            *self.letters.values(),
            *self.workers.values(),
            *self.records.values(),
            *self.breakers.values(),
            *self.nodes.values(),
        )
        return [value.unreadable for value in values if value.unreadable is not None]

    def set_aside(self, row: SetAside) -> None:
        if row.data:
            self.append(self.aside, row)  # another store had set it aside
            return
        named: dict[str, MutableMapping[Any, Any]] = {
            "worker": self.workers,
            "record": self.records,
            "breaker": self.breakers,
            "node": self.nodes,
            "run": self.live,
            "history": self.history,
            "dead_letter": self.letters,
        }
        table = named[row.table]
        key: Any = int(row.id) if row.table in ("run", "history", "dead_letter") else row.id
        self.append(self.aside, replace(row, data=repr(table.get(key))))
        if not row.leaves:
            return
        if row.table == "run":
            self._leave(key)
        elif row.table == "history":
            self._forget_run(table[key])
        else:
            self.drop(table, key)
            if row.table == "worker":
                self.drop(self.records, key)
            elif row.table == "dead_letter":
                self.drop(self.open_letters.get(row.worker, {}), key)

    def put_line(self, line: LogLine) -> None:
        """In order; of each attempt the last MAX_LINES are kept."""
        kept = [
            each
            for each in self.lines.get(line.run, ())
            if each.fence != line.fence or line.number - MAX_LINES < each.number != line.number
        ]
        kept.append(line)
        self.put(self.lines, line.run, tuple(sorted(kept, key=lambda each: (each.fence, each.number))))

    # ── dead letters, retention ──────────────────────────────────────────────────────────────────────────────────────

    def put_letter(self, letter: DeadLetter) -> None:
        self.put(self.letters, letter.run, letter)
        open_ones = self.open_letters.setdefault(letter.worker, {})
        if letter.state == "open":
            self.put(open_ones, letter.run, None)
        else:
            self.drop(open_ones, letter.run)

    def prune(self, kind: Prunable, before: datetime, *, limit: int) -> int:
        match kind:
            case Prunable.LETTERS:
                return self._prune_letters(before, limit)
            case Prunable.RUNS:
                return self._prune_runs(before, limit)
            case Prunable.EVENTS:
                return self._prune_events(before, limit)
            case Prunable.AUDIT:
                return self._prune_audit(before, limit)

    def _prune_letters(self, before: datetime, limit: int) -> int:
        referred = self._referred()
        letters = sorted(
            (letter.closed_at, letter.run)
            for letter in self.letters.values()
            if letter.state != "open" and letter.closed_at is not None and letter.closed_at < before
        )
        gone = [run_id for _, run_id in letters if run_id not in referred][:limit]
        for run_id in gone:
            self.drop(self.letters, run_id)
        return len(gone)

    def _prune_runs(self, before: datetime, limit: int) -> int:
        kept = self._referred() | self.letters.keys()
        runs = sorted((run.finished_at or run.due_at, run.id) for run in self.history.values())
        gone = [run_id for finished_at, run_id in runs if finished_at < before and run_id not in kept][:limit]
        for run_id in gone:
            self._forget_run(self.history[run_id])
        return len(gone)

    def _prune_events(self, before: datetime, limit: int) -> int:
        oldest = self.events[:limit]
        self.events[:limit] = [pair for pair in oldest if pair[1].at >= before]
        return sum(1 for _, event in oldest if event.at < before)

    def _prune_audit(self, before: datetime, limit: int) -> int:
        oldest = [(row.id, row.at_us) for row in self.audit[:limit]]
        gone = sealed_among(oldest, sorted(self.seals), before_us=micros(before))
        del self.audit[: len(gone)]
        for number in [number for number in self.seals if gone and number < gone[-1]]:
            del self.seals[number]
        return len(gone)

    def _referred(self) -> set[int]:
        """Runs that something unresolved refers to (A4)."""
        unresolved = (self.history.get(run_id) for letters in self.open_letters.values() for run_id in letters)
        referred: set[int] = set()
        for run in (*self.live.values(), *(run for run in unresolved if run is not None)):
            if run.replay_of is not None:
                referred.add(run.replay_of)
            if run.caused_by is not None:
                referred.add(run.caused_by)
        return referred

    def _forget_run(self, run: Run) -> None:
        self.drop(self.history, run.id)
        self.remove(self.history_ids, run.id)
        self.drop(self.payloads, run.id)
        self.drop(self.results, run.id)
        self.drop(self.lines, run.id)
        if run.key is not None and run.status is Status.SUCCEEDED:
            self.remove(self.succeeded_keys[run.worker, run.key], run.id)
        if self.fired.get((run.worker, run.occurs_at)) == run.id:
            self.drop(self.fired, (run.worker, run.occurs_at))


def _readable(runs: list[Run]) -> list[Run]:
    return [run for run in runs if run.unreadable is None]


def _without_bytes(run: Run) -> Run:
    return run if run.payload is None and run.result is None else replace(run, payload=None, result=None)


def _restore(table: MutableMapping[Any, Any], key: Any, value: Any) -> None:
    if value is ABSENT:
        table.pop(key, None)
    else:
        table[key] = value


def _take_out(numbers: list[Any], value: Any) -> None:
    del numbers[bisect_left(numbers, value)]
