"""pgqueuer: coroutines of one worker that takes and completes jobs in batches; PostgreSQL by asyncpg."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import uvloop
from peer_jobs import Bodies, as_coroutines
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job, Schedule
from pgqueuer.queries import Queries

BATCH = 500  # for throughput; at most half of the slots where they are few


def settings() -> dict[str, str]:
    return {
        "durability": "synchronous_commit=on, logged tables, asyncpg, uvloop",
        "storing": "enqueue of 1,000 in one statement",
        "fetching": f"batch_size={BATCH}, ends written in batches of as many, LISTEN/NOTIFY",
        "slots": f"{2 * BATCH}, coroutines",
        "SIGTERM": "shutdown set by a handler, as its command does",
    }


def prepare(store: str) -> None:
    async def make() -> None:
        connection = await asyncpg.connect(store)
        await Queries(AsyncpgDriver(connection)).install()
        await connection.close()

    uvloop.run(make())


@asynccontextmanager
async def produce(store: str) -> AsyncIterator[Callable[[str, list[int]], Awaitable[None]]]:
    connection = await asyncpg.connect(store)
    queries = Queries(AsyncpgDriver(connection))

    async def enqueue(job: str, numbers: list[int]) -> None:
        await queries.enqueue([job] * len(numbers), [str(number).encode() for number in numbers], [0] * len(numbers))

    yield enqueue
    await connection.close()


def work(store: str, bodies: Bodies, slots: int, ready: Callable[[], None]) -> None:
    def entry(body: Callable[[int], Awaitable[None]]) -> Callable[[Job], Awaitable[None]]:
        async def run(job: Job) -> None:
            await body(int(job.payload or b"0"))

        return run

    async def main() -> None:
        boss = await opened(store)
        for name, body in as_coroutines(bodies).items():
            boss.entrypoint(name)(entry(body))
        ready()
        few = slots <= 20
        await boss.run(batch_size=slots // 2 if few else BATCH, max_concurrent_tasks=slots if few else 2 * BATCH)

    uvloop.run(main())


def schedule(store: str, bodies: Bodies, count: int, ready: Callable[[], None]) -> None:
    def ticking(number: int) -> Callable[[Schedule], Awaitable[None]]:
        async def tick(schedule: Schedule) -> None:
            bodies.tick(number)

        return tick

    async def main() -> None:
        boss = await opened(store)
        for number in range(count):
            boss.schedule(f"tick_{number}", "* * * * * *")(ticking(number))
        ready()
        await boss.run()

    uvloop.run(main())


async def opened(store: str) -> PgQueuer:
    import asyncio

    boss = PgQueuer.from_asyncpg_connection(await asyncpg.connect(store))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, boss.shutdown.set)
    return boss
