"""C8: a run that was there when nodes went down runs alone on its node, and others make way for it."""

from __future__ import annotations

from typing import ClassVar

from shiftboss.core.gates.gate import Answer, Gate, Here
from shiftboss.core.hold import Ends, Hold, Scope, Thing
from shiftboss.core.isolation import is_isolated


class IsIsolated(Hold, frozen=True, tag="isolated"):
    """C8: it was there when nodes went down, so it runs alone until it has finished an attempt.  This blames nobody."""

    scope: ClassVar = Scope.NODE
    thing: ClassVar = Thing.NODE
    ends: ClassVar = Ends.COMPANY
    about: ClassVar = "node"

    node: str = ""
    rescues: int = 0

    def __str__(self) -> str:
        return (
            f"waiting to run alone on node {self.node}, because its node went down {self.rescues} times while it ran; "
            "that shows whether it is the cause"
        )


class MakesWay(Hold, frozen=True, tag="makes_way"):
    """C8: a run that may have taken its node down has the node to itself, for a minute at most."""

    scope: ClassVar = Scope.NODE
    thing: ClassVar = Thing.WORKER
    ends: ClassVar = Ends.COMPANY
    about: ClassVar = "worker"

    worker: str = ""
    run: int = 0
    node: str = ""
    runs: bool = True  # False: it is still to start

    def __str__(self) -> str:
        what = "runs alone" if self.runs else "is about to run alone"
        return (
            f"{self.worker} (run #{self.run}) {what} on node {self.node} for a minute at most, because nodes went down "
            "while it ran"
        )


def ask(here: Here, answer: Answer) -> None:
    run, company = answer.run, here.company
    if not is_isolated(run):
        way = company.way_before(run)
        if way is not None:
            first, node = way.run, here.node.name
            times = {"since": way.since, "until": way.until}
            answer.hold(MakesWay(worker=first.worker, run=first.id, node=node, runs=way.runs, **times))
        return
    until = company.alone_at(run)
    if until is None:
        return
    if all(hold.ends is Ends.SLOT for hold in answer.holds):
        company.wants(run)
    answer.hold(IsIsolated(node=here.node.name, rescues=run.rescues, since=run.due_at, until=until))


GATE = Gate(("C8",), (IsIsolated, MakesWay), ask)
