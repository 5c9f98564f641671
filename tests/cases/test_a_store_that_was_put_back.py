"""A store that is put back to an earlier state under a living node, or with all of them down."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import restored_bodies as bodies

from postgres_server import RELAXED, a_cluster
from shiftboss import Orchestrator, Status

KINDS = ("coroutine", "thread", "process")


def a_boss(url: str) -> Orchestrator:
    boss = Orchestrator(url, shutdown_timeout=5)
    for kind in KINDS:
        options = {"executor": "process"} if kind == "process" else {}
        boss.register(kind, getattr(bodies, kind), timeout=120, cancel_grace=3, **options)
    return boss


def overlaps(ledger: Path) -> int:
    """How often a body began while another was in."""
    inside = found = 0
    for line in ledger.read_text().splitlines():
        if line.startswith("begin"):
            found += inside > 0
            inside += 1
        else:
            inside -= 1
    return found


async def until(holds, what: str) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.02)  # for *what*


@pytest.mark.cases
async def test_a_body_has_ended_before_its_run_is_begun_again_on_its_node(tmp_path):
    """B7: the data directory is put back under a node that lives, while three of its bodies are in."""
    ledgers = {kind: tmp_path / kind for kind in KINDS}
    for ledger in ledgers.values():
        ledger.touch()
    with a_cluster(*RELAXED) as server:
        client = a_boss(server.url)
        async with client.client(create=True):
            handles = [await client.trigger(kind, {"path": str(ledgers[kind])}) for kind in KINDS]
        server.shut_down()
        server.keep_data()
        server.start()
        boss = a_boss(server.url)
        async with boss:
            await until(lambda: all("begin" in ledger.read_text() for ledger in ledgers.values()), "each is in")
            await asyncio.to_thread(server.put_back)
            await until(lambda: all(ledger.read_text().count("end") == 2 for ledger in ledgers.values()), "all end")
            ends = [await boss.wait_for(handle.id, timeout=60) for handle in handles]

    assert [run.status for run in ends] == [Status.SUCCEEDED] * 3
    assert {kind: ledger.read_text().count("begin") for kind, ledger in ledgers.items()} == dict.fromkeys(KINDS, 2)
    assert {kind: overlaps(ledger) for kind, ledger in ledgers.items()} == dict.fromkeys(KINDS, 0)
