"""The waiting runs of one worker, as far as they have been read.

Rules of this file
- A lane is a set of *prefixes*: of each queue the first runs by place, or all of them if `whole`.  A prefix stays valid
  while runs are added and removed, so a lane with a million runs costs only what its loaded head costs.
- In a queue no run that is not due stands before one that is: a run whose place is older than its due time is due
  already, or waits in a queue of its own (RESCUED).
- A queue that has been emptied but is not whole says so (`is_dry`): then the cycle reads more before it decides.
- Standing runs (made by rules: scheduled runs, iterations, runs by `after`) are always loaded, all of them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from shiftboss.core.model import Run
from shiftboss.core.policy import Priority
from shiftboss.errors import NotLoaded

FORCED = 4  # the queue of forced runs, behind those of the four priorities
RESCUED = 5  # rescued runs in back-off: each waits for its own time, and then ranks where it was before (P2)
QUEUES = 6
ALL_QUEUES = tuple(range(QUEUES))
MANY_RESCUES = 2  # C4: from the second rescue on there is a back-off


def queue_of(run: Run) -> int:
    if run.rescues >= MANY_RESCUES:
        return RESCUED
    return FORCED if run.forced else int(run.priority)


def place_of(run: Run) -> tuple[datetime, int]:
    """The run's position in its queue."""
    return (run.due_at if run.rescues >= MANY_RESCUES else run.ranks_from, run.id)


class Lane:
    """The pending runs of one worker.  Mutable, owned by a snapshot."""

    __slots__ = ("_keys", "_least", "_runs", "sealed", "standing", "whole")

    def __init__(self, runs: Iterable[Run] = (), *, whole: bool = True, wholes: Iterable[bool] | None = None) -> None:
        self._keys: tuple[list[tuple[datetime, int]], ...] = tuple([] for _ in range(QUEUES))
        self._runs: dict[int, Run] = {}
        self.standing: dict[int, Run] = {}
        self.sealed: dict[int, Run] = {}  # runs that cannot be read: never candidates, and in none of the queues
        self.whole = list(wholes) if wholes is not None else [whole] * QUEUES
        self._least: Run | None = None  # a cache; None: unknown, or nothing waits
        for run in runs:
            self.put(run)

    @classmethod
    def read(cls, queues: Iterable[tuple[int, list[Run], bool]], *, standing: Iterable[Run], least: Run | None) -> Lane:
        """A lane from rows: for each queue its first runs in order, and whether these are all."""
        lane = cls(whole=False)
        for number, runs, whole in queues:
            lane.whole[number] = whole
            lane._keys[number].extend(place_of(run) for run in runs)
            lane._runs.update((run.id, run) for run in runs)
        for run in standing:
            lane.standing[run.id] = run
        lane._least = least
        return lane

    def put(self, run: Run) -> None:
        """Add a pending run, or replace its older version."""
        if run.id in self._runs or run.id in self.standing:
            self.take(run.id)
        if run.is_standing:
            self.standing[run.id] = run
        number = queue_of(run)
        keys = self._keys[number]
        key = place_of(run)
        if self.whole[number] or (keys and key < keys[-1]):
            insort(keys, key)
            self._runs[run.id] = run
        if self._least is not None and _earlier(run, self._least):
            self._least = run

    def change(self, changed: Callable[[Run], Run]) -> None:
        """Replace each run by *changed* of it, which must keep its place."""
        for runs in (self._runs, self.standing, self.sealed):
            runs.update((run_id, changed(run)) for run_id, run in list(runs.items()))
        if self._least is not None:
            self._least = changed(self._least)

    def seal(self, runs: Iterable[Run]) -> None:
        """Set unreadable runs apart.  Then the least loaded run stands in for the least (W8 holds related runs)."""
        self.sealed.update((run.id, run) for run in runs)
        if self._least is None and self._runs:
            self._least = min(self._runs.values(), key=lambda run: (run.occurs_at, run.id))

    def take(self, run_id: int) -> None:
        """Remove a run from whichever queue it is in; an unknown run is ignored."""
        if self.sealed:
            self.sealed.pop(run_id, None)
        if self.standing:
            self.standing.pop(run_id, None)
        run = self._runs.pop(run_id, None)
        if run is not None:
            keys = self._keys[queue_of(run)]
            del keys[bisect_left(keys, place_of(run))]
        if self._least is not None and self._least.id == run_id:
            self._least = None

    def get(self, run_id: int) -> Run | None:
        return self._runs.get(run_id) or self.standing.get(run_id)

    def heads(self, number: int) -> Iterator[Run]:
        """The loaded runs of one queue, by place; in the queue of rescued runs, by due time."""
        keys = self._keys[number]
        if not keys:
            return iter(())
        runs = self._runs
        return (runs[run_id] for _, run_id in list(keys))

    def __iter__(self) -> Iterator[Run]:
        yield from self._runs.values()
        yield from (run for run_id, run in self.standing.items() if run_id not in self._runs)

    def __len__(self) -> int:
        """How many pending runs are loaded; a lower bound unless `is_whole`."""
        return len(self._runs)

    @property
    def is_empty(self) -> bool:
        """Whether no loaded run waits that can be read."""
        return not self._runs and not self.standing

    @property
    def only(self) -> Run | None:
        """Its run, if it has exactly one."""
        return next(iter(self._runs.values())) if len(self._runs) == 1 and self.is_whole else None

    @property
    def is_whole(self) -> bool:
        return False not in self.whole

    @property
    def is_dry(self) -> bool:
        """Whether a run that comes next may exist and has not been read."""
        if self.is_whole:
            return False
        return any(not keys and not whole for keys, whole in zip(self._keys, self.whole, strict=True))

    @property
    def knows_least(self) -> bool:
        """Whether what is loaded is enough to answer `least`."""
        return self._least is not None or self.is_whole

    def holds_below(self, priority: Priority) -> bool:
        """Whether a loaded run may have a lower priority (forced and rescued runs may have any)."""
        return any(self._keys[number] for number in (*range(priority), FORCED, RESCUED))

    @property
    def next_due_at(self) -> datetime | None:
        """The earliest due time of the loaded runs."""
        return min((self._runs[keys[0][1]].due_at for keys in self._keys if keys), default=None)

    @property
    def least(self) -> Run | None:
        """The pending run with the earliest logical time (D2); None if nothing waits.  Raises NotLoaded."""
        if self._least is None:
            if not self.is_whole:
                raise NotLoaded("the run with the earliest logical time was taken, and the next one was not read")
            self._least = min(self._runs.values(), key=lambda run: (run.occurs_at, run.id), default=None)
        return self._least


def _earlier(run: Run, other: Run) -> bool:
    return (run.occurs_at, run.id) < (other.occurs_at, other.id)
