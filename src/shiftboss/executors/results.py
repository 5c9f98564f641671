"""A function's result: kept as JSON, and given back as the type of its return annotation (W6).

Rules of this file
- A result that would come back changed is kept as JSON nevertheless, with the reason why it cannot be given back.
- An annotation that cannot be resolved, or that JSON cannot carry, counts as absent; the reason then names it.
- Everything is made at its first use, and once for all functions that say `-> None` or nothing: most functions do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence, Set
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

import msgspec

from shiftboss.context import Idle, storable
from shiftboss.core.bounds import RAW_CHARS
from shiftboss.executors.difference import EXACT, difference
from shiftboss.executors.failure import class_name
from shiftboss.executors.json_types import JsonType, encoder
from shiftboss.executors.signature import read_return

MAX_RESULT_BYTES = 64 * 1024  # rows stay small; larger results belong into a store of the user's own


class StoredResult(NamedTuple):
    """What is kept of a result: its JSON, and the reason if it cannot be given back as it was."""

    data: bytes | None
    error: str | None = None


class Results:
    """Keeps and reads the results of one worker's function."""

    __slots__ = ("_fn", "_known", "_worker")

    def __init__(self, fn: Callable[..., Any], worker: str) -> None:
        self._fn = fn
        self._worker = worker
        self._known: _Annotation | None = None

    def nothing(self) -> str | None:
        """Why a result of None does not fit; None if it fits."""
        annotation = self._annotation
        return None if annotation.takes_none else _said(f"it is None, but the function says -> {annotation.text}")

    def keep(self, value: Any) -> StoredResult:
        """*value* as it is to be stored."""
        try:
            if _least_size(value) > MAX_RESULT_BYTES:
                return TOO_LARGE
            data = _encode(value)
        except Exception as error:  # noqa: BLE001  # encoding a user's value can raise anything
            return StoredResult(None, _said(f"it cannot be encoded ({class_name(type(error))}: {error})"))
        return TOO_LARGE if len(data) > MAX_RESULT_BYTES else StoredResult(data, self._reason(value, data))

    def read(self, data: bytes) -> Any:
        """Decode a kept value.  Raises ValueError, with a message, if it does not fit the annotation."""
        annotation = self._annotation
        try:
            return annotation.decode(data)
        except Exception as error:
            raise ValueError(f"it does not fit -> {annotation.text}: {error}") from error

    def _reason(self, value: Any, data: bytes) -> str | None:
        annotation = self._annotation
        try:
            arrived = annotation.decode(data)
            if type(value) is type(arrived) and type(value) in EXACT and value == arrived:
                return None
            changed = difference(value, arrived)
        except Exception as error:  # noqa: BLE001  # its types are the user's
            return _said(f"it does not fit -> {annotation.text}: {error}")
        if changed is None:
            return None
        return _said(f"{changed}; {changed.remedy(annotation.remedy)}")

    @property
    def _annotation(self) -> _Annotation:
        if self._known is None:
            self._known = _annotation_of(self._fn, self._worker)
        return self._known


class _Annotation(NamedTuple):
    text: str
    decode: Callable[[bytes], Any]
    takes_none: bool
    remedy: str


def _annotation_of(fn: Callable[..., Any], worker: str) -> _Annotation:
    text, hint, problem = read_return(fn, worker)
    if problem is None:
        if hint is Any or hint is NoneType:
            return _made_once(text, nothing=hint is NoneType)
        return _made(text, hint)
    return _unchecked(text, problem)


def _made(text: str, hint: Any) -> _Annotation:
    try:
        decode = JsonType(_returned(hint)).decode
    except Exception as error:  # noqa: BLE001  # types are the user's
        return _unchecked(text, str(error).strip().rpartition("\n")[2] or class_name(type(error)))
    remedy = "annotate its return type"
    if text != "Any":
        remedy += f", which -> {text} does not mention"
    return _Annotation(text, decode, _takes_none(decode), remedy)


@lru_cache(maxsize=16)  # of the hints that most functions have: otherwise 60 µs and 1 KiB for each worker
def _made_once(text: str, *, nothing: bool) -> _Annotation:
    return _made(text, NoneType if nothing else Any)


def _unchecked(text: str, problem: str) -> _Annotation:
    remedy = f"annotate its return type so that it can be checked (-> {text}: {problem})"
    return _Annotation(text, msgspec.json.decode, True, remedy)


def _takes_none(decode: Callable[[bytes], Any]) -> bool:
    try:
        return decode(b"null") is None
    except Exception:  # noqa: BLE001  # types are the user's
        return False


def _returned(hint: Any) -> Any:
    """The type of the result, after awaiting, without Idle, which is no result."""
    if get_origin(hint) in (Awaitable, Coroutine):
        return _returned(get_args(hint)[-1])
    if hint is Idle:
        return NoneType
    if get_origin(hint) in (Union, UnionType) and Idle in get_args(hint):
        left = tuple(each for each in get_args(hint) if each is not Idle)
        return Union[(*left, NoneType)]  # of a tuple
    return hint


def _said(reason: str) -> str:
    return storable(reason, RAW_CHARS)


def _least_size(value: Any) -> int:
    """The least number of bytes that *value* can have in JSON: a value that is surely too large is not encoded."""
    return len(value) if isinstance(value, (str, bytes, bytearray, list, tuple, dict, set, frozenset)) else 0


def _plain_value(value: Any) -> Any:
    """A substitute for a value that JSON lacks: numpy's numbers, mappings, sequences."""
    for method, options in (("model_dump", {"mode": "json"}), ("tolist", {})):
        if callable(dump := getattr(value, method, None)):
            return dump(**options)
    match value:
        case Mapping():
            return dict(value)
        case Set() | Sequence():
            return list(value)
        case _:
            raise NotImplementedError(f"{class_name(type(value))} cannot be written as JSON")


TOO_LARGE = StoredResult(None, f"it has more than {MAX_RESULT_BYTES:,} bytes")
_encode = encoder(_plain_value)
