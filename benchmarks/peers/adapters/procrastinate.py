"""Procrastinate: coroutines of one worker; PostgreSQL by psycopg."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from peer_jobs import Bodies, as_coroutines
from procrastinate import App, PsycopgConnector


def settings() -> dict[str, str]:
    return {
        "durability": "synchronous_commit=on, psycopg",
        "storing": "batch_defer, 1,000 a transaction",
        "fetching": "one a transaction, LISTEN/NOTIFY",
        "slots": "100, coroutines",
        "orphans": "put back only by a task of the user's (its how-to has one)",
    }


def opened(store: str) -> App:
    return App(connector=PsycopgConnector(conninfo=store))


def declared(store: str, bodies: Bodies) -> App:
    app = opened(store)
    for name, body in as_coroutines(bodies).items():
        app.task(name=name)(body)
    return app


def prepare(store: str) -> None:
    async def make() -> None:
        async with opened(store).open_async() as app:
            await app.schema_manager.apply_schema_async()

    asyncio.run(make())


@asynccontextmanager
async def produce(store: str) -> AsyncIterator[Callable[[str, list[int]], Awaitable[None]]]:
    async with declared(store, Bodies(lambda *a, **k: None)).open_async() as app:

        async def enqueue(job: str, numbers: list[int]) -> None:
            await app.tasks[job].batch_defer_async(*[{"number": number} for number in numbers])

        yield enqueue


def work(store: str, bodies: Bodies, slots: int, ready: Callable[[], None]) -> None:
    asyncio.run(run(declared(store, bodies), slots, ready))


def schedule(store: str, bodies: Bodies, count: int, ready: Callable[[], None]) -> None:
    app = opened(store)

    def ticking(number: int) -> Callable[[int], Awaitable[None]]:
        async def tick(timestamp: int) -> None:
            bodies.tick(number)

        return tick

    for number in range(count):
        app.periodic(cron="* * * * * *")(app.task(name=f"tick-{number}")(ticking(number)))
    asyncio.run(run(app, 100, ready))


async def run(app: App, slots: int, ready: Callable[[], None]) -> None:
    async with app.open_async():
        ready()
        await app.run_worker_async(concurrency=slots)
