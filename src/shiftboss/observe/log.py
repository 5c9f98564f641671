"""Events as log lines: the one place that words them.

Rules of this file
- A line names the thing, the fact, and for a warning what happens next.
- Loggers are `shiftboss.run`, `shiftboss.worker`, `shiftboss.node`, `shiftboss.audit`; extras carry worker, run, node.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from shiftboss.core import events as ev
from shiftboss.core.model import Cause, Status

runs = logging.getLogger("shiftboss.run")
workers = logging.getLogger("shiftboss.worker")
nodes = logging.getLogger("shiftboss.node")
audit = logging.getLogger("shiftboss.audit")


def log_events(events: Sequence[ev.Event]) -> None:
    """Subscriber of the engine."""
    if not runs.isEnabledFor(logging.INFO):  # a busy node makes thousands a second that nobody wants to read
        events = [event for event in events if event.STORED or _is_trouble(event)]
    for event in events:
        worded = word(event)
        if worded is not None:
            logger, level, text = worded
            logger.log(level, "%s", text, extra={"worker": event.worker, "run": event.run, "node": event.node})


def _is_trouble(event: ev.Event) -> bool:
    return type(event) is ev.AttemptEnded or (type(event) is ev.RunEnded and event.status is Status.DEAD)


def word(event: ev.Event) -> tuple[logging.Logger, int, str] | None:
    """The line of one event; None for what nobody wants to read."""
    name, run = event.worker, event.run
    match event:
        case ev.RunStored():
            return runs, logging.DEBUG, f"{name} run {run} stored ({event.origin})"
        case ev.ArrivalRefused():
            key = f" with key {event.key}" if event.key else ""
            return (
                runs,
                logging.WARNING,
                f"{name}: a trigger{key} that a transaction had committed becomes no run: {event.reason}",
            )
        case ev.RunStarted():
            again = f", attempt {event.attempt}" if event.attempt > 1 else ""
            return runs, logging.INFO, f"{name} run {run} started{again}"
        case ev.AttemptEnded(cause=Cause.INTERRUPTED):
            return runs, logging.INFO, f"{name} run {run} attempt {event.attempt} was cut short; it is due again"
        case ev.AttemptEnded():
            why = _error(event.error)
            return (
                runs,
                logging.WARNING,
                (
                    f"{name} run {run} attempt {event.attempt} failed ({event.cause}{why}); "
                    f"it is tried again at {_clock(event.retry_at)}"
                ),
            )
        case ev.RunEnded(status=Status.DEAD):
            why = _error(event.error)
            return runs, logging.ERROR, f"{name} run {run} is dead ({event.cause}{why}); it waits as a dead letter"
        case ev.RunEnded():
            return runs, logging.INFO, f"{name} run {run} {event.status} after {_span(event.duration_s)}"
        case ev.RunSkipped():
            span = f"{event.count} instants from {_clock(event.first)} to {_clock(event.last)}"
            what = span if event.count > 1 else f"the instant {_clock(event.first)}"
            return runs, logging.WARNING, f"{name} skipped {what} ({event.reason})"
        case ev.RunRescued():
            return (
                runs,
                logging.WARNING,
                (f"{name} run {run} was rescued from node {event.lost_node}, gone; due {_clock(event.due_at)}"),
            )
        case ev.StaleReport():
            return runs, logging.WARNING, f"run {run}: a report with the old fence {event.fence} changed nothing"
        case ev.DeadLettered():
            return None  # said by RunEnded
        case ev.WorkerDeclared():
            what = f"changed: {', '.join(event.changed)}" if event.changed else "new"
            return workers, logging.INFO, f"{name} declared ({what})"
        case ev.WorkerDisabled():
            starves = f"; waiting for it: {', '.join(event.starves)}" if event.starves else ""
            return workers, logging.ERROR, f"{name} disabled by {event.by}: {event.reason}{starves}"
        case ev.WorkerEnabled():
            return workers, logging.INFO, f"{name} enabled by {event.by}"
        case ev.WorkerForgotten():
            return workers, logging.INFO, f"{name} forgotten by {event.by}"
        case ev.BreakerOpened():
            return workers, logging.WARNING, f"breaker {event.breaker} opened; one probe at {_clock(event.until)}"
        case ev.BreakerHalfOpen():
            return workers, logging.INFO, f"breaker {event.breaker} is half-open; a run probes it"
        case ev.BreakerClosed():
            return workers, logging.INFO, f"breaker {event.breaker} closed"
        case _:
            return _word_of_node(event)


def _word_of_node(event: ev.Event) -> tuple[logging.Logger, int, str] | None:
    match event:
        case ev.NodeJoined():
            return nodes, logging.INFO, f"node {event.name} joined"
        case ev.NodeLeft(lost=True):
            return nodes, logging.WARNING, f"node {event.name} is gone; its runs are rescued"
        case ev.NodeLeft():
            return nodes, logging.INFO, f"node {event.name} left"
        case ev.NodeShedding(level="nothing"):
            return nodes, logging.WARNING, "the shortage is over; nothing is held back any more"
        case ev.NodeShedding():
            held = "low" if event.level == "low" else "low and normal"
            return (
                nodes,
                logging.WARNING,
                f"short of something ({event.reason}); {held} runs are held back until it is over",
            )
        case ev.ClockStepped():
            return nodes, logging.WARNING, f"the wall clock was set by {event.step_s:+.1f} s; schedules follow it"
        case ev.StoreRestored():
            return nodes, logging.WARNING, f"the store lost a part of its past: {event.reason}; all is read anew"
        case ev.NodeDrained():
            return (
                nodes,
                logging.INFO,
                (
                    f"drained {event.drained}, interrupted {event.interrupted}, "
                    f"waiting {event.waiting}, lost {event.lost}"
                ),
            )
        case ev.Audit():
            thing = event.worker or event.node
            run = f" run {event.run}" if event.run is not None else ""
            return audit, logging.INFO, f"{event.by}: {event.action} {thing}{run} ({event.before} → {event.after})"
        case _:
            return None


def _error(error: object) -> str:
    kind, message = getattr(error, "type", ""), getattr(error, "message", "")
    return f": {kind}: {message}"[:300] if kind else ""


def _span(seconds: float) -> str:
    """Three digits, in the unit that shows them."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms" if seconds >= 0.001 else "under 1 ms"
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"


def _clock(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC") if at is not None else "once it can"
