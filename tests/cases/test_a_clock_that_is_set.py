"""The real product while its wall clock is set: ±1 h, ±3 d, there and back (O4).

The wall clock is one in front of the C library's, where there is a compiler; else the clock of the orchestrator.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from struct import pack
from typing import TextIO

import pytest

from postgres_server import RELAXED, Cluster, a_cluster

HOUR_S, DAY_S = 3600, 86_400
WITHIN_S = 60.0
ONCE = ("delayed", "retried")
EXACT_S = 0.05  # wall and elapsed time are not read at one instant

PROGRAM = '''
import asyncio, json, os, sys, time
from datetime import UTC, datetime, timedelta
from shiftboss import Orchestrator, Retry
from shiftboss.clock import SystemClock


class SetClock(SystemClock):
    """Where nothing stands in front of the C library's clock."""

    def now(self):
        with open(os.environ["SB_WALL_OFFSET"], "rb") as file:
            return super().now() + timedelta(seconds=int.from_bytes(file.read(8), sys.byteorder, signed=True))


clock = {} if "LD_PRELOAD" in os.environ else {"clock": SetClock()}
boss = Orchestrator(sys.argv[1], **clock)
WAIT_S = int(sys.argv[2])


def say(what, **more):
    line = json.dumps({"what": what, "s": time.clock_gettime(time.CLOCK_BOOTTIME), **more})
    os.write(1, f"{line}\\n".encode())  # whole: several processes share the pipe


@boss.worker(every="0.5s")
async def interval(ctx): say("interval", at=ctx.occurs_at.isoformat(), run=ctx.run_id)
@boss.worker(cron="* * * * * *")
async def cron(ctx): say("cron", at=ctx.occurs_at.isoformat(), run=ctx.run_id)
@boss.worker(continuous=True, pause="0.5s")
async def pause(ctx): say("pause", run=ctx.run_id)
@boss.worker(start_within="30s", deadline="1m")
async def delayed(n: int): say("delayed", n=n)
@boss.worker(key_ttl="10m")
async def keyed(n: int): say("keyed", n=n)
@boss.worker
async def retried(ctx, n: int):
    say("retried", n=n, attempt=ctx.attempt)
    if ctx.attempt == 1:
        raise Retry("once more", after=WAIT_S)


async def main():
    async with boss:
        loop = asyncio.get_running_loop()
        say("ready")
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            name, n = line.split()
            say("asked", name=name, n=int(n))
            if name == "delayed":
                await delayed.options(delay=WAIT_S).trigger(int(n))
            elif name == "keyed":
                run = await keyed.options(key="k").trigger(0)
                await run.wait(timeout=30)
                say("kept", n=int(n), id=run.id)
            elif name == "retried":
                run = await retried.trigger(int(n))
                while not (await run.info()).attempts:
                    await asyncio.sleep(0.02)
                say("stored", n=int(n))
asyncio.run(main())
'''


class Wall:
    """What the wall clock is ahead of the machine's, for all who read it."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        self._file = folder / "offset"
        self._file.write_bytes(pack("=q", 0))
        self._file.chmod(0o644)
        self.environment = {"SB_WALL_OFFSET": str(self._file)}
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is not None and sys.platform == "linux":
            shim = folder / "wall_clock.so"
            source = Path(__file__).with_name("wall_clock.c")
            subprocess.run([compiler, "-shared", "-fPIC", "-O1", source, "-o", shim, "-ldl"], check=True)
            shim.chmod(0o755)
            self.environment["LD_PRELOAD"] = str(shim)

    def set(self, seconds: int) -> None:
        with self._file.open("r+b") as file:
            file.write(pack("=q", seconds))


@pytest.fixture
def wall(tmp_path_factory: pytest.TempPathFactory) -> Wall:
    folder = tmp_path_factory.mktemp("wall")
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)  # for the user of a server
    return Wall(folder)


class Program:
    """The application, in processes of its own; they are asked in turns, and say what they do by one pipe."""

    def __init__(self, processes: list[subprocess.Popen[str]], lines: TextIO) -> None:
        self._in_turns = cycle(processes)
        self._lines = lines
        self.said: list[dict] = []  # all that was read

    def ask(self, line: str) -> None:
        process = next(self._in_turns)
        assert process.stdin is not None
        process.stdin.write(line + "\n")
        process.stdin.flush()

    def rest(self) -> None:
        """What is still said, so that no pipe is full."""
        self.said += map(json.loads, self._lines)

    def until(self, *wanted: Callable[[dict], bool]) -> list[dict]:
        """Read on until each of *wanted* was said; what that was.  The watchdog of the test ends a wait in vain."""
        found: dict[int, dict] = {}
        while len(found) < len(wanted):
            line = self._lines.readline()
            assert line, "the application has ended"
            said = json.loads(line)
            self.said.append(said)
            for place, fits in enumerate(wanted):
                if place not in found and fits(said):
                    found[place] = said
                    break
        return [found[place] for place in range(len(wanted))]


def said(what: str, **more: object) -> Callable[[dict], bool]:
    return lambda line: line["what"] == what and all(line.get(name) == value for name, value in more.items())


@contextmanager
def a_program(
    folder: Path, url: str, wall: Wall, *, wait_s: int = 2, is_killed: bool = False, nodes: int = 1
) -> Iterator[Program]:
    (folder / "app.py").write_text(PROGRAM, encoding="utf-8")
    reading, writing = os.pipe()
    with ExitStack() as stack, open(reading, encoding="utf-8") as lines:
        processes: list[subprocess.Popen[str]] = []
        program = Program(processes, lines)
        try:
            for _ in range(nodes):
                processes.append(stack.enter_context(_a_process(folder, url, wall, wait_s, writing)))
                stack.callback(processes[-1].kill)
        finally:
            os.close(writing)  # they alone have it: it ends with them
        program.until(*(said("ready") for _ in processes))
        yield program
        if not is_killed:
            for process in processes:
                assert process.stdin is not None
                process.stdin.close()
            program.rest()
            assert [process.wait(WITHIN_S) for process in processes] == [0] * nodes


def _a_process(folder: Path, url: str, wall: Wall, wait_s: int, writing: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "app.py", url, str(wait_s)],
        cwd=folder,
        env={**os.environ, **wall.environment},
        stdin=subprocess.PIPE,
        stdout=writing,
        text=True,
    )


def durations_keep_their_length(program: Program, wall: Wall, steps: list[int]) -> None:
    """A delay and a back-off of 2 s each, begun before each step; everything that comes by itself goes on after it."""
    program.ask("keyed -1")
    (first,) = program.until(said("kept"))
    for n, seconds in enumerate(steps):
        program.ask(f"delayed {n}")
        program.ask(f"retried {n}")
        asked, failed, _ = program.until(
            said("asked", name="delayed", n=n), said("retried", n=n, attempt=1), said("stored", n=n)
        )
        wall.set(seconds)
        delayed, retried, *_ = program.until(
            said("delayed", n=n),
            said("retried", n=n, attempt=2),
            *(said(name) for name in ("interval", "cron", "pause") for _ in range(2)),
        )
        for began, ended in ((asked, delayed), (failed, retried)):
            assert 2.0 <= ended["s"] - began["s"] + EXACT_S < WITHIN_S  # and not an hour, nor at once
        program.ask(f"keyed {n}")
        (kept,) = program.until(said("kept", n=n))
        assert kept["id"] == first["id"]  # O5: ten minutes are not over


def twice(program: Program) -> set[tuple]:
    """Whatever began more than once: a run, an instant of a schedule, an attempt."""
    by_run = [(line["what"], "run", line["run"]) for line in program.said if "run" in line]
    by_instant = [(line["what"], line["at"]) for line in program.said if "at" in line]
    attempts = [(line["what"], line["n"], line.get("attempt")) for line in program.said if line["what"] in ONCE]
    assert by_run
    assert by_instant
    assert attempts
    return {each for each, times in Counter((*by_run, *by_instant, *attempts)).items() if times > 1}


def test_on_sqlite(tmp_path: Path, wall: Wall):
    """O4, R1, M4, M5, T1, O5: three days forward and back."""
    with a_program(tmp_path, f"sqlite:///{tmp_path}/jobs.db", wall) as program:
        durations_keep_their_length(program, wall, [3 * DAY_S, 0])


@pytest.mark.cases
def test_on_sqlite_in_all_directions(tmp_path: Path, wall: Wall):
    """O4, R1, M4, M5, T1, O5"""
    with a_program(tmp_path, f"sqlite:///{tmp_path}/jobs.db", wall) as program:
        durations_keep_their_length(program, wall, [-3 * DAY_S, 0, HOUR_S, 0, -HOUR_S, 0, 3 * DAY_S, HOUR_S, 0])


@pytest.mark.cases
@pytest.mark.parametrize("seconds", [3 * DAY_S, -3 * DAY_S, HOUR_S, -HOUR_S])
def test_over_a_restart_within_one_boot(tmp_path: Path, wall: Wall, seconds: int):
    """O4: it is set while no process lives."""
    url = f"sqlite:///{tmp_path}/jobs.db"
    with a_program(tmp_path, url, wall, wait_s=6, is_killed=True) as program:
        program.ask("delayed 1")
        program.ask("retried 1")
        asked, failed, _ = program.until(
            said("asked", name="delayed", n=1), said("retried", n=1, attempt=1), said("stored", n=1)
        )
    wall.set(seconds)
    with a_program(tmp_path, url, wall) as program:
        delayed, retried, *_ = program.until(
            said("delayed", n=1),
            said("retried", n=1, attempt=2),
            *(said(name) for name in ("interval", "cron", "pause") for _ in range(2)),
        )

    for began, ended in ((asked, delayed), (failed, retried)):
        assert 6.0 <= ended["s"] - began["s"] + EXACT_S < WITHIN_S


@contextmanager
def a_server_with(wall: Wall) -> Iterator[Cluster]:
    before = dict(os.environ)
    os.environ.update(wall.environment)
    try:
        with a_cluster(*RELAXED) as cluster:
            os.environ.clear()
            os.environ.update(before)
            yield cluster
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.cases
def test_on_postgresql_it_is_the_servers_clock(tmp_path: Path, wall: Wall):
    """O4, C2: the nodes' own stays right, and two of them move everything once."""
    if "LD_PRELOAD" not in wall.environment:
        pytest.skip("no C compiler: nothing can stand in front of the server's clock")
    here = Wall(tmp_path)  # the applications' own clock is never set
    with a_server_with(wall) as cluster:
        url = f"{cluster.url}?schema=clocks"
        with a_program(tmp_path, url, here) as program:
            durations_keep_their_length(program, wall, [3 * DAY_S, 0, -3 * DAY_S, 0, HOUR_S, -HOUR_S, 0])


@pytest.mark.cases
@pytest.mark.parametrize("steps", [[3 * DAY_S, 0, -3 * DAY_S, 0], [HOUR_S, 0, -HOUR_S, 0, HOUR_S, -HOUR_S]])
def test_two_nodes_on_postgresql_do_everything_once(tmp_path: Path, wall: Wall, steps: list[int]):
    """O1, O4, C1: both see the server's clock set, one of them moves everything, and nothing runs a second time."""
    if "LD_PRELOAD" not in wall.environment:
        pytest.skip("no C compiler: nothing can stand in front of the server's clock")
    with a_server_with(wall) as cluster:
        url = f"{cluster.url}?schema=clocks"
        with a_program(tmp_path, url, Wall(tmp_path), nodes=2) as program:
            durations_keep_their_length(program, wall, steps)

    assert twice(program) == set()


@pytest.mark.cases
def test_two_nodes_on_one_file_do_everything_once(tmp_path: Path, wall: Wall):
    """O1, O4, C1"""
    with a_program(tmp_path, f"sqlite:///{tmp_path}/jobs.db", wall, nodes=2) as program:
        durations_keep_their_length(program, wall, [3 * DAY_S, 0, -3 * DAY_S, 0, HOUR_S, -HOUR_S, 0])

    assert twice(program) == set()
