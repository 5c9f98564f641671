"""Q1: a run waits for a node that declares its worker."""

from __future__ import annotations

from typing import ClassVar

from shiftboss.core.gates.gate import Answer, Gate
from shiftboss.core.hold import Ends, Hold, Scope, Thing
from shiftboss.core.model import Node


class NotHere(Hold, frozen=True, tag="unknown_worker"):
    """No live node can run it (Q1), or this one cannot."""

    scope: ClassVar = Scope.NODE
    thing: ClassVar = Thing.NODE
    ends: ClassVar = Ends.OTHERWISE
    about: ClassVar = "node"

    worker: str = ""
    node: str = ""

    def __str__(self) -> str:
        return f"node {self.node} does not run this worker" if self.node else "no live node runs this worker"


def ask(node: Node, answer: Answer) -> None:
    if answer.run.worker not in node.workers:
        answer.hold(NotHere(worker=answer.run.worker, node=node.name))


GATE = Gate(("Q1",), (NotHere,), ask)
