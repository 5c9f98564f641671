"""Bodies that look like functions, and give back their work instead of doing it."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from typing import Any

on_time = threading.Event()


def hidden(fn: Callable[[], Any]) -> Callable[[], Any]:
    """A decorator without functools.wraps."""

    def inner() -> Any:
        return fn()

    return inner


async def _work() -> None: ...


def _steps() -> Generator[int]:
    yield 1


async def _async_steps() -> Any:
    yield 1


class Later:
    def __await__(self) -> Generator[Any, None, None]:
        return _work().__await__()


def coroutine() -> Any:
    return _work()


def generator() -> Any:
    return _steps()


def async_generator() -> Any:
    return _async_steps()


def mapped() -> Any:
    return map(print, ["never"])


def filtered() -> Any:
    return filter(print, ["never"])


def expression() -> Any:
    return (print(each) for each in ["never"])


def awaitable() -> Awaitable[None]:
    return Later()


async def coroutine_async() -> Any:
    return _work()


async def generator_async() -> Any:
    return _steps()


async def async_generator_async() -> Any:
    return _async_steps()


async def mapped_async() -> Any:
    return mapped()


async def filtered_async() -> Any:
    return filtered()


async def expression_async() -> Any:
    return expression()


async def awaitable_async() -> Any:
    return Later()


def future() -> Any:
    return Future()


def tick() -> None:
    on_time.set()
