"""The waiting runs of one worker, as far as they have been read.

Rules of this file
- A lane is a set of *prefixes*: of each queue the first runs by place, or all of them if `whole`.  A prefix stays valid
  while runs are added and removed, so a lane with a million runs costs only what its loaded head costs.
- In a queue no run that is not due stands before one that is: a run whose place is older than its due time is due
  already, or waits in a queue of its own (RESCUED).
- A queue that has been emptied but is not whole says so (`is_dry`): then the cycle reads more before it decides.
- Standing runs (made by rules: scheduled runs, iterations, runs by `after`) are always loaded, all of them.
- A lane of which everything is known, and that is one run, holds that run and nothing else: so it is with most workers,
  and the queues of such a lane would take 1 KiB.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
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

    __slots__ = ("_one", "_queues")

    def __init__(self, runs: Iterable[Run] = (), *, whole: bool = True) -> None:
        self._one: Run | None = None  # its run, if it has one, as long as there are no queues
        self._queues: _OpenedLane | None = None if whole else _OpenedLane([False] * QUEUES)
        for run in runs:
            self.put(run)

    @classmethod
    def read(cls, queues: Iterable[tuple[int, list[Run], bool]], *, standing: Iterable[Run], least: Run | None) -> Lane:
        """A lane from rows: for each queue its first runs in order, and whether these are all."""
        wholes = [False] * QUEUES
        parts = list(queues)
        for number, _, whole in parts:
            wholes[number] = whole
        if all(wholes) and sum(len(runs) for _, runs, _ in parts) <= 1:
            return cls(run for _, runs, _ in parts for run in runs)
        lane = cls()
        loaded = lane._queues = _OpenedLane(wholes, least)
        for number, runs, _ in parts:
            loaded.load(number, runs)
        loaded.standing.update((run.id, run) for run in standing)
        return lane

    def _opened(self) -> _OpenedLane:
        queues = self._queues
        if queues is None:
            queues = self._queues = _OpenedLane([True] * QUEUES)
            if self._one is not None:
                queues.put(self._one)
                self._one = None
        return queues

    def put(self, run: Run) -> None:
        """Add a pending run, or replace its older version."""
        if self._queues is None and (self._one is None or self._one.id == run.id):
            self._one = run
        else:
            self._opened().put(run)

    def change(self, changed: Callable[[Run], Run]) -> None:
        """Replace each run by *changed* of it, which must keep its place."""
        if self._queues is not None:
            self._queues.change(changed)
        elif self._one is not None:
            self._one = changed(self._one)

    def seal(self, runs: Iterable[Run]) -> None:
        """Set unreadable runs apart.  Then the least loaded run stands in for the least (W8 holds related runs)."""
        sealed = list(runs)
        if sealed or self._queues is not None:
            self._opened().seal(sealed)

    def take(self, run_id: int) -> None:
        """Remove a run from whichever queue it is in; an unknown run is ignored."""
        queues = self._queues
        if queues is not None:
            queues.take(run_id)
            if not queues.runs and not queues.sealed and queues.is_whole:
                self._queues = None
        elif self._one is not None and self._one.id == run_id:
            self._one = None

    def get(self, run_id: int) -> Run | None:
        if self._queues is not None:
            return self._queues.runs.get(run_id) or self._queues.standing.get(run_id)
        return self._one if self._one is not None and self._one.id == run_id else None

    def heads(self, number: int) -> Iterator[Run]:
        """The loaded runs of one queue, by place; in the queue of rescued runs, by due time."""
        if self._queues is not None:
            return self._queues.heads(number)
        return iter((self._one,) if self._one is not None and queue_of(self._one) == number else ())

    def __iter__(self) -> Iterator[Run]:
        queues = self._queues
        if queues is not None:
            yield from queues.runs.values()
            yield from (run for run_id, run in queues.standing.items() if run_id not in queues.runs)
        elif self._one is not None:
            yield self._one

    def __len__(self) -> int:
        """How many pending runs are loaded; a lower bound unless `is_whole`."""
        return len(self._queues.runs) if self._queues is not None else int(self._one is not None)

    @property
    def standing(self) -> Mapping[int, Run]:
        """The runs that rules made, by id."""
        if self._queues is not None:
            return self._queues.standing
        return {self._one.id: self._one} if self._one is not None and self._one.is_standing else {}

    @property
    def sealed(self) -> Mapping[int, Run]:
        """Runs that cannot be read, by id: never candidates, and in none of the queues."""
        return {} if self._queues is None else self._queues.sealed

    @property
    def whole(self) -> list[bool]:
        """Of each queue, whether all its runs are loaded."""
        return [True] * QUEUES if self._queues is None else self._queues.whole

    @property
    def is_empty(self) -> bool:
        """Whether no loaded run waits that can be read."""
        queues = self._queues
        return self._one is None if queues is None else not queues.runs and not queues.standing

    @property
    def only(self) -> Run | None:
        """Its run, if it has exactly one."""
        queues = self._queues
        if queues is None:
            return self._one
        return next(iter(queues.runs.values())) if len(queues.runs) == 1 and queues.is_whole else None

    @property
    def is_whole(self) -> bool:
        return self._queues is None or self._queues.is_whole

    @property
    def is_dry(self) -> bool:
        """Whether a run that comes next may exist and has not been read."""
        return self._queues is not None and self._queues.is_dry

    @property
    def knows_least(self) -> bool:
        """Whether what is loaded is enough to answer `least`."""
        return self._queues is None or self._queues.knows_least

    def holds_below(self, priority: Priority) -> bool:
        """Whether a loaded run may have a lower priority (forced and rescued runs may have any)."""
        if self._queues is not None:
            return self._queues.holds_below(priority)
        return self._one is not None and queue_of(self._one) in (*range(priority), FORCED, RESCUED)

    @property
    def next_due_at(self) -> datetime | None:
        """The earliest due time of the loaded runs."""
        if self._queues is not None:
            return self._queues.next_due_at
        return None if self._one is None else self._one.due_at

    @property
    def least(self) -> Run | None:
        """The pending run with the earliest logical time (D2); None if nothing waits.  Raises NotLoaded."""
        return self._one if self._queues is None else self._queues.least


class _OpenedLane:
    """The runs of a lane of which not everything is known, or that are more than one."""

    __slots__ = ("_keys", "_least", "runs", "sealed", "standing", "whole")

    def __init__(self, whole: Iterable[bool], least: Run | None = None) -> None:
        self._keys: tuple[list[tuple[datetime, int]], ...] = tuple([] for _ in range(QUEUES))
        self._least = least  # a cache; None: unknown, or nothing waits
        self.runs: dict[int, Run] = {}
        self.standing: dict[int, Run] = {}
        self.sealed: dict[int, Run] = {}
        self.whole = list(whole)

    def load(self, number: int, runs: list[Run]) -> None:
        """The first runs of one queue, in order."""
        self._keys[number].extend(place_of(run) for run in runs)
        self.runs.update((run.id, run) for run in runs)

    def put(self, run: Run) -> None:
        if run.id in self.runs or run.id in self.standing:
            self.take(run.id)
        if run.is_standing:
            self.standing[run.id] = run
        number = queue_of(run)
        keys = self._keys[number]
        key = place_of(run)
        if self.whole[number] or (keys and key < keys[-1]):
            insort(keys, key)
            self.runs[run.id] = run
        if self._least is not None and _earlier(run, self._least):
            self._least = run

    def change(self, changed: Callable[[Run], Run]) -> None:
        for runs in (self.runs, self.standing, self.sealed):
            runs.update((run_id, changed(run)) for run_id, run in list(runs.items()))
        if self._least is not None:
            self._least = changed(self._least)

    def seal(self, runs: Iterable[Run]) -> None:
        self.sealed.update((run.id, run) for run in runs)
        if self._least is None and self.runs:
            self._least = min(self.runs.values(), key=lambda run: (run.occurs_at, run.id))

    def take(self, run_id: int) -> None:
        if self.sealed:
            self.sealed.pop(run_id, None)
        if self.standing:
            self.standing.pop(run_id, None)
        run = self.runs.pop(run_id, None)
        if run is not None:
            keys = self._keys[queue_of(run)]
            del keys[bisect_left(keys, place_of(run))]
        if self._least is not None and self._least.id == run_id:
            self._least = None

    def heads(self, number: int) -> Iterator[Run]:
        keys = self._keys[number]
        if not keys:
            return iter(())
        runs = self.runs
        return (runs[run_id] for _, run_id in list(keys))

    @property
    def is_whole(self) -> bool:
        return False not in self.whole

    @property
    def is_dry(self) -> bool:
        if self.is_whole:
            return False
        return any(not keys and not whole for keys, whole in zip(self._keys, self.whole, strict=True))

    @property
    def knows_least(self) -> bool:
        return self._least is not None or self.is_whole

    def holds_below(self, priority: Priority) -> bool:
        return any(self._keys[number] for number in (*range(priority), FORCED, RESCUED))

    @property
    def next_due_at(self) -> datetime | None:
        return min((self.runs[keys[0][1]].due_at for keys in self._keys if keys), default=None)

    @property
    def least(self) -> Run | None:
        if self._least is None:
            if not self.is_whole:
                raise NotLoaded("the run with the earliest logical time was taken, and the next one was not read")
            self._least = min(self.runs.values(), key=lambda run: (run.occurs_at, run.id), default=None)
        return self._least


def _earlier(run: Run, other: Run) -> bool:
    return (run.occurs_at, run.id) < (other.occurs_at, other.id)
