"""Four of these on one store: pairs that block each other, limits, a chain, triggered work.

Each body writes what it does to a ledger that only ever grows: one short line a write, so lines never mix.
"""

import asyncio
import json
import logging
import os
import sys
import time

from shiftboss import Context, Orchestrator

LEDGER = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

boss = Orchestrator(resources={"press": 2}, shutdown_timeout=10)


def say(what: str, ctx: Context) -> None:
    line = {
        "what": what,
        "at": time.clock_gettime(time.CLOCK_BOOTTIME),
        "pid": os.getpid(),
        "worker": ctx.worker,
        "run": ctx.run_id,
        "attempt": ctx.attempt,
        "fence": ctx.fence,
        "occurs_at": ctx.occurs_at.isoformat(),
    }
    os.write(LEDGER, json.dumps(line).encode() + b"\n")


async def body(ctx: Context, seconds: float) -> None:
    say("start", ctx)
    await asyncio.sleep(seconds)
    say("end", ctx)


@boss.worker(every=1)
async def left(ctx: Context) -> None:
    await body(ctx, 0.25)


@boss.worker(every=1, blocks=[left])
async def right(ctx: Context) -> None:
    await body(ctx, 0.25)


@boss.worker(every=1, priority="high")
async def source(ctx: Context) -> None:
    await body(ctx, 0.1)


@boss.worker(every=1, depends_on=[source])
def sink(ctx: Context) -> None:
    say("start", ctx)
    time.sleep(0.1)
    say("end", ctx)


@boss.worker(concurrency=3, uses={"press": 1})
async def press(ctx: Context, number: int) -> int:
    await body(ctx, 0.3)
    return number


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    report = boss.run()
    sys.exit(report.exit_code)
