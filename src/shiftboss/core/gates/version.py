"""M7: a node whose code takes other parameters leaves the runs to other nodes."""

from __future__ import annotations

from typing import ClassVar

from shiftboss.core.gates.gate import Answer, Gate
from shiftboss.core.hold import Ends, Hold, Scope, Thing
from shiftboss.core.model import Node


class OtherVersion(Hold, frozen=True, tag="version"):
    """M7: the node declares other parameters for it than the declaration in force."""

    scope: ClassVar = Scope.NODE
    thing: ClassVar = Thing.NODE
    ends: ClassVar = Ends.OTHERWISE
    about: ClassVar = "node"

    node: str = ""
    pid: int = 0
    host: str = ""
    code_version: str = ""

    def __str__(self) -> str:
        code = f" (code {self.code_version})" if self.code_version else ""
        return f"node {self.node}{code} registers this worker with other parameters"


def ask(node: Node, answer: Answer) -> None:
    parameters = node.workers.get(answer.run.worker)
    if parameters is not None and parameters != answer.state.definition.parameters:
        answer.hold(OtherVersion(node=node.name, pid=node.pid, host=node.host, code_version=node.code_version))


GATE = Gate(("M7",), (OtherVersion,), ask)
