"""A shutdown ends within its time with the store silent too, and says of each run only what is so (G1 to G4).

By the real clock: each of these took 5 s and more beyond its time, so there is room for a busy machine.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from postgres_proxy import Proxy

from shiftboss import Orchestrator, Status

TIMEOUT_S = 1.0
AT_LATEST_S = TIMEOUT_S + 3.0  # what a busy machine may add; a call of a silent store lasts 5 s
PATIENCE_S = 30.0
HOLDER = """
import apsw, sys
connection = apsw.Connection(sys.argv[1])
connection.set_busy_timeout(30_000)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


class Silent:
    """A store, and a way to make it silent."""

    def __init__(self, url: str, fall_silent, recover) -> None:
        self.url = url
        self.fall_silent = fall_silent
        self.recover = recover


@pytest.fixture(params=["sqlite", "postgres"])
def silent(request, tmp_path: Path) -> Iterator[Silent]:
    if request.param == "postgres":
        with Proxy(request.getfixturevalue("place").url + "&connect_timeout=2") as proxy:
            yield Silent(proxy.url, proxy.fall_silent, proxy.recover)
        return
    path = tmp_path / "boss.db"
    with holder(path) as hold:
        yield Silent(f"sqlite:///{path}", *hold)


@contextmanager
def holder(path: Path):
    """Somebody who takes the write lock, and lets it go."""
    held: list[subprocess.Popen] = []

    def take() -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        held.append(process)
        assert process.stdout.readline() == "held\n"

    def let_go() -> None:
        while held:
            held.pop().communicate()

    try:
        yield take, let_go
    finally:
        let_go()


class Bodies:
    """An orchestrator with a coroutine that ends when it is cancelled, and a thread that does not."""

    def __init__(self, url: str) -> None:
        self.boss = Orchestrator(url, shutdown_timeout=TIMEOUT_S)
        self.began = threading.Semaphore(0)
        self.release = threading.Event()

        @self.boss.worker(timeout=None)
        async def obeys() -> None:
            self.began.release()
            await asyncio.sleep(3600)

        @self.boss.worker(timeout=None)
        def ignores() -> None:
            self.began.release()
            self.release.wait(PATIENCE_S)

    async def start(self, *workers: str) -> None:
        await self.boss.start()
        for name in workers:
            await self.boss.trigger(name)
        for _ in workers:
            assert await asyncio.to_thread(self.began.acquire, timeout=PATIENCE_S)


async def stopped(boss: Orchestrator):
    began_s = time.monotonic()
    report = await boss.stop()
    return report, time.monotonic() - began_s


@pytest.mark.parametrize("workers", [(), ("obeys", "obeys", "ignores")], ids=["idle", "busy"])
async def test_it_ends_in_time_and_counts_each_run_once(silent: Silent, workers: tuple[str, ...]):
    bodies = Bodies(silent.url)
    await bodies.start(*workers)
    await asyncio.to_thread(silent.fall_silent)
    try:
        report, took_s = await stopped(bodies.boss)
    finally:
        bodies.release.set()
        await asyncio.to_thread(silent.recover)

    assert took_s < AT_LATEST_S
    assert (report.store_reached, report.exit_code) == (False, 75)
    assert (report.drained, report.interrupted, report.stuck, report.unreported) == (
        0,
        0,
        workers.count("ignores"),
        workers.count("obeys"),
    )


async def test_it_ends_in_time_when_the_store_falls_silent_while_it_drains(silent: Silent):
    bodies = Bodies(silent.url)
    await bodies.start("obeys")
    stopping = asyncio.create_task(stopped(bodies.boss))
    while not bodies.boss.is_stopping:
        await asyncio.sleep(0)
    await asyncio.to_thread(silent.fall_silent)
    try:
        report, took_s = await stopping
    finally:
        await asyncio.to_thread(silent.recover)

    assert took_s < AT_LATEST_S
    assert report.interrupted + report.unreported == 1


async def test_it_ends_in_time_when_it_was_waiting_for_the_store_already(silent: Silent):
    """The call that is under way is given up as well."""
    bodies = Bodies(silent.url)
    await bodies.start()
    await asyncio.to_thread(silent.fall_silent)
    waiting = asyncio.create_task(bodies.boss.trigger("obeys"))
    while not bodies.boss.opened().engine.contact._turn_began_s:
        await asyncio.sleep(0)
    try:
        _, took_s = await stopped(bodies.boss)
    finally:
        await asyncio.to_thread(silent.recover)
    await asyncio.gather(waiting, return_exceptions=True)

    assert took_s < AT_LATEST_S


async def test_a_store_that_comes_back_in_time_is_told_everything(silent: Silent):
    bodies = Bodies(silent.url)
    bodies.boss.shutdown_timeout_s = 4.0
    await bodies.start("obeys", "obeys")
    await asyncio.to_thread(silent.fall_silent)
    stopping = asyncio.create_task(stopped(bodies.boss))
    while not bodies.boss.is_stopping:
        await asyncio.sleep(0)
    await asyncio.to_thread(silent.recover)
    report, _ = await stopping

    assert (report.interrupted, report.unreported, report.stuck, report.exit_code) == (2, 0, 0, 0)
    assert report.waiting == 2


async def test_a_stuck_body_is_counted_as_stuck_and_nothing_else(tmp_path: Path, caplog):
    """G2, G4: as the process ends its run is handed back, and the event says the same as the line."""
    url = f"sqlite:///{tmp_path / 'boss.db'}"
    bodies = Bodies(url)
    bodies.boss.shutdown_timeout_s = 1.0
    events = []
    bodies.boss.on_events(events.extend)
    await bodies.start("ignores", "obeys")
    engine = bodies.boss.opened().engine
    engine.stop(owns_process=True)
    report = await asyncio.to_thread(engine.over.result)
    async with Orchestrator(url).client() as outside:
        runs = await outside.runs()
    bodies.release.set()
    await asyncio.to_thread(bodies.boss.current.close)

    assert (report.stuck, report.handed_back, report.interrupted, report.waiting) == (1, True, 1, 2)
    assert [run.status for run in runs] == [Status.PENDING] * 2
    drained = [event for event in events if type(event).__name__ == "NodeDrained"]
    assert [(each.drained, each.interrupted, each.waiting) for each in drained] == [(0, 1, 2)]
    assert str(report).endswith("stuck 1 (their functions are still running; their runs are due again)")
