"""W8: an unreadable row holds the runs that are related to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import ClassVar

from shiftboss.core.gates.gate import Answer, Gate, View
from shiftboss.core.hold import Ends, Hold, Scope, Thing
from shiftboss.core.model import WorkerState
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.unreadable import REMEDY, Unreadable

MAX_ROWS = 5  # named in the holds of one run: when these are set aside, the next ones are named


class IsUnreadable(Hold, frozen=True, tag="unreadable"):
    """W8: a row that concerns this run cannot be read, so nobody knows what the run may do beside it."""

    scope: ClassVar = Scope.COMPONENT
    thing: ClassVar = Thing.WORKER
    ends: ClassVar = Ends.OTHERWISE
    about: ClassVar = "worker"
    forbids_skip: ClassVar = True

    table: str = ""
    id: str = ""
    worker: str = ""
    reason: str = ""

    @classmethod
    def of(cls, row: Unreadable, *, since: datetime) -> IsUnreadable:
        return cls(table=row.table, id=row.id, worker=row.worker, reason=row.reason, since=since)

    def __str__(self) -> str:
        row = Unreadable(table=self.table, id=self.id, worker=self.worker, reason=self.reason)
        return f"{row}; {REMEDY}"


def ask(view: View, answer: Answer) -> None:
    """Asks about its worker's row, those of its upstreams, and those with which it shares something exclusive."""
    if view.snapshot.suspects:
        for row in islice(unreadable_beside(view.snapshot, answer.state), MAX_ROWS):
            answer.hold(IsUnreadable.of(row, since=answer.run.due_at))


def unreadable_beside(snapshot: Snapshot, state: WorkerState) -> Iterator[Unreadable]:
    """The rows that hold every run of that worker.

    Unreadable live runs of its own count only if `concurrency` is limited: otherwise its runs do not affect each other.
    """
    definition, relations = state.definition, snapshot.relations
    for row in snapshot.unreadable_of(state.name) if state.name in snapshot.suspects else ():
        if row.table != "run" or definition.concurrency is not None:
            yield row
    breaker = None if definition.breaker is None else snapshot.breakers.get(definition.breaker)
    if breaker is not None and breaker.unreadable is not None:
        yield breaker.unreadable
    component = relations.component(state.name)
    if len(component) == 1 or snapshot.suspects.isdisjoint(component):
        return
    before = {*definition.after, *(edge.worker for edge in definition.depends_on)}
    for other in component:
        if other == state.name or other not in snapshot.suspects:
            continue
        theirs = snapshot.workers[other].definition
        if (
            other in before
            or relations.conflict(state.name, other)
            or not definition.uses.keys().isdisjoint(theirs.uses)
            or (definition.breaker is not None and definition.breaker == theirs.breaker)
        ):
            yield from snapshot.unreadable_of(other)


GATE = Gate(("W8",), (IsUnreadable,), ask)
