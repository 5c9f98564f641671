"""B1: runs of workers that exclude each other never run at the same time."""

from __future__ import annotations

from typing import ClassVar

from shiftboss.core import subject
from shiftboss.core.gates.gate import Answer, Gate, View
from shiftboss.core.graph import EMPTY, Relations
from shiftboss.core.hold import Ends, Hold, Scope, Thing
from shiftboss.core.model import Run
from shiftboss.core.subject import Subject


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

    def awaits(self, view: View, run: Run) -> Subject:
        return excluded_by(view.snapshot.relations, run.worker, self.by)

    def __str__(self) -> str:
        zombie = " was told to end, but its code is still running" if self.zombie else ""
        return f"blocked by {self.by} (run #{self.run}{zombie})"


def ask(view: View, answer: Answer) -> None:
    """Checked against what runs, within the component only."""
    relations = view.snapshot.relations
    name = answer.run.worker
    if not relations.may_block(name):
        return
    for other in view.running_beside(name):
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


def excluded_by(relations: Relations, worker: str, other: str) -> Subject:
    """The one name or tag by which *other* excludes *worker*, and on whose side it is declared."""
    spoken = relations.words.get(worker, EMPTY) & relations.marks.get(other, EMPTY)
    if spoken:
        return subject.no_bearer(min(spoken))
    return subject.no_speaker(min(relations.words.get(other, EMPTY) & relations.marks.get(worker, EMPTY)))


GATE = Gate(("B1",), (IsBlocked,), ask, is_about_options=True)
