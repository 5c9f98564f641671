"""flexiq: functions in threads, dispatched by its Rust core; SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from flexiq import Queue
from peer_jobs import Bodies, as_functions

BATCH = 100


def settings() -> dict[str, str]:
    return {
        "durability": "WAL, synchronous=NORMAL: a loss of power can take what was committed last",
        "storing": "enqueue_many, 1,000 a transaction",
        "fetching": f"scheduler_batch_size={BATCH}, polling every 50 ms (its push is for one process)",
        "slots": "100 threads",
    }


def opened(store: str, slots: int) -> Queue:
    return Queue(db_path=store, workers=slots, scheduler_batch_size=BATCH)


def declared(store: str, bodies: Bodies, slots: int) -> Queue:
    queue = opened(store, slots)
    for name, body in as_functions(bodies).items():
        queue.task(name=name)(body)
    return queue


def prepare(store: str) -> None:
    opened(store, 1)


@asynccontextmanager
async def produce(store: str) -> AsyncIterator[Callable[[str, list[int]], Awaitable[None]]]:
    queue = declared(store, Bodies(lambda *a, **k: None), 1)

    async def enqueue(job: str, numbers: list[int]) -> None:
        if len(numbers) == 1:
            queue.enqueue(job, (numbers[0],))
        else:
            queue.enqueue_many(job, [(number,) for number in numbers])

    yield enqueue


def work(store: str, bodies: Bodies, slots: int, ready: Callable[[], None]) -> None:
    queue = declared(store, bodies, slots)
    ready()
    queue.run_worker()


def schedule(store: str, bodies: Bodies, count: int, ready: Callable[[], None]) -> None:
    queue = opened(store, 100)
    for number in range(count):
        queue.periodic("* * * * * *", name=f"tick-{number}", args=(number,))(bodies.tick)
    ready()
    queue.run_worker()
