"""Many triggers: one at a time, by `gather`, and by `trigger_many`; and what another worker notices of a large one.

    python benchmarks/fan_out.py [--triggers 50000] [--rounds 3] [--folder DIR] [--url …] [--only sqlite] [--json]

The same payloads are stored in each way by a client, in one process, on a store of its own: SQLite with
`synchronous=FULL`, and PostgreSQL with fsync (a server of the tests, without --url).  One at a time gets a fiftieth of
them, as it would take minutes.  With keys: a key for each; again: all keys are known, and nothing is stored.  Then a
node runs: a no-op is triggered again and again, and timed until it starts, first with nothing else, then while
`trigger_many` stores as many triggers as above.  Rounds take turns; medians are printed, ratios are what to compare.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # for a server without any set-up

from postgres_runs import an_empty_schema
from postgres_server import a_cluster
from shiftboss import Orchestrator

FEWER = 50  # one at a time
TOGETHER = 1_000  # tasks of one `gather`
GAP_S = 0.002  # between two triggers whose starts are timed
QUIET_S = 1.0

_names = count()


def payloads(number: int) -> list[dict[str, Any]]:
    return [{"to": f"user{each}@example.org", "number": each} for each in range(number)]


async def one_at_a_time(boss: Orchestrator, number: int) -> float:
    many = payloads(max(1, number // FEWER))
    began = time.perf_counter()
    for payload in many:
        await boss.trigger("send", payload)
    return len(many) / (time.perf_counter() - began)


async def by_gather(boss: Orchestrator, number: int) -> float:
    many = payloads(number)
    began = time.perf_counter()
    for first in range(0, number, TOGETHER):
        await asyncio.gather(*(boss.trigger("send", payload) for payload in many[first : first + TOGETHER]))
    return number / (time.perf_counter() - began)


async def by_trigger_many(boss: Orchestrator, number: int, keys: list[str] | None = None) -> float:
    many = payloads(number)
    began = time.perf_counter()
    await boss.trigger_many("send", many, keys=keys)
    return number / (time.perf_counter() - began)


def declared(url: str, started: Callable[[], None] = lambda: None) -> Orchestrator:
    boss = Orchestrator(url)

    @boss.worker()
    async def send(to: str, number: int) -> None: ...

    @boss.worker()
    async def free() -> None:
        started()

    return boss


async def rates(url: str, number: int) -> dict[str, float]:
    boss = declared(url)
    async with boss.client(create=True):
        await boss.trigger_many("send", payloads(1_000))  # statements are prepared
        keys = [f"{next(_names)}:{each}" for each in range(number)]
        return {
            "one at a time": await one_at_a_time(boss, number),
            "gather": await by_gather(boss, number),
            "trigger_many": await by_trigger_many(boss, number),
            "with keys": await by_trigger_many(boss, number, keys),
            "again": await by_trigger_many(boss, number, keys),
        }


async def slowest_start_ms(url: str, number: int) -> tuple[float, float]:
    """The slowest start of a free worker: with nothing else, and while a node stores so many triggers."""
    began: asyncio.Queue[float] = asyncio.Queue()
    boss = declared(url, lambda: began.put_nowait(time.perf_counter()))

    async def starts(is_over: Callable[[], bool]) -> float:
        slowest = 0.0
        while not is_over():
            triggered = time.perf_counter()
            await boss.trigger("free")
            slowest = max(slowest, await began.get() - triggered)
            await asyncio.sleep(GAP_S)
        return slowest * 1000

    async with boss:
        until = time.perf_counter() + QUIET_S
        quiet = await starts(lambda: time.perf_counter() > until)
        storing = asyncio.create_task(boss.trigger_many("send", payloads(number), delay="1h"))
        return quiet, await starts(storing.done)


@contextmanager
def stores(folder: str | None, url: str | None, only: str | None) -> Iterator[dict[str, Callable[[], Any]]]:
    """By name: what opens an empty store."""

    @contextmanager
    def sqlite() -> Iterator[str]:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            yield f"sqlite:///{place}/fan_out.db"

    known: dict[str, Callable[[], Any]] = {"sqlite": sqlite} if only != "postgresql" else {}
    if only == "sqlite":
        yield known
    elif url is not None:
        yield known | {"postgresql": lambda: an_empty_schema(url)}
    else:
        with a_cluster() as cluster:
            yield known | {"postgresql": lambda: an_empty_schema(cluster.url)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triggers", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder")
    parser.add_argument("--url")
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    report: dict[str, dict[str, float]] = {}
    with stores(given.folder, given.url, given.only) as known:
        for name, empty in known.items():
            found: dict[str, list[float]] = {}
            for _ in range(given.rounds):
                with empty() as url:
                    for way, rate in asyncio.run(rates(url, given.triggers)).items():
                        found.setdefault(way, []).append(rate)
                with empty() as url:
                    quiet, beside = asyncio.run(slowest_start_ms(url, given.triggers))
                    found.setdefault("slowest start, ms", []).append(quiet)
                    found.setdefault("beside a fan-out, ms", []).append(beside)
            report[name] = {way: statistics.median(each) for way, each in found.items()}
    if given.json:
        print(json.dumps(report))
        return
    for name, ways in report.items():
        print(f"{name}, {given.triggers:,} triggers")
        for way, value in ways.items():
            ratio = f"  {value / ways['one at a time']:7.1f} ×" if "ms" not in way else ""
            print(f"  {way:24}{value:12,.0f}{' ' if 'ms' in way else '/s'}{ratio}")


if __name__ == "__main__":
    main()
