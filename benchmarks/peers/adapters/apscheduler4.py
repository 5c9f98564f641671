"""APScheduler 4 (alpha): coroutines of one scheduler; PostgreSQL by SQLAlchemy and asyncpg.

Its documentation warns of SQLite under more than one scheduler, and a process that stores jobs is one: so PostgreSQL.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler import AsyncScheduler
from apscheduler.datastores.sqlalchemy import SQLAlchemyDataStore
from apscheduler.eventbrokers.asyncpg import AsyncpgEventBroker
from apscheduler.triggers.interval import IntervalTrigger
from peer_jobs import Bodies, as_coroutines
from sqlalchemy.ext.asyncio import create_async_engine

DO: dict[str, Callable[[int], Any]] = {}  # the process's own bodies: a stored task names a function of a module


async def do(job: str, number: int) -> None:
    await DO[job](number)


def settings() -> dict[str, str]:
    return {
        "durability": "synchronous_commit=on, asyncpg",
        "storing": "one a transaction, results not kept",
        "fetching": "as many as slots, in one statement",
        "slots": "100, coroutines",
        "SIGTERM": "scheduler.stop() in a handler of ours",
    }


@asynccontextmanager
async def opened(store: str, slots: int = 100) -> AsyncIterator[AsyncScheduler]:
    engine = create_async_engine(store.replace("postgresql://", "postgresql+asyncpg://"))
    broker = AsyncpgEventBroker.from_async_sqla_engine(engine)
    async with AsyncScheduler(SQLAlchemyDataStore(engine), broker, max_concurrent_jobs=slots) as scheduler:
        await scheduler.configure_task("do", func=do, max_running_jobs=None)
        yield scheduler
    await engine.dispose()


def prepare(store: str) -> None:
    async def make() -> None:
        async with opened(store):
            pass

    asyncio.run(make())


@asynccontextmanager
async def produce(store: str) -> AsyncIterator[Callable[[str, list[int]], Awaitable[None]]]:
    async with opened(store) as scheduler:

        async def enqueue(job: str, numbers: list[int]) -> None:
            for number in numbers:
                await scheduler.add_job("do", args=[job, number])

        yield enqueue


def work(store: str, bodies: Bodies, slots: int, ready: Callable[[], None]) -> None:
    DO.update(as_coroutines(bodies))

    async def main() -> None:
        async with opened(store, slots) as scheduler:
            await run(scheduler, ready)

    asyncio.run(main())


def schedule(store: str, bodies: Bodies, count: int, ready: Callable[[], None]) -> None:
    async def tick(number: int) -> None:
        bodies.tick(number)

    DO["tick"] = tick

    async def main() -> None:
        async with opened(store) as scheduler:
            now = datetime.now(UTC)
            for number in range(count):
                trigger = IntervalTrigger(seconds=1, start_time=now + timedelta(seconds=10 + number / count))
                await scheduler.add_schedule("do", trigger, id=f"tick-{number}", args=["tick", number])
            await run(scheduler, ready)

    asyncio.run(main())


async def run(scheduler: AsyncScheduler, ready: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    stopping: list[asyncio.Task[None]] = []
    loop.add_signal_handler(signal.SIGTERM, lambda: stopping.append(loop.create_task(scheduler.stop())))
    await scheduler.start_in_background()
    ready()
    await scheduler.wait_until_stopped()
