"""A node whose body keeps the interpreter's lock: `python frozen_node.py`; it appends what its bodies do to LEDGER.

LEASE makes the lease shorter, by setting the constants of the engine before anything is started: there is no option.
"""

import ctypes
import logging
import os
import sys
import threading
import time

from shiftboss import Context, Orchestrator, command
from shiftboss.core import fleet
from shiftboss.engine import lease

if "LEASE" in os.environ:
    fleet.LEASE_S = lease.LEASE_S = float(os.environ["LEASE"])
    lease.RENEW_S = fleet.LEASE_S / 4
    lease.TRUST_MARGIN_S = fleet.LEASE_S / 6
    fleet.RESCUE_GRACE_S = float(os.environ.get("GRACE", fleet.LEASE_S / 6))
    fleet.KILL_S = fleet.LEASE_S / 12

LEDGER = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
options = {"freeze_limit": float(os.environ["LIMIT"])} if "LIMIT" in os.environ else {}

boss = Orchestrator(os.environ["STORE"], shutdown_timeout=5, process_slots=1, **options)


def say(what: str, ctx: Context) -> None:
    os.write(LEDGER, f"{what} {ctx.worker} {ctx.run_id} {os.getpid()} {time.monotonic():.3f}\n".encode())


sleep = ctypes.PyDLL(None).sleep  # PyDLL calls with the lock held, as a C extension does that never lets go of it
# What the engine is doing then: `_write_turn` is a turn that writes, `Cycle._write` is within its transaction.
MOMENT = os.environ.get("MOMENT", "wait")


def keep_the_lock(seconds: float) -> None:
    while not engine_is_in(MOMENT):
        time.sleep(0.02 if MOMENT == "wait" else 0.0002)
    sleep(round(seconds))


def engine_is_in(function: str) -> bool:
    (engine,) = (thread for thread in threading.enumerate() if thread.name == "shiftboss-engine")
    frame = sys._current_frames()[engine.ident]
    names = []
    while frame is not None:
        names += (frame.f_code.co_name, frame.f_code.co_qualname)
        frame = frame.f_back
    return function in names


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
