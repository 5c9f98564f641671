"""Makes a payload of what is typed after a worker's name.

Rules of this file
- JSON stays as it is, byte for byte (Q2); in key=value pairs this applies to each value that is JSON.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from shiftboss.core import json_text


def read_payload(words: tuple[str, ...]) -> msgspec.Raw | None:
    """A JSON object, @file, - (stdin) or key=value pairs; None for nothing.  Raises UsageError."""
    if not words:
        return None
    first = words[0]
    if first == "-" or first.startswith(("@", "{", "[")):
        if len(words) > 1:
            raise click.UsageError(f"{first!r} is the whole payload; drop {words[1]!r}.")
        return _object(*_source(first))
    return _object(b"{%s}" % b",".join(map(_pair, words)), "the payload")


def _source(word: str) -> tuple[bytes, str]:
    if word == "-":
        return sys.stdin.buffer.read(), "stdin"
    if not word.startswith("@"):
        return word.encode(errors="surrogateescape"), "the payload"
    file = Path(word[1:])
    try:
        return file.read_bytes(), str(file)
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {error.strerror or error}.") from error


def _object(data: bytes, source: str) -> msgspec.Raw:
    try:
        payload = json_text.read(data)
    except json_text.WrongJson as error:
        raise click.UsageError(f"{source} {error}.") from error
    if not isinstance(payload, dict):
        raise click.UsageError(
            f"{source} is a JSON {type(payload).__name__}; a payload is an object, with the parameters by name."
        )
    return msgspec.Raw(data)


def _pair(word: str) -> bytes:
    """A member of the object."""
    key, equals, text = word.partition("=")
    if not equals or not key:
        raise click.UsageError(f"{word!r} is neither a JSON object nor key=value.")
    try:
        return msgspec.json.encode(key) + b":" + _value(text, key)
    except UnicodeEncodeError as error:
        raise click.UsageError(f"{word!r} is not valid UTF-8.") from error


def _value(text: str, key: str) -> bytes:
    data = text.encode()
    try:
        json_text.read(data)
    except json_text.NoJson:
        return msgspec.json.encode(text)
    except json_text.WrongJson as error:
        raise click.UsageError(f"the value of {key!r} {error}.") from error
    return data
