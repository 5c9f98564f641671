"""What jobs do, whichever library runs them: count, say when they began, or take their time.

Rules of this file
- It imports the standard library alone: it runs in the environments of all peers.
- What a body says is written to the pipe at once, by one system call: it is known although the process is killed.
- A job that counts says nothing but for the first and the last: the harness takes no time from the library.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from collections.abc import Callable
from typing import Any

SLEEP_S = {"nap": 0.05, "sleep": 2.0}


class Bodies:
    """The bodies of one process; *say* sends a message to the harness."""

    def __init__(self, say: Callable[..., None]) -> None:
        self._say = say
        self.expect(0)

    def expect(self, total: int) -> None:
        """From now on, so many jobs are counted: the first and the last are told."""
        self._total = total
        self._counted = itertools.count(1)  # next() is one step, whichever thread calls

    def noop(self, number: int) -> None:
        counted = next(self._counted)
        if counted == 1:
            self._say("first", at_ns=time.monotonic_ns())
        if counted == self._total:
            self._say("last", at_ns=time.monotonic_ns())

    def stamp(self, number: int) -> None:
        self._say("stamp", number=number, at_ns=time.monotonic_ns())

    def tick(self, number: int) -> None:
        self._say("tick", number=number, at_ns=time.monotonic_ns())

    def began(self, number: int) -> None:
        self._say("began", number=number, at_ns=time.monotonic_ns())

    def ended(self, number: int) -> None:
        self._say("ended", number=number, at_ns=time.monotonic_ns())


def as_functions(bodies: Bodies) -> dict[str, Callable[[int], Any]]:
    """By name, for a library that runs functions in threads."""

    def sleeping(seconds: float) -> Callable[[int], None]:
        def body(number: int) -> None:
            bodies.began(number)
            time.sleep(seconds)
            bodies.ended(number)

        return body

    return {
        "noop": bodies.noop,
        "stamp": bodies.stamp,
        **{name: sleeping(seconds) for name, seconds in SLEEP_S.items()},
    }


def as_coroutines(bodies: Bodies) -> dict[str, Callable[[int], Any]]:
    """By name, for a library that runs coroutines."""

    async def noop(number: int) -> None:
        bodies.noop(number)

    async def stamp(number: int) -> None:
        bodies.stamp(number)

    def sleeping(seconds: float) -> Callable[[int], Any]:
        async def body(number: int) -> None:
            bodies.began(number)
            await asyncio.sleep(seconds)
            bodies.ended(number)

        return body

    return {"noop": noop, "stamp": stamp, **{name: sleeping(seconds) for name, seconds in SLEEP_S.items()}}


class Voice:
    """Messages to the harness, lines of JSON on the pipe that was stdout; what a library prints goes to stderr."""

    def __init__(self) -> None:
        self._pipe = os.dup(1)
        os.dup2(2, 1)

    def __call__(self, what: str, **facts: Any) -> None:
        os.write(self._pipe, (json.dumps({"what": what, **facts}) + "\n").encode())
