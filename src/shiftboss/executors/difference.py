"""Does a value come back from JSON as it was given, with its type, at every depth?

Rules of this file
- "The same" means: of the same type and equal, in every part.  A subclass is another type.
- A value that JSON has itself (a text, a number, a list, a dict with texts as keys) may become what its type hint
  says: a text a date, a dict a dataclass.  A number must stay the same number, and nothing may be dropped.
- An aware time comes back with its offset from UTC; JSON has no place for the name of its zone.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime, time
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from shiftboss.core.json_text import WrittenNumber
from shiftboss.executors.failure import class_name
from shiftboss.executors.json_types import is_model

EXACT: tuple[type, ...] = (str, int, bool, type(None))  # equal values of these types are the same
ABSENT = object()
KEYS = object()


class Difference(NamedTuple):
    """The first part that would come back changed."""

    at: str
    given: Any
    arrived: Any

    def __str__(self) -> str:
        where = f" at `${self.at}`" if self.at else ""
        if self._is_no_number:
            return f"JSON has no {float(self.given)!r}{where}"
        if self.arrived is ABSENT:
            return f"no type accepts the value{where}"
        was, becomes = class_name(type(self.given)), class_name(type(self.arrived))
        if self.arrived is KEYS:
            return f"JSON would change the keys of {was}{where}"
        return (
            f"JSON would change {was}{where} to {becomes}" if was != becomes else f"JSON would change this {was}{where}"
        )

    def within(self, at: str) -> Difference:
        """The same difference, with *at* before its path."""
        return self._replace(at=at + self.at)

    def remedy(self, hint: str) -> str:
        """What to do: add *hint* if that can help; otherwise pass another value."""
        if self._is_no_number:
            return "give None, or a string"
        if self.arrived is ABSENT:
            return "leave it out, or add it to the type"
        return f"{hint}, or give {self._instead}"

    @property
    def _is_no_number(self) -> bool:
        return isinstance(self.given, float) and not math.isfinite(self.given)

    @property
    def _instead(self) -> str:
        given, kind = self.given, type(self.given)
        if isinstance(given, dict):
            return "a dict with string keys"
        if _fields(kind) is not None or isinstance(given, Mapping) or is_model(kind):
            return "a dict"
        if isinstance(given, (Sequence, Set)) and not isinstance(given, (str, bytes, bytearray, memoryview)):
            return "list(…) of it"
        base = next((each for each in (str, float, int) if isinstance(given, each)), None)
        return "a string that spells it" if base is None else f"{base.__name__}(…) of it"


def difference(given: Any, arrived: Any) -> Difference | None:
    """The first part in which *arrived* differs from *given*; None if they are the same.  Raises RecursionError."""
    kind = type(given)
    if kind is not type(arrived):
        return _read(given, arrived)
    if kind is dict:
        return _by_key(given, arrived)
    if kind is list:
        return _one_by_one(given, arrived)
    if kind in EXACT or kind is float:
        return None if given == arrived else Difference("", given, arrived)
    if issubclass(kind, (list, tuple)):
        return _one_by_one(given, arrived)
    if kind in (set, frozenset):
        return _members(given, arrived)
    names = _fields(kind)
    if names is not None:
        return _by_name(given, arrived, names.values())
    if is_model(kind):
        return _by_name(given, arrived, vars(given)) or _leaf(given, arrived)
    return _leaf(given, arrived)


def is_json(value: Any) -> bool:
    """Whether *value* consists only of what JSON has."""
    kind = type(value)
    if kind is dict:
        return all(type(key) is str and is_json(each) for key, each in value.items())
    if kind is list:
        return all(map(is_json, value))
    return kind in EXACT or (kind in (float, WrittenNumber) and math.isfinite(value))


# ── two values of one type ───────────────────────────────────────────────────────────────────────────────────────


def _one_by_one(given: Sequence[Any], arrived: Sequence[Any]) -> Difference | None:
    if len(given) != len(arrived):
        return Difference("", given, arrived)
    for index, (one, other) in enumerate(zip(given, arrived, strict=True)):
        if (kind := type(one)) is type(other) and kind in EXACT and one == other:  # a large payload is mostly these
            continue
        if (path := difference(one, other)) is not None:
            return path.within(f"[{index}]")
    return None


def _by_key(given: Mapping[Any, Any], arrived: Mapping[Any, Any]) -> Difference | None:
    for key, value in given.items():
        other = arrived.get(key, ABSENT)
        if type(key) is not str or other is ABSENT:
            return _by_any_key(given, arrived)
        if (kind := type(value)) is type(other) and kind in EXACT and value == other:
            continue
        if (path := difference(value, other)) is not None:
            return path.within(f".{key}")
    return None if len(given) == len(arrived) else Difference("", given, arrived)


def _by_any_key(given: Mapping[Any, Any], arrived: Mapping[Any, Any]) -> Difference | None:
    kept = {key: key for key in arrived}
    for key, value in given.items():
        if key not in kept or type(kept[key]) is not type(key):
            is_read_by_hint = (
                is_json(given) and len(given) == len(arrived) and not any(type(key) is str for key in kept)
            )
            return None if is_read_by_hint else _lost(given, key)
        if (path := difference(value, arrived[key])) is not None:
            return path.within("[…]")
    return None if len(given) == len(arrived) else Difference("", given, arrived)


def _lost(given: Mapping[Any, Any], key: Any) -> Difference:
    return Difference(f".{key}", given[key], ABSENT) if type(key) is str else Difference("", given, KEYS)


def _members(given: Set[Any], arrived: Iterable[Any]) -> Difference | None:
    kept = {each: each for each in arrived}
    for each in given:
        if each not in kept or difference(each, kept[each]) is not None:
            return Difference("", given, arrived)
    return None if len(given) == len(kept) else Difference("", given, arrived)


def _by_name(given: Any, arrived: Any, names: Iterable[str]) -> Difference | None:
    for name in names:
        if (path := difference(getattr(given, name, ABSENT), getattr(arrived, name, ABSENT))) is not None:
            return path.within(f".{name}")
    return None


def _leaf(given: Any, arrived: Any) -> Difference | None:
    try:
        is_same = bool(given == arrived)
        if isinstance(given, Decimal):
            is_same = str(given) == str(arrived)  # 1.10 and 1.1 are equal, and NaN is not even itself
        elif isinstance(given, (datetime, time)):
            is_same = is_same and _zone(given) == _zone(arrived)
    except Exception:  # noqa: BLE001  # its __eq__ is user code
        is_same = False
    return None if is_same else Difference("", given, arrived)


def _zone(at: datetime | time) -> Any:
    """What decides which point in time it is."""
    return at.fold if at.tzinfo is None else ("aware", at.utcoffset())


# ── JSON, read by a hint ─────────────────────────────────────────────────────────────────────────────────────────


def _read(given: Any, arrived: Any) -> Difference | None:
    kind, becomes = type(given), type(arrived)
    changed = Difference("", given, arrived)
    if kind is WrittenNumber:
        return None if becomes is not float or given == arrived else changed
    if kind is float and not math.isfinite(given):
        return changed
    if kind in (int, float) and becomes in (int, float):
        return None if given == arrived else changed
    if kind in EXACT or kind is float:
        return changed if arrived is ABSENT else None
    if kind is list and issubclass(becomes, (tuple, list)):
        return _one_by_one(given, arrived)
    if kind is dict and (names := _fields(becomes)) is not None:
        return _into_fields(given, arrived, names)
    return None if kind in (dict, list) and is_json(given) else changed


def _into_fields(given: Mapping[Any, Any], arrived: Any, names: Mapping[str, str]) -> Difference | None:
    """A dict that became an object: the object must have every name of the dict."""
    config = getattr(arrived, "__struct_config__", None)
    may_tidy = hasattr(arrived, "__post_init__")  # it may change what JSON gave it
    for key, value in given.items():
        if config is not None and key == config.tag_field:
            continue
        if key not in names:
            return Difference(f".{key}", value, ABSENT)
        if may_tidy and is_json(value):
            continue
        if (path := difference(value, getattr(arrived, names[key], ABSENT))) is not None:
            return path.within(f".{key}")
    return None


def _fields(kind: type) -> Mapping[str, str] | None:
    """The fields of a type by their names in JSON; None if it has no fields."""
    if issubclass(kind, msgspec.Struct):
        return dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
    if dataclasses.is_dataclass(kind):
        return {each.name: each.name for each in dataclasses.fields(kind)}
    attributes = getattr(kind, "__attrs_attrs__", None)
    return None if attributes is None else {each.name: each.name for each in attributes}
