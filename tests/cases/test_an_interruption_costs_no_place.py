"""P2: what a deploy cuts short, or a node takes with it, goes on before the backlog behind it.

A thousand runs wait; in the middle of them the node ends, and another one comes.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ends import Node

from postgres_server import Place
from shiftboss import Orchestrator

QUEUED, MIDDLE, SLOTS = 1000, 100, 16

APP = """
import asyncio, pathlib, sys
from shiftboss import Orchestrator

boss = Orchestrator({url!r}, max_concurrency={slots}, shutdown_timeout=6)
holds = {holds}  # from the middle on bodies do not end


@boss.worker(concurrency=None, priority="high", timeout=None)
async def job(n: int) -> None:
    with open({ledger!r}, "a") as ledger:
        ledger.write(f"{{n}}\\n")
    if holds and n >= {middle}:
        await asyncio.sleep(3600)
"""
SERVES = "\nboss.run()\n"
EMBEDDED = """
import time
boss.sync.start()
while not pathlib.Path("stop").exists():
    time.sleep(0.02)
boss.sync.stop()
"""


def killed(node: Node) -> None:
    node.process.send_signal(signal.SIGKILL)
    node.process.wait()


def deployed(node: Node) -> None:
    node.process.send_signal(signal.SIGTERM)
    assert node.ends() == 0, node.log


def stopped(node: Node) -> None:
    (node.folder / "stop").touch()
    assert node.ends() == 0, node.log


def app(folder: Path, url: str, ledger: str, *, holds: bool, main: str = SERVES) -> Node:
    facts = {"url": url, "holds": holds, "ledger": ledger, "slots": SLOTS, "middle": MIDDLE}
    return Node(folder, APP.format(**facts) + main, sys.executable, "app.py")


def began(folder: Path, ledger: str) -> list[int]:
    path = folder / ledger
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def store_with_a_backlog(url: str) -> Orchestrator:
    client = Orchestrator(url)

    @client.worker(concurrency=None, priority="high", timeout=None)
    async def job(n: int) -> None: ...

    client.sync.open(create=True)
    for n in range(QUEUED):
        client.sync.trigger("job", {"n": n})
    return client


def cut_short(folder: Path, url: str, end: Callable[[Node], None], main: str) -> list[int]:
    """What the first node had begun and not ended."""
    with app(folder, url, "first", holds=True, main=main) as node:
        node.until(lambda: len(began(folder, "first")) == MIDDLE + SLOTS, "the middle was not reached")
        end(node)
    return sorted(n for n in began(folder, "first") if n >= MIDDLE)


@pytest.mark.parametrize(
    ("end", "main"),
    [
        pytest.param(killed, SERVES, id="kill -9"),
        pytest.param(deployed, SERVES, id="a deploy", marks=pytest.mark.cases),
        pytest.param(stopped, EMBEDDED, id="stop() of an embedded one", marks=pytest.mark.cases),
    ],
)
def test_on_one_machine(tmp_path: Path, end: Callable[[Node], None], main: str):
    """P2, C4, G2"""
    url = f"sqlite:///{tmp_path}/jobs.db"
    store_with_a_backlog(url).sync.stop()
    orphans = cut_short(tmp_path, url, end, main)
    with app(tmp_path, url, "second", holds=False) as node:
        node.until(lambda: len(began(tmp_path, "second")) == QUEUED - MIDDLE, "not all of them ran")

    assert len(orphans) == SLOTS
    assert sorted(began(tmp_path, "second")[:SLOTS]) == orphans


@pytest.mark.cases
def test_a_deploy_of_a_fleet(tmp_path: Path, place: Place):
    """P2, G2"""
    store_with_a_backlog(place.url).sync.stop()
    orphans = cut_short(tmp_path, place.url, deployed, SERVES)
    with app(tmp_path, place.url, "second", holds=False) as node:
        node.until(lambda: len(began(tmp_path, "second")) == QUEUED - MIDDLE, "not all of them ran")

    assert sorted(began(tmp_path, "second")[:SLOTS]) == orphans


@pytest.mark.cases
def test_a_node_of_a_fleet_that_was_killed(tmp_path: Path, place: Place):
    """P2, C4: only its lease tells, so the backlog is held until its runs are rescued."""
    client = store_with_a_backlog(place.url)
    orphans = cut_short(tmp_path, place.url, killed, SERVES)
    client.sync.disable("job", reason="until they are rescued")
    with app(tmp_path, place.url, "second", holds=False) as node:
        node.within_s = 120.0
        node.until(lambda: client.sync.status().worker("job").running == 0, "they were not rescued")
        client.sync.enable("job")
        node.until(lambda: len(began(tmp_path, "second")) == QUEUED - MIDDLE, "not all of them ran")
    client.sync.stop()

    assert sorted(began(tmp_path, "second")[:SLOTS]) == orphans
