"""The context of a trace as it travels with a run: W3C's traceparent, if OpenTelemetry is present at all.

Rules of this file
- It never imports OpenTelemetry.  An application that traces has imported it already; in all others this costs nothing.
- Only the text is stored or sent.  A text that cannot be read means no trace, never an error.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from shiftboss.core.pattern import lazy_pattern

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext

TRACEPARENT = lazy_pattern(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
VARIABLE = "TRACEPARENT"  # where programs look for it


def api() -> Any:
    """`opentelemetry.trace`, if anybody in this process has imported it."""
    return sys.modules.get("opentelemetry.trace")


def current_traceparent() -> str | None:
    """The traceparent of the current span; None if there is none."""
    trace = api()
    return None if trace is None else text_of(trace.get_current_span().get_span_context())


def text_of(context: SpanContext) -> str | None:
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def span_context(traceparent: str | None) -> SpanContext | None:
    """The span that *traceparent* names; None without OpenTelemetry, and for a text that is no traceparent."""
    trace, match = api(), TRACEPARENT.fullmatch(traceparent or "")
    if trace is None or match is None:
        return None
    named: SpanContext = trace.SpanContext(
        trace_id=int(match[1], 16),
        span_id=int(match[2], 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(int(match[3], 16)),
    )
    return named if named.is_valid else None


def make_current(span: Span) -> None:
    """Make *span* current in this thread's or task's context, which ends with the attempt: nothing is restored."""
    from opentelemetry import context

    context.attach(api().set_span_in_context(span))


class RemoteSpan:
    """In a child: the span of its attempt, which is in the node.  Spans that the function begins are its children."""

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent

    def enter(self) -> None:
        context = span_context(self.traceparent)
        if context is not None:
            make_current(api().NonRecordingSpan(context))

    def end(self, outcome: object) -> None:
        """Does nothing: the node ends the span."""
