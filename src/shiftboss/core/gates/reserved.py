"""B4: no run takes what a run of higher rank has waited for longer than its patience."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from shiftboss.core import subject
from shiftboss.core.gates.blocks import excluded_by
from shiftboss.core.gates.gate import Answer, Gate, View
from shiftboss.core.gates.uses import free_permits
from shiftboss.core.hold import Ends, Hold, Scope, Thing
from shiftboss.core.model import Run
from shiftboss.core.subject import Subject


class IsReserved(Hold, frozen=True, tag="reserved"):
    """B4: a run of higher rank has waited longer than its patience for what this one would take."""

    scope: ClassVar = Scope.COMPONENT
    thing: ClassVar = Thing.WORKER
    ends: ClassVar = Ends.NODES
    about: ClassVar = "worker"
    is_reservation: ClassVar = True

    worker: str = ""
    run: int = 0

    def awaits(self, view: View, run: Run) -> Subject:
        relations = view.snapshot.relations
        if relations.conflict(self.worker, run.worker):
            return excluded_by(relations, run.worker, self.worker)
        resource = next(_short(view, run, self.worker))
        return subject.permits(resource, view.snapshot.workers[run.worker].definition.uses[resource])

    def __str__(self) -> str:
        return f"reserved for {self.worker} (run #{self.run}), which has waited longer than its patience"


def ask(view: View, answer: Answer) -> None:
    run = answer.run
    for reserving in view.reserving:
        if view.snapshot.relations.conflict(reserving.worker, run.worker) or any(_short(view, run, reserving.worker)):
            answer.hold(IsReserved(worker=reserving.worker, run=reserving.id, since=run.due_at))


def _short(view: View, run: Run, reserving: str) -> Iterator[str]:
    """The resources of which *run* would take permits so that too few are left for the worker *reserving*."""
    uses = view.snapshot.workers[run.worker].definition.uses
    wants = view.snapshot.workers[reserving].definition.uses
    return (
        resource
        for resource, wanted in wants.items()
        if resource in uses and free_permits(view, resource) - uses[resource] < wanted
    )


GATE = Gate(("B4",), (IsReserved,), ask, is_about_options=True)
