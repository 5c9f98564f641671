"""Which rows of a store cannot be read: all of them, or those among the rows that are asked about (W8).

Rules of this file
- A page is read in one decoding; row by row only if that fails.
- It changes nothing, and finds the same rows that every reader finds, because it uses the same kinds (shapes.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from shiftboss.core.unreadable import SetAside, Unreadable
from shiftboss.stores.sql import codec, shapes
from shiftboss.stores.sql.codec import Text
from shiftboss.stores.sql.salvage import FAILURES, Sealed
from shiftboss.stores.sql.statements import Connection, Question, S

PAGE = 2000  # rows at once: a few MiB

Key = tuple[Any, ...]

_plain = msgspec.json.Decoder(list[tuple[list[Any], msgspec.Raw]])
_careful = msgspec.json.Decoder(list[tuple[list[Any], Sealed]])
_kept = msgspec.json.Decoder(list[tuple[int, str, str, str, int, str, str, str, str]])


class RowWalk(NamedTuple):
    """How a database is walked through: its kinds of rows, the questions for a page and for one row, its keys."""

    scan: Mapping[str, Question[Any]]
    one: Mapping[str, Question[Any]]
    first_key: Callable[[str], Key]
    key_of: Callable[[str, str], Key]  # raises ValueError
    kept: Any  # the question for what was set aside: (after, limit)
    by_scan: Collection[str] = ()  # kinds whose ids are no keys: they are few, and all are read


def unreadable(
    db: Connection[S], walk: RowWalk, places: Collection[tuple[str, str]] | None
) -> list[tuple[Key, Unreadable]]:
    """Every unreadable row, or the unreadable ones of *places* (table, id); each with its key."""
    if places is None:
        return [rows for name in walk.scan for rows in _all(db, walk, name)]
    rows: list[tuple[Key, Unreadable]] = []
    for name in dict.fromkeys(table for table, _ in places):
        ids = {row_id for table, row_id in places if table == name}
        if name in walk.by_scan:
            rows += [pair for pair in _all(db, walk, name) if pair[1].id in ids]
        elif name in walk.one:
            rows += _among(db, walk, name, ids)
    return rows


def unreadable_of(db: Connection[S], walk: RowWalk, name: str) -> list[Unreadable]:
    """Every unreadable row of that kind."""
    return [row for _, row in _all(db, walk, name)]


def _among(db: Connection[S], walk: RowWalk, name: str, ids: Collection[str]) -> Iterator[tuple[Key, Unreadable]]:
    for row_id in sorted(ids):
        try:
            key = walk.key_of(name, row_id)
        except ValueError:
            continue
        yield from _bad(name, db.query((walk.one[name].careful, key))[0])


def _all(db: Connection[S], walk: RowWalk, name: str) -> Iterator[tuple[Key, Unreadable]]:
    question, key = walk.scan[name], walk.first_key(name)
    while True:
        values = (*key, PAGE)
        text = db.query((question.plain, values))[0]
        if not text:
            return
        try:
            page = _plain.decode(text)
            for _, raw in page:
                shapes.KINDS[name].check(raw)
            keys = [row_key for row_key, _ in page]
        except FAILURES:
            text = db.query((question.careful, values))[0]
            yield from _bad(name, text)
            keys = [row_key for row_key, _ in _opened(text)]
        if len(keys) < PAGE:
            return
        key = tuple(keys[-1])


def _bad(name: str, text: Text) -> Iterator[tuple[Key, Unreadable]]:
    for key, sealed in _opened(text):
        row = shapes.KINDS[name].why_not(sealed)
        if row is not None:
            yield tuple(key), row


def _opened(text: Text) -> list[tuple[list[Any], Sealed]]:
    if not text:
        return []
    return _careful.decode(text.decode(errors="replace") if isinstance(text, bytes) else text)


def kept(text: Text) -> list[tuple[int, SetAside]]:
    """What was set aside, with its number."""
    return [
        (number, SetAside(place, row_id, codec.instant_of(at), by, worker, reason, note, data))
        for number, place, row_id, worker, at, by, reason, note, data in (_kept.decode(text) if text else ())
    ]
