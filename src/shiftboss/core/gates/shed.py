"""H4: a node that is short of something holds back low runs, then normal ones."""

from __future__ import annotations

from typing import ClassVar

from shiftboss.core.gates.gate import Answer, Gate
from shiftboss.core.hold import Ends, Hold, Scope, Thing
from shiftboss.core.model import Node, Shed
from shiftboss.core.policy import Priority


class IsShed(Hold, frozen=True, tag="shed"):
    """The node is short of something and holds back this priority."""

    scope: ClassVar = Scope.NODE
    thing: ClassVar = Thing.NODE
    ends: ClassVar = Ends.SHED
    about: ClassVar = "node"
    is_passed: ClassVar = True  # by a run of higher priority

    node: str = ""
    reason: str = ""
    priority: Priority = Priority.LOW

    def __str__(self) -> str:
        return f"node {self.node} sheds load and starts no {self.priority.label} runs: {self.reason}"


def ask(node: Node, answer: Answer) -> None:
    if node.shed is not Shed.NOTHING and node.shed.holds_back(answer.priority):
        answer.hold(IsShed(node=node.name, reason=node.shed_reason, priority=answer.priority))


GATE = Gate(("H4",), (IsShed,), ask)
