"""Secrets that are known by their value: where does a text repeat them, in whatever form?

Rules of this file
- A value is found as it is, and as `repr`, JSON, URLs, bytes and HTML write it, also nested: each of its characters may
  be written in any of these ways, behind any number of backslashes.
- Of a value with several lines, each line is searched for as well: programs print line by line.
- A value that was cut is found where the cut can be seen: before an ellipsis and at the end of the text.
- Short values are found as whole words only: "1234" must not be masked in every number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from shiftboss.core.pattern import lazy_pattern

MIN_CHARS = 4  # of a value in a payload: "12" would be found in every timestamp
MIN_SUBSTRING_CHARS = 6  # shorter values are searched for as whole words
MIN_LINE_CHARS = 8  # of one line of a longer value
MIN_CUT_CHARS = 4  # of the rest of a value before an ellipsis
MIN_END_CHARS = 10  # the same at the end of a text, which need not be cut
MAX_CUT_CHARS = 2048  # of the text that is searched before an ellipsis
MAX_CUTS = 100  # ellipses in a text
MAX_VALUES = 1000  # the longest of a run's values; each costs a search of every text
MAX_LINES = 200  # of one value
PIECE_CHARS = 500  # of a value with characters that can be written in several ways: longer ones are split into pieces

Span = tuple[int, int]
_CUT = lazy_pattern(r"…|\.\.\.|\[truncated|<truncated")
_ALWAYS_THE_SAME = lazy_pattern(r"[A-Za-z0-9_.~-]+")  # URLs do not change these, and nothing else does either
_NAMED = {"\n": "n", "\r": "r", "\t": "t", "\f": "f", "\b": "b"}
_ENTITIES = {"&": "amp|#38", "<": "lt|#60", ">": "gt|#62", '"': "quot|#34", "'": "apos|#39|#x27"}


class Values:
    """Secrets that are known by their value."""

    __slots__ = ("_cut_forms", "_fixed", "_patterns", "_varying", "_words", "min_chars", "numbers", "values")

    def __init__(self, values: Iterable[str] = ()) -> None:
        given = sorted({each for each in values if each}, key=_longest_first)[:MAX_VALUES]
        self.values = tuple(given)
        self.numbers = frozenset(each for each in given if each.lstrip("-")[:1].isdigit())  # as JSON may contain them
        self.min_chars = min(map(len, given), default=MIN_SUBSTRING_CHARS)
        parts = sorted({part for value in given for part in _parts(value)}, key=_longest_first)
        long = [part for part in parts if len(part) >= MIN_SUBSTRING_CHARS]
        short = [_pattern(part) for part in parts if len(part) < MIN_SUBSTRING_CHARS]
        self._fixed = tuple(part for part in long if _ALWAYS_THE_SAME.fullmatch(part))
        self._varying = tuple(piece for part in long if not _ALWAYS_THE_SAME.fullmatch(part) for piece in _pieces(part))
        self._patterns: dict[str, re.Pattern[str]] = {}  # compiled when they are first needed
        self._words = re.compile(rf"(?<!\w)(?:{'|'.join(short)})(?!\w)") if short else None
        self._cut_forms = tuple(
            {form for part in long for form in (part, repr(part)[1:-1], repr(part.encode("utf-8", "replace"))[2:-1])}
        )

    def spans(self, text: str) -> Iterator[Span]:
        """Where *text* repeats one of the values."""
        for part in self._fixed:
            at = text.find(part)
            while at >= 0:
                end = at + len(part)
                yield at, end
                at = text.find(part, end)
        for part, anchor in self._varying:
            if anchor in text:
                yield from (match.span() for match in self._pattern(part).finditer(text))
        if self._words is not None:
            yield from (match.span() for match in self._words.finditer(text))
        if self._cut_forms:
            yield from self._cut(text)

    def _pattern(self, part: str) -> re.Pattern[str]:
        known = self._patterns.get(part)
        if known is None:
            known = self._patterns[part] = re.compile(_pattern(part))
        return known

    def _cut(self, text: str) -> Iterator[Span]:
        for match in islice(_CUT.finditer(text), MAX_CUTS):
            yield from self._before(text, match.start(), MIN_CUT_CHARS)
        yield from self._before(text, len(text), MIN_END_CHARS)

    def _before(self, text: str, end: int, min_chars: int) -> Iterator[Span]:
        """The beginning of a value, if *text* has that before *end*."""
        begin = max(0, end - MAX_CUT_CHARS)
        tail = text[begin:end].rstrip("'\" \n")
        for form in self._cut_forms:
            start = form[:min_chars]
            at = tail.find(start)
            while at >= 0:
                if form.startswith(tail[at:]):
                    yield begin + at, begin + len(tail)
                    break
                at = tail.find(start, at + 1)


def _longest_first(text: str) -> tuple[int, str]:
    return -len(text), text


def _parts(value: str) -> Iterator[str]:
    yield value
    stripped = value.strip()
    if stripped and stripped != value:
        yield stripped
    lines = stripped.splitlines()
    if len(lines) > 1:
        yield from (line for each in lines[:MAX_LINES] if len(line := each.strip()) >= MIN_LINE_CHARS)


def _pieces(part: str) -> Iterator[tuple[str, str]]:
    """*part* in pieces that can be made into a pattern, each with a text that must occur for it to match."""
    for first in range(0, len(part), PIECE_CHARS):
        piece = part[first : first + PIECE_CHARS]
        if len(piece) >= MIN_SUBSTRING_CHARS:
            yield piece, max(_ALWAYS_THE_SAME.findall(piece), key=len, default="")


def _pattern(part: str) -> str:
    return "".join(map(_written, re.findall(r"\\+|[^\\]", part, re.DOTALL)))


def _written(character: str) -> str:
    """A character, or a row of backslashes, in every way in which it may be written."""
    if character.startswith("\\"):
        return r"(?:\\++|(?:%5[cC])+)"
    if _ALWAYS_THE_SAME.fullmatch(character):
        return re.escape(character)
    data = character.encode("utf-8", "surrogatepass")
    ways = [r"\\*+" + re.escape(character), "".join(map(_percent, data))]
    if character == " ":
        ways.append(r"\+")
    if character in _NAMED:
        ways.append(r"\\++" + _NAMED[character])
    if character in _ENTITIES:
        ways.append(f"&(?:amp;)*(?:{_ENTITIES[character]});")
    if not character.isascii() or not character.isprintable():
        units = character.encode("utf-16-be", "surrogatepass")
        ways.append("".join(rf"\\++u(?i:{units[at : at + 2].hex()})" for at in range(0, len(units), 2)))
        ways.append("".join(rf"\\++x{byte:02x}" for byte in data))
        ways.append(rf"\\++(?:x{ord(character):02x}|U{ord(character):08x})")
    return f"(?:{'|'.join(ways)})"


def _percent(byte: int) -> str:
    return f"%(?i:{byte:02x})"
