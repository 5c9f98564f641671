"""Whatever is given to a worker arrives as it is, with its type, or is refused; so is what it returns (W5, W6)."""

from __future__ import annotations

import collections
import enum
import uuid
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from examples import examples
from shiftboss.errors import WrongPayload
from shiftboss.executors.body import FunctionBody


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Number(enum.IntEnum):
    ONE = 1


class Pair(NamedTuple):
    a: Any
    b: Any


@dataclass
class Box:
    inside: Any


AWARE = st.integers(-2_000_000_000, 7_000_000_000).map(lambda second: datetime.fromtimestamp(second, UTC))
LEAVES = {
    str: st.text(),
    int: st.integers(),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bytes: st.binary(),
    datetime: AWARE,
    uuid.UUID: st.uuids(),
    Decimal: st.decimals(allow_nan=False),
    Colour: st.sampled_from(Colour),
    Number: st.sampled_from(Number),
    PurePosixPath: st.text("abc/ü.").map(PurePosixPath),
}
KEYS = (str, int, datetime, uuid.UUID, Colour)
STRANGE = st.one_of(
    st.none(),
    st.floats(),
    st.text(st.characters(categories=("Cs", "L"))),
    st.timedeltas(),
    st.complex_numbers(),
    st.builds(object),
    st.just(range(3)),
    *LEAVES.values(),
)
HASHABLE = st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.floats(), st.tuples(st.integers()), AWARE)
ANYTHING = st.recursive(
    STRANGE,
    lambda each: st.one_of(
        st.lists(each, max_size=3),
        st.lists(each, max_size=3).map(tuple),
        st.dictionaries(HASHABLE, each, max_size=3),
        st.dictionaries(st.text(), each, max_size=3).map(collections.OrderedDict),
        st.frozensets(HASHABLE, max_size=3),
        st.builds(Pair, each, each),
        st.builds(Box, each),
    ),
    max_leaves=8,
)


def one_of(hint: Any, values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    return values.map(lambda value: (hint, value))


@st.composite
def hinted(draw: Any) -> tuple[Any, Any]:
    """A hint and a value of it."""
    hint, values = draw(st.sampled_from(list(LEAVES.items())))
    for _ in range(draw(st.integers(0, 3))):
        key = draw(st.sampled_from(KEYS))
        hint, values = draw(
            st.sampled_from(
                [
                    (list[hint], st.lists(values, max_size=3)),
                    (tuple[hint, ...], st.lists(values, max_size=3).map(tuple)),
                    (dict[key, hint], st.dictionaries(LEAVES[key], values, max_size=3)),
                    (hint | None, st.none() | values),
                ]
            )
        )
    return hint, draw(values)


@settings(max_examples=examples(30, of=200), deadline=None)
@given(ANYTHING)
def test_what_no_hint_describes_arrives_as_it_is_or_is_refused(value):
    """W5."""
    body = taking(Any)
    try:
        payload = body.encode_payload((value,))
    except WrongPayload:
        return

    assert seen(body.call(None, payload, fallback=False)) == seen(value)


@settings(max_examples=examples(30, of=200), deadline=None)
@given(hinted())
def test_what_a_hint_says_arrives_as_that(pair):
    """W5, W6."""
    hint, value = pair
    body = taking(hint)

    arrived = body.call(None, body.encode_payload((value,)), fallback=False)
    outcome = body.succeeded(value)

    assert seen(arrived) == seen(value)
    assert outcome.result_error is None
    assert value is None or seen(body.read_result(outcome.result)) == seen(value)


@settings(max_examples=examples(25, of=150), deadline=None)
@given(hinted(), ANYTHING)
def test_a_value_of_another_kind_is_read_as_what_the_hint_says_or_refused(pair, value):
    """W5: never is anything else called with it."""
    hint, sample = pair
    body = taking(hint)
    try:
        payload = body.encode_payload((value,))
    except WrongPayload:
        return

    arrived = body.call(None, payload, fallback=False)
    assert seen(arrived) == seen(value) or is_json(value), (hint, sample)


@settings(max_examples=examples(25, of=150), deadline=None)
@given(ANYTHING)
def test_a_result_is_given_back_as_it_was_or_says_why_not(value):
    """W6."""
    body = taking(Any)

    outcome = body.succeeded(value)

    if outcome.result_error is None and value is not None:
        assert seen(body.read_result(outcome.result)) == seen(value)


def taking(hint: Any) -> FunctionBody:
    def fn(value: Any) -> Any:
        return value

    fn.__annotations__ = {"value": hint, "return": hint}
    return FunctionBody(fn, worker="w")


def seen(value: Any) -> Any:
    """What can be told of a value from outside, with the type of each part."""
    kind = type(value)
    if isinstance(value, dict):
        return kind, sorted((repr((seen(key), seen(each))) for key, each in value.items()))
    if isinstance(value, (set, frozenset)):
        return kind, sorted(repr(seen(each)) for each in value)
    if isinstance(value, (list, tuple)):
        return kind, [seen(each) for each in value]
    if is_dataclass(value):
        return kind, [seen(getattr(value, each.name)) for each in fields(value)]
    return kind, repr(value)


def is_json(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) is str and is_json(each) for key, each in value.items())
    return all(map(is_json, value)) if type(value) is list else type(value) in (str, int, float, bool, type(None))
