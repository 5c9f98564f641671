"""Programs that end in every way that a program can end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

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
