"""Calls that other threads leave for the thread that serves children, and the socket that wakes it.

Rules of this file
- Whoever puts holds its executor's lock; the serving thread alone makes the calls.
- The socket is written to only when there was nothing to do: it never fills, and nobody waits for the serving thread.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Any


class Mailbox:
    """Made with the serving thread, closed with it."""

    __slots__ = ("_waiting", "_waker", "wakeup")

    def __init__(self) -> None:
        self._waker, self.wakeup = socket.socketpair()
        self._waiting: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()

    def put(self, call: Callable[..., None], *arguments: Any) -> None:
        self._waiting.append((call, arguments))
        if len(self._waiting) == 1:
            self._waker.send(b"!")

    def on_wakeup(self) -> None:
        """There is something to do."""
        self.wakeup.recv(4096)
        self.drain()

    def drain(self) -> None:
        while self._waiting:
            call, arguments = self._waiting[0]
            call(*arguments)
            self._waiting.popleft()  # only now: who puts another meanwhile need not wake it

    def close(self) -> None:
        self._waker.close()
        self.wakeup.close()
