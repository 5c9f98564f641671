"""JSON as somebody wrote it: read strictly, and brought into one form for comparisons.

Rules of this file
- The store keeps the bytes that came; here they are only read.
- A name that occurs twice in an object is refused: different readers would take different values.
- JSON that is nested too deep is refused before it is parsed, however much stack the parser has left.
- Two texts have one form if they mean the same: the order of names, blanks and escapes do not count, and a number
  counts by its value, not by its digits.
"""

from __future__ import annotations

import codecs
import json
import re
from itertools import accumulate
from typing import Any

import msgspec

from shiftboss.core.pattern import lazy_pattern

MAX_NESTING = (
    256  # Python's own limit is 1,000 calls; some of our readers make two per level, and the caller needs some as well
)
MAX_SHOWN_CHARS = 80  # of a name in a message
MAX_PLAIN_DIGITS = (
    64  # of a number in one form: a longer number is written with an exponent, or "1e999" would fill memory
)
LONG = lazy_pattern(rb"\d{%d}" % (MAX_PLAIN_DIGITS + 1))
STRING = lazy_pattern(
    rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL
)  # or an unfinished one, up to the end: so the search takes linear time
NO_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
MARKS = {
    codecs.BOM_UTF8: "begins with a byte order mark; write it without one",
    codecs.BOM_UTF16_LE: "is UTF-16; write it in UTF-8",
    codecs.BOM_UTF16_BE: "is UTF-16; write it in UTF-8",
}


class WrittenNumber(float):
    """A float that keeps the digits with which JSON wrote it."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> WrittenNumber:
        made = super().__new__(cls, text)
        made.text = text
        return made


class WrongJson(ValueError):
    """A refused text; the message continues a sentence about it: "… has the name 'a' twice at `$.b`"."""


class NoJson(WrongJson):
    """The text is no JSON at all."""


_decode = msgspec.json.Decoder(float_hook=WrittenNumber).decode
_decode_one_form = msgspec.json.Decoder(float_hook=lambda text: msgspec.Raw(one_number(text).encode())).decode
_decode_as_written = msgspec.json.Decoder(float_hook=lambda text: msgspec.Raw(text.encode())).decode
_encode = msgspec.json.Encoder(order="deterministic").encode


def read(data: bytes) -> Any:
    """The value of *data*; its numbers keep their digits.  Raises WrongJson."""
    check_nesting(data)
    try:
        value = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoJson(_why_none(data, error)) from error
    _check_names(data)
    return value


def check_nesting(data: bytes) -> None:
    """Raises WrongJson if *data* is nested deeper than every reader can handle."""
    if data.count(b"[") + data.count(b"{") <= MAX_NESTING:
        return
    brackets = STRING.sub(b"", data).translate(None, NO_BRACKETS)
    if max(accumulate(map(STEPS.__getitem__, brackets)), default=0) > MAX_NESTING:
        raise WrongJson(f"is nested deeper than {MAX_NESTING} levels; make it flatter, or pass it as a string")


def in_one_form(data: bytes) -> bytes:
    """The same bytes for all texts that mean the same; a text that cannot be read is its own form."""
    try:
        value = _decode_one_form(data)
        return _encode(_without_long(value) if LONG.search(data) else value)
    except (msgspec.DecodeError, UnicodeError, RecursionError, OverflowError, ValueError):
        return data


def as_stored_before(data: bytes) -> bytes:
    """The form in which older versions stored payloads: names in order, numbers with their digits."""
    try:
        return _encode(_decode_as_written(data))
    except (msgspec.DecodeError, UnicodeError, RecursionError, OverflowError, ValueError):
        return data


def one_number(text: str) -> str:
    """A number of JSON in the form of its value: 1.10, 1.1 and 11e-1 become one."""
    sign = "-" if text.startswith("-") else ""
    mantissa, _, power = text.lstrip("-").lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return "0"
    kept = digits.rstrip("0")
    exponent = int(power or 0) - len(fraction) + len(digits) - len(kept)
    length = len(kept) + exponent  # of its whole part
    if max(length, len(kept), -exponent) > MAX_PLAIN_DIGITS:
        return f"{sign}{kept}e{exponent}"
    if exponent >= 0:
        return sign + kept + "0" * exponent
    return f"{sign}{kept[:length]}.{kept[length:]}" if length > 0 else f"{sign}0.{'0' * -length}{kept}"


def _without_long(value: Any) -> Any:
    """*value* with whole numbers of many digits written like those that came with an exponent."""
    match value:
        case dict():
            return {key: _without_long(each) for key, each in value.items()}
        case list():
            return [_without_long(each) for each in value]
        case int() if abs(value) >= 10**MAX_PLAIN_DIGITS:
            return msgspec.Raw(one_number(msgspec.json.encode(value).decode()).encode())
        case _:
            return value


def _why_none(data: bytes, error: Exception) -> str:
    for mark, sentence in MARKS.items():
        if data.startswith(mark):
            return sentence
    if b"\0" in data[:4]:
        return "is UTF-16 or UTF-32; write it in UTF-8"
    return f"is not valid JSON: {error}" if data.strip() else "is empty"


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Twice(Exception):
    pass


class _Pairs(list[tuple[str, Any]]):
    """An object's names and values, repeated names included."""


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise _Twice


# The standard library's decoder, because it hands over each pair.  The numbers that it makes are thrown away.
_names = json.JSONDecoder(object_pairs_hook=_once, parse_int=float)
_pairs = json.JSONDecoder(object_pairs_hook=_Pairs, parse_int=float)


def _check_names(data: bytes) -> None:
    if data.count(b":") < 2:
        return
    text = data.decode()
    try:
        _names.decode(text)
    except _Twice:
        name, place = _first_twice(_pairs.decode(text))
        raise WrongJson(f"has the name {_shown(name)} twice at `{place}`; leave one of them out") from None


def _first_twice(root: Any) -> tuple[str, str]:
    """The first name that occurs twice in an object, and the place of that object."""
    nodes = [(root, "$")]
    while nodes:
        node, place = nodes.pop()
        if isinstance(node, _Pairs):
            seen: set[str] = set()
            for name, _ in node:
                if name in seen:
                    return name, place
                seen.add(name)
            nodes += reversed([(each, f"{place}.{name}") for name, each in node])
        elif isinstance(node, list):
            nodes += reversed([(each, f"{place}[{index}]") for index, each in enumerate(node)])
    raise AssertionError("no name stands twice")  # a repeated name was found before


def _shown(name: str) -> str:
    return repr(name if len(name) <= MAX_SHOWN_CHARS else f"{name[:MAX_SHOWN_CHARS]}…")
