"""B9: a run starts when the permits that its worker uses are free."""

from __future__ import annotations

from typing import ClassVar

from shiftboss.core.gates.gate import Answer, Gate, View
from shiftboss.core.hold import Ends, Hold, Scope, Thing, runs_in_words
from shiftboss.core.model import Run


class NoPermit(Hold, frozen=True, tag="uses"):
    """Too few permits of a resource are free."""

    scope: ClassVar = Scope.COMPONENT
    thing: ClassVar = Thing.RESOURCE
    ends: ClassVar = Ends.RUN
    about: ClassVar = "resource"
    option: ClassVar = "uses"
    reserves: ClassVar = True

    resource: str = ""
    wanted: int = 1
    free: int = 0
    runs: tuple[int, ...] = ()

    def __str__(self) -> str:
        users = f", used by {runs_in_words(self.runs)}" if self.runs else ""
        return f"resource {self.resource} has {self.free} free, {self.wanted} needed{users}"


def ask(view: View, answer: Answer) -> None:
    """Counted from live claims."""
    for resource, wanted in answer.state.definition.uses.items():
        takers = permit_takers(view, answer.run.worker, resource)
        free = free_permits(view, resource, takers)
        if free < wanted:
            since = max((run.claim.at for run, _ in takers if run.claim), default=None)
            ids = tuple(run.id for run, _ in takers)
            answer.hold(NoPermit(resource=resource, wanted=wanted, free=free, runs=ids, since=answer.since(since)))


def permit_takers(view: View, name: str, resource: str) -> list[tuple[Run, int]]:
    """The running runs that hold permits of *resource*, with how many."""
    takers = []
    for other in view.running_workers(view.snapshot.relations.component(name)):
        state = view.snapshot.workers.get(other)
        permits = state.definition.uses.get(resource, 0) if state else 0
        if permits:
            takers += [(run, permits) for run in view.running_of(other)]
    return takers


def free_permits(view: View, resource: str, takers: list[tuple[Run, int]]) -> int:
    """The free permits; below zero if the resource was declared smaller than what is taken already."""
    return view.snapshot.resources.get(resource, 0) - sum(permits for _, permits in takers)


GATE = Gate(("B9",), (NoPermit,), ask)
