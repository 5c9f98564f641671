"""When to look at which lane again, and which lanes wait for what.

Rules of this file
- Each lane has one time, the earliest that is known.  Looking at a lane clears what was known and notes what was found.
- What many lanes wait for has one time as well: when it passes, the lists of those lanes are opened.
- Lanes that nobody could ask, because no slot was free, are kept aside until one is.  Lanes held by the state of a node
  wait until a node comes, goes, sheds or drains.  Lanes held by an isolated run here wait until that changes (C8).
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable
from datetime import datetime
from itertools import count
from typing import Generic, TypeVar

from shiftboss.core.model import Run
from shiftboss.core.subject import Subject
from shiftboss.core.waitlists import Waitlists

Thing = TypeVar("Thing", bound=Hashable)


class Timetable(Generic[Thing]):
    """One time for each thing, the earliest that was noted."""

    def __init__(self) -> None:
        self._at: dict[Thing, datetime] = {}
        self._heap: list[tuple[datetime, int, Thing]] = []
        self._numbers = count()

    def note(self, thing: Thing, at: datetime) -> None:
        known = self._at.get(thing)
        if known is None or at < known:
            self._at[thing] = at
            heapq.heappush(self._heap, (at, next(self._numbers), thing))

    def drop(self, things: Iterable[Thing]) -> None:
        for thing in things:
            self._at.pop(thing, None)

    def due(self, now: datetime) -> set[Thing]:
        """Take off and return the things whose time has come."""
        due = set()
        while self._heap and self._heap[0][0] <= now:
            at, _, thing = heapq.heappop(self._heap)
            if self._at.get(thing) == at:
                due.add(thing)
                del self._at[thing]
        return due

    @property
    def next_at(self) -> datetime | None:
        while self._heap:
            at, _, thing = self._heap[0]
            if self._at.get(thing) == at:
                return at
            heapq.heappop(self._heap)
        return None

    def clear(self) -> None:
        self._at.clear()
        self._heap.clear()


class Agenda:
    def __init__(self) -> None:
        self.waitlists = Waitlists()
        self.unasked: set[str] = set()
        self.held_by_nodes: set[str] = set()
        self.held_by_company: set[str] = set()
        self.isolated: dict[str, Run] = {}  # lane → a run in it that lacks nothing but to be alone here
        self._lanes: Timetable[str] = Timetable()
        self._subjects: Timetable[Subject] = Timetable()

    def look_at(self, lane: str, at: datetime) -> None:
        """Look at *lane* no later than *at*."""
        self._lanes.note(lane, at)

    def open_at(self, subject: Subject, at: datetime) -> None:
        """At *at* what *subject* names may become free."""
        self._subjects.note(subject, at)

    def looked(self, lanes: Iterable[str]) -> None:
        """Forget what was known about *lanes*: they have been looked at."""
        self._lanes.drop(lanes)
        self.unasked.difference_update(lanes)
        self.held_by_nodes.difference_update(lanes)
        self.held_by_company.difference_update(lanes)

    def knows(self, lane: str) -> bool:
        """Whether anything is noted about *lane* that a look at it would change."""
        if lane in self.isolated or lane in self.unasked:
            return True
        return lane in self.held_by_nodes or lane in self.held_by_company or self.waitlists.knows(lane)

    def due(self, now: datetime) -> set[str]:
        """Take off and return the lanes whose time has come; open the lists for what may be free since."""
        for subject in self._subjects.due(now):
            self.waitlists.open(subject)
        return self._lanes.due(now)

    @property
    def next_at(self) -> datetime | None:
        times = [at for at in (self._lanes.next_at, self._subjects.next_at) if at is not None]
        return min(times, default=None)

    def clear(self) -> None:
        self.waitlists.clear()
        self.unasked.clear()
        self.held_by_nodes.clear()
        self.held_by_company.clear()
        self.isolated.clear()
        self._lanes.clear()
        self._subjects.clear()
