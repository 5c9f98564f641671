"""Which partitions of a shared store the next transaction asks for.

Rules of this file
- While a node meets no other, it asks for all partitions that it could use.  On contention it halves its request, and
  asks first for the partitions that it has wanted longest.  So no partition starves, and nodes work side by side on
  different partitions instead of taking turns with all of them.
- The first partition of a request is waited for if it was missed before, or if it is the only one and other nodes are
  active; but not for long.  After a wait in vain the node does not wait for that partition for a while: its holder
  seems to stand still.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from shiftboss.core.graph import PARTITIONS

BACKOFF_S = 1.0


class Pick(NamedTuple):
    """The partitions to ask for, in this order, and whether to wait for the first."""

    partitions: list[int]
    waits: bool


class PartitionPicker:
    """How many to ask for, learnt from how many could be had."""

    def __init__(self, elapsed_s: Callable[[], float]) -> None:
        self._elapsed_s = elapsed_s
        self._limit = PARTITIONS
        self._turn = 0
        self._wanted_since: dict[int, int] = {}  # partition → the turn in which it was first wanted
        self._missed: set[int] = set()  # asked for, and held by others
        self._backoff_until_s: dict[int, float] = {}

    @property
    def is_alone(self) -> bool:
        """Whether no other node was met lately."""
        return self._limit == PARTITIONS

    def pick(self, wanted: Collection[int]) -> Pick:
        """Which of *wanted* to ask for now."""
        self._turn += 1
        now_s = self._elapsed_s()
        self._backoff_until_s = {
            partition: until_s for partition, until_s in self._backoff_until_s.items() if until_s > now_s
        }
        stuck = [partition for partition in wanted if partition in self._backoff_until_s]
        since = {partition: self._wanted_since.setdefault(partition, self._turn) for partition in wanted}
        partitions = sorted(
            since.keys() - set(stuck),
            key=lambda partition: (since[partition], partition not in self._missed, partition),
        )
        partitions = partitions[: self._limit]
        waits = bool(partitions) and (partitions[0] in self._missed or (len(partitions) == 1 and not self.is_alone))
        return Pick(partitions + stuck, waits)

    def on_acquired(self, pick: Pick, held: Collection[int]) -> None:
        """Learn from which partitions of *pick* were free."""
        missed = [partition for partition in pick.partitions if partition not in held]
        for partition in held:
            self._wanted_since.pop(partition, None)
            self._backoff_until_s.pop(partition, None)
        self._missed.difference_update(held)
        self._missed.update(missed)
        if pick.waits and pick.partitions[0] not in held:
            self._backoff_until_s[pick.partitions[0]] = self._elapsed_s() + BACKOFF_S
        if missed:
            self._limit = max(1, (len(pick.partitions) + 1) // 2)
        else:
            self._limit = min(PARTITIONS, self._limit + 1)
