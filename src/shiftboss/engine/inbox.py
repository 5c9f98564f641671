"""Where mutations wait for the next cycle.

Rules of this file
- Any thread puts, only the engine's thread takes.  The first mutation after a take wakes the engine; those that follow
  need not.
- There is no lock: a deque's append and popleft are atomic.  `take` clears `_is_woken` before it takes, and `put` reads
  it after it has appended.  If `put` finds it set, the take for which the engine was woken finds the new mutation too.
- After `close` nothing is accepted: a caller learns at once that nobody will answer.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable

from shiftboss.engine.mutation import Mutation
from shiftboss.errors import NotStarted

MAX_MUTATIONS = 1000  # the batch of a cycle: about 20 ms of rules, so that a renewal of the lease never waits long


def weight_of(mutations: Iterable[Mutation]) -> int:
    """How many mutations these count for: a fan-out counts for each of its triggers."""
    return sum(mutation.weight for mutation in mutations)


def within_batch(mutations: Iterable[Mutation], most: int = MAX_MUTATIONS) -> int:
    """How many of *mutations* a cycle takes together: at least one, and as many as weigh no more than *most*.

    What weighs more than a batch is only ever the first of them.
    """
    count = weight = 0
    for mutation in mutations:
        weight += mutation.weight
        if count and (weight > most or mutation.weight > MAX_MUTATIONS):
            break
        count += 1
    return count


class Inbox:
    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._mutations: deque[Mutation] = deque()
        self._is_woken = False  # somebody has woken the engine since the last take
        self._came_back = 0  # how many of the waiting ones were put back; only the engine's thread counts
        self._closed = False

    def put(self, mutation: Mutation) -> None:
        """From any thread; wakes the engine.  Raises NotStarted once closed."""
        self._mutations.append(mutation)
        if self._closed:
            self._withdraw(mutation)
        elif not self._is_woken:
            self._is_woken = True
            self._wake()

    def _withdraw(self, mutation: Mutation) -> None:
        """Raises NotStarted, unless `close` has found the mutation after all, so that it gets an answer."""
        with contextlib.suppress(ValueError):
            self._mutations.remove(mutation)
            raise NotStarted("the orchestrator is stopped; start it, or open a client, first")

    def take(self) -> list[Mutation]:
        """The oldest mutations: those that were put back, and besides them at most a cycle's batch.

        A mutation that weighs more than a batch is taken when it is the oldest, and alone.
        """
        self._is_woken = False
        mutations = self._mutations
        most, self._came_back = MAX_MUTATIONS + self._came_back, 0
        taken = [mutations.popleft() for _ in range(min(most, len(mutations)))]
        count = within_batch(taken, most)
        mutations.extendleft(reversed(taken[count:]))
        return taken[:count] if count < len(taken) else taken

    def put_back(self, mutations: list[Mutation]) -> None:
        """Put mutations that could not be applied yet to the front; they do not count towards the next batch."""
        self._mutations.extendleft(reversed(mutations))
        self._came_back += weight_of(mutations)

    def close(self) -> list[Mutation]:
        """Accept nothing more; returns what was still waiting."""
        self._closed = True
        mutations = []
        with contextlib.suppress(IndexError):
            while True:
                mutations.append(self._mutations.popleft())
        return mutations

    def __len__(self) -> int:
        return len(self._mutations)
