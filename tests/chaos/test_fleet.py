"""Two nodes on one PostgreSQL server; one of them stands still for longer than its lease, and wakes up."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from postgres_server import Place
from shiftboss import Orchestrator

FOREVER_S = 120.0  # a lease, its grace and a busy machine; a test that waits this long has failed
SOON_S = 5.0  # what a body may still do after its node woke up: a call to the store, and a busy machine
APP = """
import asyncio, sys, time
from shiftboss import Context, Orchestrator

boss = Orchestrator(sys.argv[1])

@boss.worker(timeout=None)
async def hold(ctx: Context) -> None:
    print("began", ctx.fence, flush=True)
    last = woke = time.time()
    try:
        while True:
            await asyncio.sleep(0.005)
            now = time.time()
            if now - last > 30:
                woke = now
            last = now
    except asyncio.CancelledError:
        print("cancelled", time.time() - woke, flush=True)
        raise

boss.on_events(lambda events: [print(type(event).__name__, flush=True) for event in events])
boss.run()
"""

pytestmark = pytest.mark.chaos


@pytest.fixture
def app(tmp_path: Path) -> Path:
    file = tmp_path / "app.py"
    file.write_text(APP)
    return file


def until(process: subprocess.Popen[str], word: str) -> str:
    """The first line of its output that begins with *word*."""
    assert process.stdout is not None
    return next(line for line in process.stdout if line.startswith(word))


def test_a_node_that_stands_still_loses_its_runs_and_its_body_ends_when_it_wakes(app: Path, place: Place):
    """C3, C4, C5"""
    command = [sys.executable, str(app), place.url]
    nodes = []
    try:
        nodes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        until(nodes[0], "NodeJoined")
        boss = Orchestrator(place.url)
        boss.sync.trigger("hold")
        before = until(nodes[0], "began")
        nodes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        until(nodes[1], "NodeJoined")
        nodes[0].send_signal(signal.SIGSTOP)
        after = until(nodes[1], "began")  # a lease and its grace later
        nodes[0].send_signal(signal.SIGCONT)
        cancelled = until(nodes[0], "cancelled")
        refused = until(nodes[0], "StaleReport")
        boss.sync.close()
    finally:
        for node in nodes:
            node.send_signal(signal.SIGCONT)
            node.terminate()
        for node in nodes:
            node.communicate(timeout=FOREVER_S)

    assert int(after.split()[1]) > int(before.split()[1])
    assert 0 <= float(cancelled.split()[1]) < SOON_S
    assert refused
