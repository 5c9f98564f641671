"""Which parts of a stored value are people's texts and bytes: what a codec encodes.

Rules of this file
- A codec encodes what functions and people say: payloads, results, errors, log lines, progress, reasons, notes.  It
  does not encode what rules, indexes and lists need: names, keys, times, statuses, the types of errors.
- A value with nothing to encode comes back as the same object, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

from shiftboss.core import events
from shiftboss.core.control import Request
from shiftboss.core.model import (
    Attempt,
    CancelRequest,
    DeadLetter,
    Disabled,
    Error,
    LogLine,
    Pause,
    Progress,
    Record,
    Run,
    WorkerState,
)
from shiftboss.core.unreadable import SetAside
from shiftboss.core.value import replace

V = TypeVar("V")

# A test compares these tables with the values: each text of a stored value is encoded, or listed as one that is not.
TEXTS: dict[type, tuple[str, ...]] = {
    Error: ("message", "traceback"),
    CancelRequest: ("reason",),
    Progress: ("message",),
    LogLine: ("text",),
    Run: ("result_error",),
    Disabled: ("reason",),
    Pause: ("reason",),
    DeadLetter: ("note",),
    SetAside: ("note",),
    events.ArrivalRefused: ("reason",),
    events.WorkerDisabled: ("reason",),
    events.WorkerPaused: ("reason",),
    events.NodeFrozen: ("stack",),
    events.Audit: ("before", "after"),
}
BYTES: dict[type, tuple[str, ...]] = {Run: ("payload", "result"), Request: ("payload",)}
NESTED: dict[type, tuple[str, ...]] = {
    Run: ("attempts", "error", "cancel", "progress"),
    Attempt: ("error",),
    Disabled: ("error",),
    WorkerState: ("disabled", "paused"),
    Record: ("last_error",),
    events.AttemptEnded: ("error",),
    events.RunEnded: ("error",),
    events.DeadLettered: ("error",),
}


class _Parts(NamedTuple):
    """Which fields of a kind of value are to be looked at, and a getter that reads them all at once."""

    of: Callable[[Any], tuple[Any, ...]]
    names: tuple[str, ...]
    ways: tuple[int, ...]


TEXT, DATA, WITHIN = range(3)


def _parts(kind: type) -> _Parts:
    tables = ((TEXT, TEXTS), (DATA, BYTES), (WITHIN, NESTED))
    ways = {name: way for way, table in tables for name in table.get(kind, ())}
    names = tuple(ways)
    get = attrgetter(*names)
    return _Parts(get if len(names) > 1 else lambda value: (get(value),), names, tuple(ways.values()))


PARTS = {kind: _parts(kind) for kind in {*TEXTS, *BYTES, *NESTED}}


def transformed(value: V, *, text: Callable[[str], str], data: Callable[[bytes], bytes]) -> V:
    """*value* with its texts passed through *text* and its bytes through *data*; the same object if nothing changes."""
    parts = PARTS.get(type(value))
    if parts is None:
        return value
    values = parts.of(value)
    if not any(values):  # most runs have nothing to encode: this check is all they cost
        return value
    changed: dict[str, Any] = {}
    new: Any
    for name, way, old in zip(parts.names, parts.ways, values, strict=True):
        if not old:
            continue
        if way == TEXT:
            new = text(old)
        elif way == DATA:
            new = data(old)
        elif isinstance(old, tuple):
            each = tuple(transformed(one, text=text, data=data) for one in old)
            new = each if any(one is not other for one, other in zip(each, old, strict=True)) else old
        else:
            new = transformed(old, text=text, data=data)
        if new is not old:
            changed[name] = new
    return replace(value, **changed) if changed else value  # type: ignore[type-var]  # only a Value has such fields
