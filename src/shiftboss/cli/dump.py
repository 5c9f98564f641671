"""Values on stdout, as JSON with stable fields (`app/facts.py`)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import msgspec

from shiftboss.app.facts import encoded


def text_of(value: Any) -> str:
    return encoded(value).decode()


def one(value: Any) -> None:
    """One object, indented for people where one looks."""
    data = encoded(value)
    sys.stdout.write((msgspec.json.format(data, indent=2) if sys.stdout.isatty() else data).decode() + "\n")


def lines(values: Iterable[Any]) -> None:
    """NDJSON: an object a line."""
    for value in values:
        sys.stdout.write(text_of(value) + "\n")
