"""Durable runs a second on PostgreSQL, from trigger to stored success, beside the raw limit of the same server.

    python benchmarks/postgres_runs.py [--runs 30000] [--rounds 3] [--nodes 1 2] [--workers 1 8] [--url …] [--json]

Ours: 1,000 producers trigger a no-op coroutine; a run counts when its success is committed (`synchronous_commit` on,
the server on this machine), in a process that collects garbage as `boss.run()` does.  With two nodes there are two such
processes on one store, and both of their runs count; with eight workers each process triggers all of them, and none has
to do with another.
Raw: the same rows inserted, claimed, deleted and written to a history by pipelined statements, 1,000 rows a
transaction, nothing else done: no rules, no bodies, no answers.  Also: trigger to start when idle, beside one commit.
Without --url a server of the tests is started, with fsync on.  Medians are printed; ratios are what to compare.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import queue
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # for a server without any set-up

import psycopg
from psycopg import sql

from durable_runs import BATCH, DATA, IDLE_GAP_S, IDLE_TRIGGERS, PRODUCERS, our_runs_a_second, quantile
from postgres_server import a_cluster
from shiftboss import Orchestrator
from shiftboss.app.serve import collect_seldom
from shiftboss.core.events import RunEnded

SCHEMA = "shiftboss_bench"
RAW_SCHEMA = """
CREATE TABLE raw_run (id bigint PRIMARY KEY, worker text, queue int, due_at bigint, occurs_at bigint, data text);
CREATE INDEX raw_run_queue ON raw_run (worker, queue, due_at, id) WHERE queue IS NOT NULL;
CREATE INDEX raw_run_occurs ON raw_run (worker, occurs_at, id);
CREATE TABLE raw_history (id bigint PRIMARY KEY, worker text, status int, finished_at bigint, data text);
CREATE INDEX raw_history_worker ON raw_history (worker, id);
"""
INSERT = "INSERT INTO raw_run SELECT id, 'noop', 1, id, id, data FROM unnest(%b::bigint[], %b::text[]) AS new(id, data)"
CLAIM = """
UPDATE raw_run SET queue = NULL, data = new.data FROM unnest(%b::bigint[], %b::text[]) AS new(id, data)
WHERE raw_run.id = new.id
"""
KEEP = "INSERT INTO raw_history SELECT id, 'noop', 2, id, data FROM unnest(%b::bigint[], %b::text[]) AS old(id, data)"
DELETE = "DELETE FROM raw_run WHERE id = ANY (%b)"


def raw_runs_a_second(url: str, runs: int) -> float:
    """Insert, claim and complete in batches, by the fewest statements and round trips."""
    with psycopg.connect(url, autocommit=True, prepare_threshold=0) as connection:
        connection.execute("DROP TABLE IF EXISTS raw_run, raw_history")
        connection.execute(RAW_SCHEMA, prepare=False)
        began = time.perf_counter()
        for first in range(1, runs + 1, BATCH):
            ids = list(range(first, min(first + BATCH, runs + 1)))
            data = [DATA] * len(ids)
            with connection.pipeline(), connection.transaction():
                connection.execute(INSERT, (ids, data))
                connection.execute(CLAIM, (ids, data))
            with connection.pipeline(), connection.transaction():
                connection.execute(KEEP, (ids, data))
                connection.execute(DELETE, (ids,))
        return runs / (time.perf_counter() - began)


def raw_commit_ms(url: str) -> list[float]:
    """One row, one commit, with a gap between."""
    taken = []
    with psycopg.connect(url, autocommit=True, prepare_threshold=0) as connection:
        for i in range(-IDLE_TRIGGERS, 0):
            time.sleep(IDLE_GAP_S)
            began = time.perf_counter()
            connection.execute(INSERT, ([i], [DATA]))
            taken.append((time.perf_counter() - began) * 1000)
    return taken


@contextmanager
def an_empty_schema(url: str) -> Iterator[str]:
    drop = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(SCHEMA))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(drop)
        yield f"{url}?schema={SCHEMA}"
        connection.execute(drop)


def by_processes(url: str, runs: int, nodes: int, workers: int) -> float:
    """All runs over the time from the first trigger to the last success, whichever node ran them."""
    command = [sys.executable, __file__, "--node", url, "--runs", str(runs), "--workers", str(workers)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(nodes)
    ]
    ended: queue.SimpleQueue[int] = queue.SimpleQueue()

    def listen(process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            ended.put(int(line))

    listeners = [threading.Thread(target=listen, args=(process,)) for process in processes]
    for listener in listeners:
        listener.start()
    for _ in processes:
        ended.get()  # it is ready
    began = time.perf_counter()
    for process in processes:
        say(process, "go")
    left = nodes * runs
    while left > 0:
        left -= ended.get()
    took_s = time.perf_counter() - began
    for process in processes:
        say(process, "stop")
    for process, listener in zip(processes, listeners, strict=True):
        process.wait()
        listener.join()
    return nodes * runs / took_s


def say(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdin is not None
    process.stdin.write(word + "\n")
    process.stdin.flush()


async def run_node(url: str, runs: int, workers: int) -> None:
    """Ready, trigger when told to, say how many have ended each time some have, stop when told to."""
    boss = Orchestrator(url, max_concurrency=PRODUCERS * 2)

    async def noop() -> None: ...

    handles = [boss.worker(name=f"noop-{n}")(noop) for n in range(workers)]

    def count(events: Any) -> None:
        ended = sum(1 for event in events if type(event) is RunEnded)
        if ended:
            print(ended, flush=True)

    async def producer(handle: Any) -> None:
        for _ in range(runs // PRODUCERS):
            await handle.trigger()

    boss.on_events(count)
    async with boss:
        print(0, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.gather(*(producer(handles[n % workers]) for n in range(PRODUCERS)))
        await asyncio.to_thread(sys.stdin.readline)


def measured(url: str, options: argparse.Namespace) -> dict[str, Any]:
    raw: list[float] = []
    commit_ms: list[float] = []
    start_ms: list[float] = []
    ours: dict[tuple[int, int], list[float]] = {(n, w): [] for w in options.workers for n in options.nodes}
    for _ in range(options.rounds):
        raw.append(raw_runs_a_second(url, options.runs))
        commit_ms += raw_commit_ms(url)
        for nodes, workers in ours:
            with an_empty_schema(url) as place:
                if nodes == workers == 1:
                    rate, taken = asyncio.run(our_runs_a_second(place, options.runs))
                    start_ms += taken
                else:
                    rate = by_processes(place, options.runs, nodes, workers)
                ours[nodes, workers].append(rate)
    return {
        "raw_runs_per_s": round(statistics.median(raw)),
        **{f"runs_per_s_{n}_nodes_{w}_workers": round(statistics.median(rates)) for (n, w), rates in ours.items()},
        "share_of_raw": round(statistics.median(next(iter(ours.values()))) / statistics.median(raw), 3),
        "commit_ms_p50": round(quantile(commit_ms, 0.5), 3),
        "commit_ms_p99": round(quantile(commit_ms, 0.99), 3),
        "trigger_to_start_ms_p50": round(quantile(start_ms, 0.5), 3) if start_ms else None,
        "trigger_to_start_ms_p99": round(quantile(start_ms, 0.99), 3) if start_ms else None,
        "rounds": {
            "raw": [round(r) for r in raw],
            **{f"{n}x{w}": [round(r) for r in rates] for (n, w), rates in ours.items()},
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30_000, help="runs a round and node (a multiple of 1,000)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8], help="divisors of 1,000")
    parser.add_argument("--url", help="a server to use instead of one of our own; it gets tables raw_… and a schema")
    parser.add_argument("--node", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    collect_seldom()
    if options.node:
        asyncio.run(run_node(options.node, options.runs, options.workers[0]))
        return
    if options.url:
        figures = measured(options.url, options)
    else:
        with a_cluster("max_wal_size=4GB") as cluster:
            figures = measured(cluster.url, options)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<28} {value}")


if __name__ == "__main__":
    main()
