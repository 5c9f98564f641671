"""Which columns go with a row where it is brought sealed (salvage.Sealed), and which statements ask for which rows.

Rules of this file
- `<run>` in a statement stands for the text of such a row: its `data` in the plain form, all of it sealed in the
  careful one.
- Only constants of ours become part of a statement.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Place(NamedTuple):
    """A kind of row: its table, what tells it from others, whose it is, what else is told, and where its value lies."""

    table: str
    key: str
    worker: str = "''"
    columns: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()  # told in hexadecimal
    data: str = "data"


PLACES = {
    "run": Place("run", "id", "worker", ("queue", "due_at", "occurs_at", "origin"), ("key",)),
    "history": Place("history", "id", "worker", ("status", "finished_at"), ("key",)),
    "dead_letter": Place("dead_letter", "run", "worker", ("state", "error_type", "entered_at", "has_payload")),
    "worker": Place("worker", "name", "name", data="state"),
    "record": Place("worker", "name", "name", data="record"),
    "breaker": Place("breaker", "name"),
    "node": Place("node", "id"),
    "event": Place("event", "id", "worker", ("at",)),
    "log": Place("log", "run || '-' || fence || '-' || number", columns=("run", "fence", "number")),
    "arrival": Place("arrival", "id"),  # PostgreSQL only
}
NULLABLE = ("worker", "record")  # there NULL says that there is none


def plain(template: str) -> str:
    """The statement that gathers rows as they are."""
    for name, place in PLACES.items():
        text = f"coalesce({place.data}, 'null')"  # a row without its value is one that cannot be read
        if name in NULLABLE:
            text = f"CASE WHEN {place.data} = 'null' THEN '0' ELSE {place.data} END"
        template = template.replace(f"<{name}>", text)
    return template


def careful(template: str, sealed: Callable[[str, Place], str]) -> str:
    """The statement that brings the same rows sealed."""
    for name, place in PLACES.items():
        text = sealed(name, place)
        if name in NULLABLE:
            text = f"CASE WHEN {place.data} IS NOT NULL THEN {text} END"
        template = template.replace(f"<{name}>", text)
    return template
