"""A body that gives back its work instead of doing it has failed, wherever it runs; it never succeeds in silence."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import undone_bodies as undone

from shiftboss import Orchestrator, Status

KINDS = ("coroutine", "generator", "async_generator", "mapped", "filtered", "expression", "awaitable")


@pytest.mark.parametrize("executor", ["thread", "process", "pool", "coroutine"])
async def test_what_a_body_gives_back_instead_of_its_work_is_a_failure(executor, tmp_path):
    boss = Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}", shutdown_timeout=5)
    pool = ThreadPoolExecutor(1)
    options = {"thread": {}, "process": {"executor": "process"}, "pool": {"pool": pool}, "coroutine": {}}[executor]
    for kind in KINDS:
        body = getattr(undone, f"{kind}_async" if executor == "coroutine" else kind)
        boss.register(kind.replace("_", "-"), body, **options)
    ends = {}
    async with boss:
        for kind in KINDS:
            run = await (await boss.trigger(kind.replace("_", "-"))).wait(timeout=60)
            ends[kind] = (run.status, run.attempt, run.error.message.partition(";")[0] if run.error is not None else "")
    pool.shutdown()

    if executor == "process":  # a child awaits the coroutine that it is given: its work is done
        assert ends.pop("coroutine")[0] is Status.SUCCEEDED
    assert {status for status, _, _ in ends.values()} == {Status.DEAD}
    assert {attempt for _, attempt, _ in ends.values()} == {1}
    assert all("the function returned a" in message for _, _, message in ends.values()), ends


async def test_a_future_is_no_undone_work(tmp_path):
    """Its work is under way, by whomever it belongs to."""
    boss = Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}", shutdown_timeout=5)
    boss.register("future", undone.future)
    async with boss:
        run = await (await boss.trigger("future")).wait(timeout=30)

    assert run.status is Status.SUCCEEDED


async def test_without_a_grace_an_interval_starts_on_time(tmp_path):
    """O2"""
    boss = Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}", shutdown_timeout=5)
    undone.on_time.clear()
    boss.register("tick", undone.tick, every="1s", misfire="skip", grace=0)
    async with boss:
        assert undone.on_time.wait(60)
