"""The vocabulary: runs and attempts, workers and nodes as the store keeps them, outcomes and reports.

Rules of this file
- Values only; the rules beside this file say what they mean for each other.
- Times are aware UTC datetimes (`…_at`, `…_until`), durations are seconds (`…_s`).  A lease is in seconds of the
  store's lease clock (C2), which is independent of the wall clock.
"""

from __future__ import annotations

from datetime import datetime

from shiftboss.core.declarations import Declarations
from shiftboss.core.policy import BreakerPolicy, Priority
from shiftboss.core.unreadable import Unreadable
from shiftboss.core.value import Value, Word
from shiftboss.core.worker import Definition, Mode

MAX_LINES = 1000  # of an attempt's log: the last ones, enough to see what went wrong without many rows
RING_SIZE = 100  # attempts by which a worker's health is judged (H2)


# ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Status(Word):
    """S: `lifecycle.py` has the moves between these."""

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

    OCCURRENCE = "occurrence"  # a scheduled run, for a scheduled time
    ITERATION = "iteration"  # of a continuous worker
    TRIGGER = "trigger"  # by a person or by code
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
    REPLACED = "replaced"  # a changed declaration replaced it


class Error(Value, frozen=True):
    """What a function raised.  `type` is the qualified class name; whoever recorded it has cut the traceback."""

    type: str
    message: str = ""  # the text of the exception, at most 2,000 characters
    traceback: str = ""  # from the function's first frame on; empty in rows of lists

    def short(self) -> Error:
        """Without the traceback, for the worker's row."""
        return Error(type=self.type, message=self.message[:500])


class Attempt(Value, frozen=True):
    """One finished attempt of a run (Q2).  `cause` is None if it succeeded."""

    number: int  # 1 for the first that counts
    node: str  # the id of the node it ran on
    started_at: datetime  # when it was claimed
    ended_at: datetime  # as reported
    duration_s: float  # by the monotonic clock
    cause: Cause | None = None
    error: Error | None = None  # what the function raised
    code_version: str = ""  # of its node


class Claim(Value, frozen=True):
    """Says which node executes an attempt.  `fence` grows with every claim in the store (C5, C7)."""

    node: str  # the node's id
    fence: int
    at: datetime  # when it was claimed
    probe: bool = False  # whether it probes a half-open breaker (K2) or a disabled worker (K5)
    fallback: bool = False  # whether the fallback runs in place of the function (K3)
    zombie_since: datetime | None = None  # since when it has timed out although its thread still runs (B6)


class CancelRequest(Value, frozen=True):
    """Somebody wants this run to end (T4)."""

    by: str  # who
    at: datetime  # when
    reason: str = ""  # in their words


Place = tuple[int, ...]  # in a payload: the index of each member on the way, whose names would reveal something


class Progress(Value, frozen=True):
    """How far a function last said that it is."""

    done: float  # how much
    total: float | None = None  # of how much; None: not known
    message: str = ""  # a line, at most 500 characters
    at: datetime | None = None  # when it was said


class LogLine(Value, frozen=True):
    """A line that a function logged: the `number`-th of the attempt with that fence."""

    run: int  # its id
    fence: int  # of the attempt's claim
    number: int
    attempt: int  # its number
    at: datetime  # when the function logged it
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
    occurs_at: datetime  # D1: the logical time; it never changes
    due_at: datetime  # it does not start before; retries, interruptions and rescues move it
    attempt: int = 0  # attempts that count, begun so far; an interrupted one is given back
    attempts: tuple[Attempt, ...] = ()  # finished ones, the newest MAX_ATTEMPTS_KEPT
    claim: Claim | None = None  # while running
    covers_until: datetime | None = None  # O2: the last scheduled time that it took up
    missed: int = 0  # how many scheduled times it took up besides its own
    key: str | None = None  # it makes the trigger idempotent (O5)
    digest: str | None = None  # sha256 of what the payload means (json_text.py); with a codec a keyed digest
    payload: bytes | None = None  # kept in a column of its own; None in rows read without it
    forced: bool = False  # passes the gate of a disabled worker (K5)
    degraded: bool = False  # whether it ran although an upstream had failed, or by its fallback (D5, K3)
    give_up_at: datetime | None = None  # T1: it expires if it has not started by then, or not ended by its deadline
    deadline_at: datetime | None = None  # T1: it expires if it has not ended by then
    first_started_at: datetime | None = None  # when its first attempt was claimed
    finished_at: datetime | None = None  # when it got its final status
    cause: Cause | None = None  # why it ended so; None for a success
    error: Error | None = None  # of the last failed attempt
    result: bytes | None = None  # JSON; kept in a column of its own
    result_error: str | None = None  # W6: why it is not what the function returned
    interruptions: int = 0  # attempts that were cut short and handed back (R2)
    rescues: int = 0  # in a row, without a finished attempt (C8)
    cancel: CancelRequest | None = None  # somebody wants it to end
    progress: Progress | None = None  # what its function last said
    heartbeat_at: datetime | None = None  # when its function last showed that it lives
    replay_of: int | None = None  # the dead run that it repeats (Q3)
    caused_by: int | None = None  # the upstream run whose success made it (M6)
    by: str = ""  # who triggered it
    traceparent: str | None = None  # W3C's, of the span that triggered it; the spans of its attempts link to that
    unreadable: Unreadable | None = None  # W8: set if only a part of its row could be read
    by_calendar: bool = False  # whether its first start follows the calendar (`at=`, cron) and not a duration
    masked: tuple[Place, ...] = ()  # where its payload has secrets that only its function, or its caller, knows
    clock_set_us: int = 0  # of a finished run: how far the wall clock had been set in all (ClockMark), for its age
    undecodable: str = ""  # E3: why parts of it cannot be decoded here; shown to people, never stored
    encoded_by: str = ""  # the id of the codec's key that encoded its payload; empty: it is plain
    place_at: datetime | None = None  # P2: its place in the queue, if that is earlier than `due_at`

    def held_by(self, node: str, fence: int) -> bool:
        """C5: whether *node* still has the claim with that fence."""
        claim = self.claim
        return claim is not None and claim.node == node and claim.fence == fence and self.unreadable is None

    @property
    def ranks_from(self) -> datetime:
        """P2: the time that its rank is computed from; an interruption moves `due_at` and leaves this."""
        return self.due_at if self.place_at is None else self.place_at

    @property
    def has_started(self) -> bool:
        """Whether any attempt of it has begun."""
        return self.first_started_at is not None

    @property
    def is_standing(self) -> bool:
        """Whether a rule made it, and not a caller: a worker has few such runs at a time, and the rules count them."""
        return self.origin in (Origin.OCCURRENCE, Origin.ITERATION, Origin.AFTER)


# ── workers, breakers, nodes ─────────────────────────────────────────────────────────────────────────────────────


AUTOMATIC = "auto"  # stands where the name of a person could


def disabled_by(who: str) -> str:
    return "disabled automatically" if who == AUTOMATIC else f"disabled by {who}"


class Disabled(Value, frozen=True):
    """K4, K5: who disabled the worker and why.  `probation_until` is None if only a person enables it again."""

    by: str  # who; `AUTOMATIC`: too many failures in a row (K4)
    reason: str  # in their words
    since: datetime  # when
    error: Error | None = None  # the last error, if it was disabled automatically
    run: int | None = None  # the run that caused it, if it was disabled automatically
    probation_s: float | None = None  # how long until one run may probe
    probation_until: datetime | None = None

    @property
    def automatic(self) -> bool:
        """Whether failures disabled it, and not a person."""
        return self.by == AUTOMATIC

    @property
    def how(self) -> str:
        """ "disabled by ada", "disabled automatically"."""
        return disabled_by(self.by)


class Pause(Value, frozen=True):
    """K7: who paused the worker and why.  `until` is None if only a person resumes it."""

    by: str  # who
    reason: str  # in their words
    since: datetime  # when
    until: datetime | None = None
    is_elapsed: bool = False  # whether it was given as a duration, which the clock does not change (O4)

    @property
    def how(self) -> str:
        """ "paused by ada until 2026-11-30 18:00:00 UTC", "paused"."""
        until = "" if self.until is None else f" until {self.until:%Y-%m-%d %H:%M:%S} UTC"
        return f"paused{f' by {self.by}' if self.by else ''}{until}"


class WorkerState(Value, frozen=True):
    """A worker as the store keeps it: the declaration in force, and what people and failures decided about it."""

    definition: Definition  # the declaration in force
    declared_at: datetime  # when that was stored
    disabled: Disabled | None = None  # by whom and why; None while it is enabled
    unreadable: Unreadable | None = None  # W8: set if only a part of its row could be read
    declarations: Declarations = Declarations()  # M7: those that the store has met; none in a row older than M7
    paused: Pause | None = None  # K7: the latest pause that nobody has ended; it may be over

    @property
    def name(self) -> str:
        """The worker's name."""
        return self.definition.name

    def pause_at(self, now: datetime) -> Pause | None:
        """K7: the pause that is in force at *now*: it ends at its time, whoever is there."""
        pause = self.paused
        return None if pause is None or (pause.until is not None and pause.until <= now) else pause

    @property
    def accepts(self) -> bool:
        """K5: whether a trigger is stored: an only triggered worker accepts it also while disabled automatically."""
        return self.disabled is None or (self.disabled.automatic and self.definition.mode is Mode.TRIGGERED)


class Verdict(Value, frozen=True):
    """How the latest run (by `occurs_at`, then id) ended, for depends_on (D2)."""

    occurs_at: datetime
    run: int  # its id
    ok: bool  # whether it succeeded


class Sample(Value, frozen=True, array_like=True):
    """One attempt in the ring of the last 100."""

    ok: bool
    duration_s: float


class Record(Value, frozen=True):
    """How a worker has done so far; written whenever one of its runs is started or settled."""

    latest: Verdict | None = None
    last_instant: datetime | None = None  # the last scheduled time that a started scheduled run covers
    anchor_at: datetime | None = None  # M4: the first scheduled time of `every`
    last_run_at: datetime | None = None  # when its latest attempt started
    last_success_at: datetime | None = None
    last_success_started_at: datetime | None = None
    last_error: Error | None = None
    last_error_at: datetime | None = None
    streak: int = 0  # dead runs in a row (K4)
    failed_iterations: int = 0  # failed attempts of a continuous worker in a row, for its back-off (M5)
    ring: tuple[Sample, ...] = ()
    owes_letters: bool = False  # dead letters without payload are open, which a success supersedes (Q5)
    tokens: float | None = None  # B8: in the rate's bucket; None: it is full
    tokens_at: datetime | None = None
    unreadable: Unreadable | None = None  # W8: set if only a part of its row could be read
    fired: int = 0  # M4: scheduled runs that have started, counted while the schedule has `times`
    ended: bool = False  # M4: nothing more is scheduled, whatever the clock shows, until the end is declared anew
    ran_ahead: tuple[tuple[datetime, datetime], ...] = ()  # O1: ranges of future scheduled times that have run already


class BreakerMode(Word):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerState(Value, frozen=True):
    """K1, K2.  The claim of a probe makes it half-open; `until` is when the cooldown ends."""

    name: str
    policy: BreakerPolicy = BreakerPolicy()
    mode: BreakerMode = BreakerMode.CLOSED
    failures: int = 0  # in a row
    window: tuple[bool, ...] = ()
    opened_at: datetime | None = None
    until: datetime | None = None
    cooldown_s: float | None = None  # the cooldown since it last opened
    successes: int = 0  # successful probes since it opened
    unreadable: Unreadable | None = None  # W8: set if only a part of its row could be read


class NodeMode(Word):
    RUNNING = "running"
    DRAINING = "draining"
    CLIENT = "client"  # triggers and operates, runs nothing


class Shed(Word):
    """H4: which runs a node holds back while it is short of something."""

    NOTHING = "nothing"
    LOW = "low"
    NORMAL = "normal"  # low and normal

    def holds_back(self, priority: Priority) -> bool:
        """Whether a node at that level holds back runs of that priority."""
        match self:
            case Shed.NOTHING:
                return False
            case Shed.LOW:
                return priority is Priority.LOW
            case Shed.NORMAL:
                return priority <= Priority.NORMAL


class Node(Value, frozen=True):
    """One process with an engine, identified by an id that it made at its start (C2)."""

    id: str  # made at the start of the process
    name: str  # host:pid, for people
    boot: str  # of the machine whose lease clock it uses: a reboot ends all leases
    lease_until_s: float  # on the store's lease clock (C2)
    started_at: datetime  # when it joined
    held_since_s: float = 0.0  # since when it has held its lease without a gap (C4)
    mode: NodeMode = NodeMode.RUNNING  # running, draining or client
    slots: int = 100  # attempts at once
    executors: dict[str, int] = {}  # kind → its slots
    workers: dict[str, str] = {}  # the workers that it can run: name → parameters
    shed: Shed = Shed.NOTHING  # what it holds back (H4)
    shed_reason: str = ""  # why it holds that back
    lag_s: float = 0.0  # how late its event loop is
    memory_bytes: int = 0  # resident, of its process; 0 if unknown
    pid: int = 0  # of its process
    host: str = ""  # its machine's name
    version: str = ""  # of shiftboss
    code_version: str = ""  # of the application
    unreadable: Unreadable | None = None  # W8: set if only a part of its row could be read
    durability: str = ""  # what its commits survive (W1): power, process, or what the server says
    decodes: tuple[str, ...] = ()  # the ids of its codec's keys; empty: it has no codec
    freeze_limit_s: float = 0.0  # how long it keeps its runs while its process lives but is silent (C4)
    declares: dict[str, str] = {}  # M7: worker → the key of its declaration, also for workers that it does not run
    resources: dict[str, str] = {}  # the same for each resource


class ClockMark(Value, frozen=True):
    """O4: the difference between wall clock and elapsed time when a process last looked.

    `offset_us` is wall − elapsed − `set_us`: setting the clock does not change it, once the step was noticed.
    """

    boot: str  # the machine and the start whose elapsed time it is
    offset_us: int
    set_us: int = 0  # how far the wall clock has been set in all, since the store was made
    steps: tuple[tuple[int, int], ...] = ()  # the latest steps: wall − set_us at that time, and `set_us` before it


# ── what an executor reports ─────────────────────────────────────────────────────────────────────────────────────


class Succeeded(Value, frozen=True, tag="succeeded"):
    """The function returned.  `result` is JSON or None; `idle_s` is the pause that a continuous worker asked for (M5).

    `result_error` says why what it returned cannot be given back (W6).
    """

    result: bytes | None = None
    idle_s: float | None = None
    result_error: str | None = None


class Failed(Value, frozen=True, tag="failed"):
    """The function raised.  `fatal`: no retry (R1); `retry_after_s`: the function said when to retry.

    `crashed`: it did not raise; its process ended during the attempt (R4).
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
    """R2: a shutdown or a lost lease cut it short.  `began` is False if the function had not been entered."""

    reason: str = ""
    began: bool = True


class Unfit(Value, frozen=True, tag="unfit"):
    """Q1: the stored payload no longer fits the function."""

    error: Error


Outcome = Succeeded | Failed | TimedOut | Cancelled | Interrupted | Unfit


class Report(Value, frozen=True):
    """What an executor says about a finished attempt; `duration_s` is by the monotonic clock."""

    run: int
    node: str
    fence: int
    outcome: Outcome
    duration_s: float
    code_version: str = ""
    traceparent: str | None = None  # of the attempt's span, which the spans of the runs that it causes link to


class DeadLetter(Value, frozen=True):
    """Q: the entry of a dead run; the run itself, with payload and attempts, is in the history."""

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
    unreadable: Unreadable | None = None  # W8: set if only a part of its row could be read
