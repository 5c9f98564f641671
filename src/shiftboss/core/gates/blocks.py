"""B1: runs of workers that exclude each other never run at the same time."""

from __future__ import annotations

from typing import ClassVar

from shiftboss.core.gates.gate import Answer, Gate, View
from shiftboss.core.hold import Ends, Hold, Scope, Thing


class IsBlocked(Hold, frozen=True, tag="blocks"):
    """A run of a worker that excludes it is running."""

    scope: ClassVar = Scope.COMPONENT
    thing: ClassVar = Thing.WORKER
    ends: ClassVar = Ends.RUN
    about: ClassVar = "by"
    option: ClassVar = "blocks"
    reserves: ClassVar = True

    by: str = ""
    run: int = 0
    node: str = ""
    zombie: bool = False

    def __str__(self) -> str:
        zombie = " was told to end, but its code is still running" if self.zombie else ""
        return f"blocked by {self.by} (run #{self.run}{zombie})"


def ask(view: View, answer: Answer) -> None:
    """Checked against what runs, within the component only."""
    relations = view.snapshot.relations
    name = answer.run.worker
    if not relations.may_block(name):
        return
    for other in view.running_workers(relations.component(name)):
        if not relations.conflict(name, other):
            continue
        for blocker in view.running_of(other):
            claim = blocker.claim
            answer.hold(
                IsBlocked(
                    by=other,
                    run=blocker.id,
                    node=view.node_name(claim.node if claim else ""),
                    zombie=claim is not None and claim.zombie_since is not None,
                    since=answer.since(claim.at if claim else None),
                )
            )
            break  # the hold names one run of each blocking worker, which is enough


GATE = Gate(("B1",), (IsBlocked,), ask)
