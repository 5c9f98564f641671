"""Do bodies that crash their children slow down the others?  500 short runs, alone and beside crashes at stated rates.

    python benchmarks/beside_poison.py [--runs 500] [--crashes 1,2,4,8] [--rounds 3] [--folder DIR] [--json]

One orchestrator on one SQLite file.  `computes` and `waits` are short bodies in children (5 ms of CPU, 5 ms asleep),
`coroutine` waits on the loop; each runs two at a time, and what is timed is from the first trigger to the last stored
success.  Beside them, poison is triggered at an even pace, in turns: a body that leaves by os._exit, one that
segfaults, one that ignores TERM past its timeout until it is killed, one that takes more memory than it may.  There are
slots for all of them, so what is measured is what a crash costs the node, not waiting for a slot.

Each crash costs the start of an interpreter, so at some rate any machine has no CPU left for anything else: what one
crash costs alone is printed first, and for each body up to which rate the aim is kept.  Rounds take turns through all
conditions; ratios are taken within a round, medians of them are printed, and their spread in brackets.
"""

from __future__ import annotations

import argparse
import asyncio
import compileall
import contextlib
import ctypes
import itertools
import json
import logging
import os
import resource
import signal
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import shiftboss
from shiftboss import Orchestrator
from shiftboss.core.events import RunEnded

AIM = 1.5
SHORT_S = 0.005
STEPS = 110_000  # 5 ms of CPU
AT_A_TIME = 2
WARM_RUNS = 20
BUSY = 0.5  # load average
LIMIT = "128MB"
TOO_MUCH_BYTES = 192 << 20

boss = Orchestrator(process_slots=AT_A_TIME * 2 + 4)


@boss.worker(executor="process", concurrency=AT_A_TIME)
def computes() -> None:
    total = 0
    for step in range(STEPS):
        total += step


@boss.worker(executor="process", concurrency=AT_A_TIME)
def waits() -> None:
    time.sleep(SHORT_S)


@boss.worker(concurrency=AT_A_TIME)
async def coroutine() -> None:
    await asyncio.sleep(SHORT_S)


@boss.worker(executor="process", concurrency=1, max_retries=0, max_consecutive_failures=None)
def leaves() -> None:
    os._exit(7)


@boss.worker(executor="process", concurrency=1, max_retries=0, max_consecutive_failures=None)
def segfaults() -> None:
    ctypes.string_at(0)


@boss.worker(
    executor="process", concurrency=1, max_retries=0, max_consecutive_failures=None, timeout=0.2, cancel_grace=0.1
)
def hangs() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(60)


@boss.worker(executor="process", concurrency=1, max_retries=0, max_consecutive_failures=None, max_memory=LIMIT)
def grows() -> None:
    kept = bytearray(TOO_MUCH_BYTES)
    time.sleep(60)
    del kept


SHORT = {"computes": computes, "waits": waits, "coroutine": coroutine}
POISON = {"leaves": leaves, "segfaults": segfaults, "hangs": hangs, "grows": grows}


class Took(NamedTuple):
    """One measurement."""

    wall_s: float
    node_cpu_s: float
    crashes: int


class Cost(NamedTuple):
    """What one crash costs when nothing else runs, its child's start included."""

    wall_s: float  # from its trigger to its stored end
    node_cpu_s: float
    child_cpu_s: float


class Watch:
    """Counts what ended, from the engine's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._left = 0
        self._all = asyncio.Event()
        self.crashes = 0

    def __call__(self, events: Any) -> None:
        for event in events:
            if type(event) is not RunEnded:
                continue
            if event.worker in POISON:
                assert event.status == "dead", event
                self.crashes += 1
            else:
                assert event.status == "succeeded", event
                self._left -= 1
                if not self._left:
                    self._loop.call_soon_threadsafe(self._all.set)

    async def runs(self, worker: str, runs: int) -> Took:
        self._left = runs
        self._all.clear()
        began_s, before, crashes = time.perf_counter(), cpu_s(), self.crashes
        await asyncio.gather(*(SHORT[worker].trigger() for _ in range(runs)))
        await self._all.wait()
        wall_s, after = time.perf_counter() - began_s, cpu_s()
        return Took(wall_s, after[0] - before[0], self.crashes - crashes)


def cpu_s() -> tuple[float, float]:
    """Of this process, and of its children that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    node, children = (each.ru_utime + each.ru_stime for each in both)
    return node, children


@contextlib.asynccontextmanager
async def crashing(watch: Watch, a_second: float) -> AsyncIterator[None]:
    """Poison at an even pace; entered when each has crashed once, left when the last has."""
    if not a_second:
        yield
        return
    handles: list[Any] = []
    is_over = False

    async def poison() -> None:
        start_s = time.perf_counter()
        for number, worker in enumerate(itertools.cycle(POISON.values())):
            await asyncio.sleep(max(0.0, start_s + number / a_second - time.perf_counter()))
            if is_over:
                return
            handles.append(await worker.trigger())

    pace = asyncio.create_task(poison())
    first = watch.crashes + len(POISON)
    while watch.crashes < first:
        await asyncio.sleep(0.05)
    yield
    is_over = True
    await pace
    for handle in handles:
        await handle.wait(timeout=60)


async def crash(worker: Any) -> Cost:
    began_s, before = time.perf_counter(), cpu_s()
    await (await worker.trigger()).wait(timeout=60)
    wall_s = time.perf_counter() - began_s
    await asyncio.sleep(0.05)  # until its child is reaped
    after = cpu_s()
    return Cost(wall_s, after[0] - before[0], after[1] - before[1])


async def measure(
    url: str, *, runs: int, rates: list[float], rounds: int
) -> tuple[dict[str, list[Cost]], dict[tuple[str, float], list[Took]]]:
    boss.store_override = url
    watch = Watch(asyncio.get_running_loop())
    boss.on_events(watch)
    found: dict[tuple[str, float], list[Took]] = {(name, rate): [] for name in SHORT for rate in rates}
    costs: dict[str, list[Cost]] = {name: [] for name in POISON}
    async with boss:
        for _ in range(rounds):
            for name, worker in POISON.items():
                costs[name].append(await crash(worker))
        for name in SHORT:
            await watch.runs(name, WARM_RUNS)
        for _ in range(rounds):
            for name, rate in found:
                async with crashing(watch, rate):
                    found[name, rate].append(await watch.runs(name, runs))
    return costs, found


def of_cost(costs: list[Cost]) -> dict[str, int]:
    wall_s, node_cpu_s, child_cpu_s = (statistics.median(values) for values in zip(*costs, strict=True))
    return {"ms": ms(wall_s), "node_cpu_ms": ms(node_cpu_s), "child_cpu_ms": ms(child_cpu_s)}


def of_condition(taken: list[Took], alone: list[Took]) -> dict[str, Any]:
    ratios = [each.wall_s / base.wall_s for each, base in zip(taken, alone, strict=True)]
    return {
        "ms": ms(statistics.median(each.wall_s for each in taken)),
        "ratio": round(statistics.median(ratios), 2),
        "spread": [round(min(ratios), 2), round(max(ratios), 2)],
        "crashes_per_s": round(sum(each.crashes for each in taken) / sum(each.wall_s for each in taken), 1),
        "node_cpu_ms": ms(statistics.median(each.node_cpu_s for each in taken)),
    }


def ms(seconds: float) -> int:
    return round(seconds * 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--crashes", default="1,2,4,8", help="rates to try, crashes a second")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files go (default: a temporary folder here)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rates = [0.0, *map(float, options.crashes.split(","))]
    logging.getLogger("shiftboss").addHandler(logging.NullHandler())  # a crash is a warning, and here there are many
    compileall.compile_dir(shiftboss.__path__[0], quiet=1)  # as in an installed package: each new child imports it
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(dir=options.folder or Path.cwd()) as folder:
        url = f"sqlite:///{Path(folder) / 'poison.db'}"
        load = os.getloadavg()[0]
        costs, found = asyncio.run(measure(url, runs=options.runs, rates=rates, rounds=options.rounds))
    crashes = {name: of_cost(each) for name, each in costs.items()}
    beside = {name: {rate: of_condition(found[name, rate], found[name, 0.0]) for rate in rates} for name in SHORT}
    if options.json:
        print(json.dumps({"runs": options.runs, "aim": AIM, "crash": crashes, "beside": beside, "load_before": load}))
        return
    print(f"load average before: {load:.1f}" + ("; others were busy, so times and ratios are too high" * (load > BUSY)))
    for name, cost in crashes.items():
        print(
            f"a crash alone, {name:9}  {cost['ms']:>5} ms until stored; "
            f"{cost['child_cpu_ms']:>4} ms CPU of its child, {cost['node_cpu_ms']:>3} ms of the node"
        )
    print(f"{options.runs} short runs, {AT_A_TIME} at a time (aim: at most {AIM} times as long)")
    for name, lines in beside.items():
        for rate, of in lines.items():
            what = f"{of['crashes_per_s']:>4.1f} crashes/s" if rate else "alone"
            ratio = f"{of['ratio']:.2f} times [{of['spread'][0]:.2f}–{of['spread'][1]:.2f}]" if rate else ""
            print(f"{name:10} {what:14} {of['ms']:>6} ms  {ratio:24} node {of['node_cpu_ms']:>5} ms CPU")
        kept = itertools.takewhile(lambda of: of["ratio"] <= AIM, lines.values())
        print(f"{name:10} keeps the aim up to {list(kept)[-1]['crashes_per_s']:.1f} crashes/s")


if __name__ == "__main__":
    main()
