"""Values as JSON with stable fields.

Rules of this file
- Every field is there, also where it has its default: whoever reads need not know our defaults.
- A payload or result that is JSON stands as it was stored, digit for digit; other bytes are base64.
- A hold says its gate and its sentence, a priority its name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from shiftboss.core.holds import Hold
from shiftboss.core.policy import Priority

_encoder = msgspec.json.Encoder()


def facts(value: Any) -> Any:
    """*value* as what a JSON encoder takes."""
    match value:
        case Priority():
            return value.label
        case Hold():
            return {"gate": value.gate, "text": str(value), **_fields(value)}
        case msgspec.Struct():
            return _fields(value)
        case bytes():
            return _json_or_base64(value)
        case Mapping():
            return {key: facts(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [facts(each) for each in value]
        case _:
            return value


def _fields(value: msgspec.Struct) -> dict[str, Any]:
    return {name: facts(getattr(value, name)) for name in value.__struct_fields__}


def _json_or_base64(data: bytes) -> Any:
    try:
        msgspec.json.decode(data)
    except msgspec.DecodeError:
        return data
    return msgspec.Raw(data)


def text_of(value: Any) -> str:
    return _encoder.encode(facts(value)).decode()


def one(value: Any) -> None:
    """One object, indented for people where one looks."""
    data = _encoder.encode(facts(value))
    sys.stdout.write((msgspec.json.format(data, indent=2) if sys.stdout.isatty() else data).decode() + "\n")


def lines(values: Iterable[Any]) -> None:
    """NDJSON: an object a line."""
    for value in values:
        sys.stdout.write(text_of(value) + "\n")
