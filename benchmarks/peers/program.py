"""One process of a Python peer, in the peer's own environment:  program.py ADAPTER ROLE STORE [NUMBER] [TOTAL]

Roles, each a function of the adapter:
    settings   say the settings that matter for durability and speed
    prepare    make the store: tables, migrations
    produce    a process that stores jobs when the harness asks for some; how many at once is up to the library
    work       a process that runs jobs, NUMBER at once, until SIGTERM; TOTAL of them are counted
    schedule   a process that fires NUMBER schedules once a second each, until SIGTERM

Rules of this file
- It imports the standard library alone.  Adapters import their library by its own name: they are modules of a package.
- Whatever role, the first message is `ready`; a request is a line of JSON on stdin.
- A worker ends with the harness: at the end of its stdin.
- An adapter raises Absent for what its library does not have.  That is a message, no failure.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import sys
import threading
import time
from typing import Any

from absent import Absent
from peer_jobs import Bodies, Voice

TOGETHER = 1_000  # jobs that are handed over in one call


def main() -> None:
    name, role, store, *numbers = sys.argv[1:]
    say = Voice()
    adapter = importlib.import_module(f"adapters.{name}")
    match role:
        case "settings":
            say("settings", settings=adapter.settings())
        case "prepare":
            adapter.prepare(store)
            say("ready")
        case "produce":
            asyncio.run(produce(adapter, store, say))
        case "work" | "schedule":
            bodies = Bodies(say)
            bodies.expect(int(numbers[1]) if numbers[1:] else 0)
            threading.Thread(target=listen, args=(bodies, say), daemon=True).start()
            try:
                getattr(adapter, role)(store, bodies, int(numbers[0]), lambda: say("ready"))
            except Absent as error:
                say("absent", why=str(error))
        case _:
            sys.exit(__doc__)


def listen(bodies: Bodies, say: Voice) -> None:
    for line in sys.stdin:
        bodies.expect(json.loads(line)["total"])
        say("expecting")
    os.kill(os.getpid(), signal.SIGKILL)


async def produce(adapter: Any, store: str, say: Voice) -> None:
    """Store what each request asks for, and say when the first call began and the last one had returned."""
    async with adapter.produce(store) as enqueue:
        say("ready")
        while line := await asyncio.to_thread(sys.stdin.readline):
            request = json.loads(line)
            numbers = list(range(request["first"], request["first"] + request["count"]))
            from_ns = time.monotonic_ns()
            for at in range(0, len(numbers), TOGETHER):
                await enqueue(request["job"], numbers[at : at + TOGETHER])
            say("stored", from_ns=from_ns, to_ns=time.monotonic_ns())


if __name__ == "__main__":
    main()
