"""A client that comes before the first node waits for the store, or makes it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from shiftboss import Orchestrator
from shiftboss.clock import SystemClock
from shiftboss.core.model import Status
from shiftboss.errors import StoreMissing, UnknownWorker
from shiftboss.stores.sqlite.store import SqliteStore
from shiftboss.stores.urls import open_store

PATIENCE_S = 30


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path) -> str:
    """Where no store is yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.db'}"
    return request.getfixturevalue("place").url


def shop(url: str, *, max_retries: int = 3) -> Orchestrator:
    boss = Orchestrator(url, resources={"press": 1 + max_retries})

    @boss.worker(max_retries=max_retries, uses={"press": 1})
    async def double(number: int) -> int:
        return 2 * number

    return boss


async def until_said(caplog: pytest.LogCaptureFixture, text: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while text not in caplog.text:
            await asyncio.sleep(0)


async def test_a_client_that_waits_for_nothing_is_told_so_at_once(url):
    boss = shop(url)

    with pytest.raises(StoreMissing):
        await boss.client(wait=0).__aenter__()
    with pytest.raises(StoreMissing):
        await asyncio.to_thread(boss.sync.open, wait=0)


async def test_a_client_waits_for_the_store_and_for_what_its_first_node_declares(url, caplog):
    outside, node = Orchestrator(url), shop(url)

    async def triggers() -> int:
        async with outside.client(wait=PATIENCE_S) as client:
            run = await client.trigger("double", {"number": 21})
            return await run.result(timeout=PATIENCE_S)

    waiting = asyncio.create_task(triggers())
    await until_said(caplog, "waiting for it")
    async with node:
        assert await waiting == 42
    assert caplog.text.count("waiting for it, up to 30 s") == 1


async def test_code_without_a_loop_waits_alike(url):
    outside, node = Orchestrator(url), shop(url)

    waiting = asyncio.create_task(asyncio.to_thread(outside.sync.trigger, "double", {"number": 21}))
    async with node:
        run = await waiting
        assert await asyncio.to_thread(outside.sync.result, run.id, timeout=PATIENCE_S) == 42
    await asyncio.to_thread(outside.sync.close)


async def test_a_store_in_which_nobody_has_declared_a_worker_is_waited_for_alike(url, caplog):
    """`shiftboss migrate` came first, and then everything else at once."""
    empty = open_store(url, clock=SystemClock())
    empty.open(create=True)
    empty.close()
    early, late = Orchestrator(url), Orchestrator(url)

    async with late.client(wait=0) as client:
        with pytest.raises(UnknownWorker):
            await client.trigger("double", {"number": 1})
    waiting = asyncio.create_task(asyncio.to_thread(early.sync.trigger, "double", {"number": 21}))
    await until_said(caplog, "no workers are registered in")
    async with shop(url):
        run = await waiting
        assert await asyncio.to_thread(early.sync.result, run.id, timeout=PATIENCE_S) == 42
    await asyncio.to_thread(early.sync.close)


async def test_a_store_that_stays_empty_is_opened_after_the_wait_and_at_once_from_then_on(tmp_path, caplog):
    SqliteStore(tmp_path / "jobs.db", clock=SystemClock()).open(create=True)
    boss = Orchestrator(f"sqlite:///{tmp_path / 'jobs.db'}")

    for _ in range(2):
        async with boss.client(wait=0.05) as client:
            assert (await client.status()).workers == ()

    assert caplog.text.count("waiting for it") == 1


async def test_who_asks_again_after_the_wait_is_answered_at_once(tmp_path, caplog):
    outside = Orchestrator(f"sqlite:///{tmp_path / 'jobs.db'}")

    with pytest.raises(StoreMissing):
        await asyncio.to_thread(outside.sync.open, wait=0.05)
    answers = [asyncio.to_thread(outside.sync.open, wait=0.05) for _ in range(20)]

    assert {type(each) for each in await asyncio.gather(*answers, return_exceptions=True)} == {StoreMissing}
    assert caplog.text.count("waiting for it") == 1


async def test_a_client_that_makes_the_store_triggers_what_it_declares_and_a_node_runs_it_later(url):
    """M7: it declares what it knows and nobody has declared."""
    async with shop(url).client(create=True) as client:
        run = await client.trigger("double", {"number": 21})
        assert (await run.info()).status is Status.PENDING
        with pytest.raises(UnknownWorker):
            await client.trigger("unknown")

    async with shop(url) as node:
        assert (await node.wait_for(run.id, timeout=PATIENCE_S)).result == b"42"


async def test_a_client_that_may_make_the_store_changes_nothing_that_is_there(url):
    """M7"""
    async with shop(url, max_retries=5) as node, shop(url, max_retries=1).client(create=True) as client:
        await (await client.trigger("double", {"number": 1})).result(timeout=PATIENCE_S)
        stored = await node.ask(lambda views: views.snapshot())

        assert stored.worker("double").definition.retry.max_retries == 5
        assert stored.resources == {"press": 6}


@pytest.mark.parametrize("times", [2, pytest.param(10, marks=pytest.mark.chaos)])
async def test_two_clients_and_a_node_make_the_store_at_the_same_moment(url, times):
    for _ in range(times):
        bosses = [shop(url), shop(url), shop(url)]
        together = threading.Barrier(3)

        def begin(step: Callable[..., None], together: threading.Barrier = together, **options: bool) -> None:
            together.wait(PATIENCE_S)
            step(**options)

        one, two, node = bosses
        await asyncio.gather(
            asyncio.to_thread(begin, one.sync.open, create=True),
            asyncio.to_thread(begin, two.sync.open, create=True),
            asyncio.to_thread(begin, node.sync.start),
        )
        for boss in bosses:
            run = await asyncio.to_thread(boss.sync.trigger, "double", {"number": 4})
            assert await asyncio.to_thread(boss.sync.result, run.id, timeout=PATIENCE_S) == 8
        for boss in bosses:
            await asyncio.to_thread(boss.sync.close)
