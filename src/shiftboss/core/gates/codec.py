"""E3: a payload that cannot be decoded holds its own run, and nothing behind it."""

from __future__ import annotations

from typing import ClassVar

from shiftboss.core.gates.gate import Answer, Gate, View
from shiftboss.core.hold import Ends, Hold, Scope, Thing
from shiftboss.core.model import Node


class IsEncoded(Hold, frozen=True, tag="codec"):
    """E3: its payload cannot be decoded: the node lacks the key, or it is damaged."""

    scope: ClassVar = Scope.NODE
    thing: ClassVar = Thing.NODE
    ends: ClassVar = Ends.OTHERWISE
    about: ClassVar = "node"
    is_passed: ClassVar = True
    is_passed_in_queue: ClassVar = True

    key: str = ""
    node: str = ""
    reason: str = ""

    def __str__(self) -> str:
        if self.reason:
            return f"its payload is {self.reason}"
        return (
            f"its payload is encrypted with key {self.key!r}, which node {self.node} does not have; start one that has"
        )


def ask(view: View, answer: Answer) -> None:
    """The process that read the payload could not decode it."""
    run = answer.run
    reason = view.snapshot.undecodable.get(run.id)
    if reason is not None:
        answer.hold(IsEncoded(key=run.encoded_by, reason=reason, since=run.due_at))


def ask_node(node: Node, answer: Answer) -> None:
    """The node has not the payload's key."""
    run = answer.run
    if run.encoded_by and run.encoded_by not in node.decodes:
        answer.hold(IsEncoded(key=run.encoded_by, node=node.name, since=run.due_at))


DAMAGED = Gate(("E3",), (IsEncoded,), ask)
NO_KEY = Gate(("E3",), (IsEncoded,), ask_node)
