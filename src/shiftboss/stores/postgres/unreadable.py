"""Which rows cannot be read, in PostgreSQL's SQL (sql/unreadable.py has the walk)."""

from __future__ import annotations

from typing import Any

from shiftboss.stores.postgres.sealing import question
from shiftboss.stores.postgres.wire import NUMBER, TEXT, ParameterType, Statement
from shiftboss.stores.sql.sealing import PLACES
from shiftboss.stores.sql.statements import Question
from shiftboss.stores.sql.unreadable import RowWalk

KEYS_OF: dict[str, tuple[ParameterType, ...]] = {
    "run": (NUMBER,),
    "history": (NUMBER,),
    "dead_letter": (NUMBER,),
    "worker": (TEXT,),
    "record": (TEXT,),
    "breaker": (TEXT,),
    "node": (TEXT,),
    "event": (NUMBER,),
    "log": (NUMBER, NUMBER, NUMBER),
    "arrival": (NUMBER,),
}
FIRST: dict[ParameterType, Any] = {NUMBER: -(1 << 62), TEXT: ""}


def table_of(name: str) -> str:
    return PLACES[name].table


def id_of(name: str) -> str:
    return PLACES[name].key


def columns_of(name: str) -> tuple[str, ...]:
    return ("run", "fence", "number") if name == "log" else (PLACES[name].key,)


def is_row(name: str, *, first: int) -> str:
    """The condition that a row has the key given by the parameters from *first* on."""
    return " AND ".join(f"{column} = ${number}" for number, column in enumerate(columns_of(name), first))


def key_of(name: str, row_id: str) -> tuple[int | str, ...]:
    """Raises ValueError for an id that no such row can have."""
    parts = row_id.split("-") if name == "log" else [row_id]
    return tuple(int(part) if kind is NUMBER else part for part, kind in zip(parts, KEYS_OF[name], strict=True))


def first_key(name: str) -> tuple[int | str, ...]:
    return tuple(FIRST[kind] for kind in KEYS_OF[name])


def _page(name: str) -> Question[Statement]:
    """(key, limit) → [[key, row], …], from the one after that key."""
    columns, kinds = columns_of(name), KEYS_OF[name]
    key = f"({', '.join(columns)})"
    after = f"({', '.join(f'${number}' for number in range(1, len(columns) + 1))})"
    value = PLACES[name].data
    return question(
        f"""
SELECT '[' || string_agg('[' || key || ',' || data || ']', ',') || ']' FROM (
  SELECT json_build_array({", ".join(columns)})::text AS key, coalesce(<{name}>, 'null') AS data
  FROM {table_of(name)} WHERE {key} > {after}{f" AND {value} IS NOT NULL" if name in ("worker", "record") else ""}
  ORDER BY {", ".join(columns)} LIMIT ${len(columns) + 1}) AS page
""",  # noqa: S608  # constants
        *kinds,
        NUMBER,
        prepare=False,
    )


def _one(name: str) -> Question[Statement]:
    """(key) → [[key, row]]; empty if there is no such row."""
    columns = columns_of(name)
    return question(
        f"""
SELECT '[' || string_agg('[' || json_build_array({", ".join(columns)})::text || ','
  || coalesce(<{name}>, 'null') || ']', ',') || ']'
FROM {table_of(name)} WHERE {is_row(name, first=1)}
""",  # noqa: S608  # constants
        *KEYS_OF[name],
        prepare=False,
    )


SCAN = {name: _page(name) for name in KEYS_OF}
ONE = {name: _one(name) for name in KEYS_OF}

SET_ASIDE = Statement(
    """
SELECT json_agg(json_build_array(id, place, row_id, worker, at, by, reason, note, data) ORDER BY id)::text
FROM (SELECT * FROM set_aside WHERE id > $1 ORDER BY id LIMIT $2) AS page
""",
    NUMBER,
    NUMBER,
    prepare=False,
)

WALK = RowWalk(SCAN, ONE, first_key, key_of, SET_ASIDE)
