"""Events as log lines: the one place that words them.

Rules of this file
- A line names the thing, the fact, and for a warning what happens next.
- Each kind of line has one template, and what varies is an argument: whoever groups by the template has one group.
- A failure carries what the body raised (`exc_info`): the exception itself where it was raised in this process and
  holds no secret, else a stand-in of the same name whose cause is the traceback as it is stored.
- Loggers are `shiftboss.run`, `shiftboss.worker`, `shiftboss.node`, `shiftboss.audit`; extras carry worker, run, node.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from shiftboss.core import events as ev
from shiftboss.core.model import Cause, Error, Status
from shiftboss.logs import Block, get_logger
from shiftboss.ports.executor import Raised

runs = get_logger("shiftboss.run")
workers = get_logger("shiftboss.worker")
nodes = get_logger("shiftboss.node")
audit = get_logger("shiftboss.audit")


class Line(NamedTuple):
    logger: logging.Logger
    level: int
    template: str
    arguments: tuple[object, ...] = ()


def log_events(events: Sequence[ev.Event], raised: Mapping[int, Raised]) -> None:
    """Say what was committed; *raised*: by run, what its body raised in this process."""
    if not runs.isEnabledFor(logging.INFO):  # a busy node makes thousands a second that nobody wants to read
        events = [event for event in events if event.STORED or _is_trouble(event)]
    for event in events:
        line = word(event)
        if line is None or not line.logger.isEnabledFor(line.level):
            continue
        extra = {"worker": event.worker, "run": event.run, "node": event.node}
        exc_info = exception_of(event, raised) if _is_trouble(event) else None
        line.logger.log(line.level, line.template, *line.arguments, exc_info=exc_info, extra=extra)


def _is_trouble(event: ev.Event) -> bool:
    return type(event) is ev.AttemptEnded or (type(event) is ev.RunEnded and event.status is Status.DEAD)


# ── exceptions ───────────────────────────────────────────────────────────────────────────────────────────────────


class BodyFailed(Exception):
    """Stands in for what a body raised elsewhere: in a child process, or on another node."""


class StoredTraceback(Exception):
    """The cause of a stand-in: the traceback as text."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def exception_of(event: ev.Event, raised: Mapping[int, Raised]) -> Raised | None:
    """What the run's body raised; None where it ended for another reason."""
    error = event.error if isinstance(event, ev.AttemptEnded | ev.RunEnded) else None
    if error is None or event.run is None:
        return None
    return raised.get(event.run) or stand_in(error)


def stand_in(error: Error) -> Raised:
    module, _, name = error.type.rpartition(".")
    made: BaseException = type(name, (BodyFailed,), {"__module__": module or "builtins"})(error.message)
    if error.traceback:
        made.__cause__ = StoredTraceback(error.traceback)
    return type(made), made, None


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────


def word(event: ev.Event) -> Line | None:
    """The line of one event; None for what nobody wants to read."""
    name, run = event.worker, event.run
    match event:
        case ev.RunStored():
            return Line(runs, logging.DEBUG, "%s run %s stored (%s)", (name, run, event.origin))
        case ev.ArrivalRefused():
            key = f" with key {event.key}" if event.key else ""
            refused = "%s: a trigger%s that a transaction had committed becomes no run: %s"
            return Line(runs, logging.WARNING, refused, (name, key, event.reason))
        case ev.RunStarted(attempt=1):
            return Line(runs, logging.INFO, "%s run %s started", (name, run))
        case ev.RunStarted():
            return Line(runs, logging.INFO, "%s run %s started, attempt %s", (name, run, event.attempt))
        case ev.AttemptEnded(cause=Cause.INTERRUPTED):
            cut = "%s run %s attempt %s was cut short; it is due again"
            return Line(runs, logging.INFO, cut, (name, run, event.attempt))
        case ev.AttemptEnded():
            failed = "%s run %s attempt %s failed (%s%s); it is tried again at %s"
            again = _clock(event.retry_at)
            return Line(
                runs, logging.WARNING, failed, (name, run, event.attempt, event.cause, _error(event.error), again)
            )
        case ev.RunEnded(status=Status.DEAD):
            dead = "%s run %s is dead (%s%s); it waits as a dead letter"
            return Line(runs, logging.ERROR, dead, (name, run, event.cause, _error(event.error)))
        case ev.RunEnded():
            return Line(runs, logging.INFO, "%s run %s %s after %s", (name, run, event.status, _span(event.duration_s)))
        case ev.RunSkipped(count=1):
            skipped = "%s skipped the instant %s (%s)"
            return Line(runs, logging.WARNING, skipped, (name, _clock(event.first), event.reason))
        case ev.RunSkipped():
            skipped = "%s skipped %s instants from %s to %s (%s)"
            first, last = _clock(event.first), _clock(event.last)
            return Line(runs, logging.WARNING, skipped, (name, event.count, first, last, event.reason))
        case ev.RunRescued():
            rescued = "%s run %s was rescued from node %s, which was given up; due %s"
            return Line(runs, logging.WARNING, rescued, (name, run, event.lost_node, _clock(event.due_at)))
        case ev.StaleReport():
            stale = "run %s: a report with the old fence %s changed nothing"
            return Line(runs, logging.WARNING, stale, (run, event.fence))
        case ev.DeadLettered():
            return None  # said by RunEnded
        case ev.WorkerDeclared():
            what = f"changed: {', '.join(event.changed)}" if event.changed else "new"
            return Line(workers, logging.INFO, "%s declared (%s)", (name, what))
        case ev.WorkerDisabled():
            starves = f"; waiting for it: {', '.join(event.starves)}" if event.starves else ""
            then = _while_disabled(event)
            return Line(
                workers, logging.ERROR, "%s disabled by %s: %s%s%s", (name, event.by, event.reason, starves, then)
            )
        case ev.WorkerEnabled():
            return Line(workers, logging.INFO, "%s enabled by %s", (name, event.by))
        case ev.WorkerForgotten():
            return Line(workers, logging.INFO, "%s forgotten by %s", (name, event.by))
        case ev.BreakerOpened():
            opened = "breaker %s opened; one probe at %s"
            return Line(workers, logging.WARNING, opened, (event.breaker, _clock(event.until)))
        case ev.BreakerHalfOpen():
            return Line(workers, logging.INFO, "breaker %s is half-open; a run probes it", (event.breaker,))
        case ev.BreakerClosed():
            return Line(workers, logging.INFO, "breaker %s closed", (event.breaker,))
        case _:
            return _word_of_node(event)


def _word_of_node(event: ev.Event) -> Line | None:
    match event:
        case ev.NodeJoined():
            return Line(nodes, logging.INFO, "node %s joined", (event.name,))
        case ev.NodeLeft(lost=True):
            return Line(
                nodes,
                logging.WARNING,
                "node %s was given up: its process is gone, or its lease has ended; its runs are rescued",
                (event.name,),
            )
        case ev.NodeLeft():
            return Line(nodes, logging.INFO, "node %s left", (event.name,))
        case ev.NodeFrozen():
            frozen = "node %s stood still for %.0f s: %s; there ran %s; executor='process' keeps such a body apart"
            cause = "a body kept the interpreter's lock" + ("" if event.stack else ", or its process was stopped")
            bodies = event.bodies or "no body that is known"
            stack = (Block(event.stack),) if event.stack else ()
            return Line(nodes, logging.WARNING, frozen, (event.name, event.seconds, cause, bodies, *stack))
        case ev.NodeShedding(level="nothing"):
            return Line(nodes, logging.WARNING, "the shortage is over; nothing is held back any more")
        case ev.NodeShedding():
            held = "low" if event.level == "low" else "low and normal"
            return Line(nodes, logging.WARNING, "%s; %s runs are held back until it is over", (event.reason, held))
        case ev.ClockStepped():
            stepped = "the wall clock was set by %+.1f s; cron and at= follow it, durations keep their length"
            return Line(nodes, logging.WARNING, stepped, (event.step_s,))
        case ev.StoreRestored():
            restored = (
                "the store lost a part of its past, or may have: %s; all is read anew, and live nodes declare again"
            )
            return Line(nodes, logging.WARNING, restored, (event.reason,))
        case ev.NodeDrained():
            drained = "drained %s, interrupted %s, waiting %s, lost %s"
            return Line(nodes, logging.INFO, drained, (event.drained, event.interrupted, event.waiting, event.lost))
        case ev.Audit():
            run = f" run {event.run}" if event.run is not None else ""
            thing = event.worker or event.node
            did = "%s: %s %s%s (%s → %s)"
            return Line(audit, logging.INFO, did, (event.by, event.action, thing, run, event.before, event.after))
        case _:
            return None


def _error(error: Error | None) -> str:
    return "" if error is None else f": {error.type}: {error.message}"[:300]


def _span(seconds: float) -> str:
    """Three digits, in the unit that shows them."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms" if seconds >= 0.001 else "under 1 ms"
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"


def _clock(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC") if at is not None else "once it can"


def _while_disabled(event: ev.WorkerDisabled) -> str:
    """K5: what happens next."""
    probe = "" if event.probe_at is None else f"; one run may probe at {event.probe_at:%Y-%m-%d %H:%M:%S} UTC"
    return probe + ("; triggers are accepted and wait" if event.accepts else "; triggers are refused")
