"""Real processes of an app on one store, to be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

APPS = Path(__file__).parent / "apps"
PATIENCE_S = 60.0  # on a busy machine; nothing waits that long when all is well


class Fleet:
    """Processes that share a store and a ledger; their stderr is kept for the search for words that must not appear."""

    def __init__(self, folder: Path, app: str) -> None:
        self.folder = folder
        self.app = APPS / app
        self.ledger = folder / "ledger.jsonl"
        self.store = f"sqlite:///{folder / 'fleet.db'}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.died_at: dict[int, float] = {}
        self.codes: dict[int, int] = {}
        self._logs: list[Path] = []

    def environment(self) -> dict[str, str]:
        return {**os.environ, "SHIFTBOSS_STORE": self.store, "LEDGER": str(self.ledger), "PYTHONUNBUFFERED": "1"}

    def start(self, *args: str) -> subprocess.Popen[bytes]:
        log = self.folder / f"process-{len(self._logs)}.log"
        self._logs.append(log)
        with log.open("wb") as stderr:
            process = subprocess.Popen([sys.executable, str(self.app), *args], env=self.environment(), stderr=stderr)
        self.processes.append(process)
        return process

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for it: the processes write at their own time, and there is nothing else to wait for."""
        until_s = time.monotonic() + PATIENCE_S
        while not holds():
            assert [process.poll() for process in self.processes] == [None] * len(self.processes), self.said()
            assert time.monotonic() < until_s, self.said()
            time.sleep(0.01)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """kill -9; the instant before it is when its bodies ended at the latest."""
        process.send_signal(signal.SIGKILL)
        self.died_at[process.pid] = time.clock_gettime(time.CLOCK_BOOTTIME)
        process.wait()
        self.processes.remove(process)

    def terminate(self, *, within_s: float) -> list[int]:
        """SIGTERM to all; their exit codes.  Whoever is later than that is killed, and the code tells."""
        for process in self.processes:
            process.terminate()
        codes = []
        for process in self.processes:
            try:
                codes.append(process.wait(within_s))
            except subprocess.TimeoutExpired:
                process.kill()
                codes.append(process.wait())
        self.processes.clear()
        return codes

    def said(self) -> str:
        return "\n".join(log.read_text(errors="replace") for log in self._logs)
