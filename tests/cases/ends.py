"""Programs that end in every way that a program can end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

WITHIN_S = 30.0  # one that hangs does not end at all

HEAD = """
import asyncio, logging, sys, threading, time
from shiftboss import Orchestrator

logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
boss = Orchestrator("sqlite:///jobs.db", shutdown_timeout=4)
began = threading.Event()


@boss.worker(max_retries=0)
async def aio(seconds: float = 0.0) -> float:
    began.set()
    await asyncio.sleep(seconds)
    return seconds


@boss.worker(max_retries=0)
async def blocks() -> None:
    began.set()
    time.sleep(600)


@boss.worker(max_retries=0)
def thread(seconds: float = 0.0) -> float:
    began.set()
    time.sleep(seconds)
    return seconds


"""


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def end_of(folder: Path, text: str, *, head: str = HEAD, name: str = "app.py", python: str = sys.executable) -> Ended:
    """Run *text* after *head* in *folder* until its process ends by itself."""
    (folder / name).write_text(head + text, encoding="utf-8")
    program = subprocess.Popen(  # our own text
        [python, name], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        out, err = program.communicate(timeout=WITHIN_S)
    except subprocess.TimeoutExpired:
        program.kill()
        out, err = program.communicate()
        raise AssertionError(f"it did not end:\n{out}\n{err}") from None
    return Ended(program.returncode, out, err)


class Node:
    """`shiftboss run app.py` in *folder*, or *command* there."""

    within_s = WITHIN_S

    def __init__(self, folder: Path, text: str, *command: str, **options: Any) -> None:
        self.folder = folder
        (folder / "app.py").write_text(text, encoding="utf-8")
        self._log = (folder / "log").open("w")
        words = command or (sys.executable, "-m", "shiftboss", "run", "app.py")
        options = {"stdout": self._log, "stderr": self._log, "start_new_session": True, **options}
        self.process = subprocess.Popen(words, cwd=folder, **options)

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._log.close()

    def waits_for(self, *files: str) -> None:
        """Until bodies have made these files."""
        self.until(lambda: all((self.folder / file).exists() for file in files), f"{files} are not there")

    def says(self, text: str) -> None:
        """Until the log has it."""
        self.until(lambda: text in self.log, f"{text!r} was not said")

    def ends(self) -> int:
        """Its exit code."""
        try:
            return self.process.wait(WITHIN_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end:\n{self.log}") from None

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def until(self, is_so: Callable[[], bool], else_: str, *, ends: bool = False) -> None:
        """Until *is_so*; it must live meanwhile, unless it *ends*."""
        until_s = time.monotonic() + self.within_s
        while not is_so():
            if (self.process.poll() is not None and not ends) or time.monotonic() > until_s:
                raise AssertionError(f"{else_}; exit code {self.process.poll()}\n{self.log}")
            time.sleep(0.02)
