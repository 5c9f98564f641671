"""A body that copies, or merely reads, the folder in which its store lives, while another node shares that store."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from test_sqlite_processes import integrity

APP = """
import shutil, sys
from contextlib import suppress
from pathlib import Path
from shiftboss import Orchestrator

def copy(source, target):
    with suppress(FileNotFoundError):  # some live for a moment
        shutil.copy2(source, target)

HERE = Path(__file__).resolve().parent
boss = Orchestrator(f"sqlite:///{HERE}/jobs.db")


@boss.worker(timeout="5m")
def look(way: str, until: int) -> str:
    with open(HERE.parent / "begun", "a") as begun:
        begun.write("x")
    before = (HERE.parent / "ticks").stat().st_size
    looks = 0
    while (HERE.parent / "ticks").stat().st_size < before + until:
        looks += 1
        if way == "copy":
            shutil.copytree(HERE, HERE.parent / "copy", dirs_exist_ok=True, copy_function=copy)
        for file in HERE.rglob("*"):
            with suppress(FileNotFoundError, IsADirectoryError):
                file.read_bytes()
    return f"looked {looks} times"


@boss.worker(every="50ms", concurrency=1)
def tick() -> None:
    with open(HERE.parent / "ticks", "a") as ticks:
        ticks.write("x")
"""

WITHIN_S = 60.0  # passes only where something is broken


def until(what: str, is_true: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + WITHIN_S
    while not is_true():
        assert time.monotonic() < ends_at, what
        time.sleep(0.05)


@pytest.mark.cases
@pytest.mark.parametrize("way", ["copy", "read"])
def test_a_body_looks_at_the_files_of_its_store_again_and_again(tmp_path: Path, way: str):
    """C4, W2: it runs once, nobody is taken for dead, nothing is lost, and the file stays whole."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "app.py").write_text(APP)
    (tmp_path / "ticks").touch()
    processes: list[subprocess.Popen[str]] = []

    def start(name: str, *words: str) -> subprocess.Popen[str]:
        with (tmp_path / f"{name}.out").open("w") as out, (tmp_path / f"{name}.log").open("w") as log:
            command = [sys.executable, "-m", "shiftboss", *words]
            processes.append(subprocess.Popen(command, cwd=folder, stdout=out, stderr=log, text=True))
        return processes[-1]

    try:
        first = start("first", "run", "app.py")
        until("it ticks", lambda: (tmp_path / "ticks").stat().st_size > 0)
        waiter = start("waiter", "trigger", "look", f"way={way}", "until=60", "--store", "jobs.db", "--wait")
        until("it looks", (tmp_path / "begun").exists)
        second = start("second", "run", "app.py")  # while the first one looks
        codes = [waiter.wait(WITHIN_S), end(second), end(first)]
    finally:
        for process in processes:
            process.kill()
            process.wait()

    said = "".join(log.read_text() for log in tmp_path.glob("*.log"))
    assert (codes, (tmp_path / "begun").read_text()) == ([0, 0, 0], "x"), said
    assert "looked" in (tmp_path / "waiter.out").read_text()
    assert [line for line in said.splitlines() if re.search("WARNING|ERROR|rescued|gone", line)] == []
    assert integrity(folder / "jobs.db") == ["ok"]


def end(node: subprocess.Popen[str]) -> int:
    node.send_signal(signal.SIGTERM)
    return node.wait(WITHIN_S)
