"""Signals of a process that is ours, and who else has a hand on them: event loops, applications, forked children.

No test waits for a time: each waits for what the node or its bodies do, with a deadline.
"""

from __future__ import annotations

import os
import pty
import signal
import sys
from pathlib import Path

import pytest
from ends import Node

from shiftboss import Orchestrator
from shiftboss.core.model import Run, Status

HEAD = """
import asyncio, multiprocessing, os, signal, time
from pathlib import Path
from shiftboss import Context, Orchestrator, command

boss = Orchestrator("sqlite:///jobs.db")
"""
WAITS = """
@boss.worker(every="1h", max_retries=0, timeout="10m")
def waits() -> None:
    Path("began").touch()
    while not Path("go").exists(): time.sleep(0.02)
    Path("ended").touch()
"""


def drains(node: Node) -> None:
    """Told to end, it waits for its body, and says what became of it."""
    node.says("stopping")
    (node.folder / "go").touch()

    assert node.ends() == 0
    assert "drained 1" in node.log
    assert (node.folder / "ended").exists()


# ── whatever the loop, whoever adds handlers (G1) ────────────────────────────────────────────────────────────────────

STEALERS = {
    "nobody": "",
    "the loop gets a handler for another signal": "loop.add_signal_handler(signal.SIGUSR1, print)",
    "the loop gets a handler for this one": "loop.add_signal_handler(signal.SIGTERM, theirs)",
    "the process gets one": "signal.signal(signal.SIGTERM, lambda *_: theirs())",
    "one is added and removed": "loop.add_signal_handler(signal.SIGTERM, theirs); "
    "loop.remove_signal_handler(signal.SIGTERM)",
}


@pytest.mark.cases
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("steals", STEALERS.values(), ids=STEALERS)
def test_a_term_drains_whatever_loop_runs_and_whoever_adds_handlers(tmp_path: Path, loop: str, steals: str):
    """G1: uvloop takes the wake-up descriptor, asyncio does for an application's handler: TERM was ignored for ever."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")
        if sys.version_info >= (3, 14):
            pytest.skip("uvloop.install() is gone")
    text = f"""{"import uvloop; uvloop.install()" if loop == "uvloop" else ""}
{HEAD}{WAITS}
def theirs(): Path("theirs").touch()

@boss.worker(every="1h")
async def steals() -> None:
    loop = asyncio.get_running_loop()
    {steals or "pass"}
    await asyncio.sleep(1.5)  # our look at what others have done is once a second
    Path("stolen").touch()
"""
    with Node(tmp_path, text) as node:
        node.waits_for("began", "stolen")
        node.says("succeeded")  # what stole is recorded; only the other one is left
        node.process.send_signal(signal.SIGTERM)
        drains(node)

        assert (tmp_path / "theirs").exists() == ("theirs" in steals and "remove" not in steals)


def test_one_signal_is_told_once_and_a_second_one_cancels(tmp_path: Path):
    """G3: the wake-up descriptor and Python's handler both tell of it."""
    text = f"""{HEAD}
@boss.worker(every="1h", timeout="10m")
async def waits() -> None:
    Path("began").touch()
    try: await asyncio.sleep(600)
    finally: Path("cancelled").touch()
"""
    with Node(tmp_path, text) as node:
        node.waits_for("began")
        node.process.send_signal(signal.SIGTERM)
        node.says("stopping")

        assert not (tmp_path / "cancelled").exists()
        node.process.send_signal(signal.SIGTERM)
        assert node.ends() == 143
        assert "interrupted 1 (requeued)" in node.log


# ── the terminal (G1) ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_hangup_drains(tmp_path: Path):
    """G1"""
    with Node(tmp_path, HEAD + WAITS) as node:
        node.waits_for("began")
        node.process.send_signal(signal.SIGHUP)
        drains(node)


def test_a_closed_terminal_drains(tmp_path: Path):
    """G1: also when nobody can read any more what is said."""
    ours, theirs = pty.openpty()
    shell = "import os, sys; os.setsid(); import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    run = "os.execv(sys.executable, [sys.executable, '-m', 'shiftboss', 'run', 'app.py'])"
    both = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "start_new_session": False}
    with Node(tmp_path, HEAD + WAITS, sys.executable, "-c", shell + run, **both) as node:
        os.close(theirs)
        node.waits_for("began")
        os.close(ours)
        (tmp_path / "go").touch()

        assert node.ends() == 0
    assert [run.status for run in runs_of(tmp_path, "waits")] == [Status.PENDING, Status.SUCCEEDED]


def test_nohup_is_heeded(tmp_path: Path):
    """G1: HUP is left ignored where it was."""
    ignores = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    run = "os.execv(sys.executable, [sys.executable, '-m', 'shiftboss', 'run', 'app.py'])"
    with Node(tmp_path, HEAD + WAITS, sys.executable, "-c", ignores + run) as node:
        node.waits_for("began")
        node.process.send_signal(signal.SIGHUP)
        (tmp_path / "go").touch()
        node.waits_for("ended")
        node.says("waits run 1 succeeded")

        assert "stopping" not in node.log


# ── bodies that fork (G1) ────────────────────────────────────────────────────────────────────────────────────────────

FORKS = {
    "a child that is terminated": """
    child = mp.Process(target=time.sleep, args=(600,)); child.start(); child.terminate(); child.join()
    return child.exitcode""",
    "a pool that is left by an exception": """
    try:
        with mp.Pool(2) as pool:
            pool.apply_async(time.sleep, (600,)); raise KeyError("row 7")
    except KeyError: return -15""",
    "a pool that is used": """
    with mp.Pool(2) as pool: return pool.map(int, ["-15"])[0]""",
}


@pytest.mark.cases
@pytest.mark.parametrize("executor", ["thread", "process"])
@pytest.mark.parametrize("body", FORKS.values(), ids=FORKS)
def test_what_a_body_forks_is_ended_by_a_signal_and_tells_its_parent_nothing(tmp_path: Path, executor: str, body: str):
    """G1: it had the node's handlers, and its wake-up descriptor: the node shut down, and the child lived on."""
    text = f"""{HEAD}
mp = multiprocessing.get_context("fork")

@boss.worker(every="1h", max_retries=0, executor="{executor}", timeout="10m")
def forks() -> int:{body}
"""
    with Node(tmp_path, text) as node:
        node.says("forks run 1 succeeded")
        assert "stopping" not in node.log
        node.process.send_signal(signal.SIGTERM)

        assert node.ends() == 0
        assert members_of_group(node.process.pid) == []
    assert [run.result for run in runs_of(tmp_path, "forks") if run.result] == [b"-15"]


# ── signals to every process of a service (G2) ───────────────────────────────────────────────────────────────────────

PROGRAMS = {
    "a command": "boss.register('it', command(['sh', '-c', 'echo $$ > pid; touch began; sleep 600']), "
    "every='1h', max_retries=0)",
    "a command that says 143": "boss.register('it', command(['sh', '-c', \"trap 'exit 143' TERM; echo $$ > pid; "
    "touch began; sleep 600 & wait\"]), every='1h', max_retries=0)",
    "a child that takes the signal": """
@boss.worker(every="1h", max_retries=0, executor="process", timeout="10m")
def it() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    Path("pid").write_text(str(os.getpid())); Path("began").touch(); time.sleep(600)
""",
    "a pool of processes": """
from concurrent.futures import ProcessPoolExecutor
def it() -> None:
    Path("pid").write_text(str(os.getpid())); Path("began").touch(); time.sleep(600)
boss.register("it", it, pool=lambda: ProcessPoolExecutor(1), every="1h", max_retries=0)
""",
}


@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS)
def test_a_term_to_every_process_interrupts_and_is_no_failure(tmp_path: Path, text: str):
    """G2: platforms send it to all at once, and what dies of it first does not know that the node stops."""
    with Node(tmp_path, HEAD + text) as node:
        node.waits_for("began")
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
        node.process.send_signal(signal.SIGTERM)

        assert node.ends() == 0
        assert "interrupted 1 (requeued)" in node.log
    (run,) = [run for run in runs_of(tmp_path, "it") if run.has_started]
    assert (run.status, run.attempt, run.interruptions) == (Status.PENDING, 0, 1)


@pytest.mark.cases
@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS)
def test_a_term_to_one_of_them_alone_is_a_failure(tmp_path: Path, text: str):
    """G2: the node goes on."""
    with Node(tmp_path, HEAD + text) as node:
        node.waits_for("began")
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
        node.says("it run 1 is dead")

        assert "stopping" not in node.log


def runs_of(folder: Path, worker: str) -> list[Run]:
    with Orchestrator(f"sqlite:///{folder / 'jobs.db'}").sync as sync:
        ids = [run.id for run in sync.runs() if run.worker == worker]
        return [sync.run_info(each) for each in ids]


def members_of_group(group: int) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] not in b"ZX":
                found.append(int(name))
    return found
