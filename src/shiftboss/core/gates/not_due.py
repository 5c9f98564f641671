"""M2: a run waits until it is due, and a retry until its back-off is over."""

from __future__ import annotations

from typing import ClassVar

from shiftboss.core.gates.gate import Answer, Gate, View
from shiftboss.core.hold import Ends, Hold, Scope, Thing


class NotDue(Hold, frozen=True, tag="not_due"):
    """It is not time yet; `attempt` is above 0 for a retry in back-off."""

    scope: ClassVar = Scope.RUN
    thing: ClassVar = Thing.RUN
    ends: ClassVar = Ends.OTHERWISE
    forbids_skip: ClassVar = True
    until_says: ClassVar = "due"

    attempt: int = 0

    def __str__(self) -> str:
        return f"waiting to retry after attempt {self.attempt}" if self.attempt else "not due yet"

    @property
    def is_planned(self) -> bool:
        return not self.attempt


def ask(view: View, answer: Answer) -> None:
    run = answer.run
    if run.due_at > view.now:
        answer.hold(NotDue(until=run.due_at, attempt=run.attempt, since=run.created_at))


GATE = Gate(("M2",), (NotDue,), ask)
