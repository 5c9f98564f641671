"""Bodies that misbehave, in a module of their own so that the children of a pool can import them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable


class TwoArguments(Exception):
    """It is made of two things and remembers one: nobody can unpickle it."""

    def __init__(self, code: int, place: str) -> None:
        super().__init__("odd")
        self.code, self.place = code, place


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class NoCause(Exception):
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    @property
    def __cause__(self) -> BaseException | None:  # type: ignore[override]
        raise RuntimeError("no cause")


def in_a_circle() -> Exception:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one


def in_a_long_chain() -> Exception:
    error = ValueError("the first")
    for number in range(3000):
        follower = ValueError(str(number))
        follower.__cause__ = error
        error = follower
    return error


ERRORS: dict[str, Callable[[], BaseException]] = {
    "SystemExit": lambda: SystemExit(0),
    "KeyboardInterrupt": KeyboardInterrupt,
    "CancelledError": asyncio.CancelledError,
    "GeneratorExit": GeneratorExit,
    "StopIteration": lambda: StopIteration(3),
    "StopAsyncIteration": StopAsyncIteration,
    "ExceptionGroup": lambda: ExceptionGroup("outer", [ValueError("x"), ExceptionGroup("inner", [KeyError("y")])]),
    "BaseExceptionGroup": lambda: BaseExceptionGroup("all", [KeyboardInterrupt(), asyncio.CancelledError()]),
    "BaseException": lambda: BaseException("of all"),
    "RecursionError": RecursionError,
    "MemoryError": MemoryError,
    "TimeoutError": lambda: TimeoutError("of the body"),
    "NoText": NoText,
    "NoCause": NoCause,
    "a circle of causes": in_a_circle,
    "a long chain of causes": in_a_long_chain,
    "megabytes": lambda: ValueError("x" * 3_000_000),
    "unprintable": lambda: ValueError("\ud800 \x00 \x1b[31m"),
}


def raises(kind: str) -> None:
    raise ERRORS[kind]()


async def raises_on_the_loop(kind: str) -> None:
    raise ERRORS[kind]()


def in_a_pool(number: int) -> int:
    if number == 0:
        raise TwoArguments(1, "here")
    if number == 1:
        os._exit(3)
    return number
