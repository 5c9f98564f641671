"""Equal queries of many browsers at the same moment are answered by one.

Rules of this file
- A request joins an answer that has not begun, never one that has: an answer is never older than its request.
- For each query one answer is in progress at a time; all requests that come meanwhile share the next.
- A browser that disconnects does not affect the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

Task = asyncio.Task[bytes]


class SingleFlight:
    """Shares answers within one loop: servers in two threads share nothing."""

    def __init__(self) -> None:
        self._next: dict[Hashable, Task] = {}  # not begun
        self._under_way: dict[Hashable, Task] = {}

    async def answer(self, question: Hashable, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """Raises what *make* raises, in every request that shares it."""
        loop = asyncio.get_running_loop()
        key = (loop, question)
        task = self._next.get(key)
        if task is None:
            task = self._next[key] = loop.create_task(self._make(key, make))
            task.add_done_callback(_heard)
        return await asyncio.shield(task)

    async def _make(self, key: Hashable, make: Callable[[], Awaitable[bytes]]) -> bytes:
        me: Any = asyncio.current_task()
        try:
            before = self._under_way.get(key)
            if before is not None:
                await asyncio.wait((before,))
        finally:
            self._next.pop(key, None)
        self._under_way[key] = me
        try:
            return await make()
        finally:
            if self._under_way.get(key) is me:
                del self._under_way[key]


def _heard(task: Task) -> None:
    """Retrieve the exception, or asyncio would warn: the waiting requests get it, and all may have gone."""
    if not task.cancelled():
        task.exception()
