"""A store that lives and dies with its process: for tests and for the simulator.

Rules of this file
- Several sessions of one MemoryStore are like several nodes on one database; a lock serialises them.
- It behaves as SQLite does, constraints and deltas included: one contract tests all stores (tests/stores/conformance).
- A node is dead once it has released what it held: a simulated crash leaves `hold` without telling anybody.
"""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from shiftboss.clock import Clock, SystemClock
from shiftboss.core.audit import Seal
from shiftboss.core.control import Request
from shiftboss.core.events import StoreRestored
from shiftboss.core.lives import Counted, next_life
from shiftboss.core.retention import Batch, Cutoffs
from shiftboss.errors import ConfigurationError, Forked, InternalError, NotStarted
from shiftboss.ports.cycle import Wanted
from shiftboss.ports.store import NO_SERVER, Arrival, AttemptKey, Reader, Schema
from shiftboss.stores.memory.reads import MemoryReader, MemoryTransaction
from shiftboss.stores.memory.tables import Tables

_clock = SystemClock()  # waiting for other threads takes real time, whatever clock the rules use


class MemoryStore:
    """Thread-safe; each session is used by one thread at a time."""

    url = "memory:"
    tight = False
    trouble: str | None = None
    concern: str | None = None
    log_bytes = 0

    durability = "memory"

    def __init__(
        self, *, clock: Clock | None = None, to_be_had: Callable[[Collection[int]], Collection[int]] | None = None
    ) -> None:
        """With *to_be_had*, partitions can be held one by one; it says which of the wanted ones are free now."""
        self.clock = clock or SystemClock()
        self.to_be_had = to_be_had
        self.tables = Tables()
        self.lock = threading.RLock()  # protects the tables: a transaction or a view holds it from begin to end
        self.is_busy = False
        self._sessions: list[MemorySession] = []
        self._dead: set[str] = set()
        self._entries: dict[str, MemoryEntries] = {}
        self.frozen: set[str] = set()  # for simulations: nodes whose process lives while their engine stands still

    def open(self, *, create: bool) -> None:
        """There is nothing to check and nothing to make."""

    def session(self) -> MemorySession:
        session = MemorySession(self)
        with self.lock:
            self._sessions = [*self._sessions, session]
        return session

    def close(self) -> None:
        for session in self._sessions:
            session.close()

    def schema(self) -> Schema:
        return Schema(None, 1)

    @contextmanager
    def hold(self, node: str) -> Iterator[MemoryEntries]:
        self._dead.discard(node)
        self._entries[node] = MemoryEntries()
        try:
            yield self._entries[node]
        finally:
            self._dead.add(node)

    def arrival(self, request: Request) -> Arrival:
        raise ConfigurationError(NO_SERVER.format(url=self.url))

    def is_dead(self, node: str) -> bool:
        return node in self._dead

    def entered(self, node: str) -> Collection[AttemptKey] | None:
        entries = self._entries.get(node)
        return None if entries is None or node not in self._dead else entries.noted

    def is_frozen(self, node: str) -> bool:
        return node in self.frozen

    shows_life = False  # there is one process: if it stands still, all nodes do

    def show_life(self, node: str) -> None:
        """As `shows_life`."""

    def engine_ended(self, node: str) -> None:
        """All nodes share one process."""

    def end_by(self, seconds: float) -> None:
        """No call takes long."""

    # ── an older state ───────────────────────────────────────────────────────────────────────────────────────────

    def keep(self) -> Tables:
        """A copy of the tables, as a backup."""
        with self.lock:
            return copy.deepcopy(self.tables)

    def put_back(self, kept: Tables, *, seen: Counted = Counted(), why: str = "it was restored") -> None:  # noqa: B008  # of numbers
        """Put the tables of *kept* back, and go on from there; *seen* is what somebody knows of the lost past."""
        with self.lock:
            tables = self.tables
            tables.__dict__.update(copy.deepcopy(kept).__dict__)
            now = self.clock.now()
            stored = Counted(tables.number, tables.number, tables.next_run - 1, tables.next_event - 1)
            lived_at = tables.events[-1][1].at if tables.events else None
            counted = next_life(stored, seen, now, lived_at=lived_at)
            tables.events.append((counted.event_id, StoreRestored(at=now, reason=why, epoch=counted.number)))
            tables.number = tables.alone = tables.epoch = counted.number
            tables.next_run, tables.next_event = counted.run_id + 1, counted.event_id + 1
        for session in self._sessions:
            session.wake()

    # ── for its sessions ─────────────────────────────────────────────────────────────────────────────────────────

    def ring_others(self, committed: MemorySession) -> None:
        for session in self._sessions:
            if session is not committed:
                session.wake()

    def closed(self, session: MemorySession) -> None:
        with self.lock:
            self._sessions = [other for other in self._sessions if other is not session]


class MemoryEntries:
    """Implements `ports.EntryLog`."""

    def __init__(self) -> None:
        self.noted: set[AttemptKey] = set()

    def note(self, run_id: int, fence: int) -> None:
        self.noted.add((run_id, fence))

    def forget(self, run_id: int, fence: int) -> None:
        self.noted.discard((run_id, fence))


class MemorySession:
    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.has_partitions = store.to_be_had is not None
        self._tables = store.tables
        self.seen: int | None = None  # the last commit that `changes` reported; None: report everything
        self._heard: int | None = None  # the last commit that `wait` need not return for
        self._woken = threading.Event()
        self._pid = os.getpid()
        self._is_open = True

    @contextmanager
    def begin(self, wanted: Wanted | None = None, *, waits: bool = False, runs: int = 0) -> Iterator[MemoryTransaction]:
        self._check()
        tables = self._tables
        to_be_had = self._store.to_be_had
        is_whole = wanted is None or to_be_had is None or self.seen is None
        held = None
        if not (is_whole or wanted is None or to_be_had is None):
            held = {partition: wanted[partition] for partition in to_be_had(wanted)}
        with self._alone():
            before = self.seen
            tx = MemoryTransaction(self, tables, self._store.clock, held=held)
            try:
                yield tx
                if tx.failure is not None:
                    raise tx.failure  # the caller caught it and went on: what it wrote before must not be kept alone
            except BaseException:
                self.seen = before
                tables.take_back()
                raise
            if tx.has_written:
                tx.finish()
                if self.seen == tx.number - 1:
                    self.seen = tx.number
            self._heard = tables.number
        if tx.has_written:
            self._store.ring_others(self)

    @contextmanager
    def read(self) -> Iterator[MemoryReader]:
        self._check()
        with self._alone():
            before = self.seen
            try:
                yield MemoryReader(self, self._tables, self._store.clock)
            except BaseException:
                self.seen = before
                raise
            self._heard = self._tables.number

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One transaction or view at a time.  Other threads wait; this one would see uncommitted data."""
        store = self._store
        with store.lock:
            if store.is_busy:
                raise InternalError("a transaction or a view of this memory store is already open in this thread")
            store.is_busy = True
            try:
                yield
            finally:
                store.is_busy = False

    def forget(self) -> None:
        self.seen = None

    def changed_elsewhere(self) -> bool:
        self._check()
        return self._tables.number != self.seen

    def wait(self, timeout_s: float) -> None:
        self._check()
        until_s = _clock.monotonic_s() + timeout_s
        while not self._woken.is_set() and not self._hears_of_a_commit():
            left_s = until_s - _clock.monotonic_s()
            if left_s <= 0:
                return
            self._woken.wait(left_s)
        self._woken.clear()

    def _hears_of_a_commit(self) -> bool:
        before, self._heard = self._heard, self._tables.number
        return before is not None and before != self._heard

    def wake(self) -> None:
        self._woken.set()

    def prune(self, cutoffs: Cutoffs, *, limit: int) -> int:
        self._check()
        with self._store.lock:
            batch = Batch(cutoffs, limit=limit)
            for kind, before, room in batch:
                batch.went(self._tables.prune(kind, before, limit=room))
            self._tables.keep()
            return batch.gone

    def seal(self, sealed: Callable[[Reader], Seal | None]) -> Seal | None:
        with self.read() as reader:
            seal = sealed(reader)
        if seal is not None:
            with self._store.lock:
                self._tables.seals.setdefault(seal.id, seal)
        return seal

    def try_lock(self, within_s: float) -> None:
        self._check()

    def try_write(self) -> None:
        self._check()

    def take_time(self) -> None:
        """No call is ever given up here."""

    def close(self) -> None:
        self._is_open = False
        self._store.closed(self)

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise Forked("a memory store cannot be used after a fork: each process would see its own copy")
        if not self._is_open:
            raise NotStarted("this session of the memory store is closed; open another one")
