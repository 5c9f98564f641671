"""What can still be read of a row that cannot be read as a whole.

Rules of this file
- It never fails: an unreadable field gets the default of its type, or the nearest value that it may have.
- The result carries its `Unreadable`, so it is shown and counted, and never written (W8).
- Columns take precedence over the JSON: SQL finds the row by them.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec

from shiftboss.core.control import Request
from shiftboss.core.events import Event, UnreadableEvent
from shiftboss.core.lane import FORCED
from shiftboss.core.model import (
    BreakerState,
    DeadLetter,
    LogLine,
    Node,
    Origin,
    Record,
    Run,
    Status,
    WorkerState,
)
from shiftboss.core.policy import Priority
from shiftboss.core.unreadable import Unreadable
from shiftboss.core.value import EPOCH, replace
from shiftboss.core.worker import Definition, Mode
from shiftboss.errors import ConfigurationError
from shiftboss.stores.sql import codec

T = TypeVar("T")
V = TypeVar("V", Run, WorkerState, Record, BreakerState, Node, DeadLetter)

MAX_REASON_CHARS = 200
FAILURES = (msgspec.MsgspecError, ConfigurationError, ValueError, TypeError, OverflowError, RecursionError)

NOTHING: Mapping[str, Any] = {}
ZEROS: dict[type, Any] = {str: "", int: 0, float: 0.0, bool: False, bytes: b"", datetime: EPOCH, tuple: (), dict: {}}


class Sealed(msgspec.Struct, array_like=True):
    """A row as the careful form of a question returns it: every text that may contain anything is in hexadecimal."""

    table: str
    id: str
    worker: str
    columns: dict[str, Any]
    data: str

    def row(self, reason: object, fields: tuple[str, ...] = ()) -> Unreadable:
        return Unreadable(
            table=self.table, id=self.id, worker=self.worker, reason=str(reason)[:MAX_REASON_CHARS], fields=fields
        )

    def raw(self) -> bytes:
        return bytes.fromhex(self.data)


# ── each kind of row ─────────────────────────────────────────────────────────────────────────────────────────────


def run(sealed: Sealed, reason: object) -> Run:
    """A live run waits or runs as its columns say; a finished one has its column's status."""
    columns = sealed.columns
    known: dict[str, Any] = {"id": int(sealed.id), "worker": sealed.worker, "payload": None, "result": None}
    if sealed.table == "history":
        known["status"] = STATUS_OF.get(columns["status"], Status.DEAD)
        known["finished_at"] = codec.instant_of(columns["finished_at"])
    else:
        queue = columns["queue"]
        known["status"] = Status.RUNNING if queue is None else Status.PENDING
        known["due_at"], known["occurs_at"] = (
            codec.instant_of(columns["due_at"]),
            codec.instant_of(columns["occurs_at"]),
        )
        known["origin"] = ORIGIN_OF.get(columns["origin"], Origin.TRIGGER)
        if queue is not None and queue < FORCED:
            known["priority"] = Priority(queue)
    if columns.get("key") is not None:
        known["key"] = bytes.fromhex(columns["key"]).decode(errors="replace")
    return _marked(Run, sealed, reason, known)


def worker(sealed: Sealed, reason: object) -> WorkerState:
    """Its relations, as far as they can be read, still count."""
    fields = _json(sealed.raw())
    definition = _definition(sealed.id, fields.get("definition"))
    return _marked(WorkerState, sealed, reason, {"definition": definition})


def record(sealed: Sealed, reason: object) -> Record:
    return _marked(Record, sealed, reason, {})


def breaker(sealed: Sealed, reason: object) -> BreakerState:
    return _marked(BreakerState, sealed, reason, {"name": sealed.id})


def node(sealed: Sealed, reason: object) -> Node:
    marked = _marked(Node, sealed, reason, {"id": sealed.id})
    return marked if marked.name else replace(marked, name=sealed.id)


def letter(sealed: Sealed, reason: object) -> DeadLetter:
    columns = sealed.columns
    known = {
        "run": int(sealed.id),
        "worker": sealed.worker,
        "state": columns["state"],
        "error_type": columns["error_type"],
        "entered_at": codec.instant_of(columns["entered_at"]),
        "has_payload": bool(columns["has_payload"]),
    }
    return _marked(DeadLetter, sealed, reason, known)


def line(sealed: Sealed, reason: object) -> LogLine:
    text = str(sealed.row(reason))
    run_id, fence, number = (sealed.columns[name] for name in ("run", "fence", "number"))
    fields = _fields(LogLine, _json(sealed.raw()))[0]
    known: dict[str, Any] = {"run": run_id, "fence": fence, "number": number, "level": "WARNING", "text": f"({text})"}
    return LogLine(**{**fields, **known})


def event(sealed: Sealed, reason: object) -> Event:
    row = sealed.row(reason)
    return UnreadableEvent(at=codec.instant_of(sealed.columns["at"]), worker=sealed.worker, reason=str(row))


def request(sealed: Sealed, reason: object) -> Request:
    return Request(**_fields(Request, _json(sealed.raw()))[0])


STATUS_OF = {number: status for status, number in codec.STATUSES.items()}
ORIGIN_OF = {number: origin for origin, number in codec.ORIGINS.items()}


def _marked(kind: type[V], sealed: Sealed, reason: object, known: Mapping[str, Any]) -> V:
    fields, bad = _fields(kind, _json(sealed.raw()), known)
    return replace(kind(**{**fields, **known}), unreadable=sealed.row(reason, bad))


def _definition(name: str, stored: Any) -> Definition:
    """The definition; if the fields contradict one another, only its relations."""
    fields, _ = _fields(Definition, stored if isinstance(stored, dict) else {})
    fields["name"] = name
    related: dict[str, Any] = {
        key: fields[key] for key in ("depends_on", "after", "blocks", "tags", "uses", "breaker") if key in fields
    }
    least: dict[str, Any] = {**related, "name": name, "mode": Mode.TRIGGERED}
    for attempt in (fields, least):
        try:
            return Definition(**attempt)
        except FAILURES:
            continue
    return Definition(name="unreadable")


# ── fields ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _json(raw: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(raw)
    except FAILURES:
        return {}
    return value if isinstance(value, dict) else {}


def _fields(
    kind: type[Any], fields: Mapping[str, Any], known: Mapping[str, Any] = NOTHING
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the fields of a Struct can be made of, and which of them could not be taken as they were.

    *known* fields have their values from elsewhere; here they are only checked.
    """
    taken: dict[str, Any] = {}
    bad: list[str] = []
    for field in msgspec.structs.fields(kind):
        if field.name == "unreadable":
            continue
        if field.encode_name in fields:
            value = fields[field.encode_name]
            try:
                taken[field.name] = msgspec.convert(value, field.type)
                continue
            except FAILURES:
                bad.append(field.name)
            if field.name in known:
                continue
            try:
                taken[field.name] = _nearest(field.type, value)
                continue
            except FAILURES:
                pass
        if field.required:
            bad.append(field.name)
            if field.name not in known:
                taken[field.name] = _zero(field.type)
    return taken, tuple(dict.fromkeys(bad))


def _nearest(wanted: Any, value: Any) -> Any:
    """What *value* was probably meant to be.  Raises one of FAILURES."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin in (Union, types.UnionType):
        arms = [arm for arm in arguments if arm is not type(None)]
        return None if value is None else _first(arms, lambda arm: _nearest(arm, value))
    if origin is tuple:
        values = [value] if isinstance(value, str | int | float | dict) else list(value)
        return tuple(_nearest(arguments[0], each) for each in values)
    if origin is dict:
        return {str(key): _nearest(arguments[1], each) for key, each in dict(value).items()}
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return wanted(**_fields(wanted, value if isinstance(value, dict) else {})[0])
    if wanted is str:
        return str(value)
    if wanted is int:
        return int(value)
    if wanted is bool:
        return bool(value)
    return msgspec.convert(value, wanted, strict=False)


def _first(arms: list[Any], made: Callable[[Any], T]) -> T:
    for arm in arms:
        try:
            return made(arm)
        except FAILURES:
            continue
    raise ValueError("none of them")


def _zero(wanted: Any) -> Any:
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        return None if type(None) in get_args(wanted) else _zero(get_args(wanted)[0])
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return next(iter(wanted))
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return wanted(**_fields(wanted, {})[0])
    return ZEROS.get(origin or wanted)
