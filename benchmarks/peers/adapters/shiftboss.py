"""shiftboss: coroutines on the engine of one process; SQLite or PostgreSQL, as the harness says."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from peer_jobs import Bodies, as_coroutines

from shiftboss import Orchestrator
from shiftboss.core.events import Event, NodeJoined


def settings() -> dict[str, str]:
    durable = {
        "sqlite": "WAL, synchronous=FULL",
        "postgresql": "synchronous_commit=on, psycopg",
    }
    return {
        "durability": durable[os.environ["SHIFTBOSS_BENCH_STORE"]],
        "storing": "trigger_many, 1,000 a call",
        "fetching": "as many as slots, ends of runs share commits while busy",
        "slots": "100, coroutines",
    }


def prepare(store: str) -> None:
    async def make() -> None:
        async with declared(store, Bodies(lambda *a, **k: None), 1).client(create=True):
            pass

    asyncio.run(make())


@asynccontextmanager
async def produce(store: str) -> AsyncIterator[Callable[[str, list[int]], Awaitable[None]]]:
    async with Orchestrator(url(store)).client() as client:

        async def enqueue(job: str, numbers: list[int]) -> None:
            if len(numbers) == 1:
                await client.trigger(job, {"number": numbers[0]})
            else:
                await client.trigger_many(job, [{"number": number} for number in numbers])

        yield enqueue


def work(store: str, bodies: Bodies, slots: int, ready: Callable[[], None]) -> None:
    declared(store, bodies, slots, ready).run()


def schedule(store: str, bodies: Bodies, count: int, ready: Callable[[], None]) -> None:
    boss = Orchestrator(url(store), max_concurrency=100)

    def ticking(number: int) -> Callable[[], Awaitable[None]]:
        async def tick() -> None:
            bodies.tick(number)

        return tick

    for number in range(count):
        boss.worker(name=f"tick-{number}", every="1s", jitter="1s")(ticking(number))
    tell(boss, ready)
    boss.run()


def declared(store: str, bodies: Bodies, slots: int, ready: Callable[[], None] = lambda: None) -> Orchestrator:
    boss = Orchestrator(url(store), max_concurrency=slots)
    for name, body in as_coroutines(bodies).items():
        boss.worker(name=name)(body)
    tell(boss, ready)
    return boss


def tell(boss: Orchestrator, ready: Callable[[], None]) -> None:
    """Its node has joined: that is its first event."""

    def told(events: Sequence[Event]) -> None:
        if any(isinstance(event, NodeJoined) for event in events):
            ready()

    boss.on_events(told)


def url(store: str) -> str:
    return store if "://" in store else f"sqlite:///{store}"
