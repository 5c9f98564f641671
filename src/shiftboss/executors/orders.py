"""What other threads want the thread that serves children to do, and the bell that wakes it.

Rules of this file
- Whoever puts holds its executor's lock; the serving thread alone obeys.
- The bell is rung only when there was nothing to do: it never fills, and nobody waits for the serving thread.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Any


class Orders:
    """Made with the serving thread, closed with it."""

    __slots__ = ("_bell", "_waiting", "rope")

    def __init__(self) -> None:
        self._bell, self.rope = socket.socketpair()
        self._waiting: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()

    def put(self, order: Callable[..., None], *arguments: Any) -> None:
        self._waiting.append((order, arguments))
        if len(self._waiting) == 1:
            self._bell.send(b"!")

    def answer(self) -> None:
        """The bell rang."""
        self.rope.recv(4096)
        self.obey()

    def obey(self) -> None:
        while self._waiting:
            order, arguments = self._waiting[0]
            order(*arguments)
            self._waiting.popleft()  # only now: who puts another meanwhile need not ring

    def close(self) -> None:
        self._bell.close()
        self.rope.close()
