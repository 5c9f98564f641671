"""Every kind of event, each with its own sentence.

Rules of this file
- Rules return events.  They are published after the commit, and worded only here (core/event.py says how).
- `STORED` events are also kept in the store: everything that a person did (A1), and whatever explains a state later.
  Starts and ends of runs are not stored as events: their rows say it already.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from shiftboss.core.event import About, Severity, Words, clock, span, with_error
from shiftboss.core.event import Event as Event
from shiftboss.core.model import AUTOMATIC, Cause, Error, Status


class RunStored(Event, frozen=True, tag="run_stored"):
    STORED: ClassVar[bool] = False
    ABOUT: ClassVar = About.RUN
    SEVERITY: ClassVar = Severity.DEBUG

    origin: str = ""

    def says(self) -> Words:
        return Words("stored (%s)", (self.origin,))


class ArrivalRefused(Event, frozen=True, tag="arrival_refused"):
    """A trigger within its caller's transaction was committed, but could not become a run when it was picked up."""

    ABOUT: ClassVar = About.RUN
    SEVERITY: ClassVar = Severity.WARNING

    key: str = ""
    by: str = ""
    reason: str = ""

    def says(self) -> Words:
        key = f" with key {self.key}" if self.key else ""
        return Words("refused a trigger%s that a transaction had committed: %s", (key, self.reason))


class RunStarted(Event, frozen=True, tag="run_started"):
    STORED: ClassVar[bool] = False
    ABOUT: ClassVar = About.RUN
    SEVERITY: ClassVar = Severity.INFO

    attempt: int = 1
    delay_s: float = 0.0  # from due to start

    def says(self) -> Words:
        return Words("started") if self.attempt == 1 else Words("started, attempt %s", (self.attempt,))


class AttemptEnded(Event, frozen=True, tag="attempt_ended"):
    """An attempt that was not the last: the run waits for its retry, or was cut short and is due again (R2)."""

    STORED: ClassVar[bool] = False
    ABOUT: ClassVar = About.RUN
    SEVERITY: ClassVar = Severity.WARNING

    attempt: int = 1
    cause: Cause = Cause.ERROR
    error: Error | None = None
    retry_at: datetime | None = None

    def says(self) -> Words:
        if self.cause is Cause.INTERRUPTED:
            return Words("attempt %s was interrupted; the run is due again", (self.attempt,))
        error, again = with_error(self.error), clock(self.retry_at)
        return Words("attempt %s failed (%s%s); next attempt at %s", (self.attempt, self.cause, error, again))

    @property
    def severity(self) -> Severity:
        return Severity.INFO if self.cause is Cause.INTERRUPTED else Severity.WARNING


class RunEnded(Event, frozen=True, tag="run_ended"):
    """`attempt` is the one that ended with the run, `attempt_cause` its cause; 0 if it ended without an attempt."""

    STORED: ClassVar[bool] = False
    ABOUT: ClassVar = About.RUN
    SEVERITY: ClassVar = Severity.INFO

    status: Status = Status.SUCCEEDED
    cause: Cause | None = None
    duration_s: float = 0.0
    error: Error | None = None
    attempt: int = 0
    attempt_cause: Cause | None = None

    def says(self) -> Words:
        if self.status is Status.DEAD:
            return Words("is dead (%s%s); kept as a dead letter", (self.cause, with_error(self.error)))
        return Words("%s after %s", (self.status, span(self.duration_s)))

    @property
    def severity(self) -> Severity:
        if self.status is Status.DEAD:
            return Severity.ERROR
        return Severity.SUCCESS if self.status is Status.SUCCEEDED else Severity.INFO


class RunSkipped(Event, frozen=True, tag="run_skipped"):
    """One or more scheduled times passed without a run; `count` of them, from `first` to `last`."""

    ABOUT: ClassVar = About.WORKER
    SEVERITY: ClassVar = Severity.WARNING

    reason: Cause = Cause.MISFIRE
    first: datetime | None = None
    last: datetime | None = None
    count: int = 1

    def says(self) -> Words:
        if self.count == 1:
            return Words("skipped the scheduled run of %s (%s)", (clock(self.first), self.reason))
        first, last = clock(self.first), clock(self.last)
        return Words("skipped %s scheduled runs from %s to %s (%s)", (self.count, first, last, self.reason))


class RunRescued(Event, frozen=True, tag="run_rescued"):
    """C4: its node is gone; it is pending again (`due_at`) or dead."""

    ABOUT: ClassVar = About.RUN
    SEVERITY: ClassVar = Severity.WARNING

    lost_node: str = ""
    due_at: datetime | None = None

    def says(self) -> Words:
        return Words("was rescued from node %s, which was lost; due %s", (self.lost_node, clock(self.due_at)))


class StaleReport(Event, frozen=True, tag="stale_report"):
    """C5: a report about a claim that was no longer its sender's; it changed nothing."""

    ABOUT: ClassVar = About.RUN
    SEVERITY: ClassVar = Severity.WARNING

    fence: int = 0

    def says(self) -> Words:
        return Words("got a late report, which was ignored: its claim (number %s) had ended", (self.fence,))


class DeadLettered(Event, frozen=True, tag="dead_lettered"):
    LOGGED: ClassVar = False  # its RunEnded is logged
    ABOUT: ClassVar = About.RUN
    SEVERITY: ClassVar = Severity.ERROR

    cause: Cause = Cause.ERROR
    error: Error | None = None

    def says(self) -> Words:
        return Words("became a dead letter (%s%s)", (self.cause, with_error(self.error)))


class WorkerDeclared(Event, frozen=True, tag="worker_declared"):
    """A new or changed declaration took effect (M7)."""

    ABOUT: ClassVar = About.WORKER
    SEVERITY: ClassVar = Severity.INFO

    changed: tuple[str, ...] = ()

    def says(self) -> Words:
        return Words("registered (%s)", (f"changed: {', '.join(self.changed)}" if self.changed else "new",))


class WorkerDisabled(Event, frozen=True, tag="worker_disabled"):
    ABOUT: ClassVar = About.WORKER
    SEVERITY: ClassVar = Severity.ERROR

    by: str = ""
    reason: str = ""
    starves: tuple[str, ...] = ()  # K4: the workers downstream that now have to wait
    accepts: bool = False  # K5: whether triggers are stored nevertheless, and wait
    probe_at: datetime | None = None  # K5: when one run may probe; None: only a person enables it

    def says(self) -> Words:
        waiting = f"; waiting for it: {', '.join(self.starves)}" if self.starves else ""
        return Words("disabled %s: %s%s%s", (by_whom(self.by), self.reason, waiting, self._what_is_next()))

    def _what_is_next(self) -> str:
        """K5."""
        probe = "" if self.probe_at is None else f"; next test run at {clock(self.probe_at)}"
        return probe + ("; triggers are accepted and wait" if self.accepts else "; triggers are refused")


class WorkerEnabled(Event, frozen=True, tag="worker_enabled"):
    ABOUT: ClassVar = About.WORKER
    SEVERITY: ClassVar = Severity.SUCCESS

    by: str = ""

    def says(self) -> Words:
        return Words("enabled %s", (by_whom(self.by),))


class WorkerPaused(Event, frozen=True, tag="worker_paused"):
    ABOUT: ClassVar = About.WORKER
    SEVERITY: ClassVar = Severity.INFO

    by: str = ""
    reason: str = ""
    until: datetime | None = None  # K7: when it ends by itself; None: only a person resumes it

    def says(self) -> Words:
        until = "" if self.until is None else f" until {clock(self.until)}"
        return Words("paused %s%s%s", (by_whom(self.by), until, f": {self.reason}" if self.reason else ""))


class WorkerResumed(Event, frozen=True, tag="worker_resumed"):
    ABOUT: ClassVar = About.WORKER
    SEVERITY: ClassVar = Severity.SUCCESS

    by: str = ""

    def says(self) -> Words:
        return Words("resumed %s", (by_whom(self.by),))


class WorkerForgotten(Event, frozen=True, tag="worker_forgotten"):
    ABOUT: ClassVar = About.WORKER
    SEVERITY: ClassVar = Severity.INFO

    by: str = ""

    def says(self) -> Words:
        return Words("forgotten %s", (by_whom(self.by),))


class BreakerOpened(Event, frozen=True, tag="breaker_opened"):
    ABOUT: ClassVar = About.BREAKER
    SEVERITY: ClassVar = Severity.WARNING

    breaker: str = ""
    until: datetime | None = None

    def says(self) -> Words:
        return Words("breaker %s opened; next test call at %s", (self.breaker, clock(self.until)))


class BreakerHalfOpen(Event, frozen=True, tag="breaker_half_open"):
    ABOUT: ClassVar = About.BREAKER
    SEVERITY: ClassVar = Severity.INFO

    breaker: str = ""

    def says(self) -> Words:
        return Words("breaker %s is half-open; a run is its test call", (self.breaker,))


class BreakerClosed(Event, frozen=True, tag="breaker_closed"):
    ABOUT: ClassVar = About.BREAKER
    SEVERITY: ClassVar = Severity.SUCCESS

    breaker: str = ""

    def says(self) -> Words:
        return Words("breaker %s closed", (self.breaker,))


class NodeJoined(Event, frozen=True, tag="node_joined"):
    ABOUT: ClassVar = About.NODE
    SEVERITY: ClassVar = Severity.INFO

    name: str = ""

    def says(self) -> Words:
        return Words("node %s joined", (self.name,))


class NodeLeft(Event, frozen=True, tag="node_left"):
    ABOUT: ClassVar = About.NODE
    SEVERITY: ClassVar = Severity.INFO

    name: str = ""
    lost: bool = False

    def says(self) -> Words:
        if not self.lost:
            return Words("node %s left", (self.name,))
        was_lost = "node %s was lost: its process has ended, or its lease has expired; its runs are rescued"
        return Words(was_lost, (self.name,))

    @property
    def severity(self) -> Severity:
        return Severity.WARNING if self.lost else Severity.INFO


class NodeShedding(Event, frozen=True, tag="node_shedding"):
    """H4: what the node holds back from now on, and why."""

    ABOUT: ClassVar = About.NODE
    SEVERITY: ClassVar = Severity.WARNING

    level: str = ""
    reason: str = ""

    def says(self) -> Words:
        if self.level == "nothing":
            return Words("load shedding ended: all runs may start again")
        held = "low" if self.level == "low" else "low and normal"
        return Words("load shedding: %s priority runs are held until it ends; %s", (held, self.reason))


class NodeFrozen(Event, frozen=True, tag="node_frozen"):
    """C4: for `seconds` nothing but one function ran in the node's process, because it kept the interpreter's lock.

    `worker` and `run` are set if it is known which; otherwise `bodies` names those that ran.  `stack` is set if it was
    seen.
    """

    ABOUT: ClassVar = About.NODE
    SEVERITY: ClassVar = Severity.WARNING

    name: str = ""
    seconds: float = 0.0
    bodies: str = ""
    stack: str = ""

    def says(self) -> Words:
        cause = "a function held the interpreter's lock (GIL)" + ("" if self.stack else ", or its process was stopped")
        running = self.bodies or "no known function"
        frozen = "node %s was frozen for %.0f s: %s; running there: %s; executor='process' isolates such functions"
        return Words(frozen, (self.name, self.seconds, cause, running))


class ClockStepped(Event, frozen=True, tag="clock_stepped"):
    """O4: the wall clock moved by `step_s` against elapsed time."""

    ABOUT: ClassVar = About.NODE
    SEVERITY: ClassVar = Severity.WARNING

    step_s: float = 0.0

    def says(self) -> Words:
        stepped = "the wall clock was set by %+.1f s; cron and at= follow it, durations keep their length"
        return Words(stepped, (self.step_s,))


class StoreRestored(Event, frozen=True, tag="store_restored"):
    """C9: the store lost a part of its past, or may have; commits go on after `epoch`, every process declares again."""

    ABOUT: ClassVar = About.NODE
    SEVERITY: ClassVar = Severity.WARNING

    reason: str = ""
    epoch: int = 0

    def says(self) -> Words:
        lost = (
            "the store lost a part of its past, or may have: %s; everything is read again, and live nodes register "
            "again"
        )
        return Words(lost, (self.reason,))


class NodeDrained(Event, frozen=True, tag="node_drained"):
    """G4: the report of a shutdown."""

    ABOUT: ClassVar = About.NODE
    SEVERITY: ClassVar = Severity.INFO

    drained: int = 0
    interrupted: int = 0
    waiting: int = 0
    lost: int = 0

    def says(self) -> Words:
        numbers = (self.drained, self.interrupted, self.waiting, self.lost)
        return Words("drained %s, interrupted %s, pending %s, lost %s", numbers)


class UnreadableEvent(Event, frozen=True, tag="unreadable"):
    """Replaces a stored event that cannot be read (W8)."""

    LOGGED: ClassVar = False  # the process that wrote it has logged it
    ABOUT: ClassVar = About.NODE
    SEVERITY: ClassVar = Severity.WARNING

    reason: str = ""

    def says(self) -> Words:
        return Words("an event that cannot be read: %s", (self.reason,))


class Audit(Event, frozen=True, tag="audit"):
    """A1: who did what; `before` and `after` in words."""

    AUDITED: ClassVar[bool] = True
    ABOUT: ClassVar = About.AUDIT
    SEVERITY: ClassVar = Severity.INFO

    by: str = ""
    action: str = ""
    before: str = ""
    after: str = ""

    def says(self) -> Words:
        return Words("%s%s", (self.action, self._change()))

    @property
    def severity(self) -> Severity:
        return Severity.WARNING if self.action == "refused" else Severity.INFO

    def line(self) -> Words:
        run = f"run {self.run}" if self.run is not None else ""
        about = " ".join(filter(None, (self.action, self.worker or self.node, run)))
        return Words("%s: %s%s", (self.by, about, self._change()))

    def _change(self) -> str:
        change = " → ".join(filter(None, (self.before, self.after)))
        return f" ({change})" if change else ""


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
    | WorkerPaused
    | WorkerResumed
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


def by_whom(who: str) -> str:
    """ "by ada"; "automatically"."""
    return "automatically" if who == AUTOMATIC else f"by {who}"
