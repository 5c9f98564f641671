"""A node whose body keeps the interpreter's lock: `python frozen_node.py`; it appends what its bodies do to LEDGER.

LEASE makes the lease shorter, by setting the constants of the engine before anything is started: there is no option.
"""

import ctypes
import logging
import os
import sys
import time

from shiftboss import Context, Orchestrator, command
from shiftboss.core import fleet
from shiftboss.engine import lease

if "LEASE" in os.environ:
    fleet.LEASE_S = lease.LEASE_S = float(os.environ["LEASE"])
    lease.RENEW_S = fleet.LEASE_S / 4
    lease.TRUST_MARGIN_S = fleet.LEASE_S / 6
    fleet.RESCUE_GRACE_S = fleet.LEASE_S / 6
    fleet.KILL_S = fleet.LEASE_S / 12

LEDGER = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
options = {"freeze_limit": float(os.environ["LIMIT"])} if "LIMIT" in os.environ else {}

boss = Orchestrator(os.environ["STORE"], shutdown_timeout=5, process_slots=1, **options)


def say(what: str, ctx: Context) -> None:
    os.write(LEDGER, f"{what} {ctx.worker} {ctx.run_id} {os.getpid()} {time.monotonic():.3f}\n".encode())


def keep_the_lock(seconds: float) -> None:
    """As a C extension does that never lets go of it: PyDLL calls with the lock held."""
    ctypes.PyDLL(None).sleep(round(seconds))


@boss.worker(timeout=None)
def freezes(ctx: Context, seconds: float) -> str:
    say("begin", ctx)
    keep_the_lock(seconds)
    say("end", ctx)
    return "done"


@boss.worker(timeout=None)
async def freezes_on_the_loop(ctx: Context, seconds: float) -> str:
    say("begin", ctx)
    keep_the_lock(seconds)
    say("end", ctx)
    return "done"


@boss.worker(timeout=None)
def stays(ctx: Context) -> None:
    say("begin", ctx)
    while not ctx.cancelled:
        time.sleep(0.05)
    say("cut", ctx)


@boss.worker(timeout=None, executor="process")
def in_a_child(ctx: Context, seconds: float) -> str:
    say("begin", ctx)
    time.sleep(seconds)
    say("end", ctx)
    return "done"


boss.register("program", command(["sleep", "10"]), timeout=None)
boss.register("freezes-once", freezes, timeout=None, at_most_once=True)

if "ONLY" in os.environ:
    boss.only = lambda name: name in os.environ["ONLY"].split(",")

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(created)f %(name)s %(message)s")
    sys.exit(boss.run().exit_code)
