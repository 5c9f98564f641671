"""What do many scheduled workers in one process cost: at the start, when idle, at full pace, and after a downtime?

    python benchmarks/schedules.py [--workers 100000] [--few 1000] [--parts start,pace,downtime] [--folder DIR] [--json]

The same is measured with few workers and with many, each part in a process of its own, on a SQLite store with
`synchronous=FULL`.  All workers share one no-op coroutine, so what a worker costs is measured beside its function.

*start*: hourly workers that the store knows already.  Seconds to declare them in Python, seconds until the node is
ready, resident memory a worker by then (beyond that of the same process without workers), and the share of a core that
the node takes while none of them is due.  *pace*: workers of `every="60s"`, spread evenly over the minute.  Fires a
second, how late their functions are entered, and the share of a core, all in 20 s, once the node has caught up with
what came due while it started.  *downtime*: the same workers, whose node was down for an hour (their first runs are an
hour old, as a process with an earlier clock has declared them).  Seconds from ready until each has run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from shiftboss import Orchestrator
from shiftboss.app.serve import collect_seldom
from shiftboss.clock import SystemClock
from shiftboss.core.events import Event, RunStarted

IDLE_S = 20.0  # four renewals of the lease
PACE_S = 20.0
EVERY_S = 60.0
CAUGHT_UP_S = 0.1  # no run of the last second was later
CATCH_UP_S = 90.0  # at most
PART_S = 300.0  # no part takes longer
KINDS: dict[str, dict[str, Any]] = {
    "start": {"every": "1h", "start": "next"},
    "pace": {"every": EVERY_S, "jitter": EVERY_S},
    "downtime": {"every": EVERY_S, "jitter": EVERY_S},
}


class EarlierClock(SystemClock):
    """The clock of this machine an hour ago, before it was booted again: what has passed since is a downtime."""

    boot = machine_boot = "an earlier boot"

    def now(self) -> datetime:
        return super().now() - timedelta(hours=1)


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


async def nothing() -> None: ...


def declared(url: str, number: int, kind: str, clock: SystemClock) -> Orchestrator:
    boss = Orchestrator(url, clock=clock)
    for each in range(number):
        boss.worker(name=f"w{each:06}", **KINDS[kind])(nothing)
    return boss


async def known(url: str, number: int, kind: str) -> None:
    """Some process has declared the workers before."""
    clock = EarlierClock() if kind == "downtime" else SystemClock()
    async with declared(url, number, kind, clock).client(create=True):
        pass


async def start(url: str, number: int) -> dict[str, float]:
    async with Orchestrator(url).client():  # what the first store of a process costs is not a worker's
        pass
    before, began = resident_bytes(), time.perf_counter()
    boss = declared(url, number, "start", SystemClock())
    declared_s, began = time.perf_counter() - began, time.perf_counter()
    async with boss:
        ready_s = time.perf_counter() - began
        await asyncio.sleep(1.0)  # until the first turns are over
        cpu_s, began = time.process_time(), time.perf_counter()
        await asyncio.sleep(IDLE_S)
        return {
            "declared_s": declared_s,
            "ready_s": ready_s,
            "bytes_a_worker": (resident_bytes() - before) / number,
            "idle_share": (time.process_time() - cpu_s) / (time.perf_counter() - began),
        }


async def pace(url: str, number: int) -> dict[str, float]:
    boss = declared(url, number, "pace", SystemClock())
    late_s: list[float] = []
    boss.on_events(lambda events: late_s.extend(_delays(events)))
    async with boss:
        limit = time.perf_counter() + CATCH_UP_S
        while time.perf_counter() < limit:
            late_s.clear()
            await asyncio.sleep(1.0)
            if max(late_s, default=0.0) < CAUGHT_UP_S:
                break
        late_s.clear()
        cpu_s, began = time.process_time(), time.perf_counter()
        await asyncio.sleep(PACE_S)
        passed_s, share = time.perf_counter() - began, time.process_time() - cpu_s
        late = sorted(late_s)
        return {
            "fires_a_second": len(late) / passed_s,
            "late_p50_ms": statistics.median(late) * 1000,
            "late_p99_ms": late[int(len(late) * 0.99)] * 1000,
            "pace_share": share / passed_s,
        }


async def downtime(url: str, number: int) -> dict[str, float]:
    boss = declared(url, number, "downtime", SystemClock())
    loop, missing, all_ran = asyncio.get_running_loop(), set(boss.definitions), asyncio.Event()

    def count(events: Sequence[Event]) -> None:
        if missing:
            missing.difference_update(event.worker for event in events if isinstance(event, RunStarted))
            if not missing:
                loop.call_soon_threadsafe(all_ran.set)

    boss.on_events(count)
    async with boss:
        began = time.perf_counter()
        await all_ran.wait()
        return {"caught_up_s": time.perf_counter() - began}


def _delays(events: Sequence[Event]) -> list[float]:
    return [event.delay_s for event in events if isinstance(event, RunStarted)]


PARTS = {"start": start, "pace": pace, "downtime": downtime}


def apart(name: str, url: str, number: int) -> Any:
    """What a process of its own says."""
    asked = [sys.executable, __file__, "--child", name, "--store", url, "--workers", str(number)]
    told = subprocess.run(asked, check=True, stdout=subprocess.PIPE, timeout=PART_S, env=os.environ)
    return json.loads(told.stdout)


def child(name: str, url: str, number: int) -> None:
    collect_seldom()  # as in a process that belongs to shiftboss
    if name.startswith("known "):
        asyncio.run(known(url, number, name.removeprefix("known ")))
        print("{}")
    else:
        print(json.dumps(asyncio.run(PARTS[name](url, number))))


def measured(parts: Sequence[str], number: int, folder: Path | None) -> dict[str, float]:
    figures: dict[str, float] = {}
    for part in parts:
        with tempfile.TemporaryDirectory(dir=folder or Path.cwd()) as place:
            url = f"sqlite:///{place}/schedules.db"
            apart(f"known {part}", url, number)
            figures |= apart(part, url, number)
    return figures


LABELS = {
    "declared_s": "seconds to declare",
    "ready_s": "seconds until ready",
    "bytes_a_worker": "bytes a worker",
    "idle_share": "share of a core, idle",
    "fires_a_second": "fires a second",
    "late_p50_ms": "late by, median, ms",
    "late_p99_ms": "late by, p99, ms",
    "pace_share": "share of a core, at pace",
    "caught_up_s": "seconds to catch up",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=100_000)
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--parts", default="start,pace,downtime")
    parser.add_argument("--folder", type=Path, help="where the files go (default: a temporary folder here)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--store", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.store, options.workers)
        return
    parts = options.parts.split(",")
    few, many = (measured(parts, number, options.folder) for number in (options.few, options.workers))
    if options.json:
        print(json.dumps({str(options.few): few, str(options.workers): many}))
        return
    print(f"{'':28}{options.few:>12,}{options.workers:>12,}{'ratio':>10}")
    for key, label in LABELS.items():
        if key in few:
            ratio = many[key] / few[key] if few[key] else float("nan")
            print(f"{label:28}{few[key]:12,.3f}{many[key]:12,.3f}{ratio:10,.1f}")


if __name__ == "__main__":
    main()
