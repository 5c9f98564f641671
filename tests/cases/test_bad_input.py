"""K4, K5: bad input harms its sender; a worker that others trigger accepts while it is broken, and goes on after it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shiftboss import Fatal, Orchestrator, RunFailed, Status, WorkerDisabled
from shiftboss.core.model import Cause

WITHIN_S = 30.0


@pytest.fixture
def boss(tmp_path: Path) -> Orchestrator:
    return Orchestrator(f"sqlite:///{tmp_path / 'jobs.db'}")


async def test_bad_payloads_of_one_sender_do_not_switch_the_worker_off_for_the_others(boss):
    """K4"""

    @boss.worker()
    async def send(address: str) -> str:
        if "@" not in address:
            raise Fatal("bad address")
        return address

    async with boss:
        for _ in range(7):
            with pytest.raises(RunFailed, match="bad address"):
                await (await send.trigger("nobody")).result(timeout=WITHIN_S)
        good = await (await send.trigger("ada@example.org")).result(timeout=WITHIN_S)
        status = (await boss.status()).worker("send")

    assert good == "ada@example.org"
    assert (status.enabled, status.accepts, status.consecutive_failures, status.dead_letters) == (True, True, 0, 7)


async def test_while_it_is_broken_it_accepts_and_bad_input_does_not_put_off_its_probe(boss):
    """K5: what was accepted waits, is seen, and goes on after the probe."""
    is_broken = True

    @boss.worker(max_retries=0, probation=5.0)
    async def send(address: str) -> str:
        if "@" not in address:
            raise Fatal("bad address")
        if is_broken:
            raise ValueError("no connection")
        return address

    events = []
    boss.on_events(events.extend)
    async with boss:
        for _ in range(5):
            await (await send.trigger("ada@example.org")).wait(timeout=WITHIN_S)
        is_broken = False
        runs = [await send.trigger(address) for address in ("nobody", "nobody", "ada@example.org", "bob@example.org")]
        (hold,) = (await boss.why_run(runs[-1].id)).holds
        broken = (await boss.status()).worker("send")
        ended = [await run.wait(timeout=WITHIN_S) for run in runs]
        mended = (await boss.status()).worker("send")

    (disabled,) = [event for event in events if type(event).__name__ == "WorkerDisabled"]
    assert (hold.gate, hold.by, hold.until) == ("disabled", "auto", broken.disabled.probation_until)
    assert (broken.enabled, broken.accepts, broken.health) == (False, True, "disabled")
    assert "triggers are accepted and wait for a test run at" in broken.reasons[0].text
    assert (disabled.accepts, disabled.probe_at) == (True, broken.disabled.probation_until)
    assert [run.status for run in ended] == [Status.DEAD, Status.DEAD, Status.SUCCEEDED, Status.SUCCEEDED]
    assert (mended.enabled, mended.disabled) == (True, None)


async def test_a_replay_of_what_died_waits_for_the_probe_as_well(boss):
    """K5, Q3"""
    is_broken = True

    @boss.worker(max_retries=0, probation=0.5, max_consecutive_failures=1)
    async def send() -> str:
        if is_broken:
            raise ValueError("no connection")
        return "sent"

    async with boss:
        dead = await (await send.trigger()).wait(timeout=WITHIN_S)
        is_broken = False
        ended = await (await boss.replay(dead.id)).wait(timeout=WITHIN_S)

    assert ended.status is Status.SUCCEEDED


async def test_who_asks_for_it_has_it_as_before_and_so_have_workers_that_run_by_themselves(boss):
    """K4, K5"""

    @boss.worker(fatal_counts=True, max_consecutive_failures=2)
    async def strict() -> None:
        raise Fatal("not mine")

    @boss.worker(every="1h", max_consecutive_failures=1)
    async def hourly() -> None:
        raise Fatal("broken")

    async with boss:
        for _ in range(2):
            ended = await (await strict.trigger()).wait(timeout=WITHIN_S)
        while (await boss.status()).worker("hourly").enabled:
            await asyncio.sleep(0)
        status = await boss.status()
        with pytest.raises(WorkerDisabled, match="run #1 failed"):
            await hourly.trigger()
        await strict.trigger()  # accepted, and waits
        await boss.disable("strict", reason="by hand")
        with pytest.raises(WorkerDisabled, match="by hand"):
            await strict.trigger()

    assert (ended.cause, status.worker("strict").enabled) == (Cause.FATAL, False)
    assert (status.worker("strict").disabled.probation_s, status.worker("strict").accepts) == (30.0, True)
    assert (status.worker("hourly").disabled.probation_s, status.worker("hourly").accepts) == (3600.0, False)
