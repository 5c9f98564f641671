"""Poison: what no body should do, each as a function of its own, for every executor.

On a loop, in a thread, in a child and in a pool they are entered through `plain` and `on_a_loop`; as a command this
file is the program.  So it imports little: a program that is given a second must not spend it here.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

released = threading.Event()  # the end of "for ever" where nothing can end a body by force
SLEEPS = (["sleep", "600"], ["setsid", "sleep", "600"], ["nohup", "sleep", "600"])
LONG_S = 0.4  # longer than the timeout that bodies of a node's own process are given


# ── what goes on ─────────────────────────────────────────────────────────────────────────────────────────────────


async def swallows_once() -> str:
    import asyncio

    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        return "as if nothing had happened"
    return "never"


async def swallows_for_ever() -> None:
    import asyncio

    while not released.is_set():
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            continue


def swallows_one_exception() -> str:
    try:
        time.sleep(600)
    except BaseException:
        return "as if nothing had happened"
    return "never"


def swallows_everything() -> None:
    while True:
        try:
            time.sleep(600)
        except BaseException:  # noqa: S112  # that is the poison
            continue


def ends_well_on_term() -> None:
    """What swallowing a cancellation once is to a program."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    time.sleep(600)


def ignores_term() -> None:
    """And what swallowing it for ever is."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def spins() -> None:
    while True:
        pass


def spins_until_released() -> None:
    while not released.is_set():
        pass


def backtracks() -> None:
    """Never ends, and never lets go of the interpreter's lock."""
    import re

    re.match(r"(a+)+$", "a" * 60 + "b")


def backtracks_a_while() -> str:
    """The same in a node's own process, which would stand still for ever: one match that outlasts the timeout."""
    import re

    for length in range(16, 60):
        began_s = time.monotonic()
        re.match(r"(a+)+$", "a" * length + "b")
        if time.monotonic() - began_s > LONG_S:
            return "at last"
    return "never"


def sleeps() -> None:
    time.sleep(600)


def sleeps_until_released() -> None:
    released.wait(600)


# ── what goes on the first time, and does well when it is run again ──────────────────────────────────────────────


def is_first(file: str) -> bool:
    if Path(file).exists():
        return False
    Path(file).write_text("up")
    return True


def backtracks_at_first(file: str) -> Any:
    return backtracks() if is_first(file) else "well"


def spins_at_first(file: str) -> Any:
    return spins() if is_first(file) else "well"


def swallows_at_first(file: str) -> Any:
    return swallows_everything() if is_first(file) else "well"


# ── what ends, or ends its process ───────────────────────────────────────────────────────────────────────────────


def exits() -> None:
    os._exit(1)


def faults() -> None:
    import ctypes

    ctypes.string_at(0)


def leaves() -> None:
    sys.exit(3)


class Broken(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


def raises_broken() -> None:
    raise Broken


# ── what takes too much, and what stays ──────────────────────────────────────────────────────────────────────────


def hoards() -> None:
    kept = []
    while True:
        kept.append(bytearray(b"x" * (8 << 20)))
        time.sleep(0.005)


def asks_for_too_much() -> None:
    bytearray(1 << 60)


def floods() -> str:
    """200 MB of output, and a last word."""
    for _ in range(200):
        sys.stdout.buffer.write(b"x" * 1_000_000)
    print("\nthe last word", flush=True)
    return "well"


def closes_stdout() -> None:
    os.close(1)
    os.close(2)
    time.sleep(600)


def starts_sleeps() -> None:
    """One plain, one that leaves the session, one that ignores SIGHUP; all hold the output open."""
    import subprocess

    for words in SLEEPS:
        subprocess.Popen(words)


def leaves_sleeps() -> str:
    starts_sleeps()
    return "well"


def starts_sleeps_and_waits(file: str) -> None:
    starts_sleeps()
    says_and_waits(file)


def says_and_waits(file: str) -> None:
    Path(file).write_text("up")
    time.sleep(600)


# ── what does well ───────────────────────────────────────────────────────────────────────────────────────────────


def well() -> str:
    return "well"


def returns(size: int) -> str:
    return "x" * size


async def says_and_awaits(file: str) -> None:
    import asyncio

    Path(file).write_text("up")
    await asyncio.sleep(600)


# ── how they are entered ─────────────────────────────────────────────────────────────────────────────────────────


def plain(poison: str, file: str = "", size: int = 0) -> Any:
    function: Callable[..., Any] = globals()[poison]
    return function(*filter(None, (file, size)))


async def on_a_loop(poison: str, file: str = "", size: int = 0) -> Any:
    made = plain(poison, file, size)
    return await made if isinstance(made, Coroutine) else made


if __name__ == "__main__":
    said = plain(**json.load(sys.stdin))
    if said is not None:
        print(said)
