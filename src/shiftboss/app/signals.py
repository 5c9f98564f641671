"""Signals of a process that shiftboss owns: TERM, INT and HUP ask for the end, QUIT prints all stacks.

Rules of this file
- A signal arrives in two ways and is reported once.  Python's own handler works whatever event loop runs: uvloop takes
  the wake-up descriptor for itself, and asyncio does once an application adds a handler.  The descriptor, while it is
  ours, reports at once, even while the main thread is in the middle of C code.
- Handlers that an application adds later are called as well, and do not keep ours from being called (`keep`).
- HUP (a closed terminal) stays ignored if it was ignored at the start: nohup.
- A forked child has none of this: there signals do what they did before, and the parent is told nothing of them.
- What was installed before is restored at the end.
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
from types import FrameType
from typing import Any

from shiftboss.executors.forking import let_go_in_child

ENDS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name))
HANGUP = getattr(signal, "SIGHUP", None)
BY_HANDLER = 0x80  # added to the number of a signal, of which there are 64

Handler = Callable[[int, FrameType | None], Any]

_ears: list[Ears] = []  # the process has one, or none


@contextlib.contextmanager
def heard(on_end: Callable[[int], None]) -> Iterator[Ears]:
    """Call *on_end* with the number of each TERM, INT or HUP, in a thread of its own.  From the main thread only."""
    ears = Ears(on_end)
    _ears.append(ears)
    try:
        yield ears
    finally:
        _ears.remove(ears)
        ears.close()


class Ears:
    def __init__(self, on_end: Callable[[int], None]) -> None:
        self._on_end = on_end
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._numbers = [each for each in ENDS if each != HANGUP or signal.getsignal(each) != signal.SIG_IGN]
        self._before = {each: signal.getsignal(each) for each in self._numbers}
        self._others: dict[int, Handler] = {}  # handlers that the application has added since
        self._handler = self._make_handler()
        for each in self._numbers:
            signal.signal(each, self._handler)
        self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        if hasattr(signal, "SIGQUIT"):
            faulthandler.register(signal.SIGQUIT, file=sys.__stderr__ or sys.stderr, all_threads=True)
        self._thread = threading.Thread(target=self._listen, name="shiftboss-signals", daemon=True)
        self._thread.start()

    def keep(self) -> None:
        """Replace handlers that other code has set, and call those as well.  Called regularly, in the main thread."""
        for each in self._numbers:
            now = signal.getsignal(each)
            if now is self._handler or now == signal.SIG_IGN:
                continue
            if callable(now) and now not in (signal.default_int_handler, signal.SIG_DFL):
                self._others[each] = now
            signal.signal(each, self._handler)  # SIG_DFL: the application added one and removed it again
        self._set_wakeup(self._writer.fileno())

    def close(self) -> None:
        self._restore()
        self._set_wakeup(self._wakeup_before, is_end=True)
        self._writer.shutdown(socket.SHUT_RDWR)  # ends the thread; a forked child may have the socket too
        self._thread.join()
        self._writer.close()
        self._reader.close()

    def leave_to_parent(self) -> None:
        """In a forked child, which runs only its main thread."""
        signal.set_wakeup_fd(-1)
        self._restore()
        self._writer.close()
        self._reader.close()

    def _make_handler(self) -> Handler:
        def shiftboss_hears(number: int, frame: FrameType | None) -> None:
            with contextlib.suppress(OSError):  # the buffer is full: enough is reported already
                self._writer.send(bytes((number | BY_HANDLER,)))
            other = self._others.get(number)
            if other is not None:
                other(number, frame)

        return shiftboss_hears

    def _set_wakeup(self, fd: int, *, is_end: bool = False) -> None:
        """Set the wake-up descriptor unless other code uses it."""
        previous = signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
        if previous not in (-1, fd, self._writer.fileno() if is_end else -1):
            signal.set_wakeup_fd(previous, warn_on_full_buffer=False)

    def _restore(self) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler if handler is not None else signal.SIG_DFL)
        if hasattr(signal, "SIGQUIT"):
            faulthandler.unregister(signal.SIGQUIT)

    def _listen(self) -> None:
        by_descriptor = dict.fromkeys(self._numbers, 0)  # reported; the handler is still to be called
        while data := self._reader.recv(64):
            for each in data:
                number = each & ~BY_HANDLER
                if number not in by_descriptor:
                    continue
                if each & BY_HANDLER and by_descriptor[number]:
                    by_descriptor[number] = 0  # Python calls the handler once for several signals
                    continue
                if not each & BY_HANDLER:
                    by_descriptor[number] += 1
                self._on_end(number)


def _leave_to_parent() -> None:
    for each in _ears:
        each.leave_to_parent()
    _ears.clear()


let_go_in_child(ENDS, _leave_to_parent, is_needed=lambda: bool(_ears))


def leave_at_once(code: int) -> None:
    """The last act of a process in which a function cannot be stopped: nothing after it may run."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
