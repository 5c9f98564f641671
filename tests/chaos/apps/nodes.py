"""One node of a fleet on PostgreSQL; PART says which workers it has, LEASE how long its lease is.

Each body writes what it does to a ledger that only ever grows: one short line a write, so lines never mix.  The lease
is made shorter by setting the constants of the engine before anything is started: there is no option for it.
"""

import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path

from shiftboss import Breaker, Context, Orchestrator
from shiftboss.core import fleet
from shiftboss.engine import lease

if "LEASE" in os.environ:
    fleet.LEASE_S = lease.LEASE_S = float(os.environ["LEASE"])
    lease.RENEW_S = fleet.LEASE_S / 4
    lease.TRUST_MARGIN_S = fleet.LEASE_S / 6
    fleet.RESCUE_GRACE_S = fleet.LEASE_S / 6
    lease.LATE_S = fleet.LEASE_S / 30

LEDGER = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
NODE = int(os.environ["NODE"])  # by whom lines are told apart: a body may run in a child of the node
BODY_S = float(os.environ.get("BODY", "0.3"))
PATIENCE_S = float(os.environ.get("PATIENCE", "1"))
RELEASE = Path(os.environ["LEDGER"] + ".release")  # bodies that tick end when this file is there
SUFFERS = float(os.environ.get("SUFFERS", "10"))  # how long a sick body lets the breaker open again

boss = Orchestrator(
    max_concurrency=int(os.environ.get("SLOTS", "30")), resources={"press": 3}, shutdown_timeout=10, process_slots=2
)


def say(what: str, ctx: Context) -> None:
    line = {
        "what": what,
        "at": time.clock_gettime(time.CLOCK_BOOTTIME),
        "pid": NODE,
        "worker": ctx.worker,
        "run": ctx.run_id,
        "attempt": ctx.attempt,
        "fence": ctx.fence,
        "occurs_at": ctx.occurs_at.isoformat(),
    }
    os.write(LEDGER, json.dumps(line).encode() + b"\n")


async def body(ctx: Context, seconds: float) -> None:
    say("start", ctx)
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        say("cut", ctx)
        raise
    say("end", ctx)


async def plain(ctx: Context, number: int = 0) -> int:
    await body(ctx, BODY_S)
    return number


def in_a_child(ctx: Context) -> None:
    in_a_thread(ctx)


def in_a_thread(ctx: Context) -> None:
    """Ticks until it is let go, so that the ledger shows until when it ran."""
    say("start", ctx)
    while not RELEASE.exists() and not ctx.cancelled:
        say("tick", ctx)
        time.sleep(0.002)
    say("cut" if ctx.cancelled else "end", ctx)


async def on_the_loop(ctx: Context) -> None:
    say("start", ctx)
    try:
        while not RELEASE.exists():
            say("tick", ctx)
            await asyncio.sleep(0.002)
    except asyncio.CancelledError:
        say("cut", ctx)
        raise
    say("end", ctx)


async def sick(ctx: Context) -> None:
    say("start", ctx)
    await asyncio.sleep(0.2)
    say("end", ctx)
    if time.time() < SUFFERS:
        raise ConnectionError("the other side is away")


async def nothing() -> None:
    pass


async def changed(ctx: Context, number: int = 0, colour: str = "red") -> int:
    await body(ctx, BODY_S)
    return number


def declare(part: str) -> None:
    match part:
        case "pair":
            boss.register("left", plain, patience=PATIENCE_S)
            boss.register("right", plain, patience=PATIENCE_S, blocks=["left"])
        case "free":
            boss.register("left", plain)
            boss.register("right", plain)
        case "limits":
            boss.register("limited", plain, concurrency=3)
            boss.register("press", plain, uses={"press": 1})
        case "suspended":
            for name, fn in (("loop", on_the_loop), ("thread", in_a_thread)):
                boss.register(name, fn, timeout=None, blocks=[f"beside-{name}"])
                boss.register(f"beside-{name}", nothing)
            boss.register("child", in_a_child, timeout=None, executor="process", blocks=["beside-child"])
            boss.register("beside-child", nothing)
        case "outage":
            boss.register("job", plain, max_retries=3)
            boss.register("clock", plain, every=1)
            boss.register("left", plain, every=1)
            boss.register("right", plain, every=1, blocks=["left"])
        case "changed":
            boss.register("somewhere", changed if os.environ.get("NEWER") else plain)
            boss.register("everywhere", plain)
        case "truth":
            boss.register(
                "sick",
                sick,
                every=0.5,
                breaker=Breaker(failures=2, cooldown=1),
                max_retries=0,
                max_consecutive_failures=None,
            )
            boss.register("source", plain, every=1, priority="high")
            boss.register("sink", plain, every=1, depends_on=["source"])
        case _:
            raise ValueError(part)


declare(os.environ["PART"])
only = os.environ.get("ONLY")
if only:
    boss.only = lambda name: name in only.split(",")

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(created)f %(name)s %(message)s")
    logging.getLogger("shiftboss.run").setLevel(logging.WARNING)
    report = boss.run()
    sys.exit(report.exit_code)
