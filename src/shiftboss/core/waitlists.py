"""The lanes whose due runs do not start yet, filed under what they wait for, each list in order of rank (P2).

So a cycle asks about the lanes that what became free can let start, however many others wait.

Rules of this file
- A lane is filed while its first candidates wait.  Whoever enters it takes it off all lists and files it again.
- A list is open while what it waits for may have become free.  The best lane of an open list is asked next.
- The first lane that is still held closes its list: all behind it want the same and rank lower.  It does not close the
  list for an upstream, because each run has its own logical time (D2): there all lanes are asked.
- Lanes that lack nothing but a slot are on a list that is always open.  No list is asked for which no slot is free.
- A lane whose patience is over (B4) is noted besides: it may reserve, so it is asked before lanes of lower rank in its
  component are, as far as nothing of higher rank in its list reserves the same already.
- Entries are hints.  Whoever takes a lane asks all gates again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from heapq import heapify, heappop, heappush, heapreplace
from itertools import count
from typing import NamedTuple

from shiftboss.core.rank import Rank
from shiftboss.core.room import Room, SlotClass
from shiftboss.core.subject import UPSTREAM, Subject

SLOT = Subject("slot", "")
NODE = Subject("node", "")  # that another node starts it: this one cannot
SPARSE = 4  # a list is rebuilt when it has so many times more entries than after the last time
SMALL = 64  # and more than this


class Key(NamedTuple):
    """Which list: lanes of one partition that wait for one subject and would take the same kind of slot."""

    partition: int
    subject: Subject
    slots: SlotClass


Entry = tuple[Rank, int, str]  # rank, number of the filing, lane


class _Waitlist:
    __slots__ = ("again", "closes", "entries", "limit")

    def __init__(self, subject: Subject) -> None:
        self.entries: list[Entry] = []  # a heap
        self.again: list[Entry] = []  # filed while the list is being asked, if that does not close it
        self.closes = subject.kind != UPSTREAM
        self.limit = SMALL


class Waitlists:
    """All lists of one node."""

    def __init__(self) -> None:
        self.by_partition = False  # whether slots are given partition by partition
        self.reserving: set[str] = set()  # lanes that reserved when they were last asked (B4)
        self._patient: dict[str, dict[Key, list[Entry]]] = {}  # by the first worker of the component
        self._lists: dict[Key, _Waitlist] = {}
        self._keys: dict[Subject, list[Key]] = {}
        self._open: set[Key] = set()
        self._filed: dict[str, int] = {}  # lane → the number of its filing; other entries of it are outdated
        self._numbers = count()

    def file(self, lane: str, rank: Rank, key: Key) -> None:
        """A candidate of *lane* waits for the subject of *key*, which holds it now."""
        number = self._filed.get(lane)
        if number is None:
            number = self._filed[lane] = next(self._numbers)
        waiting = self._lists.get(key)
        if waiting is None:
            waiting = self._lists[key] = _Waitlist(key.subject)
            self._keys.setdefault(key.subject, []).append(key)
            if key.subject == SLOT:
                self._open.add(key)
        entry = (rank, number, lane)
        if not waiting.closes:
            waiting.again.append(entry)
        else:
            heappush(waiting.entries, entry)
            if key.subject != SLOT:
                self._open.discard(key)
        if len(waiting.entries) + len(waiting.again) > waiting.limit:
            self._rebuild(waiting)

    def file_patient(self, first: str, lane: str, rank: Rank, key: Key) -> None:
        """The patience of that candidate is over.  It is filed under *key*; *first* stands for its component."""
        entries = self._patient.setdefault(first, {}).setdefault(key, [])
        heappush(entries, (rank, self._filed[lane], lane))
        if len(entries) > SMALL and len(entries) > SPARSE * len(self._filed):
            entries[:] = self._fresh(entries)
            heapify(entries)

    def patient(self, first: str) -> Collection[Key]:
        """The lists in a component on which lanes are patient no more."""
        return tuple(self._patient.get(first, ()))

    def best_patient(self, first: str, key: Key) -> Entry | None:
        """The best lane of a list whose patience is over."""
        lists = self._patient.get(first, {})
        entries = lists.get(key, [])
        while entries:
            if self._filed.get(entries[0][2]) == entries[0][1]:
                return entries[0]
            heappop(entries)
        lists.pop(key, None)
        return None

    def leave(self, lane: str) -> None:
        """Take *lane* off all lists."""
        self._filed.pop(lane, None)

    def open(self, subject: Subject) -> Collection[Key]:
        """What *subject* names may have become free; the lists that are open because of it."""
        keys = self._keys.get(subject, ())
        for key in keys:
            waiting = self._lists[key]
            self._open.add(key)
            if waiting.again:
                waiting.entries += waiting.again
                waiting.again = []
                heapify(waiting.entries)
        return keys

    def best(self, key: Key) -> Entry | None:
        """The best lane of an open list; None if the list is closed or has no lane left to ask."""
        if key not in self._open:
            return None
        waiting = self._lists[key]
        entries = waiting.entries
        while entries:
            if self._filed.get(entries[0][2]) == entries[0][1]:
                return entries[0]
            heappop(entries)
        self._open.discard(key)
        if not waiting.again:
            del self._lists[key]
            self._keys[key.subject].remove(key)
            if not self._keys[key.subject]:
                del self._keys[key.subject]
        return None

    def open_lists(self) -> Collection[Key]:
        return self._open

    def may_start(self, room: Room) -> bool:
        """Whether some lane waits on an open list for which *room* has a slot."""
        return any(room.has(key.slots) and self.best(key) is not None for key in list(self._open))

    def partitions(self, room: Room | None = None) -> set[int]:
        """The partitions of the open lists, or of those for which *room* has a slot."""
        return {
            key.partition
            for key in list(self._open)
            if (room is None or room.has(key.slots)) and self.best(key) is not None
        }

    def places(self, lane: str) -> set[Subject]:
        """What *lane* waits for."""
        number = self._filed.get(lane)
        return {
            key.subject
            for key, waiting in self._lists.items()
            if any(entry[1:] == (number, lane) for entry in (*waiting.entries, *waiting.again))
        }

    def knows(self, lane: str) -> bool:
        """Whether *lane* waits on any list, or reserved when it was last asked."""
        return lane in self._filed or lane in self.reserving

    @property
    def is_empty(self) -> bool:
        """Whether no lane waits."""
        return not self._filed

    @property
    def size(self) -> int:
        """How many entries are kept, outdated ones among them."""
        lists = sum(len(waiting.entries) + len(waiting.again) for waiting in self._lists.values())
        return lists + sum(len(entries) for keys in self._patient.values() for entries in keys.values())

    def clear(self) -> None:
        self.reserving.clear()
        self._patient.clear()
        self._lists.clear()
        self._keys.clear()
        self._open.clear()
        self._filed.clear()

    def _rebuild(self, waiting: _Waitlist) -> None:
        """Drop outdated entries, so that a list is never much longer than its lanes are many."""
        waiting.entries, waiting.again = self._fresh(waiting.entries), self._fresh(waiting.again)
        heapify(waiting.entries)
        waiting.limit = max(SMALL, SPARSE * (len(waiting.entries) + len(waiting.again)))

    def _fresh(self, entries: Collection[Entry]) -> list[Entry]:
        return [entry for entry in entries if self._filed.get(entry[2]) == entry[1]]


class Order:
    """The lanes on open lists for which *room* has a slot, and those that may reserve, the best first."""

    def __init__(self, waitlists: Waitlists, room: Room, held: Collection[int] | None = None) -> None:
        self._waitlists = waitlists
        self._room = room
        self._held = held  # partitions; None: all
        self._heap: list[tuple[Rank, Key, str]] = []  # with the component, if it is about lanes that may reserve
        self._best = ""  # the lane whose rank `best` has answered last
        self._touched: set[str] = set()
        self._reserved: set[tuple[str, Key]] = set()
        self.add(list(waitlists.open_lists()))

    def add(self, keys: Iterable[Key]) -> None:
        """Lists that are open."""
        for key in keys:
            if self._held is None or key.partition in self._held:
                self._push(key, "")

    def touch(self, first: str) -> None:
        """Something of that component is asked about: before it those that may reserve."""
        if first not in self._touched:
            self._touched.add(first)
            for key in self._waitlists.patient(first):
                self._push(key, first)

    def reserved(self, first: str, key: Key) -> None:
        """No other lane on that list can reserve now."""
        self._reserved.add((first, key))

    def best(self) -> Rank | None:
        """The rank of the best lane."""
        heap = self._heap
        while heap:
            top = heap[0]
            rank, key, first = top
            entry = self._find(key, first)
            if entry is None:
                heappop(heap)
                continue
            if entry[0] != rank:  # the list has another best lane by now: it is the best of all if it stays on top
                top = (entry[0], key, first)
                heapreplace(heap, top)
            if heap[0] is top:
                self._best = entry[2]
                return entry[0]
        return None

    def take(self) -> str:
        """Take the best lane off all lists: the one whose rank `best` has just answered."""
        self._waitlists.leave(self._best)
        return self._best

    def _push(self, key: Key, first: str) -> None:
        entry = self._find(key, first)
        if entry is not None:
            heappush(self._heap, (entry[0], key, first))

    def _find(self, key: Key, first: str) -> Entry | None:
        if first:
            return None if (first, key) in self._reserved else self._waitlists.best_patient(first, key)
        return self._waitlists.best(key) if self._room.has(key.slots) else None
