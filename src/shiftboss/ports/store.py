"""A store: where everything is kept.

Rules of this file
- A store reads, writes, commits, and wakes whoever waits for commits; it decides nothing.  One contract suite checks
  every store for this.
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

NO_SERVER = "within= needs a store in the database of your transaction (postgresql://…); this store is {url}"


class Arrival(NamedTuple):
    """The row of a trigger that waits to be picked up."""

    table: str  # quoted, with its schema; columns `data` (text) and `payload` (bytes or NULL)
    data: str
    payload: bytes | None


class Schema(NamedTuple):
    """Versions of the tables of a store."""

    version: int | None  # None: there is no store
    newest: int


class Past(NamedTuple):
    """How far a store has counted: neither number is ever given out again."""

    number: int  # of the last commit: no claim has a larger fence
    run_id: int  # of the last run


class Reader(CycleReader, FacesReader, Protocol):
    """Bounded reads within one consistent view of the store: those of the cycle and those of people."""

    def past(self) -> Past:
        """How far this store has come."""
        ...


class Transaction(Reader, Protocol):
    """A read-write transaction; commits at the end of its `with`, rolls back on an exception.

    Nobody else changes what it holds.  What it reads elsewhere is committed, and may be out of date a moment later.
    """

    @property
    def held(self) -> frozenset[int] | None:
        """The partitions that it holds (core/graph.py); None: the whole store."""
        ...

    @property
    def number(self) -> int:
        """Larger than that of every earlier commit that held one of these partitions: the fence of its claims."""
        ...

    def ids(self) -> Iterator[int]:
        """Ids for new runs, increasing."""
        ...

    def expect(self, runs: int) -> None:
        """Hint that about so many more ids will be asked for, for a store to which each request is a round trip."""
        ...

    def arrivals(self, *, limit: int) -> list[Request]:
        """Take the first arrivals: whatever becomes of them is part of this transaction."""
        ...

    def continue_after(self, past: Past) -> None:
        """Before anything is written: go on from where another store had counted to, if that is farther (C5)."""
        ...

    def write(self, change: Change, *, new: Collection[int]) -> None:
        """Write *change*; may be called more than once.

        *new* holds the ids of runs that have no row yet.  A run with a final status moves from the live table to the
        history in the same transaction.  Every worker whose lane or claims changed counts as changed for the other
        sessions.
        """
        ...


class Session(Protocol):
    """One thread's access to the store."""

    @property
    def has_partitions(self) -> bool:
        """Whether several sessions can have transactions open at once, each with partitions of the store to itself."""
        ...

    def begin(
        self, wanted: Wanted | None = None, *, waits: bool = False, runs: int = 0
    ) -> AbstractContextManager[Transaction]:
        """With the whole store to itself, or with those *wanted* partitions that are free: `held` says which.

        It waits for none of them, except for the first if it *waits*, and not for long.  A session that must read
        everything gets the whole store.  *runs* is a hint like that of `expect`.

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
        """End this session's `wait`, or the next one if it is not waiting.  From any thread."""
        ...

    def try_lock(self, within_s: float) -> None:
        """Begin a write and roll it back.  Raises what `begin` raises, and StoreUnavailable after that time."""
        ...

    def try_write(self) -> None:
        """Commit a write that changes nothing, to learn whether the store takes writes again.  Raises as `begin`."""
        ...

    def take_time(self) -> None:
        """From now on give up no call of this session for being slow: a move holds a store for long."""
        ...

    def prune(self, cutoffs: Cutoffs, *, limit: int) -> int:
        """A4: delete at most *limit* rows in a short transaction of its own; returns how many were deleted.

        core/retention.py says which: `Batch` the order and the number of each kind, `sealed_among` what of the audit.
        """
        ...

    def seal(self, sealed: Callable[[Reader], Seal | None]) -> Seal | None:
        """Store the seal that *sealed* makes of a view (A8), in a transaction of its own that no commit waits for.

        A seal of the same row that exists already stays.
        """
        ...

    def close(self) -> None: ...


AttemptKey = tuple[int, int]  # (run, fence)


class EntryLog(Protocol):
    """Notes which functions are entered.  Called from any thread for every attempt, so it must cost next to nothing."""

    def note(self, run_id: int, fence: int) -> None:
        """The function of that claim is about to be entered."""
        ...

    def forget(self, run_id: int, fence: int) -> None:
        """What became of that attempt is committed."""
        ...


class Store(Protocol):
    """Where everything is kept."""

    @property
    def url(self) -> str: ...

    @property
    def durability(self) -> str:
        """What a commit survives (W1): "power", "process", or "server" (as that is configured); "memory": nothing."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock of its rules: the one that it was given, or its own if it is a server."""
        ...

    def open(self, *, create: bool) -> None:
        """Check, create (with *create*) and migrate.  Raises StoreMissing, StoreDamaged, StoreTooNew, StoreReadOnly."""
        ...

    def schema(self) -> Schema:
        """The version of the stored tables, and the one that this shiftboss writes; before `open`, changing nothing."""
        ...

    def session(self) -> Session: ...

    def close(self) -> None: ...

    def hold(self, node: str) -> AbstractContextManager[EntryLog | None]:
        """Hold something that the kernel releases when this process dies (a locked file), for C4.

        The answer notes which functions were entered, in a place that survives the process; None if there is no such
        place.
        """
        ...

    def arrival(self, request: Request) -> Arrival:
        """What a caller's own transaction inserts for a trigger that exists if and only if that transaction commits.

        Raises ConfigurationError if the store is no server in which others can have transactions.
        """
        ...

    @property
    def tight(self) -> bool:
        """W3: the disk is full and only a reserve is left, for the ends of running attempts; take no new work."""
        ...

    @property
    def trouble(self) -> str | None:
        """What keeps it from taking new work, as far as this process knows without asking it; None if nothing does."""
        ...

    @property
    def concern(self) -> str | None:
        """What will get it into trouble sooner or later; None if nothing is known."""
        ...

    @property
    def log_bytes(self) -> int:
        """The size of the write-ahead log beside its file; 0 if it has none of ours."""
        ...

    def end_by(self, seconds: float) -> None:
        """Give up every call that has not ended in so many seconds, also calls in progress.  From any thread."""
        ...

    def is_dead(self, node: str) -> bool:
        """Whether the process of that node is surely gone; False if nobody can tell."""
        ...

    def entered(self, node: str) -> Collection[AttemptKey] | None:
        """C8: the claims of a dead node whose functions it had entered, if it still held them; None: nobody knows."""
        ...

    def is_frozen(self, node: str) -> bool:
        """Of a silent node: whether its process surely lives, and is neither stopped nor traced (C4)."""
        ...

    @property
    def shows_life(self) -> bool:
        """Whether all neighbours could see now that this process's nodes live."""
        ...

    def show_life(self, node: str) -> None:
        """Make sure that neighbours can see that; called at each tick of a node that its functions can freeze."""
        ...

    def engine_ended(self, node: str) -> None:
        """The engine of that node has ended, whatever its process does: from now on its lease alone decides."""
        ...
