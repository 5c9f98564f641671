"""Executors and functions: how the engine has an attempt run.

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
    """Why an attempt is told to stop; it decides the outcome of an attempt that obeys."""

    CANCEL = "cancel"  # → Cancelled
    SHUTDOWN = "shutdown"  # → Interrupted
    LEASE = "lease"  # → Interrupted


class Body(Protocol):
    """A worker's function, ready to be called by an executor."""

    @property
    def is_async(self) -> bool: ...

    def call(self, context: Any, payload: bytes | None, *, fallback: bool) -> Any:
        """Decode the payload and call the function (for an async one this returns a coroutine).

        Raises UnfitPayload if the payload does not fit; any other exception is the function's own.
        """
        ...

    def succeeded(self, value: Any) -> Outcome:
        """The outcome of a returned value: understands Idle, and leaves out a value that cannot be stored."""
        ...

    def failed(self, error: BaseException) -> Outcome:
        """The outcome of an exception: understands Retry, Fatal, UnfitPayload, retry_on and no_retry_on."""
        ...


class Span(Protocol):
    """The trace of one attempt."""

    @property
    def traceparent(self) -> str | None:
        """Its W3C traceparent, to be passed on to what the function starts."""
        ...

    def enter(self) -> None:
        """Make it the current span, in the context in which the function runs."""
        ...

    def end(self, outcome: Outcome) -> None:
        """The attempt has ended; *outcome* contains no secrets.  Twice is as once."""
        ...


Raised = tuple[type[BaseException], BaseException, TracebackType | None]  # as `exc_info=` takes it


class Launch(msgspec.Struct, eq=False):
    """Everything an executor needs to start one attempt.  `report` may be called from any thread, once."""

    run: Run
    definition: Definition
    body: Body
    report: Callable[[Outcome, float], None]  # outcome, duration in seconds
    signal: Callable[[str, Any], None]  # what a function says meanwhile: "progress", "heartbeat", "zombie"
    timeout_s: float | None
    last_success_at: datetime | None = None  # of the worker, for the context
    span: Span | None = None  # if it is traced
    secrets: tuple[str, ...] = ()  # that its node masks in every run
    entered: Callable[[], None] = lambda: None  # its function is about to be entered
    redaction: Redaction | None = None  # what must be masked in what the run says; None until it says something
    raised: Raised | None = None  # what its function raised in this process, only for the log

    @property
    def traceparent(self) -> str | None:
        return None if self.span is None else self.span.traceparent

    def redact(self) -> Redaction:
        """What masks the texts of this run: secret names, and the secrets in its own payload."""
        if self.redaction is None:  # two threads may both compute it, with the same result
            definition, payload = self.definition, self.run.payload
            names = redaction(definition.redact, definition.redact_patterns)
            own = [] if payload is None else names.secrets_in(payload, self.run.masked)
            self.redaction = names.knowing((*self.secrets, *own))
        return self.redaction

    def masked(self, text: str) -> str:
        """*text* of this run with its secrets masked."""
        return self.redact().text(text)


class Executor(Protocol):
    """Runs functions of one kind."""

    kind: str
    slots: int

    def open(self) -> None: ...

    def start(self, launches: Iterable[Launch]) -> None:
        """Start attempts, many in one hop.  Never blocks, and never raises because of what a function does."""
        ...

    def stop(self, run_id: int, fence: int, reason: StopReason) -> None:
        """Ask one attempt to end (T2).  An unknown attempt has ended already."""
        ...

    def announce(self) -> None:
        """G1: let every running function see `ctx.stopping`."""
        ...

    def kill(self) -> None:
        """G1: end what can be ended by force."""
        ...

    def flush(self) -> None:
        """Pass on what functions said and what was held back to limit its rate; called about once a second."""
        ...

    def trust(self, until_s: float, *, frozen_until_s: float) -> None:
        """B7: functions in processes of their own end at *until_s* of elapsed time, unless a later one is given before.

        While the node lives and is neither stopped nor traced, they end at *frozen_until_s*.
        """
        ...

    def occupants(self) -> Mapping[tuple[str, int], int]:
        """The worker and run of functions that threads of this process run, or have just left, with the thread."""
        ...

    def unended(self) -> Mapping[tuple[int, int], tuple[Outcome, float]]:
        """By (run, fence): what to report of each function that still runs if its process ends now (B6, G2)."""
        ...

    def close(self, timeout_s: float) -> None:
        """Give up threads and children; wait no longer than that."""
        ...
