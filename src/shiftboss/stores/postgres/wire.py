"""How statements and rows travel: prepared once, in binary, many in one round trip.

Rules of this file
- Any number of statements is sent before the first answer is waited for; a batch of rows is one statement with one
  array for each column.
- It uses libpq directly (psycopg.pq): ten statements through cursors cost 500 µs of the engine's thread, this way 110
  (measured).
- A round trip that ends with anything but answers makes the connection unusable; its owner discards it.
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, count, repeat
from struct import Struct, error, pack
from typing import Any, NamedTuple, cast

from psycopg import pq

from shiftboss.errors import StoreRejected
from shiftboss.stores.sql.inserts import Insert, Kind

BINARY = 1
ANSWERS = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK, pq.ExecStatus.PIPELINE_ABORTED)
NULL = b"\xff\xff\xff\xff"
BYTES = 17  # the OID of `bytea`
INT8_BYTES = 8
MANY = 16  # rows from which on a column is looked at as a whole
_length = Struct("!i").pack
_int8 = Struct("!q").pack


class ParameterType(NamedTuple):
    """A type of parameter: its OID in PostgreSQL, and how a value becomes bytes."""

    oid: int
    encode: Callable[[Any], bytes]


def _text(value: str) -> bytes:
    return value.encode()


def _array(element: int, values: Sequence[bytes | None]) -> bytes:
    """One dimension, counted from 1; each element after its length (array_recv in PostgreSQL's arrayfuncs.c)."""
    if not values:
        return pack("!iii", 0, 0, element)
    has_null = None in values
    parts: Iterable[bytes]
    if has_null:
        parts = [NULL if value is None else _length(len(value)) + value for value in values]
    else:  # twice as fast
        whole = cast("Sequence[bytes]", values)
        parts = chain.from_iterable(zip(map(_length, map(len, whole)), whole, strict=True))
    return _head(element, len(values), has_null=has_null) + b"".join(parts)


def _head(element: int, count: int, *, has_null: bool) -> bytes:
    return pack("!iiiii", 1, int(has_null), element, count, 1)


def _all_alike(element: int, values: Sequence[Any], encode: Callable[[Any], bytes]) -> bytes | None:
    """The array of a column with one value in all rows, as most columns of a fan-out have; None if it has others."""
    count = len(values)
    if count < MANY or values.count(values[0]) < count:
        return None
    first = values[0]
    data = b"" if first is None else encode(first)
    part = NULL if first is None else _length(len(data)) + data
    return _head(element, count, has_null=first is None) + part * count


def _numbers(values: Sequence[int | None]) -> bytes:
    alike = _all_alike(NUMBER.oid, values, _int8)
    if alike is not None:
        return alike
    if not values or None in values:
        return _array(NUMBER.oid, [None if value is None else _int8(value) for value in values])
    # As `_array` would write it, four times as fast.
    each_with_length = chain.from_iterable(zip(repeat(INT8_BYTES), values))
    head = _head(NUMBER.oid, len(values), has_null=False)
    return head + Struct("!" + "iq" * len(values)).pack(*each_with_length)


def _texts(values: Sequence[str | None]) -> bytes:
    alike = _all_alike(TEXT.oid, values, _text)
    return alike or _array(TEXT.oid, [None if value is None else value.encode() for value in values])


def _blobs(values: Sequence[bytes | None]) -> bytes:
    return _array(BYTES, values)


def _keys(values: Sequence[str | None]) -> bytes:
    return _array(BYTES, [None if value is None else value.encode() for value in values])


TEXT = ParameterType(25, _text)
NUMBER = ParameterType(20, _int8)
TEXTS = ParameterType(1009, _texts)
NUMBERS = ParameterType(1016, _numbers)
BLOBS = ParameterType(1001, _blobs)
# A text that may contain a NUL, which PostgreSQL's text cannot: kept as bytes.
KEY = ParameterType(BYTES, _text)
KEYS = ParameterType(1001, _keys)

Values = tuple[Any, ...]

_names = count(1)


class Statement:
    """A constant statement with the kinds of its parameters; each connection prepares it at its first use."""

    __slots__ = ("formats", "kinds", "name", "oids", "text")

    def __init__(self, text: str, *kinds: ParameterType, prepare: bool = True) -> None:
        self.text = text.strip().encode()
        self.kinds = kinds
        self.oids = [kind.oid for kind in kinds]
        self.formats = [BINARY] * len(kinds)
        self.name = b"sb_%d" % next(_names) if prepare else b""  # without a name it is planned for its actual values

    def encode(self, values: Values) -> list[bytes | None]:
        """Raises StoreRejected for a value that no database can keep."""
        try:
            return [
                None if value is None else kind.encode(value) for kind, value in zip(self.kinds, values, strict=True)
            ]
        except (UnicodeError, error) as bad:  # a lone surrogate, or a number beyond 64 bits
            raise StoreRejected(f"PostgreSQL can neither store nor search for such a value: {bad}") from bad


class Rows:
    """A batch: one array for each column, one statement for any number of rows (statements.Batch).

    With *all_of* the last parameter is the number of rows, and the statement itself refuses if not all were found.
    """

    def __init__(self, text: str, *kinds: ParameterType, all_of: bool = False) -> None:
        self._statement = Statement(text, *kinds, *((NUMBER,) if all_of else ()))
        self._all_of = all_of

    def run(self, db: Any, rows: Sequence[Values]) -> int:
        """Sent with the next question or with the commit."""
        columns: Values = tuple(zip(*rows, strict=True))
        db.do(self._statement, (*columns, len(rows)) if self._all_of else columns)
        return len(rows)


KINDS = {Kind.NUMBER: NUMBERS, Kind.TEXT: TEXTS, Kind.KEY: KEYS, Kind.BYTES: BLOBS}


def inserted(insert: Insert) -> Rows:
    parameters = ", ".join(f"${number}" for number in range(1, len(insert.columns) + 1))
    return Rows(insert.sql(f"unnest({parameters})"), *(KINDS[kind] for kind in insert.columns.values()))


class ResultSet:
    """The rows of one statement."""

    __slots__ = ("_result",)

    def __init__(self, result: pq.abc.PGresult) -> None:
        self._result = result

    @property
    def command(self) -> bytes:
        """The command tag: b"COMMIT", b"UPDATE 3"."""
        return self._result.command_status or b""

    @property
    def is_empty(self) -> bool:
        return self._result.ntuples == 0

    def __len__(self) -> int:
        return self._result.ntuples

    def blob(self, row: int, column: int) -> bytes | None:
        return self._result.get_value(row, column)

    def text(self, row: int, column: int) -> str:
        return (self._result.get_value(row, column) or b"").decode()

    def number(self, row: int, column: int) -> int:
        """A whole number of any width; 0 for NULL."""
        return self.number_or_none(row, column) or 0

    def number_or_none(self, row: int, column: int) -> int | None:
        value = self._result.get_value(row, column)
        return None if value is None else int.from_bytes(value, "big", signed=True)

    def blobs(self) -> dict[int, bytes]:
        """The rows, each an id and bytes."""
        value = self._result.get_value
        return {
            int.from_bytes(value(row, 0) or b"", "big"): value(row, 1) or b"" for row in range(self._result.ntuples)
        }


class ServerRefused(Exception):
    """The server answered with an error: its SQLSTATE and its message."""

    def __init__(self, result: pq.abc.PGresult) -> None:
        field = result.error_field
        self.state = (field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        self.text = (field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode(errors="replace")
        super().__init__(f"{self.text} ({self.state})")


class Broken(Exception):
    """The connection ended in the middle of a round trip."""


class Wire:
    """The pipeline of one connection.  Used by one thread at a time."""

    def __init__(self, connection: pq.abc.PGconn, *, prepares: bool) -> None:
        self._pq = connection
        self.prepares = prepares
        self._prepared: set[bytes] = set()
        self._expected: deque[bytes] = deque()  # for each answer to come: the name that it prepares, or nothing
        self._syncs = 0  # sends that are not answered yet
        self._poll = select.poll()
        self._poll.register(connection.socket, select.POLLIN)
        connection.nonblocking = 1
        connection.enter_pipeline_mode()

    def send(self, statements: Sequence[tuple[Statement, Values]]) -> None:
        """Hand them to libpq; they leave with the next `receive` or `flush`."""
        connection = self._pq
        expected = self._expected
        for statement, values in [(statement, statement.encode(values)) for statement, values in statements]:
            name = statement.name if self.prepares else b""
            if not name:
                connection.send_query_params(statement.text, values, statement.oids, statement.formats, BINARY)
            else:
                if name not in self._prepared and name not in expected:
                    connection.send_prepare(name, statement.text, statement.oids)
                    expected.append(name)
                connection.send_query_prepared(name, values, statement.formats, BINARY)
            expected.append(b"")
        connection.pipeline_sync()
        self._syncs += 1

    def flush(self) -> None:
        """Send them off without waiting for anything."""
        self._pq.flush()

    def receive(self) -> list[ResultSet]:
        """Wait for the answers to all that was sent; those to the last `send`.  Raises the first ServerRefused."""
        results: list[ResultSet] = []
        refusal: ServerRefused | None = None
        while self._syncs:
            result = self._next()
            status = result.status
            if status == pq.ExecStatus.PIPELINE_SYNC:
                self._syncs -= 1
                if self._syncs:  # of a send whose answers nobody waited for
                    results, refusal = [], None
                continue
            prepares = self._expected.popleft() if self._expected else b""
            if status == pq.ExecStatus.FATAL_ERROR:
                refusal = refusal or ServerRefused(result)
                if self._pq.status == pq.ConnStatus.BAD:
                    break
            elif status not in ANSWERS:
                raise Broken(f"unexpected answer of kind {status}")
            elif not prepares:
                results.append(ResultSet(result))
            elif status == pq.ExecStatus.COMMAND_OK:
                self._prepared.add(prepares)  # not if it was skipped after a refusal
        if refusal is not None:
            raise refusal
        return results

    def _next(self) -> pq.abc.PGresult:
        connection = self._pq
        while True:
            while not connection.is_busy():
                result = connection.get_result()
                if result is not None:
                    return result
                if connection.status == pq.ConnStatus.BAD:
                    raise Broken(connection.get_error_message())
            pending = connection.flush()
            self._poll.modify(connection.socket, select.POLLIN | select.POLLOUT if pending else select.POLLIN)
            self._poll.poll()  # no limit here: the deadline is enforced from outside
            connection.consume_input()
