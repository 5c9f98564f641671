"""Questions in both forms, in PostgreSQL's SQL (sql/shapes.py, sql/sealing.py)."""

from __future__ import annotations

from shiftboss.stores.postgres.wire import ParameterType, Statement
from shiftboss.stores.sql import sealing
from shiftboss.stores.sql.sealing import RowPlace
from shiftboss.stores.sql.statements import Question


def question(template: str, *kinds: ParameterType, prepare: bool = True) -> Question[Statement]:
    """The careful form is not prepared: it is seldom asked."""
    plain = Statement(sealing.plain(template), *kinds, prepare=prepare)
    return Question(plain, Statement(sealing.careful(template, sealed), *kinds, prepare=False))


def sealed(name: str, place: RowPlace) -> str:
    pairs = [f"'{column}', {column}" for column in place.columns]
    pairs += [f"'{column}', encode({column}, 'hex')" for column in place.blobs]
    data = f"coalesce(encode(convert_to({place.data}, 'UTF8'), 'hex'), '')"
    columns = f"json_build_object({', '.join(pairs)})"
    return f"json_build_array('{name}', ({place.key})::text, {place.worker}, {columns}, {data})::text"
