"""The vocabulary: runs and attempts, workers and nodes as the store keeps them, outcomes and reports.

Rules of this file
- Values only; what they mean for each other stands in the rules beside this file.
- Instants are aware UTC datetimes (`…_at`, `…_until`), durations are seconds (`…_s`); a lease is in seconds of the
  store's lease clock (C2), which has nothing to do with the wall clock.
"""

from __future__ import annotations

from datetime import datetime

from shiftboss.core.declarations import Declarations
from shiftboss.core.policy import BreakerPolicy, Priority
from shiftboss.core.unreadable import Unreadable
from shiftboss.core.value import Value, Word
from shiftboss.core.worker import Definition, Mode

MAX_LINES = 1000  # of an attempt's log: the last ones, enough to see what went wrong; rows stay few
RING_SIZE = 100  # attempts that a worker's health looks back on (H2)


# ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Status(Word):
    """S: the moves between these stand in `lifecycle.py`."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def is_final(self) -> bool:
        """Whether it never changes again."""
        return self not in (Status.PENDING, Status.RUNNING)


class Origin(Word):
    """Why a run exists."""

    OCCURRENCE = "occurrence"  # an instant of a schedule
    ITERATION = "iteration"  # of a continuous worker
    TRIGGER = "trigger"  # by hand or by code
    AFTER = "after"  # an upstream's success (M6)
    REPLAY = "replay"  # of a dead letter (Q3)


class Cause(Word):
    """Why a run ended as it did, or why an attempt did not count."""

    ERROR = "error"
    FATAL = "fatal"
    TIMEOUT = "timeout"
    EXPIRED = "expired"
    UNFIT = "unfit"
    LOST = "lost"
    CRASH = "crash"
    CRASH_LOOP = "crash_loop"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    RESCUED = "rescued"
    # of skipped runs
    DISABLED = "disabled"
    DEPENDENCY_FAILED = "dependency_failed"
    MISFIRE = "misfire"
    REPLACED = "replaced"  # a changed declaration took its place


class Error(Value, frozen=True):
    """What a body raised.  `type` is the qualified class name; the traceback is cut to a bound by who recorded it."""

    type: str
    message: str = ""  # its text, at most 2,000 characters
    traceback: str = ""  # from the body's first frame on; empty in rows of lists

    def short(self) -> Error:
        """For the worker's row: who and what, without the traceback."""
        return Error(type=self.type, message=self.message[:500])


class Attempt(Value, frozen=True):
    """One finished try of a run (Q2).  `cause` is None when it succeeded."""

    number: int  # 1 for the first that counts
    node: str  # the id of the node it ran on
    started_at: datetime  # of its claim
    ended_at: datetime  # as reported
    duration_s: float  # by the monotonic clock
    cause: Cause | None = None
    error: Error | None = None  # what it raised
    code_version: str = ""  # of its node


class Claim(Value, frozen=True):
    """The mark of the node that executes an attempt.  `fence` grows with every claim in the store (C5, C7)."""

    node: str  # its id
    fence: int
    at: datetime  # when it was claimed
    probe: bool = False  # of a half-open breaker (K2) or of probation (K5)
    fallback: bool = False  # the fallback runs in the body's place (K3)
    zombie_since: datetime | None = None  # timed out, but its thread still runs (B6)


class CancelRequest(Value, frozen=True):
    """An operator wants this run to end (T4)."""

    by: str  # who
    at: datetime  # when
    reason: str = ""  # in their words


Place = tuple[int, ...]  # in a payload: the how-manieth of each object or list on the way; names would tell something


class Progress(Value, frozen=True):
    """What a body last said about how far it is."""

    done: float  # how much
    total: float | None = None  # of how much; None: not known
    message: str = ""  # a line, at most 500 characters
    at: datetime | None = None  # when it was said


class LogLine(Value, frozen=True):
    """What a body logged: the `number`-th line of the attempt under that fence."""

    run: int  # its id
    fence: int  # of the attempt's claim
    number: int
    attempt: int  # its number
    at: datetime  # when it was logged
    level: str  # the name of its level
    text: str  # at most 2,000 characters, secrets masked


class Run(Value, frozen=True):
    """One request to execute a worker, from pending to its end."""

    id: int  # grows with every run of the store
    worker: str  # its name
    origin: Origin  # why it exists
    status: Status  # where it stands
    priority: Priority  # low, normal, high or critical
    created_at: datetime  # when it was stored
    occurs_at: datetime  # D1: the logical instant, never changed
    due_at: datetime  # not before this instant; moved by retries, interruptions and rescues
    attempt: int = 0  # counted attempts begun so far; an interrupted one is given back
    attempts: tuple[Attempt, ...] = ()  # finished ones, the newest MAX_ATTEMPTS_KEPT
    claim: Claim | None = None  # while running
    covers_until: datetime | None = None  # O2: the last instant taken up
    missed: int = 0  # instants taken up beside its own
    key: str | None = None  # which makes its trigger idempotent (O5)
    digest: str | None = None  # sha256 of what the payload says (json_text.py); with a codec a keyed one
    payload: bytes | None = None  # kept in a column of its own; None in rows read without it
    forced: bool = False  # passes the gate of a disabled worker (K5)
    degraded: bool = False  # ran although an upstream had failed, or by its fallback (D5, K3)
    give_up_at: datetime | None = None  # dead as expired when it has not started by then, or not ended (T1)
    deadline_at: datetime | None = None  # it is dead as expired when it has not ended by then
    first_started_at: datetime | None = None  # when its first attempt was claimed
    finished_at: datetime | None = None  # when it got its final status
    cause: Cause | None = None  # why it ended so; None for a success
    error: Error | None = None  # of the last failed attempt
    result: bytes | None = None  # JSON; kept in a column of its own
    result_error: str | None = None  # W6: why it is not what the body returned
    interruptions: int = 0  # attempts that were cut short and handed back (R2)
    rescues: int = 0  # in a row, without a finished attempt (C8)
    cancel: CancelRequest | None = None  # somebody wants it to end
    progress: Progress | None = None  # what its body said last
    heartbeat_at: datetime | None = None  # when its body last showed life
    replay_of: int | None = None  # the dead run that it repeats (Q3)
    caused_by: int | None = None  # the upstream run whose success made it (M6)
    by: str = ""  # who asked for it
    traceparent: str | None = None  # W3C's, of the span that triggered it; its attempts link to that
    unreadable: Unreadable | None = None  # W8: only what could be told of its row
    by_calendar: bool = False  # its first start is due at an instant of the wall clock (`at=`, cron), not after a while
    masked: tuple[Place, ...] = ()  # where its payload has secrets that only its body, or who triggered it, knows
    clock_set_us: int = 0  # of a finished one: how far the wall clock had been set in all (ClockMark), for its age
    undecodable: str = ""  # E3: why parts of it cannot be decoded here; said to people, never stored
    encoded_by: str = ""  # the id of the codec's key that its payload is encoded with; empty: it is plain
    place_at: datetime | None = None  # P2: where it stands in the queue, if that is earlier than `due_at`

    def held_by(self, node: str, fence: int) -> bool:
        """C5: whether *node* still holds the claim it was given."""
        claim = self.claim
        return claim is not None and claim.node == node and claim.fence == fence and self.unreadable is None

    @property
    def ranks_from(self) -> datetime:
        """P2: the instant that its rank counts from; an interruption moves `due_at` and leaves this."""
        return self.due_at if self.place_at is None else self.place_at

    @property
    def has_started(self) -> bool:
        """Whether an attempt of it has ever begun."""
        return self.first_started_at is not None

    @property
    def is_standing(self) -> bool:
        """Made by a rule, not by a caller: few of a worker exist at a time, and the rules count them."""
        return self.origin in (Origin.OCCURRENCE, Origin.ITERATION, Origin.AFTER)


# ── workers, breakers, nodes ─────────────────────────────────────────────────────────────────────────────────────


AUTOMATIC = "auto"  # stands where the name of a person could


def disabled_by(who: str) -> str:
    return "disabled automatically" if who == AUTOMATIC else f"disabled by {who}"


class Disabled(Value, frozen=True):
    """K4, K5: who switched the worker off and why.  `probation_until` is None when only a person switches it on."""

    by: str  # who; `AUTOMATIC`: too many failures in a row (K4)
    reason: str  # in their words
    since: datetime  # when
    error: Error | None = None  # the last one, when it was automatic
    run: int | None = None  # the run that did it, when it was automatic
    probation_s: float | None = None  # how long until one run may probe
    probation_until: datetime | None = None

    @property
    def automatic(self) -> bool:
        """Whether failures did it, and not a person."""
        return self.by == AUTOMATIC

    @property
    def how(self) -> str:
        """ "disabled by ada", "disabled automatically"."""
        return disabled_by(self.by)


class WorkerState(Value, frozen=True):
    """A worker as the store keeps it: the declaration that holds, and what people and failures decided about it."""

    definition: Definition  # the declaration that holds
    declared_at: datetime  # when that was stored
    disabled: Disabled | None = None  # by whom and why; None while it is enabled
    unreadable: Unreadable | None = None  # W8: only what could be told of its row
    declarations: Declarations = Declarations()  # M7: what the store has met; none: it is older than that

    @property
    def name(self) -> str:
        """Of the worker."""
        return self.definition.name

    @property
    def accepts(self) -> bool:
        """K5: whether a trigger is stored: where it is only triggered, also while failures keep it disabled."""
        return self.disabled is None or (self.disabled.automatic and self.definition.mode is Mode.TRIGGERED)


class Verdict(Value, frozen=True):
    """How the latest run (by `occurs_at`, then id) ended, for depends_on (D2)."""

    occurs_at: datetime
    run: int  # its id
    ok: bool  # whether it succeeded


class Sample(Value, frozen=True, array_like=True):
    """One attempt in the ring."""

    ok: bool
    duration_s: float


class Record(Value, frozen=True):
    """How a worker has done so far; written whenever one of its runs is started or settled."""

    latest: Verdict | None = None
    last_instant: datetime | None = None  # the last instant of the schedule that a started occurrence covers
    anchor_at: datetime | None = None  # M4: where `every` counts from
    last_run_at: datetime | None = None  # start of the latest attempt
    last_success_at: datetime | None = None
    last_success_started_at: datetime | None = None
    last_error: Error | None = None
    last_error_at: datetime | None = None
    streak: int = 0  # dead runs in a row (K4)
    failed_iterations: int = 0  # attempts in a row of a continuous worker, for its back-off (M5)
    ring: tuple[Sample, ...] = ()
    owes_letters: bool = False  # dead letters without payload wait for a success (Q5)
    tokens: float | None = None  # B8; None: a full bucket
    tokens_at: datetime | None = None
    unreadable: Unreadable | None = None  # W8: only what could be told of its row
    ran_ahead: tuple[tuple[datetime, datetime], ...] = ()  # O1: stretches of instants to come that have runs already


class BreakerMode(Word):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerState(Value, frozen=True):
    """K1, K2.  Half-open is entered by the claim of a probe; `until` is when the cooldown ends."""

    name: str
    policy: BreakerPolicy = BreakerPolicy()
    mode: BreakerMode = BreakerMode.CLOSED
    failures: int = 0  # in a row
    window: tuple[bool, ...] = ()
    opened_at: datetime | None = None
    until: datetime | None = None
    cooldown_s: float | None = None  # of the current opening
    successes: int = 0  # probes that succeeded since it opened
    unreadable: Unreadable | None = None  # W8: only what could be told of its row


class NodeMode(Word):
    RUNNING = "running"
    DRAINING = "draining"
    CLIENT = "client"  # triggers and operates, runs nothing


class Shed(Word):
    """H4: what a node holds back while it is short of something."""

    NOTHING = "nothing"
    LOW = "low"
    NORMAL = "normal"  # low and normal


class Node(Value, frozen=True):
    """One process with an engine, by an identity made at its start (C2)."""

    id: str  # made at its start
    name: str  # host:pid, for people
    boot: str  # of the lease clock: a reboot ends all leases
    lease_until_s: float  # on the store's lease clock (C2)
    started_at: datetime  # when it joined
    held_since_s: float = 0.0  # since when it has held its lease without a gap (C4)
    mode: NodeMode = NodeMode.RUNNING  # running, draining or client
    slots: int = 100  # attempts at once
    executors: dict[str, int] = {}  # kind → its slots
    workers: dict[str, str] = {}  # name → parameters, of what it can run
    shed: Shed = Shed.NOTHING  # what it holds back (H4)
    shed_reason: str = ""  # and why
    lag_s: float = 0.0  # how late its event loop is
    memory_bytes: int = 0  # resident, of its process; 0 where nobody can tell
    pid: int = 0  # of its process
    host: str = ""  # its machine's name
    version: str = ""  # of shiftboss
    code_version: str = ""  # of the application
    unreadable: Unreadable | None = None  # W8: only what could be told of its row
    durability: str = ""  # what its commits survive (W1): power, process, or what the server says
    decodes: tuple[str, ...] = ()  # the ids of its codec's keys; empty: it has none
    freeze_limit_s: float = 0.0  # for how long its runs are left to it while its process lives and is silent (C4)
    declares: dict[str, str] = {}  # M7: worker → the key of what it declares, also of what it does not run
    resources: dict[str, str] = {}  # likewise of each resource


class ClockMark(Value, frozen=True):
    """O4: how the wall clock stood against elapsed time when somebody last looked.

    `offset_us` is wall − elapsed − `set_us`: it stays what it is while the clock is set, once that was noticed.
    """

    boot: str  # which machine's elapsed time, since which start
    offset_us: int
    set_us: int = 0  # how far the wall clock has been set in all, since the store began
    steps: tuple[tuple[int, int], ...] = ()  # the last ones: wall − set_us then, and `set_us` before it


# ── what an executor says ────────────────────────────────────────────────────────────────────────────────────────


class Succeeded(Value, frozen=True, tag="succeeded"):
    """The body returned.  `result` is JSON or None; `idle_s` is what a continuous body asked for (M5).

    `result_error` says why what it returned cannot be given back (W6).
    """

    result: bytes | None = None
    idle_s: float | None = None
    result_error: str | None = None


class Failed(Value, frozen=True, tag="failed"):
    """The body raised.  `fatal`: no retry (R1); `retry_after_s`: the body said when.

    `crashed`: it did not raise, its process ended under it (R4).
    """

    error: Error
    fatal: bool = False
    retry_after_s: float | None = None
    crashed: bool = False


class TimedOut(Value, frozen=True, tag="timed_out"):
    """T1, T3: it ran past its timeout, whatever it did afterwards."""

    error: Error


class Cancelled(Value, frozen=True, tag="cancelled"):
    """It ended because an operator asked for that (T4)."""


class Interrupted(Value, frozen=True, tag="interrupted"):
    """R2: shutdown or a lost lease cut it short.  `began` is False when the body had not been entered."""

    reason: str = ""
    began: bool = True


class Unfit(Value, frozen=True, tag="unfit"):
    """Q1: the stored payload no longer fits the function."""

    error: Error


Outcome = Succeeded | Failed | TimedOut | Cancelled | Interrupted | Unfit


class Report(Value, frozen=True):
    """What an executor says about an attempt that has ended; `duration_s` by the monotonic clock."""

    run: int
    node: str
    fence: int
    outcome: Outcome
    duration_s: float
    code_version: str = ""
    traceparent: str | None = None  # of the attempt: what the runs after it link to


class DeadLetter(Value, frozen=True):
    """Q: the card of a dead run; the run itself, with payload and attempts, lies in the history."""

    run: int  # the id of the dead run
    worker: str  # its name
    cause: Cause  # why it died
    error_type: str  # the qualified class name of its last error; empty without one
    entered_at: datetime  # when it died
    has_payload: bool  # whether it was triggered with one
    state: str = "open"  # open | replayed | resolved | discarded | superseded
    closed_at: datetime | None = None  # when it was replayed, resolved, discarded or superseded
    closed_by: str = ""  # by whom
    note: str = ""  # in their words
    replayed_as: int | None = None  # the id of the run that repeats it
    unreadable: Unreadable | None = None  # W8: only what could be told of its row
