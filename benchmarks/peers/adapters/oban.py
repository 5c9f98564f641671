"""oban-py: coroutines of one producer; PostgreSQL by psycopg."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import uvloop
from absent import Absent
from oban import Oban, worker
from oban.schema import install
from peer_jobs import Bodies, as_coroutines
from psycopg.types.json import set_json_dumps, set_json_loads

DO: dict[str, Callable[[int], Any]] = {}  # the process's own bodies: a stored job names a class of a module
QUEUE = "jobs"


@worker(queue=QUEUE)
class Do:
    async def process(self, job: Any) -> None:
        await DO[job.args["job"]](job.args["number"])


def settings() -> dict[str, str]:
    return {
        "durability": "synchronous_commit=on, psycopg, uvloop and orjson as its command has them",
        "storing": "enqueue_many, 1,000 in one statement",
        "fetching": "as many as slots, LISTEN/NOTIFY",
        "slots": "100, coroutines",
        "orphans": "put back after 300 s by default",
        "SIGTERM": "its grace of 15 s, as its command does",
    }


@asynccontextmanager
async def opened(store: str, **options: Any) -> AsyncIterator[Oban]:
    set_json_dumps(orjson.dumps)
    set_json_loads(orjson.loads)
    pool = await Oban.create_pool(store)
    try:
        async with Oban(pool=pool, **options) as oban:
            yield oban
    finally:
        await pool.close()


def prepare(store: str) -> None:
    async def make() -> None:
        pool = await Oban.create_pool(store)
        await install(pool)
        await pool.close()

    uvloop.run(make())


@asynccontextmanager
async def produce(store: str) -> AsyncIterator[Callable[[str, list[int]], Awaitable[None]]]:
    async with opened(store) as oban:

        async def enqueue(job: str, numbers: list[int]) -> None:
            await oban.enqueue_many([Do.new({"job": job, "number": number}) for number in numbers])

        yield enqueue


def work(store: str, bodies: Bodies, slots: int, ready: Callable[[], None]) -> None:
    DO.update(as_coroutines(bodies))

    async def main() -> None:
        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
        async with opened(store, queues={QUEUE: slots}):
            ready()
            await told.wait()

    uvloop.run(main())


def schedule(store: str, bodies: Bodies, count: int, ready: Callable[[], None]) -> None:
    raise Absent("cron, a minute at the finest")
