"""The node's end of the pipe to its warden, which ends what the node started when the pipe closes (`warden.py`).

Rules of this file
- Starting a program does not wait for the warden.  The warden is told of the process group after the fork, and finds
  other processes by their mark.
- An attempt that the warden ended, because the node stood still, was interrupted and has not failed: see `lapses`.
- A warden that has died, or does not read, is replaced, and the new one is told everything again.
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
        self.mark = secrets.token_hex(8)  # in the environment of every started process
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
        """Let the warden look once more and end."""
        with self._lock:
            self._groups.clear()
            self._dismiss(timeout_s)

    def hold(self, group: int) -> None:
        """Have the warden end that process group if this node ends."""
        with self._lock:
            self._groups.add(group)
            self._say(f"+{group}\n")

    def release(self, group: int) -> None:
        """The group has ended; its id may be reused."""
        with self._lock:
            self._groups.discard(group)
            self._say(f"-{group}\n")

    def trust(self, until_s: float, frozen_until_s: float) -> None:
        """Have the warden end what runs if this node sends no later time by *until_s* (lease clock): it stands still.

        If the node is only frozen, by *frozen_until_s*.
        """
        with self._lock:
            self._lapses, self._until_s = self.lapses, until_s
            self._until = f"={until_s:.3f} {frozen_until_s:.3f}\n"
            if self._warden is not None:
                self._say(self._until)

    @property
    def lapses(self) -> int:
        """How often the warden had reason to end what runs.

        If a process was started at a lower count and then killed, the warden ended it.
        """
        return self._lapses + (time.clock_gettime(LEASE_CLOCK) > self._until_s)

    # the methods below hold the lock

    def _say(self, line: str) -> None:
        try:
            self._write(line)
        except OSError:  # it was killed, or is stopped and its pipe is full
            self._dismiss(0.0)
            self._start()

    def _start(self) -> None:
        try:
            python = interpreter()
            if python is None:
                raise OSError("there is no Python to run it with")
            self._warden = subprocess.Popen(  # noqa: S603  # our own program
                [python, "-I", "-S", str(PROGRAM), str(os.getpid()), self.mark],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=environment.of_program(),
                bufsize=0,
                start_new_session=True,  # signals of a terminal or a supervisor to our group do not reach it
            )
            assert self._warden.stdin is not None  # noqa: S101  # for the type checker: it is a pipe
            os.set_blocking(self._warden.stdin.fileno(), False)
            self._write("".join(f"+{group}\n" for group in self._groups) + self._until)
        except OSError as error:
            if not self._said_none:
                self._said_none = True
                log.warning(
                    "the warden of this node's processes cannot be started (%s): if the node is killed, its child "
                    "processes and commands keep running; retrying at the next start.  Logged once.", error,
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
