"""C1: no more runs of a worker at once than its `concurrency`, in the whole fleet."""

from __future__ import annotations

from typing import ClassVar

from shiftboss.core.gates.gate import Answer, Gate, View
from shiftboss.core.hold import Ends, Hold, Scope, Thing, runs_in_words


class IsFull(Hold, frozen=True, tag="concurrency"):
    """As many as `concurrency` allows are running."""

    scope: ClassVar = Scope.WORKER
    thing: ClassVar = Thing.RUN
    ends: ClassVar = Ends.RUN
    option: ClassVar = "concurrency"

    limit: int = 1
    runs: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"concurrency limit of {self.limit} reached ({runs_in_words(self.runs)})"


def ask(view: View, answer: Answer) -> None:
    """Counted from live claims, zombies included (B6)."""
    limit = answer.state.definition.concurrency
    if limit is None:
        return
    running = view.running_of(answer.run.worker)
    if len(running) >= limit:
        since = max((run.claim.at for run in running if run.claim), default=None)
        answer.hold(IsFull(limit=limit, runs=tuple(run.id for run in running), since=answer.since(since)))


GATE = Gate(("C1", "C6"), (IsFull,), ask, is_about_options=True)
