"""Which columns a row brings along when it is read sealed (salvage.Sealed), and which statements read which rows.

Rules of this file
- `<run>` in a statement stands for the text of such a row: its `data` in the plain form, the sealed row in the careful
  form.
- Only our own constants become part of a statement.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class RowPlace(NamedTuple):
    """A kind of row: its table, its identifying columns, its worker, other columns, and the column of its value."""

    table: str
    key: str
    worker: str = "''"
    columns: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()  # read in hexadecimal
    data: str = "data"


PLACES = {
    "run": RowPlace("run", "id", "worker", ("queue", "due_at", "occurs_at", "origin"), ("key",)),
    "history": RowPlace("history", "id", "worker", ("status", "finished_at"), ("key",)),
    "dead_letter": RowPlace("dead_letter", "run", "worker", ("state", "error_type", "entered_at", "has_payload")),
    "worker": RowPlace("worker", "name", "name", data="state"),
    "record": RowPlace("worker", "name", "name", data="record"),
    "breaker": RowPlace("breaker", "name"),
    "node": RowPlace("node", "id"),
    "event": RowPlace("event", "id", "worker", ("at",)),
    "log": RowPlace("log", "run || '-' || fence || '-' || number", columns=("run", "fence", "number")),
    "arrival": RowPlace("arrival", "id"),  # PostgreSQL only
}
NULLABLE = ("worker", "record")  # in these NULL means that there is none


def plain(template: str) -> str:
    """The statement that gathers rows as they are."""
    for name, place in PLACES.items():
        text = f"coalesce({place.data}, 'null')"  # a row without its value is unreadable
        if name in NULLABLE:
            text = f"CASE WHEN {place.data} = 'null' THEN '0' ELSE {place.data} END"
        template = template.replace(f"<{name}>", text)
    return template


def careful(template: str, sealed: Callable[[str, RowPlace], str]) -> str:
    """The statement that returns the same rows sealed."""
    for name, place in PLACES.items():
        text = sealed(name, place)
        if name in NULLABLE:
            text = f"CASE WHEN {place.data} IS NOT NULL THEN {text} END"
        template = template.replace(f"<{name}>", text)
    return template
