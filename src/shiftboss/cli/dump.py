"""Values on stdout, as JSON with stable fields (`app/json_format.py`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from shiftboss.app.json_format import encoded
from shiftboss.cli import messages


def one(value: Any) -> None:
    """One object; indented on a terminal."""
    data = encoded(value)
    messages.json((msgspec.json.format(data, indent=2) if messages.is_read_by_people() else data).decode())


def lines(values: Iterable[Any]) -> None:
    """NDJSON: one object on each line."""
    for value in values:
        line(value)


def line(value: Any) -> None:
    """One object on one line."""
    messages.json(encoded(value).decode())
