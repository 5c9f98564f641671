"""The node's end of the pipe whose closing lets the warden end what the node started (see `warden.py`).

Rules of this file
- Nobody waits for the warden at the start of a program; it is told of its group after the fork, and finds by the mark
  what it was not told of.
- What a warden has ended, since the node stood still, was interrupted and has not failed: `lapses` tells.
- A warden that has died, or does not listen, is replaced and told everything anew.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import subprocess
import threading
import time
from pathlib import Path

from shiftboss.executors import environment
from shiftboss.executors.warden import LEASE_CLOCK
from shiftboss.interpreter import interpreter
from shiftboss.logs import get_logger

PROGRAM = Path(__file__).with_name("warden.py")

log = get_logger("shiftboss.executors")


class WardenClient:
    """One for each executor that starts processes.  Any thread may call it."""

    def __init__(self) -> None:
        self.mark = secrets.token_hex(8)  # in the environment of all that is started
        self._lock = threading.Lock()  # protects everything below
        self._warden: subprocess.Popen[bytes] | None = None
        self._groups: set[int] = set()
        self._until = ""
        self._until_s = math.inf
        self._lapses = 0
        self._said_none = False

    def open(self) -> None:
        with self._lock:
            if self._warden is None:
                self._start()

    def close(self, timeout_s: float) -> None:
        """Let the warden look once more and go."""
        with self._lock:
            self._groups.clear()
            self._dismiss(timeout_s)

    def hold(self, group: int) -> None:
        """Should this node end, end that process group too."""
        with self._lock:
            self._groups.add(group)
            self._say(f"+{group}\n")

    def release(self, group: int) -> None:
        """It has ended; its number may be given to others."""
        with self._lock:
            self._groups.discard(group)
            self._say(f"-{group}\n")

    def trust(self, until_s: float, frozen_until_s: float) -> None:
        """Should this node say nothing more by then (of the clock of leases), end what runs: it stands still.

        Where it is only frozen, by the second instant.
        """
        with self._lock:
            self._lapses, self._until_s = self.lapses, until_s
            self._until = f"={until_s:.3f} {frozen_until_s:.3f}\n"
            if self._warden is not None:
                self._say(self._until)

    @property
    def lapses(self) -> int:
        """How often the warden had reason to end what runs; it ended who was killed and began at another count."""
        return self._lapses + (time.clock_gettime(LEASE_CLOCK) > self._until_s)

    # below: holding the lock

    def _say(self, line: str) -> None:
        try:
            self._write(line)
        except OSError:  # it was killed, or is stopped and its pipe full
            self._dismiss(0.0)
            self._start()

    def _start(self) -> None:
        try:
            python = interpreter()
            if python is None:
                raise OSError("there is no Python to run it on")
            self._warden = subprocess.Popen(  # noqa: S603  # our own program
                [python, "-I", "-S", str(PROGRAM), str(os.getpid()), self.mark],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=environment.of_program(),
                bufsize=0,
                start_new_session=True,  # out of reach of what a terminal or a supervisor sends to our group
            )
            assert self._warden.stdin is not None  # noqa: S101  # for the type checker: it is a pipe
            os.set_blocking(self._warden.stdin.fileno(), False)
            self._write("".join(f"+{group}\n" for group in self._groups) + self._until)
        except OSError as error:
            if not self._said_none:
                self._said_none = True
                log.warning(
                    "the warden of this node's processes cannot be started (%s): should the node be killed, what runs "
                    "then goes on; it is tried again at the next start.  Said once.", error,
                )  # fmt: skip

    def _write(self, text: str) -> None:
        if self._warden is None or self._warden.stdin is None:
            raise BrokenPipeError
        data = text.encode()
        if data and self._warden.stdin.write(data) != len(data):
            raise BlockingIOError

    def _dismiss(self, timeout_s: float) -> None:
        warden, self._warden = self._warden, None
        if warden is None:
            return
        with contextlib.suppress(OSError):
            if warden.stdin is not None:
                warden.stdin.close()
        try:
            warden.wait(timeout_s)
        except subprocess.TimeoutExpired:
            warden.kill()
            warden.wait()
