"""APScheduler 3: functions in threads of one scheduler; SQLite by SQLAlchemy.  A job is deleted as a thread gets it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.interval import IntervalTrigger
from peer_jobs import Bodies, as_functions

DO: dict[str, Callable[[int], object]] = {}  # the process's own bodies: a stored job names a function of a module


def do(job: str, number: int) -> None:
    DO[job](number)


def settings() -> dict[str, str]:
    return {
        "durability": "rollback journal, synchronous=FULL (the defaults); a job is deleted as a thread gets it",
        "storing": "one a transaction, misfire_grace_time=None",
        "fetching": "all that are due",
        "slots": "100 threads",
        "SIGTERM": "no handler of its own: shutdown(wait=True) in ours",
    }


def opened(store: str, slots: int = 1) -> BlockingScheduler:
    return BlockingScheduler(
        jobstores={"default": SQLAlchemyJobStore(url=f"sqlite:///{store}")},
        executors={"default": ThreadPoolExecutor(slots)},
        job_defaults={"misfire_grace_time": None, "coalesce": True},
        timezone=UTC,
    )


def prepare(store: str) -> None:
    SQLAlchemyJobStore(url=f"sqlite:///{store}").start(None, "default")


@asynccontextmanager
async def produce(store: str) -> AsyncIterator[Callable[[str, list[int]], Awaitable[None]]]:
    from apscheduler.schedulers.background import BackgroundScheduler

    scheduler = BackgroundScheduler(
        jobstores={"default": SQLAlchemyJobStore(url=f"sqlite:///{store}")},
        job_defaults={"misfire_grace_time": None},
        timezone=UTC,
    )
    scheduler.start(paused=True)

    async def enqueue(job: str, numbers: list[int]) -> None:
        for number in numbers:
            scheduler.add_job(do, "date", run_date=datetime.now(UTC), args=[job, number])

    try:
        yield enqueue
    finally:
        scheduler.shutdown()


def work(store: str, bodies: Bodies, slots: int, ready: Callable[[], None]) -> None:
    DO.update(as_functions(bodies))
    run(opened(store, slots), ready)


def schedule(store: str, bodies: Bodies, count: int, ready: Callable[[], None]) -> None:
    DO["tick"] = bodies.tick
    scheduler = opened(store, 100)
    now = datetime.now(UTC)
    for number in range(count):
        first = now + timedelta(seconds=10 + number / count)
        scheduler.add_job(do, IntervalTrigger(seconds=1, start_date=first), args=["tick", number], id=f"tick-{number}")
    run(scheduler, ready)


def run(scheduler: BlockingScheduler, ready: Callable[[], None]) -> None:
    import signal
    import threading

    from apscheduler.events import EVENT_SCHEDULER_STARTED

    def stop(*_: object) -> None:
        threading.Thread(target=scheduler.shutdown).start()  # it waits for jobs: not within the handler

    signal.signal(signal.SIGTERM, stop)
    scheduler.add_listener(lambda event: ready(), EVENT_SCHEDULER_STARTED)
    scheduler.start()
