"""How far does one database go when one lock serialises the writers of a component, and what do several bring?

    python benchmarks/beyond_one_database.py [--seconds 2] [--writers 1 2 4] [--url postgresql://…] [--json]

Measured: writers (processes) that take one lock, insert, claim, complete and record a batch of runs, and
commit; two such transactions a run, as a cycle's are, without rules or bodies.  Without --url a server of the tests is
started, with fsync on.  From these a straight line: a transaction holds the lock for `fixed + batch * each`.

Modelled from it: the same with a network between node and server (after the lock a cycle waits for two round trips),
the nodes' leases, which are commits too, and several databases among which components of unequal size (1/1, 1/2, 1/3 …)
are dealt: the fullest one bounds all.
"""

from __future__ import annotations

import argparse
import heapq
import json
import multiprocessing
import statistics
import sys
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # for a server without any set-up

import psycopg

from durable_runs import DATA
from postgres_runs import CLAIM, DELETE, INSERT, KEEP, RAW_SCHEMA
from postgres_server import a_cluster

BATCHES = (1, 10, 100, 1000)
ROUND_TRIPS_MS = (0.0, 0.5, 1.0, 5.0)
HELD_ROUND_TRIPS = 2  # questions and their answers; writes with the commit
TRANSACTIONS_A_RUN = 2  # it is stored claimed by one, and settled by another
DATABASES = (1, 2, 4, 8, 16)
COMPONENTS = (20, 200)
NODES = (10, 100, 1000)
RENEW_S = 10.0  # how often each node renews its lease
LOCK_S = 4.0  # how long a cycle waits for the lock before it gives up

LOCK_TABLE = "CREATE TABLE raw_meta (number bigint); INSERT INTO raw_meta VALUES (0)"
LOCK = "SELECT number FROM raw_meta FOR UPDATE"
COUNT = "UPDATE raw_meta SET number = number + 1"
TABLES = "raw_run, raw_history, raw_meta"


# ── measured ─────────────────────────────────────────────────────────────────────────────────────────────────────


def write(url: str, writer: int, batch: int, seconds: float, together: Barrier, results: Any) -> None:
    """One writer: how many runs it brought through, and for how long each of its transactions had the lock."""
    held_ms: list[float] = []
    runs = 0
    with psycopg.connect(url, autocommit=True, prepare_threshold=0) as connection:
        together.wait()
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            first = writer * 1_000_000_000 + runs
            ids, data = list(range(first, first + batch)), [DATA] * batch
            for statements in (((INSERT, (ids, data)), (CLAIM, (ids, data))), ((KEEP, (ids, data)), (DELETE, (ids,)))):
                with connection.transaction():
                    connection.execute(LOCK)
                    locked = time.perf_counter()
                    with connection.pipeline():
                        for statement, values in statements:
                            connection.execute(statement, values)
                        connection.execute(COUNT)
                held_ms.append((time.perf_counter() - locked) * 1000)
            runs += batch
        took = time.perf_counter() - began
    results.put((runs / took, statistics.median(held_ms)))


def measured(url: str, writers: int, batch: int, seconds: float) -> tuple[float, float]:
    """Runs a second of all writers together, and the median hold of the lock in ms."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP TABLE IF EXISTS {TABLES}")
        connection.execute(RAW_SCHEMA)
        connection.execute(LOCK_TABLE)
    context = multiprocessing.get_context("spawn")
    together, results = context.Barrier(writers), context.Queue()
    processes = [
        context.Process(target=write, args=(url, writer, batch, seconds, together, results))
        for writer in range(writers)
    ]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return sum(rate for rate, _ in found), statistics.median(held for _, held in found)


# ── modelled ─────────────────────────────────────────────────────────────────────────────────────────────────────


def line(held_ms: dict[int, float]) -> tuple[float, float]:
    """`fixed` and `each` in ms, by least squares."""
    each, fixed = statistics.linear_regression(list(held_ms), list(held_ms.values()))
    return fixed, each


def bound(fixed_ms: float, each_ms: float, batch: int, round_trip_ms: float) -> float:
    """Runs a second of one database, however many nodes: the lock is held for one after another."""
    held_ms = fixed_ms + batch * each_ms + HELD_ROUND_TRIPS * round_trip_ms
    return 1000 * batch / (TRANSACTIONS_A_RUN * held_ms)


def times_one(components: int, databases: int) -> float:
    """How many times one database's runs several bring, when the largest component goes where there is most room."""
    sizes = [1 / rank for rank in range(1, components + 1)]
    loads = [0.0] * databases
    for size in sizes:
        heapq.heapreplace(loads, loads[0] + size)
    return sum(sizes) / max(loads)


def lock_time(nodes: int, held_ms: float) -> dict[str, float]:
    """What the nodes' number alone asks of the lock: the share of its time for leases, and the wait when all come."""
    return {"leases": round(nodes * held_ms / (RENEW_S * 1000), 3), "all_at_once_s": round(nodes * held_ms / 1000, 2)}


def figures(url: str, options: argparse.Namespace) -> dict[str, Any]:
    rates: dict[str, float] = {}
    held_ms: dict[int, float] = {}
    for batch in BATCHES:
        for writers in options.writers:
            rate, held = measured(url, writers, batch, options.seconds)
            rates[f"batch {batch}, {writers} writers"] = round(rate)
            if writers == min(options.writers):
                held_ms[batch] = held
    fixed, each = line(held_ms)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP TABLE IF EXISTS {TABLES}")
    return {
        "measured_runs_per_s": rates,
        "lock_held_ms": {batch: round(held, 3) for batch, held in held_ms.items()},
        "fixed_ms": round(fixed, 3),
        "each_ms": round(each, 4),
        "bound_runs_per_s": {
            f"batch {batch}, round trip {trip} ms": round(bound(fixed, each, batch, trip))
            for batch in BATCHES
            for trip in ROUND_TRIPS_MS
        },
        "lock_time": {f"{nodes} nodes": lock_time(nodes, fixed) for nodes in NODES},
        "nodes_that_fit_into_a_wait": round(LOCK_S * 1000 / fixed),
        "times_one_database": {
            f"{components} components, {databases} databases": round(times_one(components, databases), 1)
            for components in COMPONENTS
            for databases in DATABASES
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement")
    parser.add_argument("--writers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--url", help="a server to use instead of one of our own; it gets tables raw_…")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.url:
        found = figures(options.url, options)
    else:
        with a_cluster("max_wal_size=4GB") as cluster:
            found = figures(cluster.url, options)
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(name, "" if isinstance(value, dict) else value)
        for each, number in value.items() if isinstance(value, dict) else ():
            print(f"  {each!s:<36} {number}")


if __name__ == "__main__":
    main()
