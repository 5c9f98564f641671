"""Makes a span for each attempt, linked to the span that was current at its trigger (extra `otel`).

Rules of this file
- It is linked, not a child: a run may begin tomorrow, and a trace that lasts a day is unreadable.
- No span is made, and OpenTelemetry is not even imported, before the application has set a provider.
- Attributes follow the conventions for messaging if a run is like a message; errors are shown as stored, without
  secrets.
- A failure has the status "error".  A run that an operator cancelled, or a shutdown gave back, has not failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from shiftboss.core.model import Cancelled, Error, Failed, Interrupted, Origin, Outcome, Run, Succeeded, TimedOut, Unfit
from shiftboss.ports.executor import Launch
from shiftboss.trace import api, make_current, span_context, text_of

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

LIKE_A_MESSAGE = (Origin.TRIGGER, Origin.REPLAY)


class Tracing:
    """Begins spans if a provider is set."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._provider: Any = None
        self._tracer: Tracer | None = None

    def start_span(self, launch: Launch) -> None:
        """Begin the attempt's span; called in the engine's thread, just before the attempt goes to its executor."""
        tracer = self._found()
        if tracer is None:
            return
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, SpanKind

        run = launch.run
        trigger = span_context(run.traceparent)
        span = tracer.start_span(
            f"run {run.worker}",
            context=Context(),  # no parent: the engine's thread may have inherited a span
            kind=SpanKind.CONSUMER if run.origin in LIKE_A_MESSAGE else SpanKind.INTERNAL,
            links=() if trigger is None else (Link(trigger),),
            attributes=_attributes(run),
        )
        launch.span = AttemptSpan(span)

    def _found(self) -> Tracer | None:
        trace = api()
        if trace is None:
            return None
        provider = trace.get_tracer_provider()
        if provider is not self._provider:
            self._provider = provider
            is_set = not isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider)
            self._tracer = provider.get_tracer("shiftboss", self._version) if is_set else None
        return self._tracer


class AttemptSpan:
    """The span of one attempt; ends once."""

    __slots__ = ("_has_ended", "_span", "traceparent")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._has_ended = False
        self.traceparent = text_of(span.get_span_context())

    def enter(self) -> None:
        make_current(self._span)

    def end(self, outcome: Outcome) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        match outcome:
            case Succeeded():
                self._said("succeeded")
            case Cancelled():
                self._said("cancelled")
            case Interrupted():
                self._said("interrupted")
            case Failed(error=error):
                self._failed("crash" if outcome.crashed else "fatal" if outcome.fatal else "error", error)
            case TimedOut(error=error):
                self._failed("timeout", error)
            case Unfit(error=error):
                self._failed("unfit", error)
            case _:
                assert_never(outcome)
        self._span.end()

    def _said(self, outcome: str) -> None:
        self._span.set_attribute("shiftboss.outcome", outcome)

    def _failed(self, outcome: str, error: Error) -> None:
        from opentelemetry.trace import StatusCode

        self._said(outcome)
        self._span.set_attribute("error.type", error.type)
        self._span.add_event(
            "exception",
            {
                "exception.type": error.type,
                "exception.message": error.message,
                "exception.stacktrace": error.traceback,
            },
        )
        self._span.set_status(StatusCode.ERROR, f"{outcome}: {error.type}: {error.message}"[:500])


def _attributes(run: Run) -> dict[str, Any]:
    own = {
        "shiftboss.worker": run.worker,
        "shiftboss.run.id": run.id,
        "shiftboss.run.origin": run.origin.value,
        "shiftboss.attempt": run.attempt,
        "shiftboss.run.occurs_at": run.occurs_at.isoformat(),
        "shiftboss.run.interruptions": run.interruptions,  # of earlier attempts: interrupted, or rescued from a node
        "shiftboss.run.rescues": run.rescues,
    }
    if run.claim is not None:
        own |= {"shiftboss.node": run.claim.node, "shiftboss.fence": run.claim.fence}
    if run.key is not None:
        own["shiftboss.run.key"] = run.key
    if run.origin not in LIKE_A_MESSAGE:
        return own
    return own | {
        "messaging.system": "shiftboss",
        "messaging.operation.type": "process",
        "messaging.operation.name": "run",
        "messaging.destination.name": run.worker,
        "messaging.message.id": str(run.id),
    }
