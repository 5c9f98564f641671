"""Does waiting work slow down the rest?  A million pending runs behind a disabled worker, and another worker's trigger.

    python benchmarks/backlog.py [--pending 1000000] [--rounds 3] [--folder DIR] [--json]

Two stores, one empty and one with the backlog, each opened by an orchestrator with the same workers.  In turns, a
trigger of the free worker is timed until its body starts.  What counts is the ratio of the medians: 1.0 is the aim.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

from _stored_runs import store_runs
from shiftboss import Orchestrator
from shiftboss.clock import SystemClock
from shiftboss.core.model import Disabled, WorkerState
from shiftboss.core.snapshot import Change
from shiftboss.core.worker import Definition
from shiftboss.stores.urls import open_store

TRIGGERS = 200
GAP_S = 0.005


def fill(url: str, pending: int) -> None:
    """Store a disabled worker and its backlog, as a node would have written it."""
    clock = SystemClock()
    store = open_store(url, clock=clock)
    store.open(create=True)
    session = store.session()
    now = clock.now()
    state = WorkerState(
        definition=Definition(name="held"),
        declared_at=now,
        disabled=Disabled(by="benchmark", reason="holds the backlog", since=now),
    )
    with session.begin() as tx:
        tx.changes()
        tx.write(Change(workers=(state,)), new=())
    store_runs(session, ["held"], pending, due_at=now)
    session.close()
    store.close()


async def starts_ms(url: str) -> list[float]:
    boss = Orchestrator(url)
    started: asyncio.Queue[float] = asyncio.Queue()

    @boss.worker()
    async def held() -> None: ...

    @boss.worker()
    async def free() -> None:
        started.put_nowait(time.perf_counter())

    taken = []
    async with boss:
        for _ in range(TRIGGERS):
            await asyncio.sleep(GAP_S)
            asked = time.perf_counter()
            await free.trigger()
            taken.append((await started.get() - asked) * 1000)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pending", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files go (default: a temporary folder here)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder or Path.cwd()) as folder:
        empty, full = (f"sqlite:///{Path(folder) / name}.db" for name in ("empty", "full"))
        fill(empty, 0)
        fill(full, options.pending)
        taken: dict[str, list[float]] = {empty: [], full: []}
        for _ in range(options.rounds):
            for url in (empty, full):
                taken[url] += asyncio.run(starts_ms(url))
    medians = {url: statistics.median(values) for url, values in taken.items()}
    figures = {
        "pending": options.pending,
        "empty_ms": round(medians[empty], 3),
        "full_ms": round(medians[full], 3),
        "ratio": round(medians[full] / medians[empty], 2),
    }
    if options.json:
        print(json.dumps(figures))
    else:
        print(f"trigger to start: {figures['empty_ms']} ms on an empty store, {figures['full_ms']} ms behind")
        print(f"{options.pending:,} pending runs: ratio {figures['ratio']}")


if __name__ == "__main__":
    main()
