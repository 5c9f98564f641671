"""G1: a node that shuts down starts nothing more."""

from __future__ import annotations

from typing import ClassVar

from shiftboss.core.gates.gate import Answer, Gate
from shiftboss.core.hold import Ends, Hold, Scope, Thing
from shiftboss.core.model import Node, NodeMode


class IsDraining(Hold, frozen=True, tag="draining"):
    """The node is shutting down."""

    scope: ClassVar = Scope.NODE
    thing: ClassVar = Thing.NODE
    ends: ClassVar = Ends.OTHERWISE
    about: ClassVar = "node"

    node: str = ""

    def __str__(self) -> str:
        return f"node {self.node} is shutting down and starts no more runs"


def ask(node: Node, answer: Answer) -> None:
    if node.mode is not NodeMode.RUNNING:
        answer.hold(IsDraining(node=node.name))


GATE = Gate(("G1",), (IsDraining,), ask)
