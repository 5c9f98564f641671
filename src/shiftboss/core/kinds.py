"""What a value must be that a caller gives us as an option: one function for each kind of option.

Rules of this file
- A kind takes a value and the name of its option.  It returns the value in exactly one type, or raises
  ConfigurationError with the option, the value and the remedy.  A value of another type is never stored.
- Whatever is unambiguous is accepted: whole numbers of any numeric type, the value of an enumeration for its member.
- A bool is never taken for a number, nor a number for a bool; text is parsed for durations and sizes only.
- Kinds know no worker and no call: `Table.read` adds whose option it was.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Set
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from math import isfinite
from numbers import Number
from typing import Any, Protocol, TypeVar

from msgspec.structs import force_setattr

from shiftboss.core.pattern import lazy_pattern
from shiftboss.core.value import FAR_END, Value
from shiftboss.errors import ConfigurationError, UnknownRun, did_you_mean

MAX_WHOLE = 2**53 - 1  # every reader of JSON represents whole numbers up to here exactly, browsers included
MAX_DURATION_S = 100 * 366 * 86_400.0  # a century: sums with it stay within the calendar, and threads can wait for it
MAX_TEXT_CHARS = 500  # of a key, a tag, a node: they are in indexes, whose entries PostgreSQL limits to 2,700 bytes
MAX_REMARK_CHARS = 2000  # of a reason or a note: a paragraph
MAX_ITEMS = 1000  # of a list in a declaration
MAX_SHOWN_CHARS = 80  # of a value, in a message

DURATION = lazy_pattern(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h|d|w)", re.ASCII)
UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
SIZE = lazy_pattern(r"(\d+(?:\.\d+)?)\s*([KMG])?(?:i?B)?", re.IGNORECASE | re.ASCII)  # 1 KB is 1024 bytes

Duration = float | int | str | timedelta
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
E = TypeVar("E", bound=Enum)


class Kind(Protocol[T_co]):
    """Reads a value of one kind.  Raises ConfigurationError."""

    def __call__(self, value: Any, /, *, name: str) -> T_co: ...


class Table(dict[str, Kind[Any]]):
    """The options of one call, and the kind of each."""

    def read(self, given: Mapping[str, Any], *, of: str) -> dict[str, Any]:
        """*given* with each option in its type.  *of* says whose options they are.  Raises ConfigurationError."""
        if not given.keys() <= self.keys():
            unknown = min(given.keys() - self.keys())
            raise ConfigurationError(f"{of}: there is no option {unknown!r}; {did_you_mean(unknown, self)}")
        try:
            return {name: self[name](value, name=name) for name, value in given.items()}
        except ConfigurationError as error:
            raise ConfigurationError(f"{of}: {error}") from error

    def read_one(self, name: str, value: Any, *, of: str = "") -> Any:
        """One option.  Raises ConfigurationError."""
        try:
            return self[name](value, name=name)
        except ConfigurationError as error:
            raise ConfigurationError(f"{of}: {error}" if of else str(error)) from error


def read_fields(value: Value, kinds: Mapping[str, Kind[Any]]) -> None:
    """For `__post_init__`: convert these fields to their types, after `replace` as well.  Raises ConfigurationError."""
    for name, kind in kinds.items():
        given = getattr(value, name)
        taken = kind(given, name=name)
        if taken is not given:
            force_setattr(value, name, taken)


# ── numbers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def whole(least: int = 0, most: int = MAX_WHOLE) -> Kind[int]:
    """A whole number from *least* to *most*."""

    def read(value: Any, /, *, name: str) -> int:
        number = value if type(value) is int else _whole(value, name=name)
        if not least <= number <= most:
            bound = f"at least {least}" if number < least else f"at most {most}"
            raise ConfigurationError(f"{name}={shown(value)} is out of range; it must be {bound}")
        return number

    return read


def number(least: float, most: float, *, above: bool = False) -> Kind[float]:
    """A finite number from *least* (or *above* it) to *most*."""

    def read(value: Any, /, *, name: str) -> float:
        as_float = value if type(value) is float else _float(_plain(value))
        if as_float is None:
            raise ConfigurationError(f"{name}={shown(value)} is not a number; give one, like {max(least, 1.0):g}")
        if not (least < as_float if above else least <= as_float) or not as_float <= most:
            low, high = ("above", "and at most") if above else ("from", "to")
            raise ConfigurationError(
                f"{name}={shown(value)} is out of range; it must be {low} {least:g} {high} {most:g}"
            )
        return as_float

    return read


def flag(value: Any, /, *, name: str) -> bool:
    """True or False, and nothing that is merely equal to one of them."""
    plain = _plain(value)
    if not isinstance(plain, bool):
        raise ConfigurationError(f"{name}={shown(value)} is neither True nor False; give one of them")
    return plain


def duration(value: Any, /, *, name: str) -> float:
    """Seconds from a number, a `timedelta` or a text such as "1h30m", "90s", "250ms", "2d".

    *name* is the option, for the message.  Raises ConfigurationError for a duration that is negative, infinite,
    unreadable or longer than a century.
    """
    if type(value) is float or (type(value) is int and -MAX_WHOLE <= value <= MAX_WHOLE):
        seconds: float | None = float(value)
    else:
        plain = _plain(value)
        match plain:
            case timedelta():
                seconds = plain.total_seconds()
            case str():
                seconds = _read_duration(plain, name=name)
            case _:
                seconds = _float(plain)
    if seconds is None:
        raise ConfigurationError(
            f"{name}={shown(value)} is not a duration; give seconds, a timedelta or a string like '90s'"
        )
    if not 0 <= seconds <= MAX_DURATION_S:
        raise ConfigurationError(
            f"{name}={shown(value)} is not a usable duration; it must be finite, not negative and at most 100 years"
        )
    return seconds


def size(value: Any, /, *, name: str) -> int:
    """Bytes, as a number or as "512MB"."""
    plain = _plain(value)
    if isinstance(plain, str):
        match = SIZE.fullmatch(plain.strip())
        if match is None:
            raise ConfigurationError(
                f"{name}={shown(value)} is not understood; give bytes, or a text like '512KB', '64MB' or '2GB'"
            )
        plain = float(match[1]) * 1024 ** " KMG".index((match[2] or " ").upper())
        plain = int(plain) if isfinite(plain) else MAX_WHOLE + 1
    number = plain if type(plain) is int else _whole(plain, name=name, remedy="give bytes, or a text like '512MB'")
    if not 1 <= number <= MAX_WHOLE:
        bound = "at least 1 byte" if number < 1 else f"at most {MAX_WHOLE:,} bytes"
        raise ConfigurationError(f"{name}={shown(value)} is out of range; it must be {bound}")
    return number


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────


def text(limit: int = MAX_TEXT_CHARS) -> Kind[str]:
    """A text that is not empty, of at most *limit* characters."""

    def read(value: Any, /, *, name: str) -> str:
        checked = _text(value, limit, name=name)
        if not checked.strip():
            raise ConfigurationError(f"{name}={shown(checked)} is empty; give a text, or leave {name}= out")
        return checked

    return read


def remark(value: Any, /, *, name: str) -> str:
    """A reason or a note; None becomes an empty one."""
    return "" if value is None else _text(value, MAX_REMARK_CHARS, name=name)


def one_of(words: type[E]) -> Kind[E]:
    """A member of *words*, or the value of one."""

    def read(value: Any, /, *, name: str) -> E:
        plain = value if isinstance(value, words) else _plain(value)
        for member in words:
            if member is plain or (isinstance(plain, str) and member.value == plain):
                return member
        raise ConfigurationError(
            f"{name}={shown(value)} is unknown; use {', '.join(str(member.value) for member in words)}"
        )

    return read


def word(*words: str) -> Kind[str]:
    """One of these words."""

    def read(value: Any, /, *, name: str) -> str:
        plain = _plain(value)
        if not isinstance(plain, str) or plain not in words:
            raise ConfigurationError(f"{name}={shown(value)} is unknown; use {' or '.join(map(repr, words))}")
        return str.__str__(plain)

    return read


# ── times ────────────────────────────────────────────────────────────────────────────────────────────────────────


def instant(value: Any, /, *, name: str) -> datetime:
    """An aware datetime, in UTC; a time beyond the calendar becomes the calendar's end."""
    if not isinstance(value, datetime):
        remedy = "give a datetime with a time zone, as datetime.now(UTC) + timedelta(hours=1)"
        if isinstance(value, str):
            remedy = f"write {name}=datetime.fromisoformat(…), with a time zone"
        elif isinstance(value, date):
            remedy = f"give the time of that day too: {name}=datetime(…, tzinfo=UTC)"
        raise ConfigurationError(f"{name}={shown(value)} is not a time; {remedy}")
    try:
        if value.utcoffset() is None:
            raise ConfigurationError(f"{name}={shown(value)} needs a time zone; use datetime.now(UTC) + …")
        moment = value.astimezone(UTC)
        moment = moment if type(moment) is datetime else datetime.combine(moment.date(), moment.timetz())
    except (OverflowError, ValueError):  # the first and last hours of the calendar, in other time zones
        return datetime.min.replace(tzinfo=UTC) if value.year == 1 else FAR_END
    return min(moment, FAR_END)


# ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def run_id(value: Any, /, *, name: str) -> int:
    """The id of a run.  Raises UnknownRun for a number that no run can have."""
    if not isinstance(value, int) and isinstance(getattr(value, "id", None), int):
        raise ConfigurationError(f"{name}={shown(value)} is not a whole number; give the id of that run: run.id")
    id_ = _whole(value, name=name)
    if not 0 < id_ < 1 << 63:
        raise UnknownRun(f"no run {shown(id_)} is stored; ids begin with 1, see `shiftboss runs`")
    return id_


# ── kinds made of others ─────────────────────────────────────────────────────────────────────────────────────────


def optional(kind: Kind[T]) -> Kind[T | None]:
    """None, or what *kind* reads."""

    def read(value: Any, /, *, name: str) -> T | None:
        return None if value is None else kind(value, name=name)

    return read


def many(kind: Kind[T], *, most: int = MAX_ITEMS) -> Kind[tuple[T, ...]]:
    """A list, tuple, set or other iterable of what *kind* reads; a set is put into an order that does not change."""

    def read(value: Any, /, *, name: str) -> tuple[T, ...]:
        items = _items(value, name=name, most=most)
        values = tuple(kind(item, name=f"{name}[{index}]") for index, item in enumerate(items))
        return tuple(sorted(values, key=str)) if isinstance(value, Set) else values

    return read


def sizes_by_name(value: Any, /, *, name: str) -> dict[str, int]:
    """A mapping of names to whole numbers ≥ 1: permits, or sizes of resources."""
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name}={shown(value)} is not a mapping; write {name}={{'warehouse': 1}}")
    sizes = {}
    for given, permits in value.items():
        key = NAME_TEXT(given, name=f"a name in {name}")
        sizes[key] = AT_LEAST_ONE(permits, name=f"{name}[{key!r}]")
    return sizes


def made_of(*kinds: type[Any], remedy: str) -> Kind[Any]:
    """An instance of one of these classes."""

    def read(value: Any, /, *, name: str) -> Any:
        if not isinstance(value, kinds):
            raise ConfigurationError(f"{name}={shown(value)} is not understood; {remedy}")
        return value

    return read


def callable_(value: Any, /, *, name: str) -> Callable[..., Any]:
    """Anything callable."""
    if not callable(value):
        raise ConfigurationError(f"{name}={shown(value)} cannot be called; give a function")
    function: Callable[..., Any] = value
    return function


# ── what the kinds are made of ───────────────────────────────────────────────────────────────────────────────────


def shown(value: Any) -> str:
    """*value* in a message: short, whatever it is."""
    try:
        literal = repr(_plain(value))
    except Exception:  # noqa: BLE001  # its __repr__ is user code
        literal = f"({type(value).__name__})"
    return literal if len(literal) <= MAX_SHOWN_CHARS else f"{literal[:MAX_SHOWN_CHARS]}…"


def is_storable(value: str) -> bool:
    """Whether every store can keep this text: no NUL and no lone surrogate (PostgreSQL accepts neither)."""
    if value.isascii():
        return "\0" not in value
    return "\0" not in value and not any("\ud800" <= each <= "\udfff" for each in value)


def _plain(value: Any) -> Any:
    """The value of a member of an enumeration; anything else unchanged."""
    while isinstance(value, Enum):
        value = value._value_
    return value


def _is_number(plain: Any) -> bool:
    """Whether it is a number of any type, numpy's included, but no bool."""
    return not isinstance(plain, bool) and (isinstance(plain, Number) or hasattr(type(plain), "__index__"))


def _whole(value: Any, *, name: str, remedy: str = "give a whole number") -> int:
    plain = _plain(value)
    if isinstance(plain, str) and plain.strip().isdecimal():
        remedy = f"write {name}={int(plain) if len(plain) < 20 else '…'}, a number, not a string"
    if not _is_number(plain):
        raise ConfigurationError(f"{name}={shown(value)} is not a whole number; {remedy}")
    try:
        if hasattr(type(plain), "__index__"):
            return operator.index(plain)
        integer = int(plain)
        if integer == plain:
            return integer
    except Exception:  # noqa: BLE001, S110  # endless, complex, or a number of the caller's own: refused below
        pass
    raise ConfigurationError(f"{name}={shown(value)} is not a whole number; {remedy}")


def _float(plain: Any) -> float | None:
    """A number of any type as a float; None if it is no number."""
    if not _is_number(plain):
        return None
    try:
        return float(plain)
    except OverflowError:
        return float("inf")
    except Exception:  # noqa: BLE001  # a complex number, or one of the caller's own
        return None


def _read_duration(written: str, *, name: str) -> float:
    compact = written.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", compact, re.ASCII):
        return float(compact)
    parts = list(DURATION.finditer(compact))
    if not parts or "".join(part.group(0) for part in parts).replace(" ", "") != compact.replace(" ", ""):
        raise ConfigurationError(
            f"{name}={shown(written)} is not understood; write it like '90s', '5m', '1h30m' or '2d'"
        )
    return sum(float(part["number"]) * UNIT_S[part["unit"]] for part in parts)


def _text(value: Any, limit: int, *, name: str) -> str:
    plain = _plain(value)
    if not isinstance(plain, str):
        remedy = "give a string"
        if _is_number(plain):
            remedy = f'write {name}="{shown(plain)}"'
        elif isinstance(plain, bytes):
            remedy = f"write {name}=….decode()"
        raise ConfigurationError(f"{name}={shown(value)} is not a string; {remedy}")
    plain_text = str.__str__(plain)  # a plain str: a subclass may not encode
    if len(plain_text) > limit:
        raise ConfigurationError(
            f"{name}={shown(plain_text)} has {len(plain_text):,} characters; the limit is {limit:,}"
        )
    if not is_storable(plain_text):
        raise ConfigurationError(
            f"{name}={shown(plain_text)} has a NUL or half a surrogate pair, which not every store and terminal "
            "accepts; remove it"
        )
    return plain_text


def _items(value: Any, *, name: str, most: int) -> list[Any]:
    plain = _plain(value)
    if isinstance(plain, (str, bytes, Mapping)) or not isinstance(plain, Iterable):
        remedy = f"leave {name}= out" if plain is None else f"write {name}=[{shown(plain)}]"
        raise ConfigurationError(f"{name}={shown(value)} is not a list; {remedy}")
    items = []
    for item in plain:
        items.append(item)
        if len(items) > most:
            raise ConfigurationError(f"{name}= has more than {most:,} entries; give fewer")
    return items


AT_LEAST_ONE = whole(1)
NAME_TEXT = text(128)
RATE = number(0, 1)
