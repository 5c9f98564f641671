"""Signals of a process that we own: TERM and INT ask for the end, QUIT prints all stacks.

Rules of this file
- A thread reads the signals from the wake-up pipe, so they are heard although the main thread is busy.
- What was installed before comes back at the end.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

ENDS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def heard(on_end: Callable[[int], None]) -> Iterator[None]:
    """Call *on_end* with the number of each TERM or INT, in a thread of its own.  From the main thread only."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = {number: signal.signal(number, _nothing) for number in ENDS}
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    if hasattr(signal, "SIGQUIT"):
        faulthandler.register(signal.SIGQUIT, file=sys.__stderr__ or sys.stderr, all_threads=True)
    thread = threading.Thread(target=_listen, args=(reader, on_end), name="shiftboss-signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        if hasattr(signal, "SIGQUIT"):
            faulthandler.unregister(signal.SIGQUIT)
        writer.close()  # ends the thread
        thread.join()
        reader.close()


def _nothing(number: int, frame: object) -> None:
    """The pipe has told already; without a handler the default action would end the process."""


def _listen(reader: socket.socket, on_end: Callable[[int], None]) -> None:
    while numbers := reader.recv(64):
        for number in numbers:
            if number in ENDS:
                on_end(number)


def leave_at_once(code: int) -> None:
    """The last act of a process in which a body cannot be stopped: nothing after it may run."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
