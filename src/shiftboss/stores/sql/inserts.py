"""The rows that both databases insert in the same way: tables, columns, and what happens to a row that is there.

Rules of this file
- The columns have the order of the rows in `writes.py`; the first one is never NULL.
- Each database adds how it takes many rows at once, and what a kind of value is for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """What the values of a column are."""

    NUMBER = auto()
    TEXT = auto()
    KEY = auto()  # a caller's text, which may contain any character
    BYTES = auto()


NUMBER, TEXT, KEY, BYTES = Kind


@dataclass(frozen=True, slots=True)
class Insert:
    table: str
    columns: Mapping[str, Kind]
    conflict: str = ""  # the clause for a row that is there already; without one it is an error

    def sql(self, rows: str) -> str:
        """The statement, given the clause from which it selects its rows."""
        insert = f"INSERT INTO {self.table} ({', '.join(self.columns)})\nSELECT * FROM {rows}"  # constants
        return f"{insert}\n{self.conflict}" if self.conflict else insert


RUNS = Insert(
    "run",
    {
        "id": NUMBER,
        "number": NUMBER,
        "worker": TEXT,
        "queue": NUMBER,
        "due_at": NUMBER,
        "timed": NUMBER,
        "occurs_at": NUMBER,
        "origin": NUMBER,
        "key": KEY,
        "give_up_at": NUMBER,
        "replay_of": NUMBER,
        "caused_by": NUMBER,
        "data": TEXT,
    },
)
FINISHED = Insert(
    "history",
    {
        "id": NUMBER,
        "worker": TEXT,
        "status": NUMBER,
        "finished_at": NUMBER,
        "error_type": TEXT,
        "key": KEY,
        "fired_at": NUMBER,
        "data": TEXT,
        "result": BYTES,
    },
)
PAYLOADS = Insert("payload", {"run": NUMBER, "bytes": BYTES})
WORKERS = Insert(
    "worker",
    {"name": TEXT, "number": NUMBER, "state": TEXT},
    "ON CONFLICT (name) DO UPDATE SET number = excluded.number, state = excluded.state",
)
BREAKERS = Insert(
    "breaker",
    {"name": TEXT, "number": NUMBER, "data": TEXT},
    "ON CONFLICT (name) DO UPDATE SET number = excluded.number, data = excluded.data",
)
RESOURCES = Insert("resource", {"name": TEXT, "size": NUMBER}, "ON CONFLICT (name) DO UPDATE SET size = excluded.size")
NODES = Insert("node", {"id": TEXT, "data": TEXT}, "ON CONFLICT (id) DO UPDATE SET data = excluded.data")
LINES = Insert("log", {"run": NUMBER, "fence": NUMBER, "number": NUMBER, "data": TEXT}, "ON CONFLICT DO NOTHING")
AUDIT = Insert("audit", {"id": NUMBER, "at": NUMBER, "data": TEXT})
SEALS = Insert("audit_seal", {"id": NUMBER, "data": TEXT}, "ON CONFLICT DO NOTHING")
