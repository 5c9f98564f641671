"""DBOS: workflows on a queue; SQLite.  Each start and each end of a workflow is a transaction."""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from dbos import DBOS, DBOSClient
from peer_jobs import Bodies, as_functions

QUEUE = "jobs"
GRACE_S = 25


def settings() -> dict[str, str]:
    return {
        "durability": "SQLite as the library opens it (WAL, synchronous as SQLite has it: FULL)",
        "storing": "one a transaction",
        "fetching": "polling every second, as many as slots",
        "slots": "100, threads",
        "SIGTERM": f"no handler of its own: destroy(workflow_completion_timeout_sec={GRACE_S}) in ours",
    }


def prepare(store: str) -> None:
    launched(store, Bodies(lambda *a, **k: None))
    DBOS.destroy()


def launched(store: str, bodies: Bodies) -> None:
    DBOS(
        config={
            "name": "bench",
            "system_database_url": f"sqlite:///{store}",
            "log_level": "ERROR",
            "application_version": "1",
            "scheduler_polling_interval_sec": 1.0,
        }
    )
    for name, body in as_functions(bodies).items():
        DBOS.workflow(name=name)(plain(name, body))
    DBOS.launch()


def plain(name: str, body: Callable[[int], Any]) -> Callable[[int], None]:
    """A workflow is a function of its own."""

    def workflow(number: int) -> None:
        body(number)

    workflow.__name__ = workflow.__qualname__ = name
    return workflow


@asynccontextmanager
async def produce(store: str) -> AsyncIterator[Callable[[str, list[int]], Awaitable[None]]]:
    client = DBOSClient(system_database_url=f"sqlite:///{store}")

    async def enqueue(job: str, numbers: list[int]) -> None:
        for number in numbers:
            client.enqueue({"queue_name": QUEUE, "workflow_name": job, "app_version": "1"}, number)

    yield enqueue
    client.destroy()


def work(store: str, bodies: Bodies, slots: int, ready: Callable[[], None]) -> None:
    launched(store, bodies)
    DBOS.register_queue(QUEUE, worker_concurrency=slots)
    until_term(ready)


def schedule(store: str, bodies: Bodies, count: int, ready: Callable[[], None]) -> None:
    def fired(at: datetime, context: Any) -> None:
        bodies.tick(context)

    DBOS(
        config={
            "name": "bench",
            "system_database_url": f"sqlite:///{store}",
            "log_level": "ERROR",
            "application_version": "1",
            "scheduler_polling_interval_sec": 1.0,
        }
    )
    workflow = DBOS.workflow(name="fired")(fired)
    DBOS.launch()
    for number in range(count):
        DBOS.create_schedule(
            schedule_name=f"tick-{number}", workflow_fn=workflow, schedule="* * * * * *", context=number
        )
    until_term(ready)


def until_term(ready: Callable[[], None]) -> None:
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    ready()
    told.wait()
    DBOS.destroy(workflow_completion_timeout_sec=GRACE_S)
