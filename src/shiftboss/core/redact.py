"""What must be neither kept nor shown: the values of things that are called like secrets.

Rules of this file
- A name is compared word by word: `db_password`, `X-Auth-Token` and `clientSecret` are secrets, `tokenizer` and
  `max_tokens` are not.  Names that a user adds count likewise.
- In JSON the value under such a name is masked, whatever it is (True, False and null tell nothing and stay); in texts
  what follows `name=` or `name:` (unless it is a type or nothing), the password in a URL, what follows `Bearer`.
- A value that a payload has under such a name is masked wherever a text of that run repeats it.
- Nothing here is slow for a hostile text: every repetition in a pattern is bounded or cannot overlap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

MASK = "[redacted]"
NAMES = (
    "password", "passwords", "passwd", "passphrase", "pwd", "secret", "secrets", "token", "authorization", "apikey",
    "api key", "access key", "private key", "secret key", "credential", "credentials", "cookie",
)  # fmt: skip
SAYS_NOTHING = frozenset(("str", "bytes", "int", "None", "True", "False", "null", "true", "false", "''", '""'))
MIN_VALUE_CHARS = 6  # of a payload's secret that is looked for in texts: "12" would be found in every timestamp
MAX_VALUES = 50  # of them

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_URL = re.compile(r"(://[^/\s:@]{0,200}):[^/\s@]{1,200}@")
_BEARER = re.compile(r"\b(bearer|basic)\s{1,3}[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_VALUE = (
    r"""(?P<value>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|(?:bearer|basic|token)\s{1,3}[^\s"',;]+|[^\s"',;&)\]}]+)"""
)


class Redaction:
    """Masks by NAMES and by the *names* that were added."""

    __slots__ = ("_assigned", "_hint", "_secrets", "_values")

    def __init__(self, names: Iterable[str] = (), *, values: tuple[str, ...] = ()) -> None:
        self._secrets = frozenset(words for name in (*NAMES, *names) if (words := _words(name)))
        self._values = values
        some = "|".join(sorted(map(_loosely, self._secrets), key=len, reverse=True))
        self._hint = re.compile(some, re.IGNORECASE)
        self._assigned = re.compile(
            rf"""(?P<key>[\w-]{{0,40}}(?:{some})[\w-]{{0,40}})(?P<between>["']?\s{{0,3}}[:=]\s{{0,3}}){_VALUE}""",
            re.IGNORECASE,
        )

    def is_secret(self, name: str) -> bool:
        """Whether *name* has the words of a secret's name, one after another."""
        words = _words(name)
        return any(
            words[first:last] in self._secrets
            for first in range(len(words))
            for last in range(first + 1, min(len(words), first + 4) + 1)
        )

    def text(self, text: str) -> str:
        """*text* without what it gives away."""
        for value in self._values:
            text = text.replace(value, MASK)
        if self._hint.search(text):
            text = self._assigned.sub(self._mask_assigned, text)
        if "://" in text:
            text = _URL.sub(rf"\1:{MASK}@", text)
        return _BEARER.sub(rf"\1 {MASK}", text)

    def json(self, data: bytes) -> bytes:
        """JSON with its secrets masked; the same bytes where there is none, or where it is no JSON."""
        if not self._may_tell(data):
            return data
        try:
            return msgspec.json.encode(self._masked(msgspec.json.decode(data)))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return data
        except (OverflowError, RecursionError):  # numbers and depths that JSON has and we cannot write
            return msgspec.json.encode(MASK)

    def knowing(self, payload: bytes | None) -> Redaction:
        """The same for the texts of a run with that payload: they may repeat its secrets."""
        if payload is None or not self._hint.search(payload.decode("utf-8", "replace")):
            return self
        try:
            found = set(self._values_in(msgspec.json.decode(payload), is_secret=False))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self
        known = Redaction.__new__(Redaction)
        known._secrets, known._hint, known._assigned = self._secrets, self._hint, self._assigned
        known._values = tuple(sorted(found, key=lambda value: (-len(value), value))[:MAX_VALUES])
        return known

    def _may_tell(self, data: bytes) -> bool:
        text = data.decode("utf-8", "replace")
        return bool(
            self._hint.search(text)
            or "://" in text
            or _BEARER.search(text)
            or any(value in text for value in self._values)
        )

    def _masked(self, value: Any) -> Any:
        match value:
            case dict():
                return {key: self._masked_under(key, each) for key, each in value.items()}
            case list():
                return [self._masked(each) for each in value]
            case str():
                return self.text(value)
            case _:
                return value

    def _masked_under(self, key: str, value: Any) -> Any:
        if value is None or isinstance(value, bool) or not self.is_secret(key):
            return self._masked(value)
        return MASK

    def _values_in(self, value: Any, *, is_secret: bool) -> Iterator[str]:
        match value:
            case dict():
                for key, each in value.items():
                    yield from self._values_in(each, is_secret=is_secret or self.is_secret(key))
            case list():
                for each in value:
                    yield from self._values_in(each, is_secret=is_secret)
            case str() if is_secret and len(value) >= MIN_VALUE_CHARS:
                yield value

    def _mask_assigned(self, found: re.Match[str]) -> str:
        if found["value"] in SAYS_NOTHING or not self.is_secret(found["key"]):
            return found[0]
        quote = found["value"][0] if found["value"][0] in "\"'" else ""
        return f"{found['key']}{found['between']}{quote}{MASK}{quote}"


@lru_cache(maxsize=256)  # one for each set of names that workers were declared with
def redaction(names: tuple[str, ...]) -> Redaction:
    """The redaction for *names*, made once."""
    return Redaction(names)


@lru_cache(maxsize=4096)
def _words(name: str) -> tuple[str, ...]:
    """ "dbPassword" and "db_password" → ("db", "password")."""
    return tuple(word.lower() for word in _WORD.findall(name[:200]))


def _loosely(words: tuple[str, ...]) -> str:
    return r"[ _.-]?".join(map(re.escape, words))
