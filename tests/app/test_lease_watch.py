"""A node whose engine hangs in its store tells its bodies to stop all the same, before others may begin them (C3)."""

from __future__ import annotations

import asyncio
import threading

import pytest

from shiftboss import Orchestrator, Status
from shiftboss.engine import lease


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust for a second; nothing else is changed."""
    monkeypatch.setattr(lease, "LEASE_S", 1.2)
    monkeypatch.setattr(lease, "RENEW_S", 0.4)
    monkeypatch.setattr(lease, "TRUST_MARGIN_S", 0.2)
    monkeypatch.setattr(lease, "LATE_S", 0.2)


class Hang:
    """Makes the engine's next transactions wait until it is let go."""

    def __init__(self, boss: Orchestrator, monkeypatch: pytest.MonkeyPatch) -> None:
        self.let_go = threading.Event()
        self.hangs = threading.Event()
        session = boss._engine._session  # type: ignore[union-attr]
        begin = session.begin

        def hanging(*args, **options):
            self.hangs.set()
            self.let_go.wait(30)
            return begin(*args, **options)

        monkeypatch.setattr(session, "begin", hanging)


async def test_bodies_are_told_to_stop_while_the_engine_waits_for_a_silent_store(tmp_path, monkeypatch, brief):
    """C3, R2"""
    boss = Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}")
    begun, told = asyncio.Event(), asyncio.Event()

    @boss.worker(timeout=None)
    async def job() -> str:
        if told.is_set():
            return "done"
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            told.set()
        return "never told"

    async with boss:
        run = await job.trigger()
        await asyncio.wait_for(begun.wait(), 10)
        hang = Hang(boss, monkeypatch)
        try:
            await asyncio.wait_for(told.wait(), 20)
            was_hanging = hang.hangs.is_set()
        finally:
            hang.let_go.set()
        ended = await asyncio.wait_for(run.wait(), 20)

    assert was_hanging
    assert (ended.status, ended.attempt, ended.interruptions) == (Status.SUCCEEDED, 1, 1)
