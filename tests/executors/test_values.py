"""Payloads and results come back as they were given, with their type, or are refused (W5, W6): a table of kinds."""

from __future__ import annotations

import collections
import enum
import functools
import math
import os
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict
from zoneinfo import ZoneInfo

import msgspec
import pytest

from shiftboss.context import Idle
from shiftboss.core.model import Succeeded
from shiftboss.errors import ConfigurationError, WrongPayload
from shiftboss.executors.body import FunctionBody
from shiftboss.executors.parameters import plain_payload


class Colour(enum.Enum):
    RED = "red"


class Word(enum.StrEnum):
    A = "a"


class Number(enum.IntEnum):
    ONE = 1


class Flags(enum.Flag):
    A = 1
    B = 2


class Text(str):
    __slots__ = ()


class Share(float):
    __slots__ = ()


class Pair(NamedTuple):
    a: int
    b: str = "b"


class Typed(TypedDict):
    at: datetime


UserId = NewType("UserId", int)


@dataclass
class Line:
    at: datetime
    share: float | None = None
    more: Any = None
    made: int = field(init=False, default=3)


@dataclass
class LongLine(Line):
    extra: int = 0


class Struct(msgspec.Struct, rename="camel"):
    some_line: Line
    paths: dict[str, Path] = {}


NOW = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
KEY = uuid.UUID(int=7)

WHOLE: list[tuple[Any, Any]] = [
    (str, "ünï\0"),
    (int, 2**70),
    (float, -0.0),
    (float, 5e-324),
    (bool, True),
    (int | float, 1.0),
    (int | float, 1),
    (float | None, None),
    (datetime, NOW),
    (datetime, NOW.replace(tzinfo=None)),
    (datetime, datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30)))),
    (date, NOW.date()),
    (time, NOW.timetz()),
    (timedelta, timedelta(days=-1, microseconds=3)),
    (Decimal, Decimal("1.10")),
    (Decimal, Decimal("1E+5")),
    (uuid.UUID, KEY),
    (Colour, Colour.RED),
    (Word, Word.A),
    (Number, Number.ONE),
    (Flags, Flags.A | Flags.B),
    (bytes, b"\0\xff"),
    (bytearray, bytearray(b"a")),
    (Path, Path("/a b/ü")),
    (PurePosixPath, PurePosixPath("a")),
    (Path | None, None),
    (list[Path], [Path("a"), Path("b")]),
    (tuple[int, ...], (1, 2)),
    (tuple[int, str], (1, "a")),
    (Sequence[int], [1]),
    (set[int], {1, 2}),
    (frozenset[tuple[int, int]], frozenset({(1, 2), (3, 4)})),
    (dict[int, str], {1: "a"}),
    (dict[uuid.UUID, int], {KEY: 1}),
    (dict[date, int], {NOW.date(): 1}),
    (dict[Colour, int], {Colour.RED: 1}),
    (dict[Number, int], {Number.ONE: 1}),
    (dict[float, int], {1.5: 1, 2.0: 2}),
    (dict[int | str, int], {"1": 1}),
    (dict[int, dict[int, set[str]]], {2: {1: {"b", "a"}}, 1: {}}),
    (Mapping[str, datetime], {"a": NOW}),
    (Pair, Pair(1)),
    (Typed, {"at": NOW}),
    (UserId, UserId(5)),
    (Annotated[int, msgspec.Meta(ge=1)], 5),
    (Literal["a", 1, None], 1),
    (Line, Line(NOW, 0.5, {"a": [1]})),
    (Line | None, Line(NOW)),
    (LongLine, LongLine(NOW)),
    (list[Struct], [Struct(Line(NOW), {"a": Path("b")})]),
    (Any, {"a": [None, 1, 2.5, "x", True, {"b": []}]}),
    (object, {"a": [1]}),
    (dict[str, object], {"a": [1]}),
]

OTHERWISE: list[tuple[Any, Any]] = [
    (Any, NOW),
    (Any, NOW.date()),
    (Any, timedelta(1)),
    (Any, Decimal("1.10")),
    (Any, KEY),
    (Any, Colour.RED),
    (Any, Word.A),
    (Any, Number.ONE),
    (Any, b"a"),
    (Any, memoryview(b"a")),
    (Any, (1, 2)),
    (Any, Pair(1)),
    (Any, {1, 2}),
    (Any, frozenset()),
    (Any, range(3)),
    (Any, {1: "a"}),
    (Any, {None: "a"}),
    (Any, {(1, 2): "a"}),
    (Any, {1: "a", "1": "b"}),
    (Any, collections.OrderedDict(a=1)),
    (Any, collections.defaultdict(list)),
    (Any, collections.deque([1])),
    (Any, Line(NOW)),
    (Any, Struct(Line(NOW))),
    (Any, Path("a")),
    (Any, Text("a")),
    (Any, Share(0.5)),
    (Any, 1j),
    (Any, "\ud800"),
    (Any, math.nan),
    (Any, -math.inf),
    (Any, {"a": [{"b": math.nan}]}),
    (Any, {"a": [{"b": (1,)}]}),
    (object, NOW),
    (dict, {"a": NOW}),
    (dict, {1: 2}),
    (list, [(1,)]),
    (tuple, ((1,),)),
    (float, math.nan),
    (float | None, math.nan),
    (list[float | None], [math.inf]),
    (float, 2**53 + 1),
    (float, Share(0.5)),
    (str, Text("a")),
    (str, Word.A),
    (int, Number.ONE),
    (int, True),
    (bytes, bytearray(b"a")),
    (list[int], (1, 2)),
    (Sequence[int], (1, 2)),
    (dict[str, int], collections.OrderedDict(a=1)),
    (dict[str, int], {Text("a"): 1}),
    (dict[int | str, int], {1: 1}),
    (dict[int, int], {True: 1}),
    (date, NOW),
    (time, time(1, tzinfo=ZoneInfo("Europe/Berlin"))),
    (datetime, datetime(2026, 10, 25, 2, 30, fold=1)),  # noqa: DTZ001  # what is tested
    (Decimal, Decimal("sNaN")),
    (Path, Path("\udcff")),
    (Line, LongLine(NOW)),
    (Line, Line(NOW, math.nan)),
    (Line, Line(NOW, more=(1,))),
    (Typed, {"at": NOW, "more": 1}),
    (Line, {"at": "2026-01-01T00:00:00Z", "shar": 1.0}),
]

READ: list[tuple[Any, Any, Any]] = [
    (datetime, "2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
    (float, 1, 1.0),
    (Decimal, "1.10", Decimal("1.10")),
    (Decimal, 1.5, Decimal("1.5")),
    (uuid.UUID, str(KEY), KEY),
    (Colour, "red", Colour.RED),
    (Number, 1, Number.ONE),
    (bytes, "YQ==", b"a"),
    (Path, "a/b", Path("a/b")),
    (tuple[int, str], [1, "a"], (1, "a")),
    (set[int], [1, 2], {1, 2}),
    (dict[int, str], {"1": "a"}, {1: "a"}),
    (Line, {"at": "2026-01-01T00:00:00Z"}, Line(datetime(2026, 1, 1, tzinfo=UTC))),
    (Line, {"at": NOW}, Line(NOW)),
    (Struct, {"someLine": {"at": NOW}}, Struct(Line(NOW))),
]


def taking(hint: Any) -> FunctionBody:
    def fn(value: Any) -> Any:
        return value

    fn.__annotations__ = {"value": hint}
    return FunctionBody(fn, worker="w")


def returning(hint: Any) -> FunctionBody:
    def fn() -> Any: ...

    fn.__annotations__ = {"return": hint}
    return FunctionBody(fn, worker="w")


def is_same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other and repr(one) == repr(other)


@pytest.mark.parametrize(("hint", "value"), WHOLE)
def test_a_value_comes_back_with_its_type(hint, value):
    """W5."""
    body = taking(hint)

    arrived = body.call(None, body.encode_payload((value,)), fallback=False)

    assert is_same(arrived, value) or isinstance(value, (set, frozenset, dict))
    assert arrived == value


@pytest.mark.parametrize(("hint", "value"), OTHERWISE)
def test_a_value_that_would_come_back_otherwise_is_refused_at_the_trigger(hint, value):
    """W5."""
    with pytest.raises(WrongPayload, match=r"^worker 'w': parameter 'value'"):
        taking(hint).encode_payload((value,))


@pytest.mark.parametrize(("hint", "value", "read"), READ)
def test_json_is_read_as_what_the_hint_says(hint, value, read):
    """W5: it has nothing else to come with, over HTTP and from the command."""
    body = taking(hint)

    assert is_same(body.call(None, body.encode_payload((value,)), fallback=False), read)


@pytest.mark.parametrize(
    ("hint", "value", "message"),
    [
        (
            Any,
            {"a": [NOW]},
            "JSON would change datetime.datetime at `$.a[0]` to str; give it a type hint",
        ),
        (Any, (1,), "JSON would change tuple to list; give it a type hint, or give list(…) of it"),
        (
            Any,
            {1: 2},
            "JSON would change the keys of dict; give it a type hint, or give a dict with string",
        ),
        (Any, [math.nan], "JSON has no nan at `$[0]`; give None, or a string"),
        (Typed, {"at": NOW, "m": 1}, "no type accepts the value at `$.m`; leave it out, or add it to the type"),
    ],
)
def test_a_refusal_names_the_place_the_type_and_the_remedy(hint, value, message):
    with pytest.raises(WrongPayload) as refused:
        taking(hint).encode_payload((value,))

    assert message in str(refused.value)


@pytest.mark.parametrize(
    "hint", [complex, range, Path | str, str | datetime, date | datetime, Line | Struct, set | list]
)
def test_a_hint_that_json_cannot_tell_apart_is_refused_at_the_declaration(hint):
    """W5."""
    with pytest.raises(ConfigurationError, match="no JSON payload can carry its parameter 'value"):
        taking(hint)


def test_a_type_that_is_not_there_is_refused_at_the_declaration():
    with pytest.raises(ConfigurationError, match="cannot be resolved"):
        taking("Elsewhere")


def test_a_payload_that_no_hint_describes_is_plain_json():
    """W5: a command's, and that of a worker which only other processes declare."""
    assert plain_payload("w", {"b": [1, {"a": None}], "a": "x"}, "why") == b'{"a":"x","b":[1,{"a":null}]}'
    for value in (NOW, (1,), {1: 2}, {"a": [math.nan]}, Path("a"), object(), "\ud800"):
        with pytest.raises(WrongPayload, match="worker 'w': "):
            plain_payload("w", {"value": value}, "why")
    with pytest.raises(WrongPayload, match="the keys of dict"):
        plain_payload("w", {1: 2}, "why")  # type: ignore[dict-item]  # what is tested


def test_what_takes_itself_without_end_is_refused():
    value: list[Any] = []
    value.append(value)

    with pytest.raises(WrongPayload):
        taking(Any).encode_payload((value,))
    with pytest.raises(WrongPayload):
        plain_payload("w", {"value": value}, "why")


# ── results ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("hint", "value"), [each for each in WHOLE if each[1] is not None])
def test_a_result_is_given_back_as_its_annotation_says(hint, value):
    """W6."""
    body = returning(hint)

    outcome = body.succeeded(value)

    assert outcome.result_error is None
    assert body.read_result(outcome.result) == value
    assert type(body.read_result(outcome.result)) is type(value)


@pytest.mark.parametrize(("hint", "value"), OTHERWISE)
def test_a_result_that_would_come_back_otherwise_is_a_success_that_says_so(hint, value):
    """W6."""
    outcome = returning(hint).succeeded(value)

    assert isinstance(outcome, Succeeded)
    assert outcome.result_error


@pytest.mark.parametrize(
    ("hint", "value", "reason"),
    [
        (int, "five", "it does not fit -> int: Expected `int`, got `str`"),
        (int, None, "it is None, but the function says -> int"),
        (Any, (1,), "JSON would change tuple to list; annotate its return type, or give list"),
        (dict, {"at": NOW}, "annotate its return type, which -> dict does not mention"),
        (
            "Elsewhere",
            NOW,
            "annotate its return type so that it can be checked (-> Elsewhere: name 'Elsewhere' is not defined)",
        ),
        (Literal["a"], "a\0", r"it does not fit -> Literal['a']: Invalid enum value 'a\x00'"),
        (complex, 1j, "it cannot be encoded (NotImplementedError: complex cannot be written as JSON)"),
    ],
)
def test_the_reason_why_a_result_is_not_given_back_names_the_remedy(hint, value, reason):
    assert reason in returning(hint).succeeded(value).result_error


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Any, None),
        (None, None),
        (int | None, None),
        (Idle | None, None),
        (Idle, Idle(5)),
        (int | Idle, 5),
        (int | Idle, Idle(5)),
        (int | Idle, None),
        (Awaitable[int], 5),
        ("Elsewhere", {"a": 1}),
        (Callable[[], None], [1]),
    ],
)
def test_an_annotation_may_speak_of_idle_of_awaiting_and_of_what_is_not_there(hint, value):
    assert returning(hint).succeeded(value).result_error is None


def test_a_result_is_read_by_the_annotation_of_a_coroutine_too():
    async def fn() -> tuple[int, Path]:
        return 1, Path("a")

    body = FunctionBody(fn, worker="w")

    assert body.read_result(body.succeeded((1, Path("a"))).result) == (1, Path("a"))


def wrapped(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return call


def numbers(count: int = 1) -> tuple[int, ...]:
    return (count,)


class Counter:
    def method(self) -> tuple[int, ...]: ...  # type: ignore[empty-body]  # never called

    async def later(self) -> tuple[int, ...]: ...  # type: ignore[empty-body]  # never called

    def __call__(self) -> tuple[int, ...]: ...  # type: ignore[empty-body]  # never called


@pytest.mark.parametrize(
    "fn",
    [
        numbers,
        functools.partial(numbers, 1),
        wrapped(numbers),
        wrapped(functools.partial(numbers, 1)),
        Counter().method,
        Counter().later,
        Counter(),
    ],
)
def test_an_annotation_is_found_under_whatever_a_function_wears(fn):
    """W6."""
    body = FunctionBody(fn, worker="w")

    assert body.read_result(body.succeeded((1,)).result) == (1,)


# ── models of pydantic ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_model_is_a_parameter_a_part_of_one_and_a_result():
    """W5, W6."""
    pydantic = pytest.importorskip("pydantic")

    class Order(pydantic.BaseModel):
        number: int = pydantic.Field(alias="orderNumber")
        at: datetime
        tags: set[str] = set()
        parent: Order | None = None

    Order.model_rebuild(_types_namespace={"Order": Order})
    order = Order(orderNumber=7, at=NOW, tags={"a"}, parent=Order(orderNumber=1, at=NOW))
    for hint, value in ((Order, order), (list[Order], [order]), (Order | None, order)):
        arrived = taking(hint).call(None, taking(hint).encode_payload((value,)), fallback=False)
        assert (type(arrived), arrived) == (type(value), value)
        test_a_result_is_given_back_as_its_annotation_says(hint, value)
    payload = taking(Order).encode_payload(({"orderNumber": 1, "at": "2026-01-02T03:04:05.000006Z"},))
    assert taking(Order).call(None, payload, fallback=False) == order.parent
    schema = taking(list[Order]).schema()
    assert schema["$defs"]["Order"]["properties"]["orderNumber"] == {"title": "Ordernumber", "type": "integer"}
    with pytest.raises(WrongPayload, match="parameter 'value' does not accept"):
        taking(Order).encode_payload(({"orderNumber": "x", "at": NOW},))


def test_a_part_of_a_model_that_would_be_lost_is_refused():
    pydantic = pytest.importorskip("pydantic")

    class Account(pydantic.BaseModel):
        secret: pydantic.SecretStr = pydantic.SecretStr("")
        hidden: int = pydantic.Field(1, exclude=True)
        more: Any = None

    for lost in (Account(secret="abc"), Account(hidden=2), Account(more=(1,)), Account(more=math.nan)):
        with pytest.raises(WrongPayload, match="JSON"):
            taking(Account).encode_payload((lost,))


def test_the_sets_of_a_model_are_written_in_one_order_in_every_process():
    """O5: a key is compared with the digest."""
    pytest.importorskip("pydantic")
    code = (
        "import pydantic, pydantic.v1\n"
        "from shiftboss.executors.body import FunctionBody\n"
        "class New(pydantic.BaseModel):\n    names: set[str]; more: dict[str, list[set[str]]] = {}\n"
        "class Old(pydantic.v1.BaseModel):\n    names: set[str]\n"
        "def fn(new: New, old: Old): ...\n"
        "given = New(names=set('xyzq'), more={'a': [set('xyzq')]}), Old(names=set('xyzq'))\n"
        "print(FunctionBody(fn, worker='w').encode_payload(given))\n"
    )

    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }

    (written,) = found
    assert '"new":{"more":{"a":[["q","x","y","z"]]},"names":["q","x","y","z"]}' in written


def test_a_model_of_pydantic_1_is_one_too():
    old = pytest.importorskip("pydantic.v1")

    class Order(old.BaseModel):  # type: ignore[misc,name-defined]  # of a module that may be missing
        at: datetime
        key: uuid.UUID | None = None

    test_a_value_comes_back_with_its_type(Order, Order(at=NOW, key=KEY))
    test_a_result_is_given_back_as_its_annotation_says(Order, Order(at=NOW, key=KEY))
