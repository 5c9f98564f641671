"""Writes events to the log, in their own words (core/event.py).

Rules of this file
- A failure carries the function's exception (`exc_info`): the exception itself if it was raised in this process and
  holds no secret, otherwise a stand-in of the same name whose cause is the stored traceback.
- Loggers are `shiftboss.run`, `shiftboss.worker`, `shiftboss.node`, `shiftboss.audit`; extras carry worker, run, node.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from shiftboss.core import events as ev
from shiftboss.core.event import About, Severity
from shiftboss.core.model import Error, Status
from shiftboss.logs import Block, get_logger
from shiftboss.ports.executor import Raised

runs = get_logger("shiftboss.run")
workers = get_logger("shiftboss.worker")
nodes = get_logger("shiftboss.node")
audit = get_logger("shiftboss.audit")


LOGGERS = {About.RUN: runs, About.WORKER: workers, About.BREAKER: workers, About.NODE: nodes, About.AUDIT: audit}
LEVELS = {
    Severity.DEBUG: logging.DEBUG,
    Severity.INFO: logging.INFO,
    Severity.SUCCESS: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.ERROR: logging.ERROR,
}


def log_events(events: Sequence[ev.Event], raised: Mapping[int, Raised]) -> None:
    """Log committed events; *raised*: by run, the exception that its function raised in this process."""
    if not runs.isEnabledFor(logging.INFO):  # a busy node makes thousands a second that are below that level
        events = [event for event in events if event.STORED or _is_trouble(event)]
    for event in events:
        logger = LOGGERS[event.ABOUT]
        level = logging.INFO if logger is audit else LEVELS[event.severity]  # what people do is no trouble
        if not event.LOGGED or not logger.isEnabledFor(level):
            continue
        template, arguments = event.line()
        stack = getattr(event, "stack", "")
        if stack:
            arguments = (*arguments, Block(stack))
        extra = {"worker": event.worker, "run": event.run, "node": event.node}
        exc_info = exception_of(event, raised) if _is_trouble(event) else None
        logger.log(level, template, *arguments, exc_info=exc_info, extra=extra)


def _is_trouble(event: ev.Event) -> bool:
    return type(event) is ev.AttemptEnded or (type(event) is ev.RunEnded and event.status is Status.DEAD)


# ── exceptions ───────────────────────────────────────────────────────────────────────────────────────────────────


class BodyFailed(Exception):
    """Stands in for an exception that a function raised elsewhere: in a child process, or on another node."""


class StoredTraceback(Exception):
    """The cause of a stand-in: the stored traceback, as text."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def exception_of(event: ev.Event, raised: Mapping[int, Raised]) -> Raised | None:
    """The exception of the run's function; None if the run ended for another reason."""
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
