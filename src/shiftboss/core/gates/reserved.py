"""B4: no run takes what a run of higher rank has waited for longer than its patience."""

from __future__ import annotations

from typing import ClassVar

from shiftboss.core.gates.gate import Answer, Gate, View
from shiftboss.core.gates.uses import free_permits, permit_takers
from shiftboss.core.hold import Ends, Hold, Scope, Thing
from shiftboss.core.model import Run


class IsReserved(Hold, frozen=True, tag="reserved"):
    """B4: a run of higher rank has waited longer than its patience for what this one would take."""

    scope: ClassVar = Scope.COMPONENT
    thing: ClassVar = Thing.WORKER
    ends: ClassVar = Ends.NODES
    about: ClassVar = "worker"

    worker: str = ""
    run: int = 0

    def __str__(self) -> str:
        return f"reserved for {self.worker} (run #{self.run}), which has waited longer than its patience"


def ask(view: View, answer: Answer) -> None:
    run = answer.run
    for reserving in view.reserving:
        if view.snapshot.relations.conflict(reserving.worker, run.worker) or _takes_permits(view, run, reserving):
            answer.hold(IsReserved(worker=reserving.worker, run=reserving.id, since=run.due_at))


def _takes_permits(view: View, run: Run, reserving: Run) -> bool:
    """Whether *run* would take permits so that too few are left for *reserving*."""
    uses = view.snapshot.workers[run.worker].definition.uses
    wants = view.snapshot.workers[reserving.worker].definition.uses
    return any(
        free_permits(view, resource, permit_takers(view, run.worker, resource)) - uses[resource] < wanted
        for resource, wanted in wants.items()
        if resource in uses
    )


GATE = Gate(("B4",), (IsReserved,), ask)
