"""Values of every type of JSON and of Python that a setting, a division or a typing error can hand over."""

from __future__ import annotations

import math
import uuid
from array import array
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from shiftboss import Breaker, Dependency, HealthPolicy, RetryPolicy
from shiftboss.core.policy import Rate
from shiftboss.ports.faces import HistoryFilter, LetterFilter


class Indexed:
    def __index__(self) -> int:
        return 2


class Broken:
    """Nothing can be asked of it."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    __hash__ = object.__hash__


class Colour(Enum):
    RED = "red"
    TWO = 2


class Level(IntEnum):
    TWO = 2


class Word(StrEnum):
    RED = "red"


class Rights(Flag):
    READ = 1


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Pair(NamedTuple):
    one: int
    two: str


@dataclass
class Data:
    name: str = "x"


class Packed(msgspec.Struct):
    value: int = 1


def function() -> None: ...


NUMBERS = (0, 1, -1, 2, 7, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**400, 2.0, 2.5, -0.0, 1e-9, 1e18, 1e308)
ENDLESS = (math.nan, math.inf, -math.inf, Decimal("NaN"), Decimal("Infinity"), Decimal("1e400"))
LIKE_NUMBERS = (Decimal("2.0"), Decimal("2.5"), Fraction(4, 2), Fraction(1, 3), 1j, Indexed(), Number(2), Level.TWO)
TEXTS = (
    "",
    " ",
    "x",
    "job",
    "2",
    "2.0",
    "true",
    "null",
    "1MB",
    "5m",
    "10/m",
    "@daily",
    "* * * * *",
    "é",
    "🦉",
    "tag:x",
)
HOSTILE = ("\0", "a\0b", "\ud800", "x\udfff", "x" * 600, "x" * 10_000, "../etc/passwd", "'; DROP TABLE runs; --", "\n")
BYTES = (b"", b"x", b"\xff", bytearray(b"x"), memoryview(b"x"), array("i", [1]))
LISTS = ([], [1], ["a"], ["a", "a"], [None], [[]], (), ("a",), {"a"}, frozenset(), range(3), deque(["a"]), Pair(1, "x"))
MAPPINGS = ({}, {"a": 1}, {"a": True}, {"a": 2.0}, {"a": None}, {1: "a"}, {None: 1}, {"\0": 1}, OrderedDict(a=1))
TIMES = (
    datetime(2026, 1, 1),  # noqa: DTZ001  # naive, that is the point
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
    datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    date(2026, 1, 1),
    time(12),
    timedelta(0),
    timedelta(seconds=2),
    timedelta(-1),
    timedelta.max,
    UTC,
    timezone(timedelta(hours=2)),
    timezone(timedelta(minutes=7)),
    ZoneInfo("Europe/Berlin"),
)
OBJECTS = (
    None, True, False, NotImplemented, ..., object(), Broken(), int, str, Exception, ValueError, ValueError("x"), len,
    function, lambda: None, SimpleNamespace(name="job"), Data(), Packed(), uuid.UUID(int=7), Path("x.db"), Colour.RED,
    Colour.TWO, Word.RED, Rights.READ, Text("x"), Breaker(), Breaker(failures="5"), Breaker(cooldown=None),
    Breaker(name=7), Breaker(rate=Fraction(1, 2)), Breaker(window=2.5), Dependency("job"), Dependency(7),
    Dependency("job", fresh=None), Dependency("job", fresh=-1), Dependency("job", on_failure="never"),
    Dependency(Dependency("job")), RetryPolicy(), HealthPolicy(), HealthPolicy(degraded_rate="0.1"),
    HealthPolicy(min_attempts=True), HealthPolicy(max_due="x"), Rate(1, 1.0), HistoryFilter(), LetterFilter(),
)  # fmt: skip

FOR_COLUMNS: tuple[Any, ...] = (*NUMBERS[:12], *TEXTS, *HOSTILE, None, True)  # where a database could object
VALUES: tuple[Any, ...] = (
    *NUMBERS, *ENDLESS, *LIKE_NUMBERS, *TEXTS, *HOSTILE, *BYTES, *LISTS, *MAPPINGS, *TIMES, *OBJECTS,
)  # fmt: skip
