"""Where the observatory keeps what it saw: one small SQLite file of its own, beside shiftboss's.

Rules of this file
- It is the demo's data, not shiftboss's: the standard library's sqlite3 is enough, and the two never open one file.
- Every call opens, works and closes, so that any worker in any thread or process may use it.
- It lies in the folder of the demo, below the working directory, which child processes and programs share.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path("shiftboss-demo")  # of everything that the demo keeps
SCHEMA = """
CREATE TABLE IF NOT EXISTS sample (
    at REAL PRIMARY KEY, cpu REAL, memory REAL, disk REAL, sent REAL, received REAL, load REAL
);
CREATE TABLE IF NOT EXISTS summary (at REAL PRIMARY KEY, samples INTEGER, cpu REAL, cpu_max REAL, memory REAL);
CREATE TABLE IF NOT EXISTS report (at REAL PRIMARY KEY, title TEXT, text TEXT);
"""
FIELDS = ("cpu", "memory", "disk", "sent", "received", "load")


class Archive:
    def __init__(self, path: Path = FOLDER / "observatory.db") -> None:
        self.path = path

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=10)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def create(self) -> None:
        self.path.parent.mkdir(0o700, parents=True, exist_ok=True)
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(SCHEMA)

    def add_sample(self, at: float, values: dict[str, float]) -> None:
        with self._connection() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO sample (at, cpu, memory, disk, sent, received, load) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (at, *(values[field] for field in FIELDS)),
            )

    def summarize(self, at: float, *, since: float) -> dict[str, Any]:
        """Fold the samples since then into one row, and return it."""
        with self._connection() as connection:
            count, cpu, cpu_max, memory = connection.execute(
                "SELECT COUNT(*), AVG(cpu), MAX(cpu), AVG(memory) FROM sample WHERE at > ?", (since,)
            ).fetchone()
            connection.execute(
                "INSERT OR REPLACE INTO summary (at, samples, cpu, cpu_max, memory) VALUES (?, ?, ?, ?, ?)",
                (at, count, cpu, cpu_max, memory),
            )
        return {"samples": count, "cpu": _rounded(cpu), "cpu_max": _rounded(cpu_max), "memory": _rounded(memory)}

    def prune(self, *, before: float, limit: int) -> int:
        """Delete some of the samples that are older; how many went."""
        with self._connection() as connection:
            gone = connection.execute(
                "DELETE FROM sample WHERE at IN (SELECT at FROM sample WHERE at < ? ORDER BY at LIMIT ?)",
                (before, limit),
            )
            return gone.rowcount

    def series(self, field: str, *, since: float) -> list[float]:
        """The values of one field, oldest first.  Raises LookupError for a field that is not sampled."""
        if field not in FIELDS:
            raise LookupError(f"this machine has no sensor for {field!r}; there are {', '.join(FIELDS)}")
        column = FIELDS.index(field) + 1
        with self._connection() as connection:
            rows = connection.execute("SELECT * FROM sample WHERE at > ? ORDER BY at", (since,)).fetchall()
        return [row[column] for row in rows]

    def add_report(self, at: float, title: str, text: str) -> None:
        with self._connection() as connection:
            connection.execute("INSERT OR REPLACE INTO report (at, title, text) VALUES (?, ?, ?)", (at, title, text))

    def counts(self) -> dict[str, int]:
        with self._connection() as connection:
            row = connection.execute(
                "SELECT (SELECT COUNT(*) FROM sample), (SELECT COUNT(*) FROM summary), (SELECT COUNT(*) FROM report)"
            ).fetchone()
        return dict(zip(("samples", "summaries", "reports"), row, strict=True))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
