"""A node's handle on one child process.

Rules of this file
- Only the thread that serves the children touches one: it starts them as well, since the kernel's PR_SET_PDEATHSIG
  speaks of the thread that started a process, not of its process.
- A child is its own session; ending it ends its group, all below it, and at its death whatever carries its mark.
- What a child prints, on stdout or stderr, goes to this process's stderr as it is.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftboss.core.model import Error
from shiftboss.executors import trees
from shiftboss.executors.attempt import Attempt
from shiftboss.executors.entry import Entry
from shiftboss.executors.place import this_script
from shiftboss.executors.wire import MAX_READ_BYTES, Hello, Inbox, ToChild, ToNode, framed, from_child

SOURCES = str(Path(__file__).resolve().parents[2])
CHILD = "import sys; sys.path.append({path!r}); from shiftboss.executors.child import main; main({fd}, {parent})"
WARDEN = (
    "import sys; sys.path.append({path!r}); from shiftboss.executors.warden import main; main({fd}, {mark!r}, {parent})"
)
REAP_S = 5.0  # from the closing of a child's socket to its end; a core dump takes a while


class Child:
    """One process."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.attempt: Attempt | None = None
        self.entries: set[Entry] = set()  # bodies that it has imported
        self.runs = 0
        self.is_leaving = False  # gets no more work
        self.is_silent = False  # its end of the socket is closed
        self.why: Error | None = None  # we killed it
        self.until_s = math.inf  # when it is killed: it did not begin, or did not leave, by then
        self._family: list[Any] = []  # what was seen below it
        self._inbox = Inbox()
        self._unsent = bytearray()
        self.socket, theirs = socket.socketpair()
        with theirs:
            self._process = _spawn(CHILD, theirs.fileno(), mark=mark)
        self.socket.setblocking(False)
        self.pid = self._process.pid
        self._seen = trees.require_psutil().Process(self.pid)
        self.pidfd = _pidfd(self.pid)
        level = logging.getLogger().getEffectiveLevel()
        self.send(Hello(path=list(sys.path), argv=list(sys.argv), script=this_script(), level=level))

    # talking

    def send(self, message: ToChild) -> None:
        self._unsent += framed(message)
        self.send_rest()

    def send_rest(self) -> None:
        """As much as it takes now: one whose body holds the interpreter's lock takes nothing."""
        with contextlib.suppress(BlockingIOError, ConnectionError, OSError):
            while self._unsent:
                del self._unsent[: self.socket.send(self._unsent)]

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    def receive(self) -> Iterator[ToNode]:
        """What has come by now."""
        while not self.is_silent:
            try:
                data = self.socket.recv(MAX_READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            self.is_silent = not data
            for each in self._inbox.take(data):
                yield from_child(each)
            if len(data) < MAX_READ_BYTES and not self.is_silent:
                return

    # its state

    @property
    def is_idle(self) -> bool:
        return self.attempt is None and not self.is_leaving

    def memory_bytes(self) -> int:
        try:
            return int(self._seen.memory_info().rss)
        except trees.require_psutil().Error:
            return 0

    def ended(self) -> bool:
        return self._process.poll() is not None

    # its end

    def terminate(self) -> None:
        """TERM to all of it."""
        self._family = trees.descendants(self.pid)
        trees.send_group(self.pid, signal.SIGTERM)
        trees.send((each for each in self._family if _group(each.pid) != self.pid), signal.SIGTERM)

    def kill(self) -> None:
        """KILL to all of it, those below first: without it they would be somebody else's."""
        self.is_leaving = True
        if not self.ended():
            self._family += trees.descendants(self.pid)
            trees.send(self._family, signal.SIGKILL)
            trees.send_group(self.pid, signal.SIGKILL)

    def leave(self, now_s: float) -> None:
        """It ends by itself when its socket does, with all below it."""
        self.is_leaving = True
        self.until_s = now_s + REAP_S
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def bury(self) -> int:
        """After its end: its return code.  Nothing of it is left."""
        code = self._process.wait()
        if self.attempt is not None or self.why is not None or self._family or code != 0:
            trees.send(self._family, signal.SIGKILL)
            trees.sweep(self.mark)
        self.socket.close()
        if self.pidfd is not None:
            os.close(self.pidfd)
        return code


class Warden:
    """See `warden.py`."""

    def __init__(self, mark: str) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = _spawn(WARDEN, theirs.fileno(), mark=mark)

    def dismiss(self) -> None:
        self._socket.close()
        try:
            self._process.wait(REAP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _spawn(program: str, fd: int, *, mark: str) -> subprocess.Popen[bytes]:
    """A fresh interpreter with the options of this one, in a session of its own."""
    options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # as multiprocessing does
    environment = dict(os.environ)
    environment.pop(trees.MARK, None)
    if program is CHILD:
        environment[trees.MARK] = mark
    output = _output()
    return subprocess.Popen(  # noqa: S603  # our own interpreter
        [sys.executable, *options, "-P", "-c", program.format(path=SOURCES, fd=fd, parent=os.getpid(), mark=mark)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=(fd,),
        env=environment,
        start_new_session=True,
    )


def _output() -> int:
    try:
        os.fstat(2)
    except OSError:  # a daemon may have closed it
        return subprocess.DEVNULL
    return 2


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # not Linux, or an old one: then the children are asked in turn
        return None


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return -1
