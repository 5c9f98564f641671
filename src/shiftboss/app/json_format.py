"""Values as JSON with stable fields: the one form in which the command and the HTTP API show them.

Rules of this file
- Every field is present, also if it has its default: a reader need not know our defaults.
- A payload or result that is JSON is given as it was stored, digit for digit; other bytes are base64.
- A type with `IS_KEPT` is a row that is shown again and again; it holds no bytes and no payload.  Its JSON is kept as
  long as the row itself lives, which is as long as somebody shows it.
- Bytes that cannot be decoded are an object with the one member "$encrypted": the key's id and the reason.
- A hold includes its gate, sentence and subject, an event its type, sentence and severity, a schedule its type.  A
  priority is its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from weakref import ref as Reference  # a class, so it is named like one

import msgspec

from shiftboss.core import event, hold
from shiftboss.core.event import Event
from shiftboss.core.hold import Hold
from shiftboss.core.opaque import OpaqueBytes, OpaqueText
from shiftboss.core.policy import Priority

_encoder = msgspec.json.Encoder()
_AS_IT_IS: set[type] = {str, int, float, bool, type(None), datetime}  # and others without conversion, once met


class Json(bytes):
    """Bytes that are known to be JSON: a megabyte need not be decoded to find out."""


def jsonable(value: Any) -> Any:
    """*value* in types that a JSON encoder takes."""
    return _facts(value, keeps=False)


def encoded(value: Any) -> bytes:
    """*value* as JSON.  A row that was encoded before (the same object) is not encoded again."""
    return _encoder.encode(_facts(value, keeps=True))


def _facts(value: Any, *, keeps: bool) -> Any:
    match value:
        case Priority():
            return value.label
        case Hold():
            return {**{name: str(getattr(value, name)) for name in hold.DERIVED}, **_fields(value, keeps)}
        case Event():
            derived = {name: str(getattr(value, name)) for name in event.DERIVED}
            return {value.__struct_config__.tag_field: value.__struct_config__.tag, **derived, **_fields(value, keeps)}
        case msgspec.Struct():
            if keeps and getattr(value, "IS_KEPT", False):
                return _kept(value)
            tag = value.__struct_config__.tag
            if tag is None:
                return _fields(value, keeps)
            return {value.__struct_config__.tag_field: tag, **_fields(value, keeps)}
        case OpaqueText():
            return str(value)
        case OpaqueBytes():
            return {"$encrypted": {"key": value.key_id, "reason": value.why}}
        case Json():
            return msgspec.Raw(value)
        case bytes():
            return _json_or_base64(value)
        case Mapping():
            return {key: _facts(each, keeps=keeps) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [each if type(each) in _AS_IT_IS else _facts(each, keeps=keeps) for each in value]
        case _:
            _AS_IT_IS.add(type(value))
            return value


def _fields(value: msgspec.Struct, keeps: bool) -> dict[str, Any]:
    fields = {}
    for name in value.__struct_fields__:
        each = getattr(value, name)
        fields[name] = each if type(each) in _AS_IT_IS else _facts(each, keeps=keeps)
    return fields


_rows: dict[int, tuple[Reference[msgspec.Struct], msgspec.Raw]] = {}  # by id(row), until the row is gone


def _kept(row: msgspec.Struct) -> msgspec.Raw:
    known = _rows.get(id(row))
    if known is not None and known[0]() is row:
        return known[1]
    made = msgspec.Raw(_encoder.encode(_fields(row, keeps=False)))
    key = id(row)
    _rows[key] = Reference(row, lambda _: _rows.pop(key, None)), made  # called before another can have this id
    return made


def rows_kept() -> int:
    """How many rows have their JSON kept here."""
    return len(_rows)


def _json_or_base64(data: bytes) -> Any:
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data
    return msgspec.Raw(data)
