"""Which rows cannot be read, and how one is set aside, in SQLite's SQL (sql/unreadable.py has the walk).

Rules of this file
- A row is found by its rowid, which is a number whatever its columns contain; a log line by its three numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shiftboss.core.unreadable import SetAside
from shiftboss.core.value import replace
from shiftboss.errors import StoreRejected
from shiftboss.stores.sql import codec
from shiftboss.stores.sql.sealing import NULLABLE, PLACES
from shiftboss.stores.sql.statements import Question
from shiftboss.stores.sql.unreadable import RowWalk
from shiftboss.stores.sqlite.sealing import question

if TYPE_CHECKING:
    from shiftboss.stores.sqlite.connection import Database

NAMES = tuple(name for name in PLACES if name != "arrival")
TEXT_KEYS = ("worker", "record", "breaker", "node")
FIRST = -(1 << 62)


def columns_of(name: str) -> tuple[str, ...]:
    return ("run", "fence", "number") if name == "log" else ("rowid",)


def key_of(name: str, row_id: str) -> tuple[int, ...]:
    """The key of a row that is found by numbers.  Raises ValueError for an id that no such row can have."""
    parts = tuple(int(part) for part in (row_id.split("-") if name == "log" else [row_id]))
    if len(parts) != len(columns_of(name)):
        raise ValueError(f"{row_id!r} is not the id of a row of {name}")
    return parts


def first_key(name: str) -> tuple[int, ...]:
    return (FIRST,) * len(columns_of(name))


def _gathered(name: str, rest: str) -> Question[str]:
    columns, value = ", ".join(columns_of(name)), PLACES[name].data
    there = f"{value} IS NOT NULL" if name in NULLABLE else "true"
    return question(
        f"""
SELECT '[' || group_concat('[' || key || ',' || data || ']') || ']' FROM (
  SELECT json_array({columns}) AS key, coalesce(<{name}>, 'null') AS data FROM {PLACES[name].table}
  WHERE {there} AND {rest})
"""  # noqa: S608  # constants
    )


def _page(name: str) -> Question[str]:
    """(key, limit) → [[key, row], …], from the one after that key."""
    columns = columns_of(name)
    listed = ", ".join(columns)
    return _gathered(name, f"({listed}) > ({', '.join('?' * len(columns))}) ORDER BY {listed} LIMIT ?")


def _one(name: str) -> Question[str]:
    """(key) → [[key, row]]; empty if there is no such row."""
    return _gathered(name, " AND ".join(f"{column} = ?" for column in columns_of(name)))


SCAN = {name: _page(name) for name in NAMES}
ONE = {name: _one(name) for name in NAMES}

SET_ASIDE = """
SELECT json_group_array(json_array(id, place, row_id, worker, at, by, reason, note, data))
FROM (SELECT * FROM set_aside WHERE id > ? ORDER BY id LIMIT ?)
"""

WALK = RowWalk(SCAN, ONE, first_key, key_of, SET_ASIDE, by_scan=TEXT_KEYS)

COLUMNS = "SELECT name FROM pragma_table_info(?) ORDER BY cid"
KEEP = """
INSERT INTO set_aside (place, row_id, worker, at, by, reason, note, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""


def set_aside(db: Database, row: SetAside, key: tuple[int, ...], number: int) -> None:
    """Keep the whole row in `set_aside`, and delete it from its table."""
    name, table = row.table, PLACES[row.table].table
    is_row = " AND ".join(f"{column} = ?" for column in columns_of(name))
    columns = [str(column) for (column,) in db.run(COLUMNS, (table,))]
    expressions = ", ".join(f'typeof("{column}"), hex("{column}")' for column in columns)
    rows = db.run(f"SELECT {expressions} FROM {table} WHERE {is_row}", key)  # noqa: S608  # constants
    if not rows:
        raise StoreRejected(f"{db.path}: row {row.id} of {table} no longer exists")
    values = iter(rows[0])
    data = {column: _told(kind, text) for column, kind, text in zip(columns, values, values, strict=True)}
    keep(db, replace(row, data=codec.text_of(data)))
    if not row.leaves:
        return
    if name in NULLABLE:
        emptied = "state = NULL, record = NULL" if name == "worker" else "record = NULL"
        db.run(f"UPDATE worker SET number = ?, {emptied} WHERE {is_row}", (number, *key))  # noqa: S608
    else:
        db.run(f"DELETE FROM {table} WHERE {is_row}", key)  # noqa: S608


def keep(db: Database, row: SetAside) -> None:
    about = row.table, row.id, row.worker, codec.micros(row.at), row.by, row.reason, row.note
    db.run(KEEP, (*about, row.data))


def _told(kind: Any, text: Any) -> Any:
    """The value of a column, from its hexadecimal form; bytes that are no text stay bytes."""
    raw = bytes.fromhex(str(text))
    if kind == "null":
        return None
    if kind == "blob":
        return {"hex": raw.hex()}
    try:
        decoded = raw.decode()
    except UnicodeDecodeError:
        return {"hex": raw.hex()}
    return int(decoded) if kind == "integer" else decoded
