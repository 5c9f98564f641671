"""P3: a node runs as many attempts at once as it has slots, and keeps some slots for high and critical runs."""

from __future__ import annotations

from typing import ClassVar

from shiftboss.core.gates.gate import Answer, Gate, Here
from shiftboss.core.hold import Ends, Hold, Scope, Thing
from shiftboss.core.policy import Priority


class NoSlot(Hold, frozen=True, tag="slots"):
    """The node, or its executor of this kind, is full; `kept`: the other slots are for high and critical runs (P3)."""

    scope: ClassVar = Scope.NODE
    thing: ClassVar = Thing.NODE
    ends: ClassVar = Ends.SLOT
    about: ClassVar = "node"

    node: str = ""
    slots: int = 0
    executor: str = ""
    kept: bool = False

    def __str__(self) -> str:
        if self.kept:
            return f"the free slots of node {self.node} are kept for high and critical runs"
        what = f"{self.executor} slots" if self.executor else "slots"
        return f"all {self.slots} {what} of node {self.node} are in use"


def ask(here: Here, answer: Answer) -> None:
    node, room, executor = here.node, here.room, answer.state.definition.executor
    if room.free <= 0:
        answer.hold(NoSlot(node=node.name, slots=room.slots))
    elif room.executors.get(executor, 1) <= 0:
        answer.hold(NoSlot(node=node.name, slots=node.executors[executor], executor=executor))
    elif answer.priority < Priority.HIGH and room.free_below_high <= 0:
        answer.hold(NoSlot(node=node.name, slots=room.slots, kept=True))


GATE = Gate(("P3",), (NoSlot,), ask)
