"""What a node is short of is said wherever somebody looks, as it is now and not as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from shiftboss import Orchestrator
from shiftboss.core.events import NodeShedding
from shiftboss.core.holds import IsShed
from shiftboss.engine import pressure

PATIENCE_S = 60.0
MEMINFO = "MemTotal: 100 kB\nMemAvailable: {} kB\n"


async def test_the_hold_the_health_and_the_event_name_what_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """H4"""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(MEMINFO.format(50))
    monkeypatch.setattr(pressure, "MEMINFO", meminfo)
    monkeypatch.setattr(pressure, "CGROUP_MAX", tmp_path / "none")
    boss = Orchestrator("memory:", shutdown_timeout=2)
    go_on, told = asyncio.Event(), Told()

    @boss.worker
    async def long() -> None:  # a node that runs something measures itself
        await go_on.wait()

    @boss.worker(priority="low")
    async def report() -> None: ...

    boss.on_events(told.take)
    async with boss:
        await boss.trigger("long")
        meminfo.write_text(MEMINFO.format(7))
        await told.until(lambda event: "93% is in use, the limit is 90%" in event.reason)
        meminfo.write_text(MEMINFO.format(3))
        await told.until(lambda event: event.level == "normal")
        run = await boss.trigger("report")

        why = await boss.why("report")
        health = await boss.health()
        meminfo.write_text(MEMINFO.format(50))
        await run.wait(timeout=PATIENCE_S)
        go_on.set()

    short = "memory (97% is in use, the limit is 95%)"  # a busy machine may be short of more
    (hold,) = [hold for hold in why.holds if isinstance(hold, IsShed)]
    assert short in hold.reason
    assert any(reason.fact == "shedding" and short in str(reason) for reason in health.reasons)


class Told:
    """What the node says of its shortages, in the order of its saying."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[NodeShedding] = asyncio.Queue()

    def take(self, events) -> None:
        for event in events:
            if isinstance(event, NodeShedding):
                self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    async def until(self, fits: Callable[[NodeShedding], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not fits(await self._events.get()):
                pass
