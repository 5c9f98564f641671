"""A node's handle on one child process.

Rules of this file
- Only the thread that serves the children touches a handle.  That thread starts the children as well, because the
  kernel's PR_SET_PDEATHSIG refers to the thread that started a process, not to its process.
- A child has its own session; ending it ends every process that it started (`process_tree.py`).
- What a child prints on stdout or stderr goes to this process's stderr unchanged.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftboss.clock import Clock
from shiftboss.core.model import Failed
from shiftboss.errors import ConfigurationError
from shiftboss.executors import environment
from shiftboss.executors.body_ref import BodyRef
from shiftboss.executors.execution import Execution
from shiftboss.executors.function_ref import this_script
from shiftboss.executors.process_tree import ProcessTree, code_of, has_ended
from shiftboss.executors.warden import MARK
from shiftboss.executors.warden_client import WardenClient
from shiftboss.executors.wire import MAX_READ_BYTES, Hello, MessageBuffer, ToChild, ToNode, framed, from_child
from shiftboss.interpreter import interpreter
from shiftboss.logs import get_logger

SOURCES = str(Path(__file__).resolve().parents[2])
PROGRAM = "import sys; sys.path.append({path!r}); from shiftboss.executors.child_main import main; main({fd}, {parent})"
REAP_S = 5.0  # from the closing of a child's socket to its end; a core dump takes a while

log = get_logger("shiftboss.executors")


def require_psutil(why: str) -> Any:
    """The module psutil.  Raises ConfigurationError if it is missing."""
    try:
        import psutil
    except ImportError:
        raise ConfigurationError(f"{why} needs psutil; run: pip install 'shiftboss[process]'") from None
    return psutil


class ChildProcess:
    """One child process."""

    def __init__(self, warden: WardenClient, number: int, clock: Clock) -> None:
        self.attempt: Execution | None = None
        self.bodies: set[BodyRef] = set()  # that it has imported
        self.runs = 0
        self.lapses = 0  # its warden's count when the child got its current attempt
        self.is_leaving = False  # gets no more work
        self.is_silent = False  # its end of the socket is closed
        self.why: Failed | None = None  # why this node killed it, if it did
        self.until_s = math.inf  # it is killed then, if it has not begun or not left
        self._warden = warden
        self._was_told = False  # it got a signal to end
        self._inbox = MessageBuffer()
        self._unsent = bytearray()
        self.socket, theirs = socket.socketpair()
        mark = f"{warden.mark}.child-{number}."
        try:
            with theirs:
                self._process = _spawn(theirs.fileno(), mark=mark)
        except BaseException:
            self.socket.close()
            raise
        self.socket.setblocking(False)
        self.pid = self._process.pid
        self._tree = ProcessTree(self.pid, mark, clock)
        self._measured: Any = None  # its psutil.Process, made at the first use
        self.pidfd = _pidfd(self.pid)
        warden.hold(self.pid)
        level = logging.getLogger().getEffectiveLevel()
        self.send(
            Hello(
                path=list(sys.path),
                argv=list(sys.argv),
                script=this_script(),
                level=level,
                levels=_levels(),
                store=environment.store_address(),
            )
        )

    # talking

    def send(self, message: ToChild) -> None:
        self._unsent += framed(message)
        self.send_rest()

    def send_rest(self) -> None:
        """Send what the socket takes now: nothing while a function in the child holds the interpreter's lock."""
        with contextlib.suppress(BlockingIOError, ConnectionError, OSError):
            while self._unsent:
                del self._unsent[: self.socket.send(self._unsent)]

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    def receive(self) -> Iterator[ToNode]:
        """The messages that have arrived."""
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
        """The memory that it occupies."""
        psutil = require_psutil("max_memory=")
        try:
            if self._measured is None:
                self._measured = psutil.Process(self.pid)
            return int(self._measured.memory_info().rss)
        except psutil.Error:
            return 0

    def ended(self) -> bool:
        return has_ended(self._process)

    # its end

    def terminate(self) -> None:
        """Send TERM to it and to every process that it started."""
        self._was_told = True
        self._tree.terminate()

    def kill(self) -> None:
        """Send KILL to it and to every process that it started."""
        self._was_told = self.is_leaving = True
        if not self.ended():
            self._tree.kill()

    def leave(self, now_s: float) -> None:
        """Close its socket: it then ends by itself, with every process that it started."""
        self.is_leaving = True
        self.until_s = now_s + REAP_S
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def reap(self) -> int | None:
        """After its end: clean up everything, and return its return code if it is known."""
        code = code_of(self._process)
        if (self._was_told or code != 0 or self.attempt is not None) and not self._tree.end(0.0):
            log.warning("a process that a child process left behind cannot be ended; it keeps running")
        self._process.wait()
        self._warden.release(self.pid)
        self.socket.close()
        if self.pidfd is not None:
            os.close(self.pidfd)
        return code


def _spawn(fd: int, *, mark: str) -> subprocess.Popen[bytes]:
    """Start a new interpreter with the options of this one, in a session of its own."""
    python = interpreter()
    if python is None:
        raise OSError("there is no Python to run a child process with")
    options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # as multiprocessing does
    output = _output()
    return subprocess.Popen(  # noqa: S603  # our own interpreter
        [python, *options, "-P", "-c", PROGRAM.format(path=SOURCES, fd=fd, parent=os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=(fd,),
        env={**environment.of_child(), MARK: mark},
        start_new_session=True,
    )


def _levels() -> dict[str, int]:
    """The levels that were set on loggers of this process."""
    loggers = dict(logging.Logger.manager.loggerDict)  # a copy: other threads may add loggers meanwhile
    return {name: each.level for name, each in loggers.items() if isinstance(each, logging.Logger) and each.level}


def _output() -> int:
    try:
        os.fstat(2)
    except OSError:  # a daemon may have closed it
        return subprocess.DEVNULL
    return 2


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # not Linux, or an old kernel: then the children are polled
        return None
