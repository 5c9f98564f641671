"""The same question from many browsers at the same moment is asked once.

Rules of this file
- Who asks joins an answer that has not been begun, never one that has: what is told is never older than its question.
- Of one question one answer is under way at a time; all who ask meanwhile share the next.
- A browser that leaves takes nothing from the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

Task = asyncio.Task[bytes]


class SingleFlight:
    """Each key belongs to one loop: servers in two threads share nothing."""

    def __init__(self) -> None:
        self._next: dict[Hashable, Task] = {}  # not begun
        self._under_way: dict[Hashable, Task] = {}

    async def answer(self, question: Hashable, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """Raises what *make* raises, to everybody who shares it."""
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
    """Its failure is for those who asked; where all have left, nobody need hear of it."""
    if not task.cancelled():
        task.exception()
