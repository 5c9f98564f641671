"""A store that is put back to an earlier state under a living node, or with all of them down."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import restored_bodies as bodies

from postgres_server import RELAXED, a_cluster
from shiftboss import Context, Orchestrator, Status
from shiftboss.core.lives import LEAST_IDS

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


async def until(holds: Callable[[], object], what: str) -> None:
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


RESTORE = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2], timeout=30))"


def copy(source: Path, target: Path) -> None:
    """By a tool, in another process."""
    subprocess.run([sys.executable, "-c", RESTORE, source, target], check=True)


async def test_what_living_nodes_declare_is_there_again_and_each_of_them_says_what_happened(tmp_path, caplog):
    """M7: a worker, a resource and two nodes that the backup does not know."""
    path = tmp_path / "boss.db"
    early, late, client = (
        Orchestrator(f"sqlite:///{path}", **options) for options in ({}, {"resources": {"gate": 2}}, {})
    )

    @early.worker()
    async def first() -> str:
        return "first"

    @late.worker(uses={"gate": 2})
    async def second() -> str:
        return "second"

    @client.worker()
    async def third() -> str:
        return "third"

    async with early:
        await asyncio.to_thread(copy, path, tmp_path / "backup.db")
        async with late, client.client(create=True):
            caplog.clear()
            await asyncio.to_thread(copy, tmp_path / "backup.db", path)
            async with asyncio.timeout(60):
                while {worker.name for worker in (await early.status()).workers} != {"first", "second", "third"}:
                    await asyncio.sleep(0.02)
            run = await (await early.trigger("second")).wait(timeout=60)
            nodes = [node for node in await early.nodes() if node.live]

    assert run.status is Status.SUCCEEDED
    assert len(nodes) == 2
    said = [record for record in caplog.records if "the store lost a part of its past" in record.getMessage()]
    assert len(said) == 3, "each of the three processes says it once"


@pytest.mark.cases
async def test_a_data_directory_that_was_put_back_with_all_nodes_down_gives_nothing_twice(tmp_path):
    """C9: restarted beneath a living node it just goes on; put back with nobody alive, from the clock."""
    given = []
    with a_cluster(*RELAXED) as server:
        for stage in ("before the backup", "lost", "after it was put back"):
            boss = Orchestrator(server.url, shutdown_timeout=5)
            fences: list[int] = []

            @boss.worker()
            async def job(ctx: Context, fences: list[int] = fences) -> None:
                fences.append(ctx.fence)

            async with boss:
                ids = [(await (await job.trigger()).wait(timeout=60)).id for _ in range(20)]
                if stage == "before the backup":
                    await asyncio.to_thread(server.shut_down)
                    await asyncio.to_thread(server.start)
                    await until(lambda boss=boss: boss.opened().engine.trouble is None, "it answers again")
                    ids += [(await (await job.trigger()).wait(timeout=60)).id for _ in range(20)]
            given.append((fences, ids))
            if stage == "before the backup":
                server.shut_down()
                server.keep_data()
                server.start()
            elif stage == "lost":
                await asyncio.to_thread(server.put_back)
        (restored,) = server.execute("SELECT count(*) FROM shiftboss.event WHERE data LIKE '%store_restored%'")[0]

    all_fences = [fence for fences, _ in given for fence in fences]
    all_ids = [run_id for _, ids in given for run_id in ids]
    assert all_fences == sorted(set(all_fences)), given
    assert all_ids == sorted(set(all_ids)), given
    assert max(all_fences) < 1 << 53
    first = given[0][1]
    assert first[-1] < first[0] + LEAST_IDS, "a restart that a node has lived across takes no ids but those in the air"
    assert restored == 1
