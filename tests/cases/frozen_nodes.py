"""Nodes whose bodies keep the interpreter's lock (frozen_node.py), started, watched and ended by a test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from shiftboss import NotStarted, Orchestrator
from shiftboss.core.events import Event

PROGRAM = Path(__file__).with_name("frozen_node.py")
PATIENCE_S = 90.0  # each wait is for a condition; one that takes longer has failed
LEASE_S = 3.0
HOLD_S = 8.0  # a lease, its grace, and several looks of a neighbour


class Line(NamedTuple):
    what: str
    worker: str
    run: int
    pid: int
    at_s: float


class Nodes:
    """Processes on one store."""

    def __init__(self, folder: Path, store: str) -> None:
        self.store = store
        self.processes: list[subprocess.Popen[bytes]] = []
        self.boss = Orchestrator(store)
        self._folder = folder
        self._ledger = folder / "ledger"

    def start(self, count: int = 1, **environment: object) -> list[subprocess.Popen[bytes]]:
        given = {"STORE": self.store, "LEDGER": str(self._ledger), "LEASE": str(LEASE_S)}
        given |= {name: str(value) for name, value in environment.items()}
        started = []
        for _ in range(count):
            number = len(self.processes)
            with (self._folder / f"node-{number}.log").open("wb") as log:
                process = subprocess.Popen([sys.executable, PROGRAM], env={**os.environ, **given}, stderr=log)
            self.processes.append(process)
            started.append(process)
        numbers = range(len(self.processes) - count, len(self.processes))
        until(lambda: all(" joined" in self.said(number) for number in numbers), "the nodes have joined", log=self.said)
        return started

    def said(self, number: int | None = None) -> str:
        numbers = range(len(self.processes)) if number is None else (number,)
        return "".join((self._folder / f"node-{each}.log").read_text(errors="replace") for each in numbers)

    def lines(self, what: str, worker: str) -> list[Line]:
        if not self._ledger.exists():
            return []
        split = (line.split() for line in self._ledger.read_text().splitlines())
        lines = [Line(said, name, int(run), int(pid), float(at_s)) for said, name, run, pid, at_s in split]
        return [line for line in lines if (line.what, line.worker) == (what, worker)]

    def events(self) -> list[Event]:
        views = self.boss.new_views()
        try:
            return [event for _, event in views.events(after=0, limit=1000)]
        finally:
            views.close()

    def end(self) -> None:
        with suppress(NotStarted):  # nobody has asked it anything
            self.boss.sync.stop()
        for process in self.processes:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes:
            try:
                process.wait(PATIENCE_S)
            finally:
                process.kill()
                process.wait()


def until(holds: Callable[[], object], what: str, *, log: Callable[[], str] = str) -> None:
    began_s = time.monotonic()
    while not holds():
        assert time.monotonic() - began_s < PATIENCE_S, f"still not: {what}\n{log()}"
        time.sleep(0.02)


def trigger(nodes: Nodes, worker: str, payload: Mapping[str, Any]) -> Callable[[], Any]:
    run = nodes.boss.sync.trigger(worker, payload)
    return lambda: nodes.boss.sync.result(run.id, timeout=PATIENCE_S)


SILENT = "has been silent for"  # a neighbour: the lease has ended, the process lives
