"""The doors of the engine: what it asks of a store, of an executor and of a body.

Rules of this file
- A store reads, writes, commits and rings a bell; it decides nothing.  One contract suite holds every store to this.
- Reads are bounded and their number does not grow with the batch.
- An executor starts an attempt and always reports exactly one outcome for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from shiftboss.clock import Clock
from shiftboss.core.audit import AuditRow, Seal
from shiftboss.core.control import Request
from shiftboss.core.declarations import Declarations
from shiftboss.core.events import Audit, Event, UnreadableEvent
from shiftboss.core.kinds import Table, instant, many, one_of, optional, shown, text, whole, word
from shiftboss.core.lane import Lane
from shiftboss.core.model import (
    MAX_LINES,
    BreakerState,
    ClockMark,
    DeadLetter,
    Error,
    LogLine,
    Node,
    Outcome,
    Record,
    Run,
    Status,
    WorkerState,
)
from shiftboss.core.redact import Redaction, redaction
from shiftboss.core.retention import Cutoffs
from shiftboss.core.snapshot import Change
from shiftboss.core.unreadable import SetAside, Unreadable
from shiftboss.core.worker import Definition
from shiftboss.errors import ConfigurationError

# ── stores ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Delta(NamedTuple):
    """What others changed since this session last looked; `everything` when it is a full reading."""

    everything: bool = False
    workers: Sequence[tuple[WorkerState, Record]] = ()  # changed rows; their lanes may have changed as well
    forgotten: Sequence[str] = ()  # names that are gone (a full reading has none)
    breakers: Sequence[BreakerState] = ()
    resources: Mapping[str, int] | None = None  # all of them, when anything changed at all
    size_declarations: Mapping[str, Declarations] | None = None  # likewise
    nodes: Sequence[Node] | None = None  # all of them, likewise
    claimed: Sequence[int] | None = None  # the ids of all claims, likewise …
    of: Sequence[str] | None = None  # … or of the claims of these workers alone
    more: bool = False  # others have committed what this is not about: look before you wait
    running: Sequence[Run] = ()  # those claims that are new or changed; all of them in a full reading
    lanes: Mapping[str, Lane] = {}  # of the changed workers, where they were asked for; none in a full reading
    waiting: Mapping[str, datetime] | None = None  # a full reading only: worker → earliest due instant in its lane
    epoch: int = 0  # a full reading only: the commit with which the store went on when it was put back last


NO_DELTA = Delta()


class Partition(NamedTuple):
    """The workers that lie in a partition of a store, and those of them by whose claims others are held."""

    names: Sequence[str] = ()
    bound: Sequence[str] = ()


Wanted = Mapping[int, Partition]


class Past(NamedTuple):
    """How far a store has come: neither number is ever given again."""

    number: int  # of the last commit: no claim has a larger fence
    run_id: int  # of the last run


class Arrival(NamedTuple):
    """A row of a trigger that waits to be picked up."""

    table: str  # quoted, with its schema; columns `data` (text) and `payload` (bytes or NULL)
    data: str
    payload: bytes | None


MAX_COUNTED = 1001  # of what waits: "more than 1,000" is as good as any number

NO_SERVER = "within= needs the store in the database of your transaction: postgresql://…; this store is {url}"


class Schema(NamedTuple):
    """Versions of the tables of a store."""

    found: int | None  # None: there is no store
    newest: int


class HistoryFilter(NamedTuple):
    """Which finished or live runs to list, newest first.  `before` is a run id: the cursor of the page."""

    worker: str | None = None  # its name; None: of all
    status: Collection[Status] = ()  # one of these; empty: any
    since: datetime | None = None  # live, or ended at this aware instant or later
    key: str | None = None  # triggered with this key
    error_type: str | None = None  # ended with this error: the qualified name of its class
    before: int | None = None
    limit: int = 50  # at most so many

    @classmethod
    def read(cls, given: Any) -> HistoryFilter:
        """*given* with every field in its type.  Raises ConfigurationError."""
        return _filter(cls, given, OF_HISTORY)


class LetterFilter(NamedTuple):
    """Which dead letters."""

    ids: Collection[int] = ()  # of these runs; empty: any
    worker: str | None = None  # its name; None: of all
    error_type: str | None = None  # died with this error: the qualified name of its class
    since: datetime | None = None  # entered at this aware instant or later
    state: str | None = "open"  # None: all
    before: int | None = None  # a run id: the cursor of the page
    limit: int = 1000  # at most so many

    @classmethod
    def read(cls, given: Any) -> LetterFilter:
        """*given* with every field in its type.  Raises ConfigurationError."""
        return _filter(cls, given, OF_LETTERS)


class AuditFilter(NamedTuple):
    """Which acts of people, newest first.  `before` is the number of one: the cursor of the page."""

    worker: str | None = None  # about this worker; None: about anything
    by: str | None = None  # by whom, the whole name
    action: str | None = None  # what: trigger, disable, refused …
    since: datetime | None = None  # at this aware instant or later
    before: int | None = None
    limit: int = 50  # at most so many

    @classmethod
    def read(cls, given: Any) -> AuditFilter:
        """*given* with every field in its type.  Raises ConfigurationError."""
        return _filter(cls, given, OF_AUDIT)


NUMBER = whole(0, (1 << 63) - 1)
OF_HISTORY = Table(
    worker=optional(text()),
    status=many(one_of(Status)),
    since=optional(instant),
    key=optional(text()),
    error_type=optional(text()),
    before=optional(NUMBER),
    limit=NUMBER,
)
OF_LETTERS = Table(
    ids=many(NUMBER),
    worker=optional(text()),
    error_type=optional(text()),
    since=optional(instant),
    state=optional(word("open", "replayed", "resolved", "discarded", "superseded")),
    before=optional(NUMBER),
    limit=NUMBER,
)
OF_AUDIT = Table(
    worker=optional(text()),
    by=optional(text()),
    action=optional(text()),
    since=optional(instant),
    before=optional(NUMBER),
    limit=NUMBER,
)
F = TypeVar("F", HistoryFilter, LetterFilter, AuditFilter)


def _filter(kind: type[F], given: Any, fields: Table) -> F:
    if not isinstance(given, kind):
        raise ConfigurationError(f"{shown(given)} is no filter here; give a {kind.__name__}(…)")
    return kind(**fields.read(given._asdict(), of=kind.__name__))


class Reader(Protocol):
    """Bounded reads within one consistent view of the store.

    A row that cannot be read harms itself alone (W8): in its place comes what could be told of it, with `unreadable`.
    """

    def changes(self, *, lanes: int = 0) -> Delta:
        """What others committed since this session's last call; everything at first or after `forget`.

        In a transaction that holds some partitions it may be about those alone, and about claims of bound workers
        alone; the rest comes with a later call.

        With *lanes* also the lanes of the workers they changed, each queue up to that limit.
        """
        ...

    def lanes(self, names: Collection[str], *, limit: int) -> dict[str, Lane]:
        """The lanes of *names*: of each queue the first *limit* runs (without payload), the standing runs, the least.

        A queue is whole when fewer than *limit* were found.
        """
        ...

    def runs(self, ids: Collection[int]) -> list[Run]:
        """Runs by id, live or finished, with payload and result; missing ones are left out."""
        ...

    def keyed(self, pairs: Collection[tuple[str, str]]) -> list[Run]:
        """For each (worker, key) the live run, else the newest finished one that succeeded."""
        ...

    def fired(self, names: Collection[str], *, after: datetime) -> dict[str, list[datetime]]:
        """Of these workers the instants later than *after* that an ended run has as its own (O1, O4)."""
        ...

    def clock_mark(self) -> ClockMark | None:
        """How the wall clock stood when somebody last looked (O4); None: nobody has."""
        ...

    def payloads(self, ids: Collection[int]) -> dict[int, bytes]:
        """Payloads of live runs that have one."""
        ...

    def expiring(self, now: datetime, *, limit: int) -> list[Run]:
        """Pending runs whose `give_up_at` has come, earliest first; none that cannot be read."""
        ...

    def next_give_up(self, after: datetime | None = None) -> datetime | None:
        """The earliest `give_up_at` of any pending run, or the earliest after that instant."""
        ...

    def letters(self, wanted: LetterFilter) -> list[DeadLetter]:
        """Dead letters, newest first."""
        ...

    def open_letters(self, worker: str, *, without_payload_only: bool, limit: int) -> list[DeadLetter]:
        """Unresolved entries of a worker (Q5 asks for those without payload)."""
        ...

    # for the faces

    def history(self, wanted: HistoryFilter) -> list[Run]:
        """Runs, live and finished, newest id first, without payload."""
        ...

    def counts(self) -> dict[str, dict[str, int]]:
        """worker → {"pending": n, "due": …, "dead_letters": …}: counts of hot rows and open letters only.

        "pending" is counted to 1,001 at most for each worker: no count grows with the backlog.
        """
        ...

    def letter_counts(self) -> dict[str, int]:
        """worker → open dead letters, of those that have any."""
        ...

    def events(self, *, after: int, limit: int, worker: str | None = None) -> list[tuple[int, Event]]:
        """Stored events in order, from the one after number *after*."""
        ...

    def last_event(self) -> int:
        """The number of the newest event ever stored; 0 before the first."""
        ...

    def audit(self, *, after: int, limit: int) -> list[AuditRow]:
        """What people did (A8), in order, from the row after number *after*; each row as it lies there, unread."""
        ...

    def acts_before(self, before: int, *, limit: int) -> list[tuple[int, Audit | UnreadableEvent]]:
        """The same, read, the newest first, from the row before that number."""
        ...

    def seals(self, *, after: int, limit: int) -> list[Seal]:
        """Seals of the audit, in order, from the one after row *after*."""
        ...

    def last_seal(self) -> Seal | None:
        """The newest of them."""
        ...

    def lines(self, run: int, *, after: tuple[int, int] = (0, 0), limit: int = MAX_LINES) -> list[LogLine]:
        """What attempts of a run logged, in order, from the line after *after* (fence, number)."""
        ...

    def unreadable(self, places: Collection[tuple[str, str]] | None = None) -> list[Unreadable]:
        """W8: every row that cannot be read, or those of *places* (table, id) that cannot.  All takes a while."""
        ...

    def set_aside(self, *, after: int, limit: int) -> list[tuple[int, SetAside]]:
        """What was set aside, in order, from the one after number *after*."""
        ...

    def past(self) -> Past:
        """How far this store has come."""
        ...

    @property
    def has_arrivals(self) -> bool:
        """Whether triggers wait that callers stored within transactions of their own."""
        ...

    def info(self) -> dict[str, Any]:
        """Facts for `doctor`: engine and version, schema, sizes, settings, integrity."""
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
        """Return when `ring` was called, another session or process may have changed something, or time is up."""
        ...

    def ring(self) -> None:
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


Entry = tuple[int, int]  # (run, fence)


class Entries(Protocol):
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

    def hold(self, node: str) -> AbstractContextManager[Entries | None]:
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

    def entered(self, node: str) -> Collection[Entry] | None:
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


class Codec(Protocol):
    """Encryption at rest: what makes bytes unreadable before they are stored, and readable again.

    It is called within transactions, from several threads: it must be quick, wait for nothing and keep no state.
    """

    @property
    def key_ids(self) -> Sequence[str]:
        """What its keys are called, that of the one it encodes with first.  They stand in the store in plain."""
        ...

    @property
    def digest_keys(self) -> Sequence[bytes]:
        """Secrets for the digests of payloads (O5), the newest first, each of 16 bytes or more; older ones stay."""
        ...

    def encode(self, data: bytes) -> bytes: ...

    def decode(self, data: bytes) -> bytes:
        """What `encode` was given, now or with one of the older keys.  Raises anything where it cannot tell."""
        ...


# ── executors ────────────────────────────────────────────────────────────────────────────────────────────────────


class StopReason(StrEnum):
    """Why an attempt is told to stop; it decides the outcome of one that obeys."""

    CANCEL = "cancel"  # → Cancelled
    SHUTDOWN = "shutdown"  # → Interrupted
    LEASE = "lease"  # → Interrupted


class Body(Protocol):
    """A worker's function, ready to be called by an executor."""

    @property
    def is_async(self) -> bool: ...

    def call(self, context: Any, payload: bytes | None, *, fallback: bool) -> Any:
        """Decode the payload and call the function (a coroutine for an async one).

        Raises UnfitPayload when the payload does not fit; whatever else is raised is the body's own.
        """
        ...

    def succeeded(self, value: Any) -> Outcome:
        """The outcome of a returned value: Idle is understood, what cannot be kept is not kept."""
        ...

    def failed(self, error: BaseException) -> Outcome:
        """The outcome of an exception: Retry, Fatal, UnfitPayload, retry_on and no_retry_on are understood."""
        ...


class Span(Protocol):
    """The trace of one attempt."""

    @property
    def traceparent(self) -> str | None:
        """W3C's name for it, to be handed to what the body starts."""
        ...

    def enter(self) -> None:
        """Make it the current one, in the context that the body runs in."""
        ...

    def end(self, outcome: Outcome) -> None:
        """The attempt has ended; what *outcome* says is without secrets.  Twice is once."""
        ...


Raised = tuple[type[BaseException], BaseException, TracebackType | None]  # as `exc_info=` takes it


class Launch(msgspec.Struct, eq=False):
    """Everything an executor needs to start one attempt.  `report` may be called from any thread, once."""

    run: Run
    definition: Definition
    body: Body
    report: Callable[[Outcome, float], None]  # outcome, duration in seconds
    signal: Callable[[str, Any], None]  # what a body says meanwhile: "progress", "heartbeat", "zombie"
    timeout_s: float | None
    last_success_at: datetime | None = None  # of the worker, for the context
    span: Span | None = None  # where it is traced
    secrets: tuple[str, ...] = ()  # that its node masks in every run
    entered: Callable[[], None] = lambda: None  # its body is about to be entered
    redaction: Redaction | None = None  # what must not be kept of what it says; None until it says something
    raised: Raised | None = None  # what its body raised in this process, for the log; nothing else may be about it

    @property
    def traceparent(self) -> str | None:
        return None if self.span is None else self.span.traceparent

    def redact(self) -> Redaction:
        """What masks the texts of this run: by names, and by the secrets that its own payload has."""
        if self.redaction is None:  # two threads may both find it out; it is the same
            definition, payload = self.definition, self.run.payload
            names = redaction(definition.redact, definition.redact_patterns)
            own = [] if payload is None else names.secrets_in(payload, self.run.masked)
            self.redaction = names.knowing((*self.secrets, *own))
        return self.redaction

    def masked(self, text: str) -> str:
        """*text* of this run without its secrets."""
        return self.redact().text(text)


class Executor(Protocol):
    """Runs bodies of one kind."""

    kind: str
    slots: int

    def open(self) -> None: ...

    def start(self, launches: Iterable[Launch]) -> None:
        """Start attempts, many in one hop.  Never blocks and never raises for what a body does."""
        ...

    def stop(self, run_id: int, fence: int, reason: StopReason) -> None:
        """Ask one attempt to end (T2).  Unknown ones have ended already."""
        ...

    def announce(self) -> None:
        """G1: let every running body see `ctx.stopping`."""
        ...

    def kill(self) -> None:
        """G1: end what can be ended by force."""
        ...

    def flush(self) -> None:
        """Pass on what bodies said and what was held back to keep it rare; called about once a second."""
        ...

    def trust(self, until_s: float, *, frozen_until_s: float) -> None:
        """B7: bodies in processes of their own end at *until_s* of elapsed time unless a later one is told before.

        While the node lives and is neither stopped nor traced, at *frozen_until_s*.
        """
        ...

    def occupants(self) -> Mapping[tuple[str, int], int]:
        """Worker and run of the bodies that Python threads of this process run or have just left, with their thread."""
        ...

    def unended(self) -> Mapping[tuple[int, int], tuple[Outcome, float]]:
        """By (run, fence) what `report` is to be told of each that still runs, should its process end now (B6, G2)."""
        ...

    def close(self, timeout_s: float) -> None:
        """Let go of threads and children; wait no longer than that."""
        ...


__all__ = [
    "NO_DELTA",
    "Arrival",
    "Body",
    "Codec",
    "Delta",
    "Error",
    "Executor",
    "HistoryFilter",
    "Launch",
    "LetterFilter",
    "Past",
    "Raised",
    "Reader",
    "Schema",
    "Session",
    "Span",
    "StopReason",
    "Store",
    "Transaction",
]
