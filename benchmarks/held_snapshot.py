"""Does trigger to start stay as it was while somebody holds a snapshot open?  Late beside early, in one run.

    python benchmarks/held_snapshot.py [--seconds 120] [--rate 2000] [--store postgresql] [--from-elsewhere] [--json]

A node runs no-op coroutines, triggered at an even rate, while an idle transaction holds a snapshot that was taken
before the first of them: nothing that was deleted or replaced since can be vacuumed (PostgreSQL), and the log cannot be
reset (SQLite).  Beside them one more worker is triggered 20 times a second and timed until it starts.  With
--from-elsewhere all triggers come from a client in another process.  The figure is the median of the last tenth of the
time divided by that of the first; --nobody leaves the snapshot out, for comparison.  At the end the tables with the
most dead rows are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # for a server without any set-up

import apsw
import psycopg

from durable_runs import quantile
from postgres_server import Cluster, a_cluster
from shiftboss import Orchestrator
from shiftboss.app.serve import collect_seldom

TICK_S = 0.010
PROBE_GAP_S = 0.050
SCHEMA = "bench_held"
DEAD_ROWS = """
SELECT relname, n_dead_tup, pg_relation_size(relid) FROM pg_stat_user_tables
WHERE schemaname = %s AND n_dead_tup > 0 ORDER BY n_dead_tup DESC
"""

Sample = tuple[float, float]  # seconds since the beginning, and milliseconds from trigger to start


async def load(boss: Orchestrator, rate: float, until_s: float) -> int:
    """Trigger at an even rate until then, whatever becomes of the triggers; how many were stored."""
    pending: set[asyncio.Task[Any]] = set()
    began_s, made = time.perf_counter(), 0
    while (now_s := time.perf_counter()) < until_s:
        while made < rate * (now_s - began_s):
            made += 1
            task = asyncio.ensure_future(boss.trigger("noop"))
            pending.add(task)
            task.add_done_callback(pending.discard)
        await asyncio.sleep(TICK_S)
    await asyncio.gather(*pending)
    return made


async def node_alone(url: str, rate: float, seconds: float) -> tuple[list[Sample], float]:
    """The samples, and triggers a second."""
    boss = Orchestrator(url, max_concurrency=100)
    started: asyncio.Queue[float] = asyncio.Queue()

    @boss.worker()
    async def noop() -> None: ...

    @boss.worker()
    async def stamp() -> None:
        started.put_nowait(time.perf_counter())

    taken: list[Sample] = []
    async with boss:
        began_s = time.perf_counter()
        loading = asyncio.create_task(load(boss, rate, began_s + seconds))
        while (asked_s := time.perf_counter()) < began_s + seconds:
            await boss.trigger("stamp")
            taken.append((asked_s - began_s, (await started.get() - asked_s) * 1000))
            await asyncio.sleep(PROBE_GAP_S)
        made = await loading
    return taken, made / seconds


async def node_beside(url: str) -> None:
    """A node that says when `stamp` began, until stdin ends."""
    boss = Orchestrator(url, max_concurrency=100)

    @boss.worker()
    async def noop() -> None: ...

    @boss.worker()
    async def stamp() -> None:
        print(time.monotonic_ns(), flush=True)

    async with boss:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def client_beside(url: str, rate: float, seconds: float) -> tuple[list[Sample], float]:
    command = [sys.executable, __file__, "--node", url]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    taken: list[Sample] = []
    try:
        async with Orchestrator(url).client() as boss:
            began_s = time.perf_counter()
            loading = asyncio.create_task(load(boss, rate, began_s + seconds))
            while time.perf_counter() < began_s + seconds:
                at_s, asked_ns = time.perf_counter() - began_s, time.monotonic_ns()
                await boss.trigger("stamp")
                began_ns = int(await asyncio.to_thread(process.stdout.readline))
                taken.append((at_s, (began_ns - asked_ns) / 1e6))
                await asyncio.sleep(PROBE_GAP_S)
            made = await loading
    finally:
        process.communicate(timeout=60)
    return taken, made / seconds


@contextmanager
def a_held_snapshot(cluster: Cluster, *, nobody: bool) -> Iterator[None]:
    with psycopg.connect(cluster.url, application_name="a forgotten report") as connection:
        if not nobody:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            connection.execute("SELECT count(*) FROM pg_class")
        yield
        connection.rollback()


def on_a_server(options: argparse.Namespace) -> dict[str, Any]:
    with a_cluster("fsync=on", "max_wal_size=4GB", "shared_buffers=512MB") as cluster:
        url = f"{cluster.url}?schema={SCHEMA}"
        asyncio.run(prepared(url))
        with a_held_snapshot(cluster, nobody=options.nobody):
            figures = measured(url, options)
        with psycopg.connect(cluster.url) as connection:
            figures["dead"] = {
                name: [dead, size] for name, dead, size in connection.execute(DEAD_ROWS, [SCHEMA]).fetchall()
            }
    return figures


def in_a_file(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=options.folder or Path.cwd()) as folder:
        path = Path(folder) / "jobs.db"
        url = f"sqlite:///{path}"
        asyncio.run(prepared(url))
        reader = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        if not options.nobody:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM run").fetchall()
        figures = measured(url, options)
        figures["log_bytes"] = (Path(folder) / "jobs.db-wal").stat().st_size
        reader.close()
    return figures


async def prepared(url: str) -> None:
    async with Orchestrator(url).client(create=True):
        pass


def measured(url: str, options: argparse.Namespace) -> dict[str, Any]:
    way = client_beside if options.from_elsewhere else node_alone
    taken, rate = asyncio.run(way(url, options.rate, options.seconds))
    tenth = options.seconds / 10
    parts = [[ms for at_s, ms in taken if n * tenth <= at_s < (n + 1) * tenth] for n in range(10)]
    medians = [round(statistics.median(part), 2) for part in parts if part]
    return {
        "triggers_a_second": round(rate),
        "p50_ms": medians,
        "p99_ms": [round(quantile(part, 0.99), 2) for part in parts if part],
        "late_by_early": round(medians[-1] / medians[0], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--rate", type=float, default=2000.0, help="triggers a second")
    parser.add_argument("--store", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--from-elsewhere", action="store_true", help="triggers come from a client in another process")
    parser.add_argument("--nobody", action="store_true", help="no snapshot is held")
    parser.add_argument("--folder", type=Path, help="where SQLite's file goes (default: a temporary folder here)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--node", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    collect_seldom()
    if options.node:
        asyncio.run(node_beside(options.node))
        return
    figures = on_a_server(options) if options.store == "postgresql" else in_a_file(options)
    figures["load"] = round(os.getloadavg()[0], 1)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<18} {value}")


if __name__ == "__main__":
    main()
