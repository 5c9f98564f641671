"""Bodies of every kind that say how far they are and go on until the file `go` is there."""

import asyncio
import logging
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shiftboss import Context, Orchestrator, command

boss = Orchestrator()
GO = Path("go")
LOOK_S = 0.02  # between looks at that file


def say(ctx: Context) -> None:
    ctx.progress(3, 10, "page 3")
    ctx.log.warning("begun as attempt %d", ctx.attempt)


def wait() -> None:
    while not GO.exists():
        time.sleep(LOOK_S)


@boss.worker(timeout="10m")
async def coroutine(ctx: Context) -> str:
    say(ctx)
    while not GO.exists():
        await asyncio.sleep(LOOK_S)
    ctx.progress(10, 10, "all pages")
    return "x" * 50_000


@boss.worker(timeout="10m", cancel_grace="0.1s")
def thread(ctx: Context) -> str:
    say(ctx)
    wait()
    ctx.progress(10, 10, "all pages")
    return "x" * 50_000


@boss.worker(executor="process", timeout="10m")
def process(ctx: Context) -> str:
    say(ctx)
    wait()
    ctx.progress(10, 10, "all pages")
    return "x" * 50_000


boss.register(
    "command",
    command(["sh", "-c", f"echo begun >&2; while [ ! -e {GO} ]; do sleep {LOOK_S}; done; echo result"]),
    timeout="10m",
)
boss.register("pool", wait, pool=lambda: ThreadPoolExecutor(1), timeout="10m")


# ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@boss.worker(max_retries=1)
def again(ctx: Context) -> None:
    """Logs, fails once, logs again."""
    ctx.log.warning("attempt %d", ctx.attempt)
    if ctx.attempt == 1:
        raise ValueError("the first attempt fails")


@boss.worker(max_retries=0)
def chatty() -> None:
    for number in range(1, 5001):
        logging.getLogger("lib").warning("line %d", number)


@boss.worker(max_retries=0)
def fails(ctx: Context) -> None:
    ctx.progress(3, 10, "order 17")
    ctx.log.warning("fails looks at order 17")
    raise ValueError("order 17 has no address")


@boss.worker(executor="process", timeout="0.3s", max_retries=0)
def hangs() -> None:
    the_call_that_hangs()


def the_call_that_hangs() -> None:
    time.sleep(600)


@boss.worker(timeout="0.2s", cancel_grace="0.1s", max_retries=0)
def goes_on() -> None:
    wait()


@boss.worker(executor="process", max_retries=0)
def crashes() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


boss.register(
    "complains",
    command(["sh", "-c", "seq 1 40 | sed 's/^/trouble /' >&2; seq 1 40 | sed 's/^/row /'; exit 3"]),
    max_retries=0,
)
boss.register("chatty-command", command(["sh", "-c", "seq -f 'line %.0f' 5000 >&2"]), max_retries=0)
