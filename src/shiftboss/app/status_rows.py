"""Every worker judged, and the rows of those that are shown: an answer costs what has changed and what it shows.

Rules of this file
- A worker is judged again only if something may have changed: the store has reported its state, record or lane, its
  breaker or its letters are others, the nodes are others, the moment has come at which time alone changes it, or the
  clock was set back.
- Rows are made only for those who show them.  Until the worker is judged again the row is kept, but for a row with runs
  that run or are due: what it says about them changes at any moment.
- A row that is the same is the same object: whoever encodes, compares or counts rows does so once.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from shiftboss.app.status import Totals, WorkerStatus
from shiftboss.core.health import WELL, WORST_FIRST, Place, WorkerHealth, is_grave
from shiftboss.core.model import BreakerState, NodeMode
from shiftboss.core.policy import Priority
from shiftboss.core.snapshot import Snapshot

AT_ONCE = datetime.min.replace(tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)
MANY = 1000  # workers that have moved in the order: more are sorted again, which then costs less than moving each

Move = tuple[Place | None, Place | None]  # from where to where; None: it was not there, or is there no longer


class Assessment(NamedTuple):
    """What is known of a worker without its row.  `until`: the moment at which time alone changes that."""

    health: WorkerHealth
    place: Place
    mode: str
    running: int
    pending: int
    due: int
    letters: int
    until: datetime

    @property
    def is_moving(self) -> bool:
        """Whether its row may change at any moment."""
        return self.running > 0 or self.due > 0 or self.until == AT_ONCE


class Tally:
    """Counts of all workers."""

    def __init__(self) -> None:
        self._health: Counter[str] = Counter()
        self._mode: Counter[str] = Counter()
        self._running = self._pending = self._due = self._letters = 0
        self._grave = 0  # with a high priority
        self.others: set[str] = set()  # with runs that are due, or with dead letters

    def add(self, judged: Assessment) -> None:
        self._count(judged, 1)
        if judged.due or judged.letters:
            self.others.add(judged.place[2])

    def remove(self, judged: Assessment) -> None:
        self._count(judged, -1)
        self.others.discard(judged.place[2])

    def _count(self, judged: Assessment, sign: int) -> None:
        status = judged.health.status
        self._health[status] += sign
        self._mode[judged.mode] += sign
        self._running += sign * judged.running
        self._pending += sign * judged.pending
        self._due += sign * judged.due
        self._letters += sign * judged.letters
        self._grave += sign * is_grave(status, Priority(-judged.place[1]))

    @property
    def has_grave(self) -> bool:
        """H3: whether a worker of high priority is unhealthy or offline."""
        return self._grave > 0

    @property
    def is_well(self) -> bool:
        """H3: whether all are healthy or have not run yet."""
        return self._health.total() == sum(self._health[health] for health in WELL)

    def totals(self) -> Totals:
        return Totals(
            workers=self._health.total(),
            health={health.value: count for health in WORST_FIRST if (count := self._health[health])},
            mode={mode: count for mode, count in sorted(self._mode.items()) if count},
            running=self._running,
            pending=self._pending,
            due=self._due,
            dead_letters=self._letters,
        )


class StatusRows:
    """*assess* judges a worker, *make* makes its row.  `revision` grows when anything about any worker has changed."""

    def __init__(self, assess: Callable[[str], Assessment], make: Callable[[str, Assessment], WorkerStatus]) -> None:
        self.tally = Tally()
        self.places: list[Place] = []  # of all workers, in order
        self.judged: dict[str, Assessment] = {}
        self.revision = 0
        self._assess = assess
        self._make = make
        self._rows: dict[str, WorkerStatus] = {}
        self._fresh: set[str] = set()  # rows that were made since their worker was judged
        self._ends: list[tuple[datetime, str]] = []  # a heap of `until`
        self._at_once: set[str] = set()  # workers that are judged at every look
        self._snapshot: Snapshot | None = None
        self._nodes: frozenset[tuple[str, NodeMode, bool]] = frozenset()
        self._looked_at = AT_ONCE  # a clock that is set back makes what was due future again
        self._letters: Mapping[str, int] = {}
        self._breakers: dict[str, BreakerState] = {}

    def forget(self) -> None:
        """Assess all workers again: something that is part of every row has changed."""
        self._snapshot = None

    def look(
        self,
        snapshot: Snapshot,
        now: datetime,
        *,
        changed: Collection[str],
        live: Collection[str],
        letters: Mapping[str, int],
    ) -> None:
        """Assess the workers that may have changed; *changed* are those that the store has reported."""
        nodes = frozenset((node.id, node.mode, node.id in live) for node in snapshot.nodes.values())
        if snapshot is not self._snapshot:
            changed = snapshot.workers
        names: Collection[str] = snapshot.workers
        if snapshot is self._snapshot and nodes == self._nodes and now >= self._looked_at:
            names = {*changed, *self._may_have_changed(snapshot, now, letters)}
        self._snapshot, self._nodes, self._looked_at = snapshot, nodes, now
        self._letters, self._breakers = letters, dict(snapshot.breakers)
        moved: list[Move] = []
        for name in names:
            if name in snapshot.workers:
                self._assess_anew(name, moved, is_changed=name in changed)
        if len(self.judged) > len(snapshot.workers):
            for name in self.judged.keys() - snapshot.workers.keys():
                self._drop(name, moved)
        self._reorder(moved)

    def _may_have_changed(self, snapshot: Snapshot, now: datetime, letters: Mapping[str, int]) -> Iterator[str]:
        yield from snapshot.running_by
        yield from self._at_once
        yield from snapshot.suspects
        yield from (name for name, count in letters.items() if self._letters.get(name) != count)
        yield from self._letters.keys() - letters.keys()
        for breaker, state in snapshot.breakers.items():
            if self._breakers.get(breaker) is not state:
                yield from snapshot.relations.sharing_breaker(breaker)
        while self._ends and self._ends[0][0] <= now:
            until, name = heappop(self._ends)
            known = self.judged.get(name)
            if known is not None and known.until == until:
                yield name

    def _assess_anew(self, name: str, moved: list[Move], *, is_changed: bool) -> None:
        before, now = self.judged.get(name), self._assess(name)
        self._fresh.discard(name)
        if now.until == AT_ONCE:
            self._at_once.add(name)
        else:
            self._at_once.discard(name)
            if now.until != NEVER and (before is None or before.until != now.until):
                heappush(self._ends, (now.until, name))
        if before == now:
            self.revision += is_changed
            return
        self.revision += 1
        self.judged[name] = now
        if before is not None:
            self.tally.remove(before)
        self.tally.add(now)
        if before is None or before.place != now.place:
            moved.append((None if before is None else before.place, now.place))

    def _drop(self, name: str, moved: list[Move]) -> None:
        before = self.judged.pop(name)
        self.tally.remove(before)
        self.revision += 1
        self._rows.pop(name, None)
        self._fresh.discard(name)
        self._at_once.discard(name)
        moved.append((before.place, None))

    def _reorder(self, moved: Collection[Move]) -> None:
        if len(moved) > MANY:
            self.places = sorted(judged.place for judged in self.judged.values())
            return
        for before, now in moved:
            if before is not None:
                del self.places[bisect_left(self.places, before)]
            if now is not None:
                insort(self.places, now)

    # ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────

    def row(self, name: str) -> WorkerStatus:
        """The row of that worker, as of the last look."""
        judged, known = self.judged[name], self._rows.get(name)
        if known is not None and name in self._fresh and not judged.is_moving:
            return known
        made = self._make(name, judged)
        self._fresh.add(name)
        if known is not None and known == made:
            return known
        self._rows[name] = made
        return made

    def others_behind(self, place: Place, *, most: int) -> Iterator[WorkerStatus]:
        """Rows behind that place that are held or have dead letters, in order; at most *most* workers are asked."""
        heap = [its_place for name in self.tally.others if (its_place := self.judged[name].place) > place]
        heapify(heap)
        for _ in range(min(most, len(heap))):
            row = self.row(heappop(heap)[2])
            if row.holds or row.dead_letters:
                yield row
