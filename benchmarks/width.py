"""Does it matter on how many workers the due work is spread?  The same runs in one lane, and each in a lane of its own.

    python benchmarks/width.py [--lanes 100000] [--store URL] [--shape triggered,scheduled,component] [--json]

The runs are stored first, all due, and then drained by one node of 100 slots with no-op coroutines.  *triggered*: one
run in each lane.  *scheduled*: one worker a lane, hourly, all due at the same instant, so that each start also stores
its next scheduled run.  *component*: as triggered, with `uses={"db": 1}` of 50 permits, so that all lanes are related.
What counts is each rate divided by that of the same number of runs in one lane, in the same process run.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from _stored_runs import store_runs
from shiftboss import Orchestrator
from shiftboss.app.serve import collect_seldom
from shiftboss.clock import SystemClock
from shiftboss.core.events import Event, RunEnded
from shiftboss.core.model import Origin
from shiftboss.stores.urls import open_store

SLOTS = 100
LATE_S = 60.0


def fill(url: str, names: list[str], runs: int) -> None:
    """Store due runs for workers that are declared already, in turn."""
    clock = SystemClock()
    store = open_store(url, clock=clock)
    store.open(create=False)
    session = store.session()
    store_runs(session, names, runs, due_at=clock.now() - timedelta(seconds=LATE_S))
    session.close()
    store.close()


def declared(url: str, names: list[str], **options: object) -> Orchestrator:
    boss = Orchestrator(url, max_concurrency=SLOTS, resources={"db": 50})

    async def nothing() -> None: ...

    for name in names:
        boss.worker(name=name, **options)(nothing)
    return boss


async def drained(url: str, names: list[str], runs: int, origin: Origin, **options: object) -> tuple[float, float]:
    """Runs a second from the first end to the last, and the seconds until the node had started."""
    async with declared(url, names, **options).client(create=True):
        pass
    if origin is Origin.TRIGGER:  # a scheduled worker has its first run, due at once, since it was declared
        fill(url, names, runs)
    boss = declared(url, names, **options)
    ended, first_at, all_ended = 0, 0.0, asyncio.Event()
    loop = asyncio.get_running_loop()

    def count(events: Sequence[Event]) -> None:
        nonlocal ended, first_at
        landed = sum(1 for event in events if isinstance(event, RunEnded))
        if landed:
            ended += landed
            first_at = first_at or time.perf_counter()
            if ended >= runs:
                loop.call_soon_threadsafe(all_ended.set)

    boss.on_events(count)
    began = time.perf_counter()
    collect_seldom()
    async with boss:
        ready_s = time.perf_counter() - began
        await all_ended.wait()
        rate = runs / (time.perf_counter() - first_at)
    return rate, ready_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lanes", type=int, default=100_000)
    parser.add_argument("--shape", default="triggered,scheduled,component")
    parser.add_argument("--folder", type=Path, help="where the files go (default: a temporary folder here)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=options.folder or Path.cwd()) as folder:

        def measure(label: str, lanes: int, origin: Origin, **workers: object) -> float:
            names = [f"w{number:06}" for number in range(lanes)]
            url = f"sqlite:///{folder}/{label}.db"
            rate, ready_s = asyncio.run(drained(url, names, options.lanes, origin, **workers))
            gc.collect()
            figures[label] = {"runs_a_second": round(rate), "ready_s": round(ready_s, 2)}
            return rate

        one = measure("one lane", 1, Origin.TRIGGER)
        for shape in options.shape.split(","):
            origin = Origin.OCCURRENCE if shape == "scheduled" else Origin.TRIGGER
            workers = {"scheduled": {"every": "1h"}, "component": {"uses": {"db": 1}}}.get(shape, {})
            rate = measure(shape, options.lanes, origin, **workers)
            figures[shape]["ratio"] = round(rate / one, 2)
    if options.json:
        print(json.dumps(figures))
        return
    for label, values in figures.items():
        ratio = f", {values['ratio']:.2f} of one lane" if "ratio" in values else ""
        print(f"{label}: {values['runs_a_second']:,.0f} runs a second{ratio}; ready after {values['ready_s']} s")


if __name__ == "__main__":
    main()
