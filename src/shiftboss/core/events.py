"""What happened, as values: returned by rules, published after the commit, worded elsewhere.

Rules of this file
- An event says what is committed; nothing is published for a transaction that failed.
- `STORED` events are kept in the store as well: everything that a person did (A1) and whatever explains a state later.
  Starts and ends of runs are not: their rows say it already.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from shiftboss.core.model import Cause, Error, Status
from shiftboss.core.value import Value


class Event(Value, frozen=True):
    """Something that happened.  `worker`, `run` and `node` are empty where they make no sense."""

    STORED: ClassVar[bool] = True
    AUDITED: ClassVar[bool] = False  # kept in the audit as well (A8)

    at: datetime
    worker: str = ""
    run: int | None = None
    node: str = ""


class RunStored(Event, frozen=True, tag="run_stored"):
    STORED: ClassVar[bool] = False
    origin: str = ""


class ArrivalRefused(Event, frozen=True, tag="arrival_refused"):
    """A trigger within a transaction of its caller was committed, and could not become a run when it was picked up."""

    key: str = ""
    by: str = ""
    reason: str = ""


class RunStarted(Event, frozen=True, tag="run_started"):
    STORED: ClassVar[bool] = False
    attempt: int = 1
    delay_s: float = 0.0  # due → start


class AttemptEnded(Event, frozen=True, tag="attempt_ended"):
    """An attempt that was not the last: the run waits for its retry, or was cut short and is due again (R2)."""

    STORED: ClassVar[bool] = False
    attempt: int = 1
    cause: Cause = Cause.ERROR
    error: Error | None = None
    retry_at: datetime | None = None


class RunEnded(Event, frozen=True, tag="run_ended"):
    """`attempt` is the one that ended with it, and `attempt_cause` how; 0 where it ended without one."""

    STORED: ClassVar[bool] = False
    status: Status = Status.SUCCEEDED
    cause: Cause | None = None
    duration_s: float = 0.0
    error: Error | None = None
    attempt: int = 0
    attempt_cause: Cause | None = None


class RunSkipped(Event, frozen=True, tag="run_skipped"):
    """One or more instants passed without a run; `count` of them, from `first` to `last`."""

    reason: Cause = Cause.MISFIRE
    first: datetime | None = None
    last: datetime | None = None
    count: int = 1


class RunRescued(Event, frozen=True, tag="run_rescued"):
    """C4: its node is gone; it is pending again (`due_at`) or dead."""

    lost_node: str = ""
    due_at: datetime | None = None


class StaleReport(Event, frozen=True, tag="stale_report"):
    """C5: a report about a claim that was no longer its sender's; it changed nothing."""

    fence: int = 0


class DeadLettered(Event, frozen=True, tag="dead_lettered"):
    cause: Cause = Cause.ERROR
    error: Error | None = None


class WorkerDeclared(Event, frozen=True, tag="worker_declared"):
    """A new or changed declaration took effect (M7)."""

    changed: tuple[str, ...] = ()


class WorkerDisabled(Event, frozen=True, tag="worker_disabled"):
    by: str = ""
    reason: str = ""
    starves: tuple[str, ...] = ()  # K4: the workers downstream that now wait
    accepts: bool = False  # K5: triggers are stored all the same, and wait
    probe_at: datetime | None = None  # K5: when one run may probe; None: only a person switches it on


class WorkerEnabled(Event, frozen=True, tag="worker_enabled"):
    by: str = ""


class WorkerForgotten(Event, frozen=True, tag="worker_forgotten"):
    by: str = ""


class BreakerOpened(Event, frozen=True, tag="breaker_opened"):
    breaker: str = ""
    until: datetime | None = None


class BreakerHalfOpen(Event, frozen=True, tag="breaker_half_open"):
    breaker: str = ""


class BreakerClosed(Event, frozen=True, tag="breaker_closed"):
    breaker: str = ""


class NodeJoined(Event, frozen=True, tag="node_joined"):
    name: str = ""


class NodeLeft(Event, frozen=True, tag="node_left"):
    name: str = ""
    lost: bool = False


class NodeShedding(Event, frozen=True, tag="node_shedding"):
    """H4: what the node holds back from now on, and why."""

    level: str = ""
    reason: str = ""


class NodeFrozen(Event, frozen=True, tag="node_frozen"):
    """C4: for `seconds` nothing but a body ran in the node's process, for it kept the interpreter's lock.

    `worker` and `run` where it is known which; else `bodies` names those that ran.  `stack` where it could be seen.
    """

    name: str = ""
    seconds: float = 0.0
    bodies: str = ""
    stack: str = ""


class ClockStepped(Event, frozen=True, tag="clock_stepped"):
    """O4: the wall clock moved by `step_s` against elapsed time."""

    step_s: float = 0.0


class StoreRestored(Event, frozen=True, tag="store_restored"):
    """C9: the store lost a part of its past, or may have; commits go on after `epoch`, and everybody declares again."""

    reason: str = ""
    epoch: int = 0


class NodeDrained(Event, frozen=True, tag="node_drained"):
    """G4: the report of a shutdown."""

    drained: int = 0
    interrupted: int = 0
    waiting: int = 0
    lost: int = 0


class UnreadableEvent(Event, frozen=True, tag="unreadable"):
    """Stands where a stored event cannot be read (W8)."""

    reason: str = ""


class Audit(Event, frozen=True, tag="audit"):
    """A1: who did what; `before` and `after` in words."""

    AUDITED: ClassVar[bool] = True
    by: str = ""
    action: str = ""
    before: str = ""
    after: str = ""


AnyEvent = (
    RunStored
    | ArrivalRefused
    | RunStarted
    | AttemptEnded
    | RunEnded
    | RunSkipped
    | RunRescued
    | StaleReport
    | DeadLettered
    | WorkerDeclared
    | WorkerDisabled
    | WorkerEnabled
    | WorkerForgotten
    | BreakerOpened
    | BreakerHalfOpen
    | BreakerClosed
    | NodeJoined
    | NodeLeft
    | NodeShedding
    | NodeFrozen
    | ClockStepped
    | StoreRestored
    | NodeDrained
    | UnreadableEvent
    | Audit
)
