"""A store: where everything is kept.

Rules of this file
- A store reads, writes, commits and wakes those who wait for commits; it decides nothing.  One contract suite holds
  every store to this.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from shiftboss.clock import Clock
from shiftboss.core.audit import Seal
from shiftboss.core.control import Request
from shiftboss.core.retention import Cutoffs
from shiftboss.core.snapshot import Change
from shiftboss.ports.cycle import CycleReader, Wanted
from shiftboss.ports.faces import FacesReader

NO_SERVER = "within= needs the store in the database of your transaction: postgresql://…; this store is {url}"


class Arrival(NamedTuple):
    """A row of a trigger that waits to be picked up."""

    table: str  # quoted, with its schema; columns `data` (text) and `payload` (bytes or NULL)
    data: str
    payload: bytes | None


class Schema(NamedTuple):
    """Versions of the tables of a store."""

    version: int | None  # None: there is no store
    newest: int


class Past(NamedTuple):
    """How far a store has come: neither number is ever given again."""

    number: int  # of the last commit: no claim has a larger fence
    run_id: int  # of the last run


class Reader(CycleReader, FacesReader, Protocol):
    """Bounded reads within one consistent view of the store: the cycle's and the faces'."""

    def past(self) -> Past:
        """How far this store has come."""
        ...


class Transaction(Reader, Protocol):
    """A read-write transaction; commits at the end of its `with`, rolls back on an exception.

    What it holds nobody else changes meanwhile; what it reads elsewhere is committed, and may be old a moment later.
    """

    @property
    def held(self) -> frozenset[int] | None:
        """The partitions that it holds (core/graph.py); None: the whole store."""
        ...

    @property
    def number(self) -> int:
        """Larger than that of every earlier commit which held a partition of this one's: the fence of its claims."""
        ...

    def ids(self) -> Iterator[int]:
        """Ids for new runs, increasing."""
        ...

    def expect(self, runs: int) -> None:
        """About so many more ids will be asked for: a hint, for who draws them from afar."""
        ...

    def arrivals(self, *, limit: int) -> list[Request]:
        """Take the first of what has arrived: whatever becomes of it is part of this transaction."""
        ...

    def continue_after(self, past: Past) -> None:
        """Before anything is written: go on from where another store has come to, if that is farther (C5)."""
        ...

    def write(self, change: Change, *, new: Collection[int]) -> None:
        """Write *change*; may be called more than once.

        *new* holds the ids of runs that no row exists of yet.  A run with a final status leaves the live table for
        the history in the same transaction.  Every worker whose lane or claims changed counts as changed for the
        other sessions.
        """
        ...


class Session(Protocol):
    """One thread's way into the store."""

    @property
    def has_partitions(self) -> bool:
        """Whether transactions of several sessions can be open at once, each with partitions of the store to itself."""
        ...

    def begin(
        self, wanted: Wanted | None = None, *, waits: bool = False, runs: int = 0
    ) -> AbstractContextManager[Transaction]:
        """With the whole store to itself, or with those *wanted* partitions that are free: `held` says which.

        None of them is waited for, but the first if it *waits*, and not for long.  A session that must read everything
        gets the whole.  *runs* is a hint like that of `expect`.

        Raises StoreUnavailable, StoreFull, StoreReadOnly, StoreDamaged or StoreRejected, here or at its end.
        """
        ...

    def read(self) -> AbstractContextManager[Reader]:
        """A consistent view that takes no lock."""
        ...

    def forget(self) -> None:
        """Answer the next `changes` with everything (after a failed commit)."""
        ...

    def changed_elsewhere(self) -> bool:
        """Whether another session committed since the last `changes`, or something arrived; no lock, no wait."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Return when `wake` was called, another session or process may have changed something, or time is up."""
        ...

    def wake(self) -> None:
        """Wake this session's `wait`, also when it is not waiting yet.  From any thread."""
        ...

    def try_lock(self, within_s: float) -> None:
        """Begin a write and roll it back.  Raises what `begin` raises, StoreUnavailable after that time."""
        ...

    def try_write(self) -> None:
        """Commit a write that changes nothing: what has failed before is known to work again.  Raises as `begin`."""
        ...

    def take_time(self) -> None:
        """From now on no call of this session is given up for being slow: for moves, which hold a store for long."""
        ...

    def prune(self, cutoffs: Cutoffs, *, limit: int) -> int:
        """A4: delete at most *limit* rows in a short transaction of its own; how many went.

        Which, says core/retention.py: `Batch` in which order and how many, `sealed_among` what of the audit.
        """
        ...

    def seal(self, sealed: Callable[[Reader], Seal | None]) -> Seal | None:
        """Keep what *sealed* makes of a view (A8), in a transaction of its own that no commit has to wait for.

        One of the same row that is there already stays.
        """
        ...

    def close(self) -> None: ...


AttemptKey = tuple[int, int]  # (run, fence)


class EntryLog(Protocol):
    """Notes which bodies are entered.  Called from any thread, for every attempt: it must cost next to nothing."""

    def note(self, run_id: int, fence: int) -> None:
        """The body of that claim is about to be entered."""
        ...

    def forget(self, run_id: int, fence: int) -> None:
        """What became of it is committed."""
        ...


class Store(Protocol):
    """Where everything is kept."""

    @property
    def url(self) -> str: ...

    @property
    def durability(self) -> str:
        """What a commit survives (W1): "power", "process", or "server": as that is set; "memory": nothing."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock that its rules live by: the one it was given, or its own where it is a server."""
        ...

    def open(self, *, create: bool) -> None:
        """Check, create (with *create*) and migrate.  Raises StoreMissing, StoreDamaged, StoreTooNew, StoreReadOnly."""
        ...

    def schema(self) -> Schema:
        """Which version lies there, and which this shiftboss writes; before it is opened, and touching nothing."""
        ...

    def session(self) -> Session: ...

    def close(self) -> None: ...

    def hold(self, node: str) -> AbstractContextManager[EntryLog | None]:
        """Hold something that the kernel lets go of when this process dies (a locked file), for C4.

        What it gives notes which bodies were entered, where that survives the process; None: nowhere.
        """
        ...

    def arrival(self, request: Request) -> Arrival:
        """What a caller's own transaction inserts for a trigger that exists if and only if it commits.

        Raises ConfigurationError where the store is no server that others have transactions in.
        """
        ...

    @property
    def tight(self) -> bool:
        """W3: the disk is full and only a reserve is left, for the ends of running attempts; no new work."""
        ...

    @property
    def trouble(self) -> str | None:
        """What keeps it from taking new work, as far as this process sees without asking it; None when nothing does."""
        ...

    @property
    def concern(self) -> str | None:
        """What it will not go on well with; None when nothing is known."""
        ...

    @property
    def log_bytes(self) -> int:
        """Of the write-ahead log that it keeps beside its file; 0 where there is none of ours."""
        ...

    def end_by(self, seconds: float) -> None:
        """Give up every call that has not ended so many seconds from now, also those under way.  From any thread."""
        ...

    def is_dead(self, node: str) -> bool:
        """Whether the process of that node is surely gone; False when nobody can tell."""
        ...

    def entered(self, node: str) -> Collection[AttemptKey] | None:
        """C8: whose bodies a node that is dead had entered, of those that it still held; None when nobody can tell."""
        ...

    def is_frozen(self, node: str) -> bool:
        """Of a node that is silent: whether its process surely lives, neither stopped nor traced (C4)."""
        ...

    @property
    def shows_life(self) -> bool:
        """Whether all neighbours of this process's nodes could tell that of them just now."""
        ...

    def show_life(self, node: str) -> None:
        """See to it that neighbours can tell that; called at each tick of a node that its bodies can freeze."""
        ...

    def engine_ended(self, node: str) -> None:
        """The engine of that node has ended, whatever its process does: its lease alone decides from now on."""
        ...
