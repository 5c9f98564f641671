"""Durable runs a second, from trigger to stored success, beside the raw commit limit of the same file system.

    python benchmarks/durable_runs.py [--runs 30000] [--rounds 3] [--folder DIR] [--json]

Ours: 1,000 producers trigger a no-op coroutine; a run counts when its success is committed (SQLite, WAL,
`synchronous=FULL`), in a process that collects garbage as `boss.run()` does.  Raw: the same number of rows inserted,
claimed, deleted and written to a history by plain statements, 1,000 rows a transaction, nothing else done: no rules, no
bodies, no answers.  Also: trigger to start when idle, beside one commit of one such row.  Rounds take turns; medians
are printed, ratios are what to compare.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import apsw

from shiftboss import Orchestrator
from shiftboss.app.serve import collect_seldom
from shiftboss.core.events import RunEnded

PRODUCERS = 1000
BATCH = 1000
IDLE_TRIGGERS = 200
IDLE_GAP_S = 0.01

RAW_SCHEMA = """
CREATE TABLE run (id INTEGER PRIMARY KEY, worker TEXT, queue INTEGER, due_at INTEGER, occurs_at INTEGER, data TEXT);
CREATE INDEX run_queue ON run (worker, queue, due_at, id) WHERE queue IS NOT NULL;
CREATE INDEX run_occurs ON run (worker, occurs_at, id);
CREATE TABLE history (id INTEGER PRIMARY KEY, worker TEXT, status INTEGER, finished_at INTEGER, data TEXT);
CREATE INDEX history_worker ON history (worker, id);
"""
DATA = json.dumps({"id": 1, "worker": "noop", "status": "running", "text": "x" * 300})


def raw_connection(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.execute(RAW_SCHEMA)
    return connection


def raw_runs_a_second(path: Path, runs: int) -> float:
    """Insert, claim and complete in batches, by the fewest statements."""
    connection = raw_connection(path)
    began = time.perf_counter()
    for first in range(1, runs + 1, BATCH):
        ids = range(first, min(first + BATCH, runs + 1))
        with connection:
            connection.executemany("INSERT INTO run VALUES (?, 'noop', 1, ?, ?, ?)", ((i, i, i, DATA) for i in ids))
            connection.execute(
                "UPDATE run SET queue = NULL, data = ? WHERE id BETWEEN ? AND ?", (DATA, ids[0], ids[-1])
            )
        with connection:
            connection.execute(
                "INSERT INTO history SELECT id, worker, 2, due_at, data FROM run WHERE id BETWEEN ? AND ?",
                (ids[0], ids[-1]),
            )
            connection.execute("DELETE FROM run WHERE id BETWEEN ? AND ?", (ids[0], ids[-1]))
    took_s = time.perf_counter() - began
    connection.close()
    return runs / took_s


def raw_commit_ms(path: Path) -> list[float]:
    """One row, one commit, with a gap between."""
    connection = raw_connection(path)
    taken = []
    for i in range(IDLE_TRIGGERS):
        time.sleep(IDLE_GAP_S)
        began = time.perf_counter()
        with connection:
            connection.execute("INSERT INTO run VALUES (?, 'noop', 1, ?, ?, ?)", (i, i, i, DATA))
        taken.append((time.perf_counter() - began) * 1000)
    connection.close()
    return taken


async def our_runs_a_second(url: str, runs: int) -> tuple[float, list[float]]:
    boss = Orchestrator(url, max_concurrency=PRODUCERS * 2)
    started: asyncio.Queue[float] = asyncio.Queue()
    ended, all_ended = 0, asyncio.Event()
    loop = asyncio.get_running_loop()

    @boss.worker()
    async def noop() -> None: ...

    @boss.worker()
    async def stamp() -> None:
        started.put_nowait(time.perf_counter())

    def count(events: Any) -> None:
        nonlocal ended
        ended += sum(1 for event in events if type(event) is RunEnded)
        if ended >= runs:
            loop.call_soon_threadsafe(all_ended.set)

    async def producer() -> None:
        for _ in range(runs // PRODUCERS):
            await noop.trigger()

    boss.on_events(count)
    async with boss:
        began = time.perf_counter()
        await asyncio.gather(*(producer() for _ in range(PRODUCERS)))
        await all_ended.wait()
        rate = runs / (time.perf_counter() - began)
        taken = []
        for _ in range(IDLE_TRIGGERS):
            await asyncio.sleep(IDLE_GAP_S)
            asked = time.perf_counter()
            await stamp.trigger()
            taken.append((await started.get() - asked) * 1000)
    return rate, taken


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30_000, help="runs a round (a multiple of 1,000)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files go (default: a temporary folder here)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    collect_seldom()
    raw: list[float] = []
    ours: list[float] = []
    commit_ms: list[float] = []
    start_ms: list[float] = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory(dir=options.folder or Path.cwd()) as folder:
            raw.append(raw_runs_a_second(Path(folder) / "raw.db", options.runs))
            commit_ms += raw_commit_ms(Path(folder) / "one.db")
            rate, taken = asyncio.run(our_runs_a_second(f"sqlite:///{Path(folder) / 'ours.db'}", options.runs))
            ours.append(rate)
            start_ms += taken
    figures = {
        "runs_per_s": round(statistics.median(ours)),
        "raw_runs_per_s": round(statistics.median(raw)),
        "share_of_raw": round(statistics.median(ours) / statistics.median(raw), 3),
        "commit_ms_p50": round(quantile(commit_ms, 0.5), 3),
        "commit_ms_p99": round(quantile(commit_ms, 0.99), 3),
        "trigger_to_start_ms_p50": round(quantile(start_ms, 0.5), 3),
        "trigger_to_start_ms_p99": round(quantile(start_ms, 0.99), 3),
        "start_to_commit_ratio_p50": round(quantile(start_ms, 0.5) / quantile(commit_ms, 0.5), 2),
        "rounds": {"runs_per_s": [round(r) for r in ours], "raw_runs_per_s": [round(r) for r in raw]},
    }
    if options.json:
        print(json.dumps(figures))
        return
    print(f"durable runs       {figures['runs_per_s']:>9,} /s   rounds {figures['rounds']['runs_per_s']}")
    print(f"raw limit          {figures['raw_runs_per_s']:>9,} /s   share {figures['share_of_raw']:.0%}")
    print(f"one commit         {figures['commit_ms_p50']:>9} ms  p99 {figures['commit_ms_p99']} ms")
    print(
        f"trigger to start   {figures['trigger_to_start_ms_p50']:>9} ms  p99 {figures['trigger_to_start_ms_p99']} ms, "
        f"{figures['start_to_commit_ratio_p50']} commits"
    )


if __name__ == "__main__":
    main()
