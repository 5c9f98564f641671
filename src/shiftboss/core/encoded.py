"""Which parts of a stored value are people's texts and bytes: what a codec encodes.

Rules of this file
- What bodies and people say is encoded: payloads, results, errors, log lines, progress, reasons, notes.  What the
  rules, the indexes and the lists need is not: names, keys, instants, statuses, the types of errors.
- A part that stays as it is stays the same object: who asks for nothing pays for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from shiftboss.core import events
from shiftboss.core.control import Request
from shiftboss.core.model import (
    Attempt,
    CancelRequest,
    DeadLetter,
    Disabled,
    Error,
    LogLine,
    Progress,
    Record,
    Run,
    WorkerState,
)
from shiftboss.core.unreadable import SetAside
from shiftboss.core.value import replace

V = TypeVar("V")

# A test holds these tables to the values: each text of a stored value is encoded, or named there as one that is not.
TEXTS: dict[type, tuple[str, ...]] = {
    Error: ("message", "traceback"),
    CancelRequest: ("reason",),
    Progress: ("message",),
    LogLine: ("text",),
    Run: ("result_error",),
    Disabled: ("reason",),
    DeadLetter: ("note",),
    SetAside: ("note",),
    events.ArrivalRefused: ("reason",),
    events.WorkerDisabled: ("reason",),
    events.Audit: ("before", "after"),
}
BYTES: dict[type, tuple[str, ...]] = {Run: ("payload", "result"), Request: ("payload",)}
NESTED: dict[type, tuple[str, ...]] = {
    Run: ("attempts", "error", "cancel", "progress"),
    Attempt: ("error",),
    Disabled: ("error",),
    WorkerState: ("disabled",),
    Record: ("last_error",),
    events.AttemptEnded: ("error",),
    events.RunEnded: ("error",),
    events.DeadLettered: ("error",),
}


def transformed(value: V, *, text: Callable[[str], str], data: Callable[[bytes], bytes]) -> V:
    """*value* with each of its texts and bytes as these make it; the same object where nothing changes."""
    kind = type(value)
    changed: dict[str, Any] = {}
    for names, change in ((TEXTS.get(kind, ()), text), (BYTES.get(kind, ()), data)):
        for name in names:
            old = getattr(value, name)
            new = change(old) if old else old
            if new is not old:
                changed[name] = new
    for name in NESTED.get(kind, ()):
        old = getattr(value, name)
        if not old:
            continue
        if isinstance(old, tuple):
            new = tuple(transformed(each, text=text, data=data) for each in old)
            if any(one is not other for one, other in zip(new, old, strict=True)):
                changed[name] = new
        else:
            new = transformed(old, text=text, data=data)
            if new is not old:
                changed[name] = new
    return replace(value, **changed) if changed else value  # type: ignore[type-var]  # what changes is a Value
