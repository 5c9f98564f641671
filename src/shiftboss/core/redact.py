"""What must be neither stored nor shown: the values under the names of secrets, and values known to be secret.

Rules of this file
- In JSON, the value under a secret's name is masked, whatever it is (true, false and null reveal nothing and stay).  In
  texts, what follows such a name is masked, and so are passwords in addresses, what follows `Bearer`, and keys of a
  known shape.
- A value that a payload has under such a name, and a value that was given to us as secret, is masked wherever it is
  repeated.
- A masked text does not change when it is masked again.
- The time is linear in the length of the text, whatever is in it.  A long text is processed in slices, and between two
  slices others get their turn.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from itertools import accumulate

import msgspec

from shiftboss.core import secret_json, secret_shapes
from shiftboss.core.secret_json import MASK as MASK
from shiftboss.core.secret_json import MIN_TEXT_CHARS, Pause, Place, no_pause
from shiftboss.core.secret_names import Names
from shiftboss.core.secret_texts import (
    MAX_FOUND,
    MAX_LOOKED_AT,
    REACH_CHARS,
    SEPARATOR,
    AfterSigns,
    Assignments,
    Span,
    addresses,
    bearers,
    in_order,
)
from shiftboss.core.secret_values import MIN_CHARS, Values

_WORDS = frozenset(("true", "false", "null", "none", "None", "True", "False"))  # a mask for each would spoil every text
MAX_PLACES = 1000  # of secret values in a payload that are remembered
SLICE_CHARS = 32 * 1024  # some 2 ms of work

Kind = Callable[[int, int, int], Iterator[Span]]  # spans that begin within the first two numbers, seen up to the third


class Redaction:
    """Masks by the usual names and the *added* ones, by *patterns*, and by *values*."""

    __slots__ = ("_added", "_assignments", "_names", "_patterns", "_values")

    def __init__(self, added: Iterable[str] = (), *, patterns: Iterable[str] = (), values: Iterable[str] = ()) -> None:
        self._added = tuple(added)
        self._names = Names(self._added)
        self._assignments = Assignments(self._names)
        self._patterns = tuple(map(re.compile, patterns))
        self._values = Values(values)

    @property
    def made_of(self) -> tuple[object, ...]:
        """If this is equal, two redactions mask alike.  It contains the secret values: neither store nor show it."""
        return self._added, tuple((each.pattern, each.flags) for each in self._patterns), self._values.values

    def is_secret(self, name: str) -> bool:
        """Whether *name* is a secret's name."""
        return self._names.is_secret(name)

    def text(self, text: str, *, pause: Pause = no_pause) -> str:
        """*text* with its secrets masked.  *pause* is called between two slices of a long text."""
        return self._by_patterns(self._masked(text, pause))

    def texts(self, texts: list[str], *, pause: Pause = no_pause) -> list[str]:
        """Each of *texts* with its secrets masked; many short ones cost as much as one long text.

        Returns the same list if there is nothing to mask.
        """
        joined = SEPARATOR.join(texts)
        whole = self._masked(joined, pause)
        if whole is joined and not self._patterns:
            return texts
        masked = whole.split(SEPARATOR) if texts else []
        masked += [MASK] * (len(texts) - len(masked))  # for those behind the last of MAX_FOUND
        return list(map(self._by_patterns, masked)) if self._patterns else masked

    def json(self, data: bytes, *, pause: Pause = no_pause) -> bytes:
        """JSON with its secrets masked; the same bytes if it has none.  Anything but JSON is masked as a text."""
        try:
            return self.document(data, pause=pause)
        except (msgspec.DecodeError, UnicodeDecodeError):
            text = data.decode("utf-8", "replace")
            masked = self.text(text, pause=pause)
            return data if masked == text else masked.encode("utf-8", "replace")

    def document(self, data: bytes, *, places: Iterable[Place] = (), pause: Pause = no_pause) -> bytes:
        """The same for JSON alone, with the values at *places* masked too.  Raises what decoding raises."""
        try:
            return self._masked_document(self._opened(data, places, pause), pause)
        except (OverflowError, RecursionError):  # JSON allows numbers and depths that we can neither read nor write
            return msgspec.json.encode(MASK)

    def payload(self, data: bytes, *, places: Iterable[Place] = (), pause: Pause = no_pause) -> bytes:
        """JSON masked as by `document`, and with every repetition of a value that it has under a secret's name masked.

        Raises what decoding raises.
        """
        try:
            document = self._opened(data, places, pause)
            return self.knowing(_worth_masking(document.secrets()))._masked_document(document, pause)
        except (OverflowError, RecursionError):
            return msgspec.json.encode(MASK)

    def _opened(self, data: bytes, places: Iterable[Place], pause: Pause) -> secret_json.Document:
        return secret_json.Document(data, self._names.is_secret, places=places, pause=pause)

    def _masked_document(self, document: secret_json.Document, pause: Pause) -> bytes:
        return document.masked(
            lambda texts: self.texts(texts, pause=pause),
            min_chars=min(MIN_TEXT_CHARS, self._values.min_chars),
            numbers=self._values.numbers,
        )

    def knowing(self, values: Iterable[str]) -> Redaction:
        """This redaction, which also masks *values* wherever they are repeated."""
        added = tuple(values)
        if not added:
            return self
        known = Redaction.__new__(Redaction)
        known._added = self._added
        known._names, known._assignments, known._patterns = self._names, self._assignments, self._patterns
        known._values = Values((*self._values.values, *added))
        return known

    def secrets_in(self, payload: bytes, places: Iterable[Place] = (), *, pause: Pause = no_pause) -> list[str]:
        """The texts and numbers that *payload* has under a secret's name and at *places*."""
        try:
            return _worth_masking(self._opened(payload, places, pause).secrets())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return []

    def _by_patterns(self, text: str) -> str:
        for pattern in self._patterns:
            group = 1 if pattern.groups else 0
            spans = [match.span(group) for match in pattern.finditer(text) if match.end(group) > match.start(group)]
            text = _without(text, spans) if spans else text
        return text

    def _masked(self, text: str, pause: Pause) -> str:
        spans = sorted(self._spans(text, pause))
        return _without(text, spans) if spans else text

    def _spans(self, text: str, pause: Pause) -> Iterator[Span]:
        """Each kind is searched by itself, so that none hides another."""
        lowered = text.lower() if text.isascii() else _lowered(text)
        known = self._assignments
        after_signs = AfterSigns(known, text, lowered)
        kinds: list[Kind] = [
            lambda first, last, end: addresses(text, first, last, end),
            lambda first, last, end: bearers(text, lowered, first, last, end),
            lambda first, last, end: secret_shapes.spans(text, first, last, end),
        ]
        if after_signs.may_have_names:
            kinds.append(after_signs.spans)
        if after_signs.may_have_names and "-" in text:
            kinds.append(partial(in_order, (known.flagged,), known, text, lowered))
        if after_signs.may_have_names and "," in text:
            kinds.append(partial(in_order, known.paired, known, text, lowered))
        for kind in kinds:
            yield from _in_slices(kind, len(text), pause)
        yield from _of_values(self._values.spans(text), len(text))


def _worth_masking(values: Iterable[str]) -> list[str]:
    return [each for each in values if len(each) >= MIN_CHARS and each not in _WORDS]


def _in_slices(kind: Kind, length: int, pause: Pause) -> Iterator[Span]:
    """The spans of a *kind*.  Beyond MAX_FOUND, or MAX_LOOKED_AT empty ones, the rest of the text is the last span."""
    count = looked_at = 0
    for first in range(0, length, SLICE_CHARS):
        if first:
            pause()
        last = min(first + SLICE_CHARS, length)
        for span in kind(first, last, min(last + REACH_CHARS, length)):
            if span[0] < span[1]:
                count += 1
                yield span
            else:
                looked_at += 1
            if count > MAX_FOUND or looked_at > MAX_LOOKED_AT:
                yield min(first, span[0]), length  # the search of this slice has not seen all of them
                return


def _of_values(spans: Iterator[Span], length: int) -> Iterator[Span]:
    """The first MAX_FOUND of *spans*; if there are more, the whole text: spans come value by value, not in order."""
    for number, span in enumerate(spans):
        if number == MAX_FOUND:
            yield 0, length
            return
        yield span


def _lowered(text: str) -> str:
    """In lower case, each character as one: there is a letter whose lower case has two."""
    return text.replace("\u0130", "i").lower()


def _without(text: str, spans: Iterable[Span]) -> str:
    """*text* with a mask in place of each of *spans*, which are in order and may overlap."""
    pieces: list[str] = []
    shown = start = end = 0
    for first, last in spans:
        if first <= end and end:
            end = max(end, last)
            continue
        pieces += (text[shown:start], MASK) if end else ()
        shown, start, end = end, first, last
    return "".join((*pieces, text[shown:start], MASK, text[end:]))


def places_of(values: Iterable[str], payload: bytes | None) -> tuple[Place, ...]:
    """Where *payload* contains one of *values*: places can be stored, values cannot.  The whole payload if too many."""
    if payload is None or not (known := Values(values)).values:
        return ()
    if b"\\u00" not in payload and next(known.spans(payload.decode("utf-8", "replace")), None) is None:
        return ()
    try:
        texts, places = secret_json.texts_in(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ((),)
    ends = list(accumulate(len(text) + 1 for text in texts))  # where each text and its separator ends when joined
    indexes = {bisect_right(ends, first) for first, _ in known.spans(SEPARATOR.join(texts))}
    return tuple(sorted(places[index] for index in indexes)) if len(indexes) <= MAX_PLACES else ((),)


def pattern_text(pattern: re.Pattern[str]) -> str:
    """The pattern with its flags, as a text that can be stored."""
    flags = "".join(letter for letter, flag in _FLAGS if pattern.flags & flag)
    return f"(?{flags}){pattern.pattern}" if flags else pattern.pattern


_FLAGS = (("a", re.ASCII), ("i", re.IGNORECASE), ("m", re.MULTILINE), ("s", re.DOTALL), ("x", re.VERBOSE))


@lru_cache(maxsize=256)  # one for each set of names and patterns that workers were declared with
def redaction(names: tuple[str, ...], patterns: tuple[str, ...] = ()) -> Redaction:
    """The redaction for *names* and *patterns*, made once."""
    return Redaction(names, patterns=patterns)
