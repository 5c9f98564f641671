"""Every call has a deadline that is enforced from outside the driver.

Rules of this file
- A call that takes longer loses its connection: both directions of its socket are shut down, and whatever waits for it
  in libpq, in TLS or in the kernel wakes up with an end of file.  Nothing else ends a wait for a silent server.
- One thread per store sleeps until the earliest deadline, and costs nothing while calls are quick.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from shiftboss.clock import SystemClock

CALL_S = 5.0  # `trigger` gives up after 5 s
CONNECT_S = 2  # libpq's own limit, for each address
LOOK_AGAIN_S = 0.1  # whether the end came nearer, where nobody can wake us

_clock = SystemClock()  # the silence of a server is real time, whatever clock the rules use


class WatchedSocket:
    """One connection's socket, with a descriptor of its own, so that shutting it down never hits another connection."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self.was_cut = False

    def cut(self) -> None:
        self.was_cut = True
        with suppress(OSError):  # the other side has closed it already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()


class Deadlines:
    """Watches the calls of one store."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # protects all below
        self._until_s: dict[WatchedSocket, float] = {}
        self._wakes_s = float("inf")
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self.ends_s = float("inf")  # no call lasts longer than that

    def end_by(self, seconds: float) -> None:
        """Cut every line whose call has not ended in so many seconds, also calls in progress."""
        with self._changed:
            self.ends_s = _clock.monotonic_s() + seconds
            self._until_s = {line: min(until_s, self.ends_s) for line, until_s in self._until_s.items()}
            self._changed.notify()

    def left_s(self, seconds: float) -> float:
        """How long a call may last that is normally allowed that many."""
        return max(0.0, min(seconds, self.ends_s - _clock.monotonic_s()))

    def wait(self, event: threading.Event, seconds: float) -> None:
        """Wait for *event*, as long as a call may last."""
        until_s = _clock.monotonic_s() + seconds
        while not event.is_set():
            left_s = self.left_s(until_s - _clock.monotonic_s())
            if left_s <= 0.0:
                return
            event.wait(min(left_s, LOOK_AGAIN_S))

    @contextmanager
    def limit(self, line: WatchedSocket, seconds: float) -> Iterator[None]:
        """Cut *line* unless the block is left within that time."""
        with self._changed:
            until_s = min(_clock.monotonic_s() + seconds, self.ends_s)
            if until_s < self._wakes_s:
                self._wake()
            self._until_s[line] = until_s
        try:
            yield
        finally:
            with self._changed:
                self._until_s.pop(line, None)

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def _wake(self) -> None:
        if self._thread is None and not self._is_closed:
            thread = threading.Thread(target=self._watch, name="shiftboss-deadlines", daemon=True)
            thread.start()
            self._thread = thread
        self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._is_closed:
                now_s = _clock.monotonic_s()
                for line, until_s in list(self._until_s.items()):
                    if until_s <= now_s:
                        del self._until_s[line]
                        line.cut()
                self._wakes_s = min(self._until_s.values(), default=float("inf"))
                self._changed.wait(None if not self._until_s else self._wakes_s - now_s)
