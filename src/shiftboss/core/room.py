"""What a node has free: slots in all, slots for priorities below high, slots of each executor (P3)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from shiftboss.core.model import Node, Run, Shed
from shiftboss.core.policy import Priority
from shiftboss.core.snapshot import Snapshot

KEPT_OF = 5  # P3: of every five slots one is kept for high and critical runs


class SlotClass(NamedTuple):
    """A kind of slot: all runs that would take one of that kind find one free, or none does."""

    executor: str
    priority: Priority  # low, normal, or high for high and critical runs, which may take the slots that are kept

    @classmethod
    def of(cls, executor: str, priority: Priority) -> SlotClass:
        return cls(executor, min(priority, Priority.HIGH))


@dataclass(slots=True)
class Room:
    """What a node has free.  The walk counts it down."""

    slots: int
    free: int
    free_below_high: int  # for low and normal (P3)
    executors: dict[str, int] = field(default_factory=dict)
    shed: Shed = Shed.NOTHING

    @classmethod
    def of(cls, node: Node, running: Collection[Run], executor_of: dict[str, str]) -> Room:
        """What *node* has free besides what it runs; `executor_of` maps workers to executors."""
        kept = node.slots // KEPT_OF
        low = 0
        executors = dict(node.executors)
        for run in running:
            low += run.priority < Priority.HIGH
            kind = executor_of.get(run.worker, "")
            if kind in executors:
                executors[kind] -= 1
        return cls(node.slots, node.slots - len(running), node.slots - kept - low, executors, node.shed)

    @property
    def is_short(self) -> bool:
        """Whether no slot of some kind is free."""
        return self.free_below_high <= 0 or self.shed is not Shed.NOTHING or 0 in self.executors.values()

    def has(self, slots: SlotClass) -> bool:
        """Whether a slot of that kind is free, and given away."""
        if self.free <= 0 or self.executors.get(slots.executor, 1) <= 0:
            return False
        if self.shed is not Shed.NOTHING and self.shed.holds_back(slots.priority):
            return False
        return slots.priority is Priority.HIGH or self.free_below_high > 0

    def take(self, executor: str, priority: Priority) -> None:
        self.free -= 1
        if priority < Priority.HIGH:
            self.free_below_high -= 1
        if executor in self.executors:
            self.executors[executor] -= 1


def room_of(snapshot: Snapshot, node: Node) -> Room:
    """What any node has free, from the claims in the store."""
    running, workers = snapshot.running_on(node.id), snapshot.workers
    kinds = {name: workers[name].definition.executor for name in {run.worker for run in running} if name in workers}
    return Room.of(node, running, kinds)
