"""What is typed behind a worker's name, as a payload."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from shiftboss.executors.json_types import read_json


def read_payload(words: tuple[str, ...]) -> dict[str, Any] | None:
    """A JSON object, @file, - (stdin) or key=value pairs; None for nothing.  Raises UsageError."""
    if not words:
        return None
    first = words[0]
    if first == "-" or first.startswith(("@", "{", "[")):
        if len(words) > 1:
            raise click.UsageError(f"{first!r} is the whole payload; {words[1]!r} is too much.")
        return _object(*_source(first))
    return dict(_pair(word) for word in words)


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


def _object(data: bytes, source: str) -> dict[str, Any]:
    try:
        found = read_json(data)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise click.UsageError(f"{source} is no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise click.UsageError(
            f"{source} is a JSON {type(found).__name__}; a payload is an object, with the parameters by name."
        )
    return found


def _pair(word: str) -> tuple[str, Any]:
    key, equals, text = word.partition("=")
    if not equals or not key:
        raise click.UsageError(f"{word!r} is neither a JSON object nor key=value.")
    try:
        return key, read_json(text.encode())
    except (msgspec.DecodeError, UnicodeError):
        return key, text
