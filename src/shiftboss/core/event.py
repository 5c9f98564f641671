"""An event is something that happened, as a value with its own wording: one for the log, the command and the page.

Rules of this file
- An event states what is committed; nothing is published for a transaction that failed.
- Its sentence leaves out what it is about (`worker`, `run`): a page shows these as links, a log line begins with them.
- Each kind has one template, and what varies is an argument, so that log lines can be grouped by their template.
- A class that lacks its severity, its subject or its sentence cannot be imported.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

from shiftboss.core.model import Error
from shiftboss.core.value import Value

MAX_ERROR = 300  # characters of an error in a sentence; the run has all of it


class About(StrEnum):
    """What an event is about: its log line begins with that, and it decides the logger."""

    RUN = "run"  # "fetch-data run 12 …"
    WORKER = "worker"  # "fetch-data …"
    BREAKER = "breaker"  # its sentence names it, as do those below
    NODE = "node"
    AUDIT = "audit"


class Severity(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


class Words(NamedTuple):
    """A sentence as a template and its arguments."""

    template: str
    arguments: tuple[object, ...] = ()

    def __str__(self) -> str:
        return self.template % self.arguments if self.arguments else self.template


class Event(Value, frozen=True):
    """Something that happened.  `worker`, `run` and `node` are empty if the event concerns none."""

    STORED: ClassVar[bool] = True
    AUDITED: ClassVar[bool] = False  # kept in the audit as well (A8)
    LOGGED: ClassVar[bool] = True  # as a line of its own
    ABOUT: ClassVar[About]  # each kind defines this
    SEVERITY: ClassVar[Severity]  # and this, …

    at: datetime
    worker: str = ""
    run: int | None = None
    node: str = ""

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        missing = [name for name in ("ABOUT", "SEVERITY", "says") if name not in vars(cls)]
        if missing:
            raise TypeError(f"event {cls.__name__} has no {' and no '.join(missing)}: see Event in core/event.py")

    def says(self) -> Words:
        """… and this: what happened, without what the event is about."""
        raise NotImplementedError

    @property
    def severity(self) -> Severity:
        """How grave it is."""
        return self.SEVERITY

    @property
    def text(self) -> str:
        """Its sentence."""
        return str(self.says())

    def line(self) -> Words:
        """Its sentence with what it is about, as a log line."""
        template, arguments = self.says()
        match self.ABOUT:
            case About.RUN if self.run is not None and not self.worker:
                return Words(f"run %s {template}", (self.run, *arguments))
            case About.RUN if self.run is not None:
                return Words(f"%s run %s {template}", (self.worker, self.run, *arguments))
            case About.RUN | About.WORKER:
                return Words(f"%s {template}", (self.worker, *arguments))
            case _:
                return Words(template, arguments)


DERIVED = ("text", "severity")  # of an event in JSON, before its fields


def with_error(error: Error | None) -> str:
    return "" if error is None else f": {error.type}: {error.message}"[:MAX_ERROR]


def span(seconds: float) -> str:
    """Three digits, in the unit that shows them."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms" if seconds >= 0.001 else "under 1 ms"
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"


def clock(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC") if at is not None else "once it can"
