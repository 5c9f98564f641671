"""Huey: functions in threads of one consumer; SQLite.  A task is deleted when it is taken, so it runs once at most."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from absent import Absent
from huey import SqliteHuey
from peer_jobs import Bodies, as_functions

THREADS = 4  # of those that take jobs for throughput: more of them wait for one another's lock on the file


def settings() -> dict[str, str]:
    return {
        "durability": "WAL, fsync=True (synchronous=FULL), results off; a task is deleted before it runs",
        "storing": "one a transaction",
        "fetching": "one a transaction, polling 0.1 s and slower when idle",
        "slots": f"{THREADS} threads (as many as jobs, for kill -9 and SIGTERM)",
        "SIGTERM": "as it comes: TERM interrupts, INT would let running tasks end",
    }


def opened(store: str) -> SqliteHuey:
    return SqliteHuey("bench", filename=store, fsync=True, results=False)


def prepare(store: str) -> None:
    opened(store)


@asynccontextmanager
async def produce(store: str) -> AsyncIterator[Callable[[str, list[int]], Awaitable[None]]]:
    tasks = declared(opened(store), Bodies(lambda *a, **k: None))

    async def enqueue(job: str, numbers: list[int]) -> None:
        for number in numbers:
            tasks[job](number)

    yield enqueue


def declared(huey: SqliteHuey, bodies: Bodies) -> dict[str, Any]:
    return {name: huey.task(name=name)(body) for name, body in as_functions(bodies).items()}


def work(store: str, bodies: Bodies, slots: int, ready: Callable[[], None]) -> None:
    huey = opened(store)
    declared(huey, bodies)
    huey.on_startup()(once(ready))
    huey.create_consumer(workers=slots if slots <= 20 else THREADS, worker_type="thread").run()


def once(ready: Callable[[], None]) -> Callable[[], None]:
    """Every thread calls what is to happen at the start."""
    left = [ready]

    def starting() -> None:
        if left:
            left.pop()()

    return starting


def schedule(store: str, bodies: Bodies, count: int, ready: Callable[[], None]) -> None:
    raise Absent("crontab, a minute at the finest")
