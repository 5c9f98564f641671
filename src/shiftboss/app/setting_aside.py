"""Rows that cannot be read are moved out of the way (A5): a few at a time, because each batch is one transaction."""

from __future__ import annotations

from collections.abc import Collection

from shiftboss.app import call
from shiftboss.app.actor import current_actor
from shiftboss.app.open_node import OpenNode
from shiftboss.app.options import CALL
from shiftboss.core.unreadable import Unreadable
from shiftboss.engine import mutation

MAX_ROWS = 200  # in one transaction, during which nobody else can write


def batches(node: OpenNode, rows: Collection[Unreadable] | None, note: str | None) -> list[call.Put]:
    """The mutations to give the engine, one after the other: each answers with the rows that it moved."""
    chosen: tuple[Unreadable, ...] | None = CALL.read_one("rows", rows, of="set_aside")
    every = list(node.read(lambda views: views.unreadable()) if chosen is None else chosen)
    note_text = node.masked(CALL.read_one("note", note, of="set_aside"))
    return [_put(node, every[first : first + MAX_ROWS], note_text) for first in range(0, len(every), MAX_ROWS)]


def _put(node: OpenNode, rows: list[Unreadable], note: str) -> call.Put:
    places = tuple(row.place for row in rows)
    return lambda answer: node.engine.put(
        mutation.set_aside(places, clock=node.clock, by=current_actor(), note=note, answer=answer)
    )
