"""Executors and bodies: how the engine has an attempt run.

Rules of this file
- An executor starts an attempt and always reports exactly one outcome for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, Protocol

import msgspec

from shiftboss.core.model import Outcome, Run
from shiftboss.core.redact import Redaction, redaction
from shiftboss.core.worker import Definition


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
