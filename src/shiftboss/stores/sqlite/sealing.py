"""Questions in both forms, in SQLite's SQL (sql/shapes.py, sql/sealing.py)."""

from __future__ import annotations

from shiftboss.stores.sql import sealing
from shiftboss.stores.sql.sealing import RowPlace
from shiftboss.stores.sql.statements import Question


def question(template: str) -> Question[str]:
    """The careful answer is in bytes: a text column may contain something that is not UTF-8."""
    return Question(sealing.plain(template), f"SELECT CAST(({sealing.careful(template, sealed).strip()}) AS BLOB)")


def sealed(name: str, place: RowPlace) -> str:
    pairs = [f"'{column}', {column}" for column in place.columns]
    pairs += [f"'{column}', CASE WHEN {column} IS NOT NULL THEN hex({column}) END" for column in place.blobs]
    columns = f"json_object({', '.join(pairs)})"
    return (
        f"json_array('{name}', CAST({place.key} AS TEXT), {place.worker}, {columns}, coalesce(hex({place.data}), ''))"
    )
