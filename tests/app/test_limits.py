"""What a worker asks for and its executor cannot give is refused, or said at the start."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from shiftboss import ConfigurationError, Context, Orchestrator, command

SAID = "timeouts cannot be enforced in threads and pools"


@pytest.fixture
def boss():
    return Orchestrator("memory:", shutdown_timeout=5)


async def said_at_the_start(boss, caplog) -> list[str]:
    caplog.set_level(logging.INFO, logger="shiftboss.engine")
    async with boss:
        pass
    return [record.getMessage() for record in caplog.records if SAID in record.getMessage()]


async def test_a_timeout_that_cannot_be_enforced_is_said_once_at_the_start(boss, caplog):
    """T2"""

    @boss.worker(timeout="30s")
    def deaf() -> None: ...

    @boss.worker(timeout="40s")
    def heedful(ctx: Context) -> None: ...

    @boss.worker(timeout=None)
    def unbounded() -> None: ...

    boss.register("pooled", deaf, pool=lambda: ThreadPoolExecutor(1), timeout="30s")

    [line] = await said_at_the_start(boss, caplog)

    assert "a run of deaf, heedful, pooled keeps its slot" in line
    assert "executor='process'" in line


async def test_of_bodies_that_can_be_stopped_nothing_is_said(boss, caplog):
    """T2"""

    @boss.worker(timeout="30s")
    async def awaited() -> None: ...

    boss.register("program", command(["true"]), timeout="30s")

    assert await said_at_the_start(boss, caplog) == []


def test_a_heartbeat_timeout_of_what_runs_in_a_pool_is_refused(boss):
    """H2"""

    def pooled() -> None: ...

    with pytest.raises(ConfigurationError, match=r"'pooled': heartbeat_timeout= is not for pools.*executor='process'"):
        boss.register("pooled", pooled, pool=lambda: ThreadPoolExecutor(1), heartbeat_timeout="5s")
    boss.register("pooled", pooled, pool=lambda: ThreadPoolExecutor(1), heartbeat_timeout=None)
