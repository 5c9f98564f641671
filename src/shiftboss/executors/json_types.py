"""Which types JSON carries: all that msgspec knows, and also paths and pydantic models.

Rules of this file
- A model is recognised by its methods (`model_validate_json` and `model_dump`; `parse_raw` and `json` in pydantic 1),
  so pydantic is not imported.
- A number that came as JSON keeps its digits until a hint reads it: a `Decimal` has more digits than a float.
- The same value gives the same bytes in every process: sets and dicts are written in a fixed order.
- The caller checks whether a value comes back as it was: `difference.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec

from shiftboss.core.json_text import WrittenNumber
from shiftboss.executors.failure import class_name


class JsonType:
    """A decoder for one type hint.  Raises what msgspec or the type raises if JSON cannot carry it."""

    __slots__ = ("decode",)

    def __init__(self, hint: Any) -> None:
        self.decode: Callable[[bytes], Any] = msgspec.json.Decoder(hint, dec_hook=_read).decode
        schema_of(hint)  # the decoder refuses an unsupported type only at the first value; the schema refuses it now


def encoder(otherwise: Callable[[Any], Any] | None = None) -> Callable[[Any], bytes]:
    """A function that writes values as JSON; *otherwise* returns a substitute for a value of an unknown type."""

    def hook(value: Any) -> Any:
        if type(value) is WrittenNumber:
            return msgspec.Raw(value.text.encode())
        if is_path(type(value)):
            return os.fspath(value)
        if is_model(type(value)):
            return _dumped(value)
        if otherwise is None:
            raise NotImplementedError(f"JSON has no {class_name(type(value))}")
        return otherwise(value)

    in_order = msgspec.json.Encoder(order="deterministic", enc_hook=hook).encode

    def encode(value: Any) -> bytes:
        try:
            return in_order(value)
        except TypeError:  # with this order it refuses dicts whose keys are numbers, dates and the like
            return in_order(msgspec.to_builtins(value, order="deterministic", str_keys=True, enc_hook=hook))

    return encode


def schema_of(hint: Any) -> dict[str, Any]:
    """The JSON schema of a hint.  Raises what msgspec or the type raises if JSON cannot carry it."""
    definitions: dict[str, Any] = {}

    def hook(kind: Any) -> dict[str, Any]:
        schema = _schema(kind)
        for word in ("$defs", "definitions"):  # a model's own definitions: references begin at the root
            definitions.update(schema.pop(word, {}))
        return schema

    schema = msgspec.json.schema(hint, schema_hook=hook)
    return {**schema, "$defs": {**definitions, **schema.get("$defs", {})}} if definitions else schema


def is_path(kind: type) -> bool:
    from pathlib import PurePath  # 3 ms of import, only for a type that JSON lacks

    return issubclass(kind, PurePath)


def is_model(kind: type) -> bool:
    """Whether it is a pydantic model."""
    return _is_new_model(kind) or (callable(getattr(kind, "parse_raw", None)) and callable(getattr(kind, "json", None)))


def _is_new_model(kind: type) -> bool:
    return callable(getattr(kind, "model_validate_json", None))


def _dumped(model: Any) -> Any:
    if _is_new_model(type(model)):
        options = {"by_alias": True, "round_trip": True}
        return _in_one_order(model.model_dump(mode="json", **options), model.model_dump(**options))
    return _in_one_order(msgspec.json.decode(model.json(by_alias=True)), model.dict(by_alias=True))


def _in_one_order(dumped: Any, plain: Any) -> Any:
    """*dumped* with its sets sorted: pydantic writes them in another order in each process."""
    match dumped, plain:
        case list(), set() | frozenset():
            return sorted(dumped, key=msgspec.json.encode)
        case list(), list() | tuple() if len(dumped) == len(plain):
            return [_in_one_order(each, other) for each, other in zip(dumped, plain, strict=True)]
        case dict(), dict() if len(dumped) == len(plain):
            pairs = zip(dumped.items(), plain.values(), strict=True)
            return {key: _in_one_order(each, other) for (key, each), other in pairs}
        case _:
            return dumped


def _read(kind: Any, value: Any) -> Any:
    """Decode a value whose type msgspec does not know."""
    if kind is object:
        return value
    if is_path(kind):
        return kind(value)
    data = msgspec.json.encode(value)
    return kind.model_validate_json(data) if _is_new_model(kind) else kind.parse_raw(data)


def _schema(kind: Any) -> dict[str, Any]:
    if kind is object:
        return {"title": "any JSON"}
    if isinstance(kind, type) and is_path(kind):
        return {"type": "string", "format": "path"}
    if isinstance(kind, type) and is_model(kind):
        made = kind.model_json_schema if _is_new_model(kind) else kind.schema  # type: ignore[attr-defined]  # as `is_model` says
        schema: dict[str, Any] = dict(made(ref_template="#/$defs/{model}"))
        return schema
    raise NotImplementedError(f"type {kind!r} is not supported")
