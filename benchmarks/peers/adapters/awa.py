"""awa: coroutines, dispatched by its Rust core; PostgreSQL."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from absent import Absent
from awa import AsyncClient
from peer_jobs import Bodies, as_coroutines

QUEUE = "jobs"
GRACE_MS = 25_000


@dataclass
class Do:
    job: str
    number: int


def settings() -> dict[str, str]:
    return {
        "durability": "synchronous_commit=on, its queue storage",
        "storing": "enqueue_many_copy, 1,000 by COPY",
        "fetching": "its defaults, poll_interval_ms=200",
        "slots": "100, coroutines",
        "SIGTERM": f"no handler of its own: shutdown(timeout_ms={GRACE_MS}) in ours",
    }


def prepare(store: str) -> None:
    async def make() -> None:
        client = AsyncClient(store)
        await client.migrate()
        await client.install_queue_storage()  # what its COPY needs
        await client.close()

    asyncio.run(make())


@asynccontextmanager
async def produce(store: str) -> AsyncIterator[Callable[[str, list[int]], Awaitable[None]]]:
    client = AsyncClient(store)

    async def enqueue(job: str, numbers: list[int]) -> None:
        if len(numbers) == 1:
            await client.insert(Do(job, numbers[0]), queue=QUEUE)
        else:
            await client.enqueue_many_copy([Do(job, number) for number in numbers], queue=QUEUE)

    yield enqueue
    await client.close()


def work(store: str, bodies: Bodies, slots: int, ready: Callable[[], None]) -> None:
    do = as_coroutines(bodies)

    async def main() -> None:
        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
        client = AsyncClient(store)

        @client.task(Do, queue=QUEUE)
        async def run(job: Any) -> None:
            await do[job.args.job](job.args.number)

        await client.start([(QUEUE, slots)])
        ready()
        await told.wait()
        await client.shutdown(timeout_ms=GRACE_MS)
        await client.close()

    asyncio.run(main())


def schedule(store: str, bodies: Bodies, count: int, ready: Callable[[], None]) -> None:
    raise Absent("cron, a minute at the finest")
