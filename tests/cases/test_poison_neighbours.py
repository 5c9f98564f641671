"""C8, K4: of bodies that end their node, beside runs that do no harm, only the first end as dead letters."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ends import Node

from postgres_server import Place
from shiftboss import Orchestrator
from shiftboss.core.model import Cause, Run, Status
from shiftboss.ports.faces import HistoryFilter

APP = """
import asyncio, os, sys, time
from shiftboss import Orchestrator
from shiftboss.core import fleet
from shiftboss.engine import lease

if lease_s := {lease_s!r}:  # a shorter lease, for which there is no option
    fleet.LEASE_S = lease.LEASE_S = lease_s
    lease.RENEW_S, lease.TRUST_MARGIN_S, fleet.RESCUE_GRACE_S = lease_s / 4, lease_s / 6, lease_s / 6

boss = Orchestrator({url!r})


@boss.worker(concurrency=None, timeout=None)
def poison() -> None:
    time.sleep(0.3)
    os._exit(1)


@boss.worker(concurrency=None, timeout=None)
async def innocent(n: int) -> int:
    await asyncio.sleep(1.0)
    return n


boss.run()
"""
MAX_STARTS = 60  # of the node; far more than it takes


def supervised(folder: Path, url: str, client: Orchestrator, lease_s: float | None) -> int:
    """Start the node again whenever it has ended, until no run is left; how often it ended."""
    for ends in range(MAX_STARTS):
        with Node(folder, APP.format(url=url, lease_s=lease_s), sys.executable, "app.py") as node:
            node.until(lambda: node.process.poll() is not None or not left(client), "", ends=True)
            if not left(client):
                return ends
    raise AssertionError(f"after {MAX_STARTS} starts: {[(run.id, run.status, run.rescues) for run in left(client)]}")


def runs(client: Orchestrator, worker: str) -> list[Run]:
    return client.sync.runs(HistoryFilter(worker=worker, limit=100))


def left(client: Orchestrator) -> list[Run]:
    return [run for worker in ("poison", "innocent") for run in runs(client, worker) if not run.status.is_final]


@pytest.mark.cases
@pytest.mark.parametrize(("killers", "innocents"), [(1, 6), (4, 20)], ids=["one", "four"])
def test_only_those_that_end_their_node_are_dead(tmp_path: Path, killers: int, innocents: int):
    """The kernel tells at once that the node is gone, and its file which bodies were entered."""
    only_the_guilty_are_dead(tmp_path, f"sqlite:///{tmp_path}/jobs.db", killers=killers, innocents=innocents)


@pytest.mark.cases
def test_only_those_that_end_their_node_are_dead_in_a_fleet(tmp_path: Path, place: Place):
    """Only its lease tells that a node is gone, and nothing which bodies were entered."""
    only_the_guilty_are_dead(tmp_path, place.url, killers=1, innocents=6, lease_s=3.0)


def only_the_guilty_are_dead(
    folder: Path, url: str, *, killers: int, innocents: int, lease_s: float | None = None
) -> None:
    client = Orchestrator(url)

    @client.worker(concurrency=None, timeout=None)
    def poison() -> None: ...

    @client.worker(concurrency=None, timeout=None)
    async def innocent(n: int) -> int: ...

    client.sync.open(create=True)
    for _ in range(killers):
        client.sync.trigger("poison")
    for n in range(innocents):
        client.sync.trigger("innocent", {"n": n})
    ends = supervised(folder, url, client, lease_s)
    status = client.sync.status()
    dead, done = runs(client, "poison"), runs(client, "innocent")
    client.sync.stop()
    print(f"the node ended {ends} times")

    assert {(run.status, run.cause) for run in dead} == {(Status.DEAD, Cause.CRASH_LOOP)}
    assert [run.status for run in done] == [Status.SUCCEEDED] * innocents
    assert all("3 times while running alone" in run.error.message for run in dead if run.error is not None)
    assert status.worker("innocent").enabled
    assert ends <= 2 + 3 * killers
