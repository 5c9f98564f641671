"""Ctrl-C once and twice, and readers that go away: what a terminal, a pipe or a web server does to a whole program.

No test waits for a time: each waits for what the program does, with a deadline.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ends import Node

from shiftboss import Orchestrator
from shiftboss.core.model import Run, Status

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups and signals of POSIX")

HEAD = """
import asyncio, sys, time
from pathlib import Path
from shiftboss import Context, Orchestrator, command

boss = Orchestrator("sqlite:///jobs.db", shutdown_timeout=600)  # whoever waits for it has failed
"""
LASTS = """
@boss.worker(every="1h", max_retries=0, timeout="1h")
async def lasts(ctx: Context) -> None:
    Path("began").touch()
    while not ctx.stopping:
        await asyncio.sleep(0.02)
    Path("stopping").touch()
    await asyncio.sleep(3000)
"""


def test_a_ctrl_c_reaches_the_children_too_and_they_finish(tmp_path: Path):
    """G1, G2: a terminal sends it to the whole group; bodies in children and commands go on while the node drains."""
    text = f"""{HEAD}
WAITS = '''
import pathlib, sys, time
pathlib.Path("began-" + sys.argv[1]).touch()
while not pathlib.Path("go").exists(): time.sleep(0.02)
pathlib.Path("ended-" + sys.argv[1]).touch()
'''
boss.register("program", command([sys.executable, "-c", WAITS, "program"]), every="1h", max_retries=0)

@boss.worker(every="1h", executor="process", max_retries=0)
def child() -> None:
    Path("began-child").touch()
    while not Path("go").exists(): time.sleep(0.02)
    Path("ended-child").touch()
"""
    with Node(tmp_path, text) as node:
        node.waits_for("began-program", "began-child")
        os.killpg(node.process.pid, signal.SIGINT)
        node.says("stopping")
        assert not list(tmp_path.glob("ended-*"))
        (tmp_path / "go").touch()

        assert node.ends() == 0
        assert (tmp_path / "ended-program").exists()
        assert (tmp_path / "ended-child").exists()
    for worker in ("program", "child"):
        assert [run.status for run in started(tmp_path, worker)] == [Status.SUCCEEDED]


def test_a_second_ctrl_c_ends_an_embedded_program_without_the_drain(tmp_path: Path):
    """G3: `asyncio.run` and `async with boss`: the first one drains, the second one cancels."""
    text = f"""{HEAD}{LASTS}
async def main():
    async with boss:
        await asyncio.Event().wait()
asyncio.run(main())
"""
    with Node(tmp_path, text, sys.executable, "app.py") as node:
        node.waits_for("began")
        node.process.send_signal(signal.SIGINT)
        node.waits_for("stopping")
        assert node.process.poll() is None
        node.process.send_signal(signal.SIGINT)

        node.ends()
    (run,) = started(tmp_path, "lasts")
    assert (run.status, run.attempt, run.interruptions) == (Status.PENDING, 0, 1)


@pytest.mark.parametrize(
    ("runs", "presses"),
    [
        ("asyncio.run(main())", 2),  # its first one cancels the main task; the second is raised wherever the thread is
        ("loop = asyncio.new_event_loop(); loop.create_task(main()); loop.run_forever()", 1),
    ],
    ids=["asyncio.run", "a bare loop"],
)
def test_a_ctrl_c_that_is_raised_within_a_body_is_the_programs(tmp_path: Path, runs: str, presses: int):
    """G3, G5: the body that was on the processor has not failed, and the program hears of it."""
    text = f"""{HEAD}
import signal

@boss.worker(every="1h", max_retries=0, timeout="1h")
async def lasts(ctx: Context) -> None:
    if {presses} == 2:
        signal.raise_signal(signal.SIGINT)
        while not ctx.stopping:
            await asyncio.sleep(0.02)
    signal.raise_signal(signal.SIGINT)

async def main():
    async with boss:
        await asyncio.Event().wait()

{runs}
"""
    with Node(tmp_path, text, sys.executable, "app.py") as node:
        node.ends()
        assert "KeyboardInterrupt" in node.log
    (run,) = started(tmp_path, "lasts")
    assert (run.status, run.attempt) == (Status.PENDING, 0)
    assert run.interruptions >= 1  # its node, alive until the process ends, may have tried it once more


@pytest.mark.cases
def test_a_second_ctrl_c_skips_the_end_of_the_lifespan_of_a_server_and_the_process_ends_all_the_same(tmp_path: Path):
    """G2, G5: uvicorn with an open response waits for it; the second signal makes it leave its lifespan as it is."""
    text = f"""{HEAD.replace("600", "5")}{LASTS}
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

@boss.worker(every="1h", max_retries=0, timeout="1h")
def polite(ctx: Context) -> None:
    Path("polite").touch()
    while not ctx.stopping:
        time.sleep(0.02)

async def stream(request):
    async def for_ever():
        while True:
            yield b"x"
            await asyncio.sleep(0.05)
    return StreamingResponse(for_ever())

app = Starlette(lifespan=boss.lifespan, routes=[Route("/", stream)])
"""
    with Node(tmp_path, text, sys.executable, "-m", "uvicorn", "app:app", "--port", "0") as node:
        node.waits_for("began", "polite")
        node.says("Uvicorn running on")
        port = int(re.findall(r"127\.0\.0\.1:(\d+)", node.log)[0])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as browser:
            browser.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert browser.recv(1)  # the response is open
            node.process.send_signal(signal.SIGINT)
            node.says("Waiting for")
            assert node.process.poll() is None
            for _ in range(3):  # uvicorn passes over one that comes within a moment of the first
                node.process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    node.process.wait(8)
                    break

            node.ends()
    (run,) = started(tmp_path, "lasts")
    assert (run.status, run.attempt, run.interruptions) == (Status.PENDING, 0, 1)
    (run,) = started(tmp_path, "polite")
    assert run.status in (Status.SUCCEEDED, Status.PENDING)


@pytest.mark.parametrize("size", [3000, 3], ids=["passed on at once", "kept for the end"])
@pytest.mark.parametrize(
    "streams",
    [*(pytest.param((each,), marks=pytest.mark.cases) for each in ("stdout", "stderr")), ("stdout", "stderr")],
    ids="-".join,
)
def test_a_node_whose_log_nobody_reads_ends_as_it_went(tmp_path: Path, streams: tuple[str, ...], size: int):
    """G1: lines that reached nobody are no failure; Python would say 120."""
    text = f"""{HEAD}
import logging

@boss.worker(every="50ms", max_retries=0, max_consecutive_failures=None)
def talks() -> None:
    logging.getLogger("app").warning("x" * 3000)
    print("y" * {size})
"""
    read, write = os.pipe()
    os.close(read)
    command = (sys.executable, "-m", "shiftboss", "run", "app.py", "--for", "1s", "--log-level", "debug")
    with Node(tmp_path, text, *command, **dict.fromkeys(streams, write)) as node:
        os.close(write)
        assert node.ends() == 0


def test_readers_of_its_output_that_go_away_take_no_node_with_them(tmp_path: Path):
    """A supervisor that restarts, `| head`: what prints fails, everything else goes on, and TERM drains."""
    text = f"""{HEAD}
@boss.worker(every="100ms")
def tick() -> None:
    with open("ticks", "a") as ticks:
        ticks.write("x")

@boss.worker(every="100ms", max_retries=0, max_consecutive_failures=None)
def talks() -> None:
    print("x" * 100_000, flush=True)
"""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = (sys.executable, "-m", "shiftboss", "run", "app.py", "--log-level", "debug")
    with Node(tmp_path, text, *command, **pipes) as node:
        node.waits_for("ticks")
        node.process.stdout.close()
        node.process.stderr.close()
        so_far = len((tmp_path / "ticks").read_bytes())
        node.until(lambda: len((tmp_path / "ticks").read_bytes()) > so_far + 10, "it does not go on")
        node.process.send_signal(signal.SIGTERM)

        assert node.ends() == 0
    assert any(run.error is not None and "BrokenPipe" in run.error.type for run in started(tmp_path, "talks"))
    assert all(run.status is not Status.RUNNING for run in started(tmp_path, "tick"))


def started(folder: Path, worker: str) -> list[Run]:
    with Orchestrator(f"sqlite:///{folder / 'jobs.db'}").sync as sync:
        runs = [sync.run_info(run.id) for run in sync.runs() if run.worker == worker]
        return [run for run in runs if run.has_started]
