"""Secrets are removed from what an attempt says before it is stored: errors, results, log lines and progress.

Rules of this file
- Everything that a function says passes through here, whatever executor it ran on.
- A run that succeeds and returns nothing costs one comparison.
- Texts are masked first and cut afterwards (`core/bounds.py`): half a secret would not be recognized.
- What has to be masked for a run is computed once, when the run first says something, and kept with its launch.
"""

from __future__ import annotations

from typing import Any, assert_never

from shiftboss.core.bounds import (
    MAX_LINE_CHARS,
    MAX_MESSAGE_CHARS,
    MAX_PROGRESS_CHARS,
    MAX_REASON_CHARS,
    ends,
    head,
)
from shiftboss.core.model import (
    Cancelled,
    Error,
    Failed,
    Interrupted,
    LogLine,
    Outcome,
    Progress,
    Succeeded,
    TimedOut,
    Unfit,
)
from shiftboss.core.redact import Redaction, redaction
from shiftboss.core.value import replace
from shiftboss.ports.executor import Launch


def redacted(launch: Launch | None, outcome: Outcome) -> Outcome:
    """The outcome as it may be stored."""
    match outcome:
        case Succeeded():
            if outcome.result is None and outcome.result_error is None:
                return outcome
            return _succeeded(_of(launch), outcome)
        case Cancelled() | Interrupted():
            return outcome
        case Failed() | TimedOut() | Unfit():
            return replace(outcome, error=_error(_of(launch), outcome.error))
        case _:
            assert_never(outcome)


def said_without_secrets(launch: Launch | None, value: Any) -> Any:
    """A log line or progress as it may be stored; anything else unchanged."""
    match value:
        case LogLine():
            return _changed(value, "text", _head(_of(launch), value.text, MAX_LINE_CHARS))
        case Progress(message=str() as message) if message:
            return _changed(value, "message", _head(_of(launch), message, MAX_PROGRESS_CHARS))
        case _:
            return value


def _of(launch: Launch | None) -> Redaction:
    return redaction(()) if launch is None else launch.redact()


def _succeeded(mask: Redaction, outcome: Succeeded) -> Succeeded:
    result, error = outcome.result, outcome.result_error
    kept = None if result is None else mask.json(result)
    reason = None if error is None else _head(mask, error, MAX_REASON_CHARS)
    return outcome if kept is result and reason == error else replace(outcome, result=kept, result_error=reason)


def _error(mask: Redaction, error: Error) -> Error:
    return Error(
        type=error.type,
        message=_head(mask, error.message, MAX_MESSAGE_CHARS),
        traceback=ends(mask.text(error.traceback)),
    )


def _head(mask: Redaction, text: str, limit: int) -> str:
    return head(text, mask.text(text), limit)


def _changed(value: Any, field: str, text: str) -> Any:
    return value if getattr(value, field) == text else replace(value, **{field: text})
