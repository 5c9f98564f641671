"""Values as JSON with stable fields: the one form in which the command and the HTTP API show them.

Rules of this file
- Every field is there, also where it has its default: whoever reads need not know our defaults.
- A payload or result that is JSON stands as it was stored, digit for digit; other bytes are base64.
- A hold says its gate and its sentence, an event and a schedule their type, a priority its name.
"""

from __future__ import annotations

from collections.abc import Mapping
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
            tag = value.__struct_config__.tag
            return _fields(value) if tag is None else {value.__struct_config__.tag_field: tag, **_fields(value)}
        case bytes():
            return _json_or_base64(value)
        case Mapping():
            return {key: facts(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [facts(each) for each in value]
        case _:
            return value


def encoded(value: Any) -> bytes:
    """*value* as JSON."""
    return _encoder.encode(facts(value))


def _fields(value: msgspec.Struct) -> dict[str, Any]:
    return {name: facts(getattr(value, name)) for name in value.__struct_fields__}


def _json_or_base64(data: bytes) -> Any:
    try:
        msgspec.json.decode(data)
    except msgspec.DecodeError:
        return data
    return msgspec.Raw(data)
