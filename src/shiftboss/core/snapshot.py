"""What a rule sees of the store (a snapshot), and what it answers with (a change).

Rules of this file
- Rules read a snapshot and never write it; the cycle applies their changes to it, one after another.
- Asking for something that has not been read raises `NotLoaded`: an empty answer would be wrong.
- A `Draft` is a change in the making: it reads through to the snapshot, so that the second half of a rule sees what
  the first half decided.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

from shiftboss.core.audit import AuditRow, Seal
from shiftboss.core.declarations import Declarations
from shiftboss.core.events import Event
from shiftboss.core.graph import Relations
from shiftboss.core.lane import Lane
from shiftboss.core.model import BreakerState, ClockMark, DeadLetter, LogLine, Node, Record, Run, Status, WorkerState
from shiftboss.core.shift import Shift
from shiftboss.core.unreadable import SetAside, Unreadable
from shiftboss.core.value import Value
from shiftboss.errors import NotLoaded, UnknownWorker, did_you_mean

NO_RECORD = Record()
NO_RUNS: dict[int, Run] = {}


class Change(Value, frozen=True):
    """What one rule, or a whole cycle, wants written.  Each run occurs once, in its new state."""

    runs: tuple[Run, ...] = ()
    workers: tuple[WorkerState, ...] = ()
    forgotten: tuple[str, ...] = ()
    records: tuple[tuple[str, Record], ...] = ()
    breakers: tuple[BreakerState, ...] = ()
    resources: tuple[tuple[str, int], ...] = ()
    size_declarations: tuple[tuple[str, Declarations], ...] = ()  # of resources that are stored, or that it stores
    nodes: tuple[Node, ...] = ()
    gone_nodes: tuple[str, ...] = ()
    letters: tuple[DeadLetter, ...] = ()
    lines: tuple[LogLine, ...] = ()
    events: tuple[Event, ...] = ()
    audit: tuple[AuditRow, ...] | None = None  # rows copied from another store; None: the audited events
    seals: tuple[Seal, ...] = ()
    set_aside: tuple[SetAside, ...] = ()  # before anything else: rows that are moved away or replaced
    clock: ClockMark | None = None
    shift: Shift | None = None  # O4: for all waiting runs but scheduled runs that have not begun


NOTHING = Change()


class Snapshot:
    """All workers, breakers, resources, nodes and claims; of the waiting runs, the lanes that were read."""

    def __init__(self, *, codec_key: str = "") -> None:
        self.codec_key = codec_key  # the id of the key with which this process encodes payloads; empty: none
        self.undecodable: dict[int, str] = {}  # runs whose payload this process could not decode, and why
        self.workers: dict[str, WorkerState] = {}
        self.records: dict[str, Record] = {}
        self.breakers: dict[str, BreakerState] = {}
        self.resources: dict[str, int] = {}
        self.size_declarations: dict[str, Declarations] = {}  # of resources (M7)
        self.nodes: dict[str, Node] = {}
        self.running: dict[int, Run] = {}  # every claimed run of the fleet
        self.running_by: dict[str, dict[int, Run]] = {}  # the same runs by worker
        self._running_on: dict[str, dict[int, Run]] = {}  # … and by node; "" for a claim that cannot be read
        self.lanes: dict[str, Lane] = {}
        self.strays: set[str] = set()  # names of no worker of which runs may wait nevertheless: their row was set aside
        self.fetched: dict[int, Run] = {}  # runs read by id for this cycle's mutations, finished ones too
        self.keyed: dict[tuple[str, str], Run] = {}  # by idempotency key, read for the mutations of this cycle
        self.letters: dict[int, DeadLetter] = {}  # read for the mutations of this cycle
        self.clock: ClockMark | None = None
        self.relations: Relations = Relations.of(())
        self.unreadable: dict[tuple[str, str], Unreadable] = {}  # read for the mutations of this cycle
        self.suspects: set[str] = set()  # workers with a row that could not be read, now or earlier (see unreadable_of)
        self.dirty: set[str] = set()  # workers that changed since the cycle last asked
        self.freed: set[str] = set()  # workers of which something ended: what they took may be free for others
        self.freed_breakers: set[str] = set()  # breakers that changed
        self.declared = 0  # how often a declaration of a worker or a resource has changed

    # what rules ask

    def worker(self, name: str) -> WorkerState:
        """Raises UnknownWorker, with the nearest name."""
        try:
            return self.workers[name]
        except KeyError:
            hint = did_you_mean(name, self.workers)
            raise UnknownWorker(f"there is no worker named {name!r}; {hint}") from None

    def record(self, name: str) -> Record:
        return self.records.get(name, NO_RECORD)

    def lane(self, name: str) -> Lane:
        try:
            return self.lanes[name]
        except KeyError:
            if name not in self.workers:
                return Lane()  # it is being declared, so no run of it waits yet
            raise NotLoaded(f"the lane of {name!r} was not read before a rule asked for it") from None

    def run(self, run_id: int) -> Run | None:
        """The run if it was read: running, waiting in a loaded lane, or fetched by id."""
        return self.running.get(run_id) or self.fetched.get(run_id)

    def running_of(self, name: str) -> Collection[Run]:
        runs = self.running_by.get(name)
        return runs.values() if runs else ()

    def running_on(self, node: str) -> Collection[Run]:
        runs = self._running_on.get(node)
        return runs.values() if runs else ()

    def unreadable_of(self, name: str) -> Iterator[Unreadable]:
        """The unreadable rows of that worker that have been met: its own, and its live runs."""
        state, record, lane = self.workers.get(name), self.records.get(name), self.lanes.get(name)
        if state is not None and state.unreadable is not None:
            yield state.unreadable
        if record is not None and record.unreadable is not None:
            yield record.unreadable
        for run in (*self.running_of(name), *(lane.sealed.values() if lane is not None else ())):
            if run.unreadable is not None:
                yield run.unreadable

    # what the cycle does

    def suspect(self, name: str) -> None:
        """Note that a row of that worker could not be read."""
        self.suspects.add(name)
        self.dirty.add(name)

    def apply(self, change: Change) -> None:
        """Make *change* true in this snapshot.  Only the cycle and the simulator call it."""
        for row in change.set_aside:
            if row.leaves:
                self._apply_set_aside(row)
        for state in change.workers:
            if state.name not in self.workers and state.name not in self.strays:
                self.lanes.setdefault(state.name, Lane())  # it is new, so what waits of it is in this change
        for run in change.runs:
            self._apply_run(run)
        for name, record in change.records:
            if _tells_downstream(self.records.get(name, NO_RECORD), record):
                self.freed.add(name)
            self.records[name] = record
            self.dirty.add(name)
        if change.workers or change.forgotten:
            self._apply_workers(change)
        if (
            change.breakers
            or change.nodes
            or change.gone_nodes
            or change.letters
            or change.resources
            or change.size_declarations
        ):
            self._apply_the_rest(change)
        if change.clock is not None:
            self.clock = change.clock
        if change.shift is not None:
            self.lanes.clear()  # they must be read again
            self.dirty.update(self.workers)

    @property
    def clock_set_us(self) -> int:
        """O4: how far the wall clock has been set in all."""
        return 0 if self.clock is None else self.clock.set_us

    def _apply_set_aside(self, row: SetAside) -> None:
        name = row.worker
        self.dirty.update(self.relations.component(name) if name else self.workers)
        if row.table == "run":
            run_id = int(row.id)
            self._no_longer_running(run_id)
            if name in self.lanes:
                self.lanes[name].take(run_id)
        elif row.table == "worker":
            for known in (self.workers, self.records, self.lanes):
                known.pop(name, None)
            self.strays.add(name)
            self.rebuild()
        elif row.table == "record":
            self.records.pop(name, None)
        elif row.table == "node":
            self.nodes.pop(row.id, None)

    def _apply_the_rest(self, change: Change) -> None:
        for breaker in change.breakers:
            self.put_breaker(breaker)
        if change.resources:
            self.resources.update(change.resources)
            self.dirty.update(self.workers)
        if change.size_declarations:
            self.size_declarations.update(change.size_declarations)
            self.declared += 1
        for node in change.nodes:
            self.nodes[node.id] = node
        for node_id in change.gone_nodes:
            self.nodes.pop(node_id, None)
        for letter in change.letters:
            self.letters[letter.run] = letter

    def _apply_run(self, run: Run) -> None:
        name, run_id, status = run.worker, run.id, run.status
        self.dirty.add(name)
        if run_id in self.fetched:
            self.fetched[run_id] = run
        if run.key is not None:
            self.keyed[name, run.key] = run
        lane = self.lanes.get(name)
        if status is Status.RUNNING:
            self.put_claim(run)
        elif (
            self._no_longer_running(run_id)
            or status is not Status.PENDING
            or lane is None
            or lane.get(run_id) is not None
        ):
            self.freed.add(name)
        if lane is None:
            return
        if status is Status.PENDING:
            lane.put(run)
        else:
            lane.take(run_id)

    def _no_longer_running(self, run_id: int) -> bool:
        run = self.running.pop(run_id, None)
        if run is None:
            return False
        _drop(self.running_by, run.worker, run_id)
        _drop(self._running_on, _node_of(run), run_id)
        return True

    def put_claim(self, run: Run) -> None:
        """A run is claimed, or what is known of a claimed run has changed."""
        run_id, node = run.id, _node_of(run)
        before = self.running.get(run_id)
        if before is not None and _node_of(before) != node:
            self._no_longer_running(run_id)
        self.running[run_id] = run
        self.running_by.setdefault(run.worker, {})[run_id] = run
        self._running_on.setdefault(node, {})[run_id] = run

    def drop_claim(self, run_id: int) -> None:
        """A run is claimed by nobody any more, as another process has told."""
        name = self.running[run_id].worker
        self._no_longer_running(run_id)
        self.freed.add(name)

    def put_breaker(self, breaker: BreakerState) -> None:
        """Keep a breaker's new state, and note whether workers may start because of it."""
        old = self.breakers.get(breaker.name)
        if old is None or old.unreadable != breaker.unreadable:
            for name in self.relations.sharing_breaker(breaker.name)[:1]:
                self.dirty.update(self.relations.component(name))
        elif (old.mode, old.opened_at, old.until) != (breaker.mode, breaker.opened_at, breaker.until):
            self.freed_breakers.add(breaker.name)
        self.breakers[breaker.name] = breaker

    def _apply_workers(self, change: Change) -> None:
        redeclared = [state.name for state in change.workers if self.put_worker(state)]
        for name in change.forgotten:
            self.dirty.update(self.relations.component(name))
            self.workers.pop(name, None)
            self.records.pop(name, None)
            self.lanes.pop(name, None)
            self.strays.add(name)
        if redeclared or change.forgotten:
            self.rebuild(redeclared)

    def put_worker(self, state: WorkerState) -> bool:
        """Keep a worker's new state.  True if its declaration is new: the relations have to be derived again."""
        old = self.workers.get(state.name)
        if old is None or old.declarations is not state.declarations:
            self.declared += 1
        self.workers[state.name] = state
        self.dirty.add(state.name)
        self.freed.add(state.name)
        return old is None or old.definition != state.definition

    def rebuild(self, redeclared: Iterable[str] = ()) -> None:
        """Derive the relations again after declarations changed; runs held by a relation that is gone may start now."""
        before, now = self.relations, Relations.of(state.definition for state in self.workers.values())
        self.relations = now
        compared: set[tuple[int, int]] = set()  # groups are compared once, not once for each of their members
        for name in (*before.members, *redeclared):
            old, new = before.members.get(name), now.members.get(name)
            if (id(old), id(new)) not in compared:
                compared.add((id(old), id(new)))
                if old != new:
                    self.dirty.update(old or ())
                    self.dirty.update(new or ())
        for first in {now.first(name) for name in redeclared}:
            self.dirty.update(now.component(first))


def _node_of(run: Run) -> str:
    claim = run.claim
    return "" if claim is None else claim.node


def _drop(runs_by: dict[str, dict[int, Run]], key: str, run_id: int) -> None:
    runs = runs_by[key]
    del runs[run_id]
    if not runs:
        del runs_by[key]


def _tells_downstream(old: Record, new: Record) -> bool:
    """Whether workers that depend on it may find another answer (D2, D4)."""
    return (
        old.latest is not new.latest
        or old.last_success_at != new.last_success_at
        or old.last_success_started_at != new.last_success_started_at
        or old.unreadable is not new.unreadable
    )


class Draft:
    """A change in the making.  `ids` provides the ids of new runs."""

    __slots__ = (
        "_breakers",
        "_events",
        "_ids",
        "_letters",
        "_records",
        "_runs",
        "_runs_by",
        "_set_aside",
        "_workers",
        "now",
        "snapshot",
    )

    def __init__(self, snapshot: Snapshot, now: datetime, ids: Iterator[int] | None = None) -> None:
        self.snapshot = snapshot
        self.now = now
        self._ids = ids
        self._runs: dict[int, Run] = {}
        self._runs_by: dict[str, dict[int, Run]] = {}  # the same runs by worker
        self._workers: dict[str, WorkerState] = {}
        self._records: dict[str, Record] = {}
        self._breakers: dict[str, BreakerState] = {}
        self._letters: dict[int, DeadLetter] = {}
        self._events: list[Event] = []
        self._set_aside: dict[tuple[str, str], SetAside] = {}

    def new_id(self) -> int:
        if self._ids is None:
            raise NotLoaded("this rule makes no runs, yet it asked for an id")
        return next(self._ids)

    # reading through

    def worker(self, name: str) -> WorkerState:
        drafted = self._workers.get(name) if self._workers else None
        return self.snapshot.worker(name) if drafted is None else drafted

    def record(self, name: str) -> Record:
        drafted = self._records.get(name)
        if drafted is not None:
            return drafted
        if self._set_aside and ("record", name) in self._set_aside:
            return NO_RECORD
        return self.snapshot.record(name)

    def breaker(self, name: str) -> BreakerState | None:
        return self._breakers.get(name) or self.snapshot.breakers.get(name)

    def running_of(self, name: str) -> list[Run]:
        """Running runs of a worker, including those of this draft."""
        drafted = self._runs_by.get(name, NO_RUNS)
        runs = [run for run in self.snapshot.running_of(name) if run.id not in drafted and not self._is_aside(run)]
        return runs + [run for run in drafted.values() if run.status is Status.RUNNING]

    def standing_of(self, name: str) -> list[Run]:
        """Pending runs of a worker that rules made (scheduled, iteration, after), including those of this draft."""
        drafted = self._runs_by.get(name, NO_RUNS)
        runs = [run for run in self.snapshot.lane(name).standing.values() if run.id not in drafted]
        return runs + [run for run in drafted.values() if run.is_standing and run.status is Status.PENDING]

    def sealed_of(self, name: str) -> list[Run]:
        """Waiting runs of a worker that cannot be read."""
        return [run for run in self.snapshot.lane(name).sealed.values() if not self._is_aside(run)]

    def _is_aside(self, run: Run) -> bool:
        return bool(self._set_aside) and ("run", str(run.id)) in self._set_aside

    # writing; a value made from an unreadable row still bears its mark, and is not written (W8)

    def put(self, run: Run) -> Run:
        if run.unreadable is None:
            self._runs[run.id] = run
            self._runs_by.setdefault(run.worker, {})[run.id] = run
        return run

    def put_worker(self, state: WorkerState) -> None:
        if state.unreadable is None:
            self._workers[state.name] = state

    def put_record(self, name: str, record: Record) -> None:
        if record.unreadable is None:
            self._records[name] = record

    def put_breaker(self, breaker: BreakerState) -> None:
        if breaker.unreadable is None:
            self._breakers[breaker.name] = breaker

    def put_letter(self, letter: DeadLetter) -> None:
        if letter.unreadable is None:
            self._letters[letter.run] = letter

    def set_aside(self, row: SetAside) -> None:
        self._set_aside[row.table, row.id] = row

    def emit(self, *events: Event) -> None:
        self._events.extend(events)

    def change(self) -> Change:
        return Change(
            runs=tuple(self._runs.values()),
            workers=tuple(self._workers.values()) if self._workers else (),
            records=tuple(self._records.items()),
            breakers=tuple(self._breakers.values()) if self._breakers else (),
            letters=tuple(self._letters.values()) if self._letters else (),
            events=tuple(self._events),
            set_aside=tuple(self._set_aside.values()) if self._set_aside else (),
        )


class Pile:
    """Many changes as one: the last state of each thing, and all events in order."""

    __slots__ = (
        "_breakers",
        "_clock",
        "_events",
        "_forgotten",
        "_gone",
        "_letters",
        "_lines",
        "_nodes",
        "_records",
        "_resources",
        "_runs",
        "_set_aside",
        "_shift",
        "_size_declarations",
        "_workers",
        "is_empty",
    )

    def __init__(self) -> None:
        self.is_empty = True
        self._runs: dict[int, Run] = {}
        self._workers: dict[str, WorkerState] = {}
        self._records: dict[str, Record] = {}
        self._breakers: dict[str, BreakerState] = {}
        self._resources: dict[str, int] = {}
        self._size_declarations: dict[str, Declarations] = {}
        self._nodes: dict[str, Node] = {}
        self._letters: dict[int, DeadLetter] = {}
        self._lines: list[LogLine] = []
        self._gone: dict[str, None] = {}
        self._forgotten: dict[str, None] = {}
        self._events: list[Event] = []
        self._set_aside: list[SetAside] = []
        self._clock: ClockMark | None = None
        self._shift: Shift | None = None

    def add(self, change: Change) -> None:
        """The common kinds first, the rare ones together: a busy cycle adds three changes for each run."""
        self.is_empty = False
        for run in change.runs:
            self._runs[run.id] = run
        for name, record in change.records:
            self._records[name] = record
        self._events += change.events
        if change.workers or change.forgotten:
            self._add_workers(change)
        if change.breakers:
            self._breakers.update((breaker.name, breaker) for breaker in change.breakers)
        if change.letters:
            self._letters.update((letter.run, letter) for letter in change.letters)
        if change.nodes or change.gone_nodes:
            self._nodes.update((node.id, node) for node in change.nodes)
            self._gone.update(dict.fromkeys(change.gone_nodes))
            for node_id in change.gone_nodes:
                self._nodes.pop(node_id, None)
        if change.resources or change.size_declarations:
            self._resources.update(change.resources)
            self._size_declarations.update(change.size_declarations)
        if change.lines:
            self._lines += change.lines
        if change.set_aside:
            self._set_aside += change.set_aside
        if change.clock is not None:
            self._clock, self._shift = change.clock, change.shift  # a shift is written alone (engine/cycle.py)

    def _add_workers(self, change: Change) -> None:
        for state in change.workers:
            self._workers[state.name] = state
            self._forgotten.pop(state.name, None)
        for name in change.forgotten:
            self._forgotten[name] = None
            self._workers.pop(name, None)
            self._records.pop(name, None)

    def change(self) -> Change:
        return Change(
            runs=tuple(self._runs.values()),
            workers=tuple(self._workers.values()),
            forgotten=tuple(self._forgotten),
            records=tuple(self._records.items()),
            breakers=tuple(self._breakers.values()),
            resources=tuple(self._resources.items()),
            size_declarations=tuple(self._size_declarations.items()),
            nodes=tuple(self._nodes.values()),
            gone_nodes=tuple(self._gone),
            letters=tuple(self._letters.values()),
            lines=tuple(self._lines),
            events=tuple(self._events),
            set_aside=tuple(self._set_aside),
            clock=self._clock,
            shift=self._shift,
        )


def merged(changes: Iterable[Change]) -> Change:
    """Many changes as one."""
    pile = Pile()
    for change in changes:
        pile.add(change)
    return pile.change()
