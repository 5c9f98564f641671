"""Bodies for children: a child imports this file, so they stand at its top."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from shiftboss.context import Context, Fatal, Idle, Retry

mood: contextvars.ContextVar[str] = contextvars.ContextVar("mood", default="calm")


def nothing() -> None: ...


def pid() -> int:
    return os.getpid()


def pages() -> dict[str, int]:
    return {"pages": 3}


def idle() -> Idle:
    return Idle("30s")


def letter(to: str, copies: int = 2) -> list[object]:
    return [to, copies]


def with_context(ctx: Context, to: str) -> list[object]:
    return [ctx.worker, to]


async def on_a_loop(ctx: Context) -> str:
    await asyncio.sleep(0)
    return ctx.worker


def fallback(ctx: Context, to: str) -> list[object]:
    return ["later", to]


def facts(ctx: Context) -> list[object]:
    flags = [ctx.degraded, ctx.cancelled, ctx.stopping]
    return [ctx.run_id, ctx.attempt, ctx.fence, ctx.missed, str(ctx.occurs_at), str(ctx.last_success_at), *flags]


def fails() -> None:
    raise ValueError("on purpose")


def asks_for_a_retry() -> None:
    raise Retry("quota", after="2m")


def gives_up() -> None:
    raise Fatal("the account was closed")


def hands_back(ctx: Context) -> None:
    if ctx.stopping:
        raise Retry


class Broken(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Known(Exception):
    pass


def raises_broken() -> None:
    raise Broken


def raises_known() -> None:
    raise Known


def unkept() -> Any:
    return threading.Lock()


def speaks(ctx: Context) -> None:
    for page in range(1, 101):
        ctx.progress(page, 100, "reading")
    ctx.heartbeat()


def speaks_and_waits(ctx: Context) -> None:
    ctx.progress(1)
    ctx.progress(2)
    wait()


def logs(ctx: Context) -> None:
    logging.getLogger("elsewhere").warning("inside %d", 5, extra={"page": 7})
    try:
        raise ValueError("on purpose")
    except ValueError:
        ctx.log.exception("caught")


def is_furious() -> str:
    before = mood.get()
    mood.set("furious")
    return before


def wait() -> None:
    threading.Event().wait()


def enters_and_waits(ctx: Context) -> None:
    ctx.heartbeat()
    wait()


def waits_and_tidies_up(ctx: Context, file: str) -> None:
    try:
        ctx.heartbeat()
        wait()
    finally:
        Path(file).write_text(f"{ctx.cancelled} {ctx.stopping}")


def waits_until_told(ctx: Context) -> str:
    try:
        ctx.heartbeat()
        wait()
    except asyncio.CancelledError:
        return "just in time"
    return ""


def returns_when_told(ctx: Context, file: str) -> str:
    try:
        ctx.heartbeat()
        wait()
    except asyncio.CancelledError:
        Path(file).touch()
        return "just in time"
    return ""


def waits_for_the_announcement(ctx: Context) -> list[bool]:
    ctx.heartbeat()
    while not ctx.stopping:
        time.sleep(0.01)
    return [ctx.stopping, ctx.cancelled]


async def waits_on_a_loop(ctx: Context) -> None:
    ctx.heartbeat()
    await asyncio.Event().wait()


# ── poison ───────────────────────────────────────────────────────────────────────────────────────────────────────


def spins(ctx: Context) -> None:
    ctx.heartbeat()
    while True:
        pass


def backtracks(ctx: Context) -> None:
    ctx.heartbeat()
    re.match(r"(a+)+$", "a" * 60 + "b")


def sleeps(ctx: Context) -> None:
    ctx.heartbeat()
    time.sleep(600)


def swallows(ctx: Context) -> None:
    while True:
        try:
            ctx.heartbeat()
            time.sleep(600)
        except BaseException:  # noqa: S112  # what a rude body does
            continue


async def swallows_on_a_loop(ctx: Context) -> None:
    while True:
        try:
            ctx.heartbeat()
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            continue


def is_deaf_for_a_while(ctx: Context) -> str:
    """No other thread of its process gets the interpreter's lock, so nothing that the node says arrives."""
    sys.setswitchinterval(1000)  # before anybody can answer the heartbeat
    ctx.heartbeat()
    until_s = time.monotonic() + 1.5
    while time.monotonic() < until_s:
        pass
    return "late"


def exits() -> None:
    os._exit(1)


def exits_well() -> None:
    os._exit(0)


def faults() -> None:
    ctypes.string_at(0)


def leaves() -> None:
    sys.exit(3)


def aborts() -> None:
    os.abort()


def is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hoards(ctx: Context) -> None:
    kept = []
    while True:
        kept.append(bytearray(b"x" * (8 << 20)))
        time.sleep(0.005)


def grows() -> int:
    globals()["kept"] = b"x" * (64 << 20)
    return os.getpid()


def closes_stdout() -> str:
    os.close(1)
    os.close(2)
    return "living on"


def closes_everything() -> None:
    os.closerange(3, 256)
    wait()


SLEEP = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"


def start_sleeps(*, setsid: bool, file: str) -> None:
    """Processes that ignore TERM, one of them behind a parent that has ended; *file* gets their pids."""
    pids = []
    for _ in range(2):
        child = subprocess.Popen([sys.executable, "-c", SLEEP], stdout=subprocess.PIPE, start_new_session=setsid)
        child.stdout.readline()
        pids.append(child.pid)
    code = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session={setsid}"
    code += ", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL); p.stdout.readline(); print(p.pid)"
    orphan = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    Path(file).write_text(" ".join(map(str, [*pids, int(orphan.stdout)])))


def leaves_processes(setsid: bool, file: str) -> int:
    start_sleeps(setsid=setsid, file=file)
    return os.getpid()


def starts_processes_and_waits(ctx: Context, setsid: bool, file: str) -> None:
    start_sleeps(setsid=setsid, file=file)
    ctx.heartbeat()
    wait()


def starts_processes_and_spins(setsid: bool, file: str) -> None:
    """The interpreter's lock is never free again."""
    start_sleeps(setsid=setsid, file=file)
    re.match(r"(a+)+$", "a" * 60 + "b")


def starts_processes_and_dies(setsid: bool, file: str) -> None:
    start_sleeps(setsid=setsid, file=file)
    os._exit(9)
