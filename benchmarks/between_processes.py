"""Trigger to start from one process to another on the same store, and how many runs a second end there.

    python benchmarks/between_processes.py [--triggers 300] [--rounds 3] [--gap-ms 20] [--runs 20000] [--postgres]
        [--folder DIR]

A client triggers a coroutine that runs in the only node, a process of its own.  The node says by the machine's clock
when the function began.  Gaps between triggers are random, around --gap-ms, so that no look is in step with them.
Beside it, on SQLite, the same without notifications: the node looks for commits every 20 ms.  Rounds take turns; ratios
are what to compare.  Then 1,000 producers of the client trigger --runs no-op coroutines: from the first trigger to the
last stored success, and how many triggers a second are accepted meanwhile.
With --postgres a server of the tests is started, with fsync on, and nothing stands beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # for a server without any set-up

from durable_runs import PRODUCERS, quantile
from shiftboss import Orchestrator
from shiftboss.app.serve import collect_seldom
from shiftboss.core.events import RunEnded
from shiftboss.stores.sqlite import notifier

WARM_UP = 20
SLOTS = 2000


def refused(self: object) -> None:
    raise notifier.NotWatched("the benchmark compares with looks alone")


async def node(url: str, runs: int) -> None:
    """Print when each run of `stamp` began, and when so many of `noop` have ended, until stdin ends."""
    boss = Orchestrator(url, max_concurrency=SLOTS)
    ended = 0

    @boss.worker()
    async def stamp() -> None:
        print(time.monotonic_ns(), flush=True)

    @boss.worker()
    async def noop() -> None: ...

    def count(events: Any) -> None:
        nonlocal ended
        before, ended = ended, ended + sum(1 for event in events if type(event) is RunEnded)
        if before < runs <= ended:
            print("ended", flush=True)

    if runs:
        boss.on_events(count)
    async with boss:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def a_node(url: str, *, looks: bool = False, runs: int = 0) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, __file__, "--node", url, "--runs", str(runs), *(["--looks"] if looks else [])]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.communicate(timeout=30)


async def latencies_ms(url: str, process: subprocess.Popen[str], triggers: int, gap_s: float) -> list[float]:
    assert process.stdout is not None
    dice = random.Random(7)
    taken: list[float] = []
    async with Orchestrator(url).client() as client:
        for _ in range(WARM_UP + triggers):
            await asyncio.sleep(gap_s * dice.uniform(0.5, 1.5))
            asked_ns = time.monotonic_ns()
            await client.trigger("stamp")
            began_ns = int(await asyncio.to_thread(process.stdout.readline))
            taken.append((began_ns - asked_ns) / 1e6)
    return taken[WARM_UP:]


def measured_ms(url: str, triggers: int, gap_s: float, *, looks: bool) -> list[float]:
    with a_node(url, looks=looks) as process:
        return asyncio.run(latencies_ms(url, process, triggers, gap_s))


async def produced(url: str, process: subprocess.Popen[str], runs: int) -> tuple[float, float]:
    """Runs a second from the first trigger to the last stored success, and triggers a second."""
    async with Orchestrator(url).client() as client:

        async def producer() -> None:
            for _ in range(runs // PRODUCERS):
                await client.trigger("noop")

        began = time.perf_counter()
        await asyncio.gather(*(producer() for _ in range(PRODUCERS)))
        accepted_s = time.perf_counter() - began
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "ended\n"
        return runs / (time.perf_counter() - began), runs / accepted_s


def rates(urls: Iterator[str], options: argparse.Namespace) -> dict[str, int]:
    """The medians over one store for each round."""
    taken = []
    for _, url in zip(range(options.rounds), urls, strict=False):
        with a_node(url, runs=options.runs) as process:
            taken.append(asyncio.run(produced(url, process, options.runs)))
    ended, accepted = (statistics.median(each) for each in zip(*taken, strict=True))
    return {"runs_per_s": round(ended), "triggers_per_s": round(accepted)}


def percentiles(taken: list[float]) -> dict[str, float]:
    return {"p50_ms": round(statistics.median(taken), 2), "p99_ms": round(quantile(taken, 0.99), 2)}


def in_a_file(options: argparse.Namespace) -> dict[str, Any]:
    taken: dict[str, list[float]] = {"notified": [], "looking": []}
    for _ in range(options.rounds):
        for how, all_ms in taken.items():
            with tempfile.TemporaryDirectory(dir=options.folder or Path.cwd()) as folder:
                url = f"sqlite:///{Path(folder) / 'jobs.db'}"
                all_ms += measured_ms(url, options.triggers, options.gap_ms / 1000, looks=how == "looking")
    notified, looking = (percentiles(all_ms) for all_ms in taken.values())
    return {
        "notified": notified,
        "looking": looking,
        "ratio_p50": round(notified["p50_ms"] / looking["p50_ms"], 3),
        "ratio_p99": round(notified["p99_ms"] / looking["p99_ms"], 3),
        "throughput": rates(files(options), options),
    }


def files(options: argparse.Namespace) -> Iterator[str]:
    while True:
        with tempfile.TemporaryDirectory(dir=options.folder or Path.cwd()) as folder:
            yield f"sqlite:///{Path(folder) / 'jobs.db'}"


def on_a_server(options: argparse.Namespace) -> dict[str, Any]:
    from postgres_server import a_cluster

    taken: list[float] = []
    with ExitStack() as stack:
        url = stack.enter_context(a_cluster("fsync=on")).url
        for number in range(options.rounds):
            schema = f"{url}?schema=bench_{number}"
            taken += measured_ms(schema, options.triggers, options.gap_ms / 1000, looks=False)
        throughput = rates((f"{url}?schema=runs_{number}" for number in range(options.rounds)), options)
    return {"postgres": percentiles(taken), "throughput": throughput}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triggers", type=int, default=300, help="a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gap-ms", type=float, default=20.0)
    parser.add_argument("--runs", type=int, default=20_000, help="a round (a multiple of 1,000)")
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the files go (default: a temporary folder here)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--node", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--looks", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.node:
        if options.looks:
            notifier.Notifier.watch = refused  # type: ignore[method-assign,assignment]  # as without inotify
        collect_seldom()
        asyncio.run(node(options.node, options.runs))
        return
    collect_seldom()
    figures = on_a_server(options) if options.postgres else in_a_file(options)
    figures["load"] = round(os.getloadavg()[0], 1)
    if options.json:
        print(json.dumps(figures))
        return
    for name, figure in figures.items():
        print(f"{name:<10} {figure}")


if __name__ == "__main__":
    main()
