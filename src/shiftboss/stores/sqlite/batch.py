"""Statements that take many rows at once.

Rules of this file
- Each statement is one step of SQLite, however many rows it takes.  A step releases the GIL, and beside a CPU-bound
  thread it takes up to 5 ms to get it back: 1,000 rows one by one took 500 ms there, in two steps 12 ms.
- A batch is padded with NULL rows, which the statement leaves out, to the next of a few sizes.  So the statement cache
  knows all sizes, and the rest of a batch costs one step and not one for each bit of its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from shiftboss.stores.sql.codec import json_of

if TYPE_CHECKING:
    from shiftboss.stores.sql.inserts import Insert
    from shiftboss.stores.sql.statements import Values
    from shiftboss.stores.sqlite.connection import Database, Scalar

MAX_ROWS = 512  # 11 columns of 512 rows are 12 KiB of SQL; apsw caches up to 16 KiB
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, MAX_ROWS)


def size_for(rows: int) -> int:
    """The smallest size that holds *rows*, at most MAX_ROWS."""
    return 1 << (rows - 1).bit_length() if rows < MAX_ROWS else MAX_ROWS


class ValuesStatement:
    """One statement around `(VALUES (?, …), …)`, whose columns are called column1, column2 …

    The statement must leave out rows in which column1 is NULL.
    """

    def __init__(self, statement: str, *, columns: int) -> None:
        self._statement = statement
        self._columns = columns

    @cached_property
    def _texts(self) -> dict[int, str]:
        row = "(" + ",".join("?" * self._columns) + ")"
        return {size: self._statement.replace("$rows", "(VALUES " + ",".join([row] * size) + ")") for size in SIZES}

    def run(self, db: Database, rows: Sequence[Values]) -> int:
        """How many rows were changed."""
        columns = self._columns
        values: list[Scalar] = list(chain.from_iterable(rows))
        changed = 0
        for start in range(0, len(values), MAX_ROWS * columns):
            part = values[start : start + MAX_ROWS * columns] if len(values) > MAX_ROWS * columns else values
            size = size_for(len(part) // columns)
            missing = size * columns - len(part)
            changed += db.change(self._texts[size], part + [None] * missing if missing else part)
        return changed


def inserted(insert: Insert) -> ValuesStatement:
    return ValuesStatement(insert.sql("$rows WHERE column1 IS NOT NULL"), columns=len(insert.columns))


class Ids:
    """A statement about rows with one column, which it takes as a JSON list."""

    def __init__(self, statement: str) -> None:
        self._statement = statement

    def run(self, db: Database, rows: Sequence[Values]) -> int:
        return db.change(self._statement, (json_of([value for (value,) in rows]),))


class Single:
    """A statement about one row, for kinds of rows that seldom come in numbers."""

    def __init__(self, statement: str) -> None:
        self._statement = statement

    def run(self, db: Database, rows: Sequence[Values]) -> int:
        return sum(db.change(self._statement, row) for row in rows)


class Wide:
    """Scalar questions about many ids, answered in one row: `SELECT (…?…), (…?…), …`.  Bytes stay bytes."""

    def __init__(self, question: str) -> None:
        self._question = question

    @cached_property
    def _texts(self) -> dict[int, str]:
        return {size: "SELECT " + ",".join([self._question] * size) for size in SIZES if size <= MAX_WIDTH}

    def query(self, db: Database, ids: list[int]) -> dict[int, bytes]:
        """Id → bytes, for those that have any."""
        answers: dict[int, bytes] = {}
        for start in range(0, len(ids), MAX_WIDTH):
            part = ids[start : start + MAX_WIDTH]
            size = size_for(len(part))
            row = db.row(self._texts[size], [*part, *([None] * (size - len(part)))])
            answers.update(
                (run_id, value) for run_id, value in zip(part, row, strict=False) if isinstance(value, bytes)
            )
        return answers


MAX_WIDTH = 256  # SQLite takes 2,000 columns; each of these is a query of its own
