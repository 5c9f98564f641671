"""When to look at which lane again.

Rules of this file
- Each lane has one time, the earliest that is known.  Looking at a lane clears what was known and notes what was found.
- Lanes that lacked nothing but a slot are kept aside until a slot is free.  Lanes held by the state of a node wait
  until a node comes, goes, sheds or drains.  Lanes held by an isolated run here wait until that changes (C8).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from datetime import datetime

from shiftboss.core.model import Run


class Agenda:
    def __init__(self) -> None:
        self._at: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []
        self.starved: set[str] = set()
        self.held_by_nodes: set[str] = set()
        self.held_by_company: set[str] = set()
        self.isolated: dict[str, Run] = {}  # lane → a run in it that lacks nothing but to be alone here

    def look_at(self, lane: str, at: datetime) -> None:
        """Look at *lane* no later than *at*."""
        known = self._at.get(lane)
        if known is None or at < known:
            self._at[lane] = at
            heapq.heappush(self._heap, (at, lane))

    def looked(self, lanes: Iterable[str]) -> None:
        """Forget what was known about *lanes*: they have been looked at."""
        for lane in lanes:
            self._at.pop(lane, None)
        self.starved.difference_update(lanes)
        self.held_by_nodes.difference_update(lanes)
        self.held_by_company.difference_update(lanes)

    def due(self, now: datetime) -> set[str]:
        """Take off and return the lanes whose time has come."""
        due = set()
        while self._heap and self._heap[0][0] <= now:
            at, lane = heapq.heappop(self._heap)
            if self._at.get(lane) == at:
                due.add(lane)
                del self._at[lane]
        return due

    @property
    def next_at(self) -> datetime | None:
        while self._heap:
            at, lane = self._heap[0]
            if self._at.get(lane) == at:
                return at
            heapq.heappop(self._heap)
        return None

    def clear(self) -> None:
        self._at.clear()
        self._heap.clear()
        self.starved.clear()
        self.held_by_nodes.clear()
        self.held_by_company.clear()
        self.isolated.clear()
