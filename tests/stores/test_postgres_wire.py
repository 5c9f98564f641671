"""Columns as PostgreSQL's arrays, by value."""

from __future__ import annotations

from struct import pack

import pytest

from shiftboss.errors import StoreRejected
from shiftboss.stores.postgres.wire import BLOBS, NUMBER, NUMBERS, TEXTS, Statement


def an_array(element: int, *values: bytes | None) -> bytes:
    """As array_recv reads it: dimensions, whether there is a NULL, the type, the length, the first index."""
    head = pack("!iiiii", 1, int(None in values), element, len(values), 1)
    return head + b"".join(pack("!i", -1) if value is None else pack("!i", len(value)) + value for value in values)


@pytest.mark.parametrize(
    "numbers",
    [
        (1,),
        (0, -1, 2**63 - 1, -(2**63)),
        (5, None),
        (None,),
        (None, None),
        tuple(range(1_000)),
        (7,) * 99,
        (None,) * 99,
        (7,) * 99 + (8,),
    ],
)
def test_a_column_of_numbers_is_the_same_with_and_without_nulls(numbers):
    parts = [None if number is None else pack("!q", number) for number in numbers]

    assert NUMBERS.encode(numbers) == an_array(NUMBER.oid, *parts)


@pytest.mark.parametrize("texts", [("a",), ("", "Zoë"), ("a", None), (None,), ("Zoë",) * 99, ("",) * 99])
def test_texts_and_bytes_are_encoded_likewise(texts):
    parts = [None if text is None else text.encode() for text in texts]

    assert TEXTS.encode(texts) == an_array(25, *parts)
    assert BLOBS.encode(parts) == an_array(17, *parts)


def test_an_empty_column_has_no_dimension():
    assert [kind.encode(()) for kind in (NUMBERS, TEXTS, BLOBS)] == [
        pack("!iii", 0, 0, 20),
        pack("!iii", 0, 0, 25),
        pack("!iii", 0, 0, 17),
    ]


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_a_number_that_is_too_large_is_refused(value):
    with pytest.raises(StoreRejected):
        Statement("SELECT $1", NUMBERS).encode(([1, value],))
