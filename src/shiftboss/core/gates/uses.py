"""B9: a run starts when the permits that its worker uses are free."""

from __future__ import annotations

from typing import ClassVar

from shiftboss.core import subject
from shiftboss.core.gates.gate import Answer, Gate, View
from shiftboss.core.hold import Ends, Hold, Scope, Thing, runs_in_words
from shiftboss.core.model import Run
from shiftboss.core.subject import Subject


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

    def awaits(self, view: View, run: Run) -> Subject:
        return subject.permits(self.resource, self.wanted)

    def __str__(self) -> str:
        users = f", used by {runs_in_words(self.runs)}" if self.runs else ""
        return f"resource {self.resource} has {self.free} free, {self.wanted} needed{users}"


def ask(view: View, answer: Answer) -> None:
    """Counted from live claims."""
    for resource, wanted in answer.state.definition.uses.items():
        free = free_permits(view, resource)
        if free < wanted:
            takers = view.takers(resource)
            since = max((run.claim.at for run, _ in takers if run.claim), default=None)
            ids = tuple(run.id for run, _ in takers)
            answer.hold(NoPermit(resource=resource, wanted=wanted, free=free, runs=ids, since=answer.since(since)))


def free_permits(view: View, resource: str) -> int:
    """The free permits; below zero if the resource was declared smaller than what is taken already."""
    return view.snapshot.resources.get(resource, 0) - view.taken(resource)


GATE = Gate(("B9",), (NoPermit,), ask, is_about_options=True)
