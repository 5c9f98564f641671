"""The parameters of a function as its payload, checked by value at every trigger.

Rules of this file
- A type hint that JSON cannot carry is refused at the declaration, with worker, parameter and remedy.
- A value that would not come back as it was given, with its type, is refused at the trigger (W5).  If a hint names a
  type, the JSON form of a value of that type is accepted as well.
- A payload holds only the caller's arguments.  Defaults are left to the function when it runs.
- A payload that comes as JSON is stored as it came, byte for byte (Q2), and checked as the run will decode it.
- The same arguments give the same bytes in every process.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import msgspec

from shiftboss.core import json_text
from shiftboss.errors import ConfigurationError, WrongPayload, did_you_mean
from shiftboss.executors.difference import EXACT, Difference, difference, is_json
from shiftboss.executors.json_types import JsonType, encoder, schema_of
from shiftboss.executors.signature import Parameter

MAX_SHOWN_CHARS = 80  # of a value in a message
EMPTY = b"{}"
NO_HINTS: dict[str, JsonType] = {}  # one for all: most scheduled functions have no parameters
SHOWN_DEFAULTS = (type(None), bool, int, float, str)  # types of defaults that a form shows
WORDS_ONLY = ("title", "description", "default")  # parts of a schema that do not decide which payloads fit

_HINT = "give it a type hint"
_encode = encoder()


class Parameters:
    """The payload of one worker's function."""

    __slots__ = ("_decode", "_hints", "_positional", "_struct", "_worker", "fingerprint", "names", "required", "text")

    def __init__(self, worker: str, parameters: Sequence[Parameter]) -> None:
        self._worker = worker
        self.names = tuple(each.name for each in parameters)
        self._positional = sum(each.positional for each in parameters)
        self._hints = {each.name: _json_type(worker, each) for each in parameters} if parameters else NO_HINTS
        self._struct = _struct(parameters) if parameters else _Nothing
        self._decode: Callable[[bytes], msgspec.Struct] = JsonType(self._struct).decode if parameters else _no_thing
        self.required = tuple(each.name for each in parameters if each.is_required)
        self.text = f"({', '.join(each.text for each in parameters)})" if parameters else "()"
        self.fingerprint = self._fingerprint() if parameters else ""

    def decode(self, payload: bytes) -> dict[str, Any]:
        """The keyword arguments.  Raises what msgspec or the user's own types raise if the payload does not fit."""
        return msgspec.structs.asdict(self._decode(payload))

    def encode(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes | None:
        """The payload of a call with these arguments; None if there are none.  Raises WrongPayload."""
        if not args and not kwargs and not self.required:
            return None
        arguments = self._bound(args, kwargs)
        return self._fitting(arguments, lambda: _encode(arguments))

    def take(self, payload: bytes) -> bytes | None:
        """A payload that was written as JSON, as it is; None for an empty object.  Raises WrongPayload."""
        value = written_object(self._worker, payload)
        if not value and not self.required:
            return None
        return self._fitting(self._bound((), value), lambda: payload)

    def _fitting(self, arguments: Mapping[str, Any], written: Callable[[], bytes]) -> bytes:
        """The bytes that *written* returns, if the run will decode *arguments* from them."""
        try:
            payload = written()
            json_text.check_nesting(payload)
            arrived = self._decode(payload)  # what the run will do
            for name, value in arguments.items():
                member = getattr(arrived, name)
                if type(value) is type(member) and type(value) in EXACT and value == member:
                    continue
                if (changed := difference(value, member)) is not None:
                    self._changed(name, changed)
        except WrongPayload:
            raise
        except json_text.WrongJson as error:
            self._refuse(f"the payload {error}", error)
        except Exception as error:  # noqa: BLE001  # the values are the user's, with their own __post_init__ and so on
            self._blame(arguments, error)
        return payload

    def schema(self) -> dict[str, Any]:
        """The payload as JSON schema."""
        return schema_of(self._struct)

    def _bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        if len(args) > self._positional:
            self._refuse(f"it was given {len(args)} positional arguments but takes {self._positional}")
        given = dict(zip(self.names, args, strict=False))
        for name, value in kwargs.items():
            if name not in self.names:
                self._refuse(f"it has no parameter {name!r}; {did_you_mean(str(name), self.names)}")
            if name in given:
                self._refuse(f"parameter {name!r} was given twice")
            given[name] = value
        missing = [name for name in self.required if name not in given]
        if missing:
            self._refuse(f"{', '.join(map(repr, missing))} must be given")
        return {name: given[name] for name in self.names if name in given}

    def _blame(self, arguments: Mapping[str, Any], error: Exception) -> NoReturn:
        """Raise WrongPayload for the first parameter that does not fit alone."""
        for name, value in arguments.items():
            is_written = isinstance(value, json_text.WrittenNumber)
            given = f"{value.text} (a number)" if is_written else f"{_shown(value)} ({type(value).__name__})"
            try:
                data = _encode(value)
            except Exception as culprit:  # noqa: BLE001  # as in `encode`
                has_no_json = isinstance(culprit, (TypeError, NotImplementedError))
                remedy = f"; {Difference('', value, None).remedy(_HINT)}" if has_no_json else ""
                self._refuse(f"parameter {name!r} does not accept {given}: {culprit}{remedy}", culprit)
            try:
                self._hints[name].decode(data)
            except Exception as culprit:  # noqa: BLE001  # as in `encode`
                if isinstance(value, float) and not math.isfinite(value):  # JSON has made it null
                    self._changed(name, Difference("", value, None))
                self._refuse(f"parameter {name!r} does not accept {given}: {culprit}", culprit)
        self._refuse(str(error), error)

    def _changed(self, name: str, changed: Difference) -> NoReturn:
        self._refuse(f"parameter {name!r}: {changed}; {changed.remedy(_HINT)}")

    def _refuse(self, what: str, cause: BaseException | None = None) -> NoReturn:
        raise WrongPayload(f"worker {self._worker!r}: {what}; it takes {self.text}") from cause

    def _fingerprint(self) -> str:
        names = ",".join(name if name in self.required else f"{name}?" for name in self.names)
        shape = _encode(_without_words(self.schema()))
        return f"{names}:{hashlib.sha256(shape).hexdigest()[:12]}"


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """The payload of a function without parameters."""


def written_object(worker: str, payload: bytes) -> dict[str, Any]:
    """The parameters of *payload* by name; numbers keep their digits.  Raises WrongPayload."""
    try:
        value = json_text.read(payload)
    except json_text.WrongJson as error:
        raise WrongPayload(f"worker {worker!r}: the payload {error}") from error
    if not isinstance(value, dict):
        raise WrongPayload(
            f"worker {worker!r}: the payload is {_KINDS.get(type(value), 'a number')}; give an object, with the "
            "parameters by name"
        )
    return value


_KINDS: dict[type, str] = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}


def plain_payload(worker: str, given: Mapping[str, Any] | bytes, why: str) -> bytes | None:
    """A payload that no hint describes: its JSON, or None if it is empty.  Raises WrongPayload.

    *given* as bytes is JSON already and is kept unchanged.  *why* is a remedy, which says that there is no hint.
    """
    arguments = written_object(worker, given) if isinstance(given, bytes) else dict(given)
    if not arguments:
        return None
    try:
        payload = given if isinstance(given, bytes) else _encode(arguments)
        json_text.check_nesting(payload)
        changed = None if is_json(arguments) else difference(arguments, msgspec.json.decode(payload))
    except json_text.WrongJson as error:
        raise WrongPayload(f"worker {worker!r}: the payload {error}") from error
    except Exception as error:
        raise WrongPayload(f"worker {worker!r}: the payload cannot be written as JSON: {error}") from error
    if changed is not None:
        raise WrongPayload(f"worker {worker!r}: the payload: {changed}; {changed.remedy(why)}")
    return payload


_no_thing = msgspec.json.Decoder(_Nothing).decode  # shared: most scheduled workers take nothing


def _json_type(worker: str, parameter: Parameter) -> JsonType:
    try:
        return JsonType(parameter.hint)
    except Exception as error:
        raise ConfigurationError(
            f"worker {worker!r}: no JSON payload can carry its parameter '{parameter.text}' "
            f"({_last_line(error)}); take a str, a dataclass or a msgspec.Struct instead"
        ) from error


def _struct(parameters: Sequence[Parameter]) -> type[msgspec.Struct]:
    fields = [(each.name, each.hint, _default(each)) for each in parameters]
    return msgspec.defstruct("Parameters", fields, kw_only=True, forbid_unknown_fields=True)


def _last_line(error: Exception) -> str:
    return str(error).strip().rpartition("\n")[2] or type(error).__name__


def _default(parameter: Parameter) -> Any:
    default = parameter.default
    if parameter.is_required:
        return msgspec.field()
    if type(default) in SHOWN_DEFAULTS:
        return msgspec.field(default=default)
    return msgspec.field(default_factory=lambda: default)  # the same object for every call, as in Python


def _without_words(schema: Any) -> Any:
    """A schema reduced to what decides whether a payload fits."""
    match schema:
        case {"properties": dict() as properties, **rest}:
            fields = {name: _without_words(each) for name, each in properties.items()}  # a field may be named "title"
            return {**_without_words(rest), "properties": fields}
        case dict():
            return {key: _without_words(each) for key, each in schema.items() if key not in WORDS_ONLY}
        case list():
            return [_without_words(each) for each in schema]
        case _:
            return schema


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  # its __repr__ is user code
        return "(cannot be shown)"
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}…"
