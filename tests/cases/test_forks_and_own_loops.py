"""what waits for itself is refused, what was forked has a way out."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import types
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from shiftboss import Orchestrator
from shiftboss.core.events import Event
from shiftboss.core.model import Status
from shiftboss.errors import ConfigurationError, Forked, NotAllowed


@pytest.fixture
def boss(tmp_path: Path) -> Orchestrator:
    boss = Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}", shutdown_timeout=3)

    @boss.worker()
    async def double(number: int) -> int:
        return 2 * number

    return boss


WAITS: dict[str, Callable[[Orchestrator, int], object]] = {
    "wait_for": lambda boss, run: boss.sync.wait_for(run),
    "result": lambda boss, run: boss.sync.result(run, timeout=60),
    "stop": lambda boss, run: boss.sync.stop(),
    "close": lambda boss, run: boss.sync.close(),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
async def test_what_would_wait_for_the_loop_that_it_blocks_is_refused(boss: Orchestrator, wait):
    """G5: it never came back."""
    async with boss:
        run = await boss.trigger("double", {"number": 1})
        with pytest.raises(NotAllowed, match="await boss"):
            wait(boss, run.id)

        assert await run.result(timeout=10) == 2


async def test_it_is_refused_in_a_body_too_and_the_node_lives_on(boss: Orchestrator):
    @boss.worker(max_retries=0)
    async def blocks() -> int:
        return int(boss.sync.result(boss.sync.trigger("double", {"number": 1}).id))

    async with boss:
        info = await (await blocks.trigger()).wait(timeout=10)

        assert info.status is Status.DEAD
        assert info.error is not None
        assert "NotAllowed" in info.error.type
        assert await (await boss.trigger("double", {"number": 4})).result(timeout=10) == 8


async def test_a_body_in_a_thread_cannot_wait_for_the_end_of_its_own_node(boss: Orchestrator):
    @boss.worker(max_retries=0)
    def stops() -> None:
        boss.sync.stop()

    async with boss:
        info = await (await stops.trigger()).wait(timeout=10)

        assert info.error is not None
        assert "would wait for that run itself" in info.error.message
        assert await (await boss.trigger("double", {"number": 4})).result(timeout=10) == 8


async def test_on_another_loop_and_in_a_thread_it_may_wait(boss: Orchestrator, tmp_path: Path):
    outside = Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}")
    await asyncio.to_thread(boss.sync.start)
    try:
        run = outside.sync.trigger("double", {"number": 3})  # this loop runs no bodies: a notebook's, say

        assert outside.sync.result(run.id, timeout=10) == 6
    finally:
        outside.sync.close()
        boss.sync.stop()


def test_a_call_in_the_engines_own_thread_is_refused(boss: Orchestrator):
    """G5: a subscriber that triggers waited five seconds for itself, one that stops for ever."""
    said: list[str] = []

    def subscriber(events: Sequence[Event]) -> None:
        for call in (lambda: boss.sync.trigger("double", {"number": 1}), boss.sync.stop):
            try:
                call()
            except NotAllowed as error:
                said.append(str(error))

    boss.on_events(subscriber)
    boss.sync.start()
    boss.sync.stop()

    assert len(said) >= 2
    assert all("engine's own thread" in each for each in said)


def in_a_fork(action: Callable[[], object]) -> str:
    """What *action* gives or raises in a forked child."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = str(action())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        said = file.read()
    os.waitpid(child, 0)
    return said


def test_a_forked_child_opens_it_anew_and_harms_nobody(boss: Orchestrator):
    """W4, G5: with each way that the message of `Forked` names."""

    def starts() -> str:
        boss.sync.start()
        number = boss.sync.result(boss.sync.trigger("double", {"number": 2}).id, timeout=20)
        boss.sync.stop()
        return f"{number}"

    async def on_a_loop() -> str:
        async with boss.client() as client:
            return (await (await client.trigger("double", {"number": 1})).status()).value

    boss.sync.start()
    try:
        told = in_a_fork(lambda: asyncio.run(boss.status()))
        triggered = in_a_fork(lambda: boss.sync.trigger("double", {"number": 1}).worker)
        own = in_a_fork(lambda: asyncio.run(on_a_loop()))
        started = in_a_fork(starts)
        ended = in_a_fork(boss.sync.close)

        assert told.startswith(Forked.__name__)
        assert all(way in told for way in ("boss.start()", "boss.client()", "boss.sync.start()", "boss.sync.trigger("))
        assert (triggered, started, ended) == ("double", "4", "None")
        assert own in {status.value for status in Status}
        assert boss.sync.result(boss.sync.trigger("double", {"number": 5}).id, timeout=20) == 10
    finally:
        boss.sync.stop()


def test_a_memory_store_is_not_opened_anew_in_a_child(tmp_path: Path):
    """W4: it would be an empty one, and what is triggered there would be lost."""
    boss = Orchestrator("memory:")
    boss.sync.start()
    told = in_a_fork(lambda: boss.sync.trigger("job"))
    boss.sync.stop()

    assert told.startswith(f"{Forked.__name__}: this process was forked, and only its parent can use the memory store")


def test_a_fork_in_the_middle_of_a_transaction_waits_for_it(boss: Orchestrator):
    """W4: SQLite keeps its locks in the memory of the process: the child had those of that moment, for ever."""
    boss.sync.start()
    over = threading.Event()

    def busy() -> None:
        while not over.is_set():
            boss.sync.trigger("double", {"number": 1})

    threads = [threading.Thread(target=busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    told = [in_a_fork(lambda: boss.sync.trigger("double", {"number": 1}).worker) for _ in range(15)]
    over.set()
    for thread in threads:
        thread.join()
    boss.sync.stop()

    assert told == ["double"] * 15


def test_uwsgi_without_threads_is_refused_and_a_client_is_not(boss: Orchestrator, monkeypatch: pytest.MonkeyPatch):
    """G5: there nothing would run between two requests, in silence."""
    boss.sync.start()
    boss.sync.stop()
    uwsgi = types.ModuleType("uwsgi")
    uwsgi.__dict__["has_threads"] = 0
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)

    with pytest.raises(ConfigurationError, match="enable-threads"):
        boss.sync.start()
    assert boss.sync.trigger("double", {"number": 1}).worker == "double"
    boss.sync.close()
