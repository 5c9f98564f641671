"""A queue of calls for the thread that serves children, and the socket that wakes that thread.

Rules of this file
- `put` is called with the executor's lock held; only the serving thread makes the calls.
- The socket is written to only if the queue was empty: it never fills, and no thread waits for the serving thread.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Any


class Mailbox:
    """Created with the serving thread, and closed with it."""

    __slots__ = ("_waiting", "_waker", "wakeup")

    def __init__(self) -> None:
        self._waker, self.wakeup = socket.socketpair()
        self._waiting: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()

    def put(self, call: Callable[..., None], *arguments: Any) -> None:
        self._waiting.append((call, arguments))
        if len(self._waiting) == 1:
            self._waker.send(b"!")

    def on_wakeup(self) -> None:
        """The socket is readable: there are calls to make."""
        self.wakeup.recv(4096)
        self.drain()

    def drain(self) -> None:
        while self._waiting:
            call, arguments = self._waiting[0]
            call(*arguments)
            self._waiting.popleft()  # only now: a `put` meanwhile need not wake this thread

    def close(self) -> None:
        self._waker.close()
        self.wakeup.close()
