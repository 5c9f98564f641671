"""Bodies of every temper, for a SIGTERM in their middle."""

import asyncio
import logging
import os
import sys
import time

from shiftboss import Context, Orchestrator

LEDGER = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

boss = Orchestrator(max_concurrency=6, shutdown_timeout=os.environ.get("SHUTDOWN_TIMEOUT", "8s"))


def say(what: str, ctx: Context) -> None:
    os.write(LEDGER, f"{what} {ctx.worker} {ctx.run_id} {time.time()}\n".encode())


@boss.worker(timeout=None)
async def short(ctx: Context) -> str:
    say("start", ctx)
    await asyncio.sleep(2)
    say("end", ctx)
    return "done"


@boss.worker(timeout=None)
async def long(ctx: Context) -> None:
    say("start", ctx)
    await asyncio.sleep(60)
    say("end", ctx)


@boss.worker(timeout=None)
async def deaf(ctx: Context) -> None:
    """Swallows its cancellation for ever."""
    say("start", ctx)
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            say("deaf", ctx)


@boss.worker(timeout=None)
def stuck(ctx: Context) -> None:
    """A thread that never looks up."""
    say("start", ctx)
    time.sleep(600)


@boss.worker(timeout=None)
async def frozen(ctx: Context) -> None:
    """Blocks the whole loop."""
    say("start", ctx)
    time.sleep(600)  # that is the point


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    sys.exit(boss.run().exit_code)
