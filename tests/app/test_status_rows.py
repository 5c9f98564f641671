"""What is kept of a status from one question to the next is what a question without memory would answer."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
import pytest

from shiftboss import Fatal, Orchestrator
from shiftboss.app.json_format import encoded, jsonable, rows_kept
from shiftboss.app.views import Views
from shiftboss.core.value import replace

PATIENCE_S = 30.0


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def boss(request, tmp_path) -> Orchestrator:
    match request.param:
        case "memory":
            url = "memory:"
        case "sqlite":
            url = f"sqlite:///{tmp_path / 'boss.db'}"
        case _:
            url = request.getfixturevalue("place").url
    return Orchestrator(url, shutdown_timeout=2)


def told(status):
    """Without the instant and what changes with every breath."""
    nodes = tuple(replace(node, lease_left_s=0.0, lag_s=0.0, memory_bytes=0) for node in status.nodes)
    return replace(status, at=status.workers[0].last_run_at, nodes=nodes)


async def test_warm_and_cold_views_say_the_same_after_everything_that_changes_a_row(boss, monkeypatch):
    # A busy machine makes the node short of something between the two questions (H4), which is no step of these.
    monkeypatch.setattr("shiftboss.engine.load.shed", lambda before, pressures: before)
    entered, go_on = asyncio.Event(), asyncio.Event()

    @boss.worker(every="1h", start="next")
    def hourly() -> None: ...

    @boss.worker(depends_on=[hourly], breaker="shared", max_retries=0, max_consecutive_failures=None)
    async def fragile(fails: bool = False) -> None:
        if fails:
            raise Fatal("no")

    @boss.worker(timeout=None)
    async def long() -> None:
        entered.set()
        await go_on.wait()

    @boss.worker(expect_success_within="1h", every="10m", start="next")
    def expected() -> None: ...

    async def ends(name: str, **payload: bool) -> None:
        await (await boss.trigger(name, payload)).wait(timeout=PATIENCE_S)

    async def start_long() -> None:
        await boss.trigger("long")
        await entered.wait()

    async def end_long() -> None:
        (run,) = (await boss.status()).running
        go_on.set()
        await boss.wait_for(run.run, timeout=PATIENCE_S)

    steps = [  # after each of them nothing moves
        lambda: asyncio.sleep(0),
        lambda: boss.trigger("fragile", delay=3600),
        lambda: ends("hourly"),
        lambda: ends("fragile", fails=True),
        lambda: boss.disable("expected", reason="moving house"),
        start_long,
        lambda: boss.enable("expected"),
        end_long,
        lambda: boss.drain(boss.opened().parts.node.id),
        lambda: boss.trigger("long"),  # is due, and held
    ]
    async with boss:
        with contextlib.closing(Views(boss.store, boss.clock)) as warm:
            for step in steps:
                await step()
                seen = warm.status()
                with contextlib.closing(Views(boss.store, boss.clock)) as cold:
                    fresh = cold.status()
                    ones = {name: cold.worker(name) for name in boss.definitions}

                assert told(seen) == told(fresh)
                assert {worker.name: worker for worker in seen.workers} == ones
                assert warm.health() == cold_health(boss)
            again = warm.status()
            kept = [worker for worker in again.workers if any(worker is each for each in seen.workers)]

    assert len(kept) == len(again.workers)  # nothing has changed: the same rows, which are encoded once


def cold_health(boss):
    with contextlib.closing(Views(boss.store, boss.clock)) as cold:
        return cold.health()


async def test_what_is_kept_of_rows_is_what_is_shown_however_often_they_change(boss):
    """Each run changes its worker's row; whoever shows the rows has one of each."""

    @boss.worker()
    async def busy() -> None: ...

    async with boss:
        await (await boss.trigger("busy")).wait(timeout=PATIENCE_S)
        encoded(await boss.status())
        before = rows_kept()
        for _ in range(100):
            await (await boss.trigger("busy")).wait(timeout=PATIENCE_S)
            encoded(await boss.status())

        assert rows_kept() - before <= 2


async def test_rows_that_are_encoded_once_are_encoded_as_ever(boss):
    @boss.worker(every="1h", start="next", tags=["slow"])
    def hourly() -> None: ...

    async with boss:
        await boss.disable("hourly", reason='<moving> & "house"')
        status = await boss.status()
        twice = [encoded(status), encoded(status)]

    assert twice[0] == twice[1] == msgspec.json.encode(jsonable(status))
