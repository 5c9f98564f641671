"""K7: a paused worker starts nothing until its pause is over."""

from __future__ import annotations

from typing import ClassVar

from shiftboss.core.gates.gate import Answer, Gate, View
from shiftboss.core.hold import Ends, Hold, Scope, Thing


class IsPaused(Hold, frozen=True, tag="paused"):
    """Somebody has paused the worker; without `until` only a person resumes it."""

    scope: ClassVar = Scope.WORKER
    thing: ClassVar = Thing.PERSON
    ends: ClassVar = Ends.OTHERWISE
    about: ClassVar = "by"
    until_says: ClassVar = "resumes"
    forbids_skip: ClassVar = True

    by: str = ""
    reason: str = ""

    def __str__(self) -> str:
        who = f"paused by {self.by}" if self.by else "paused"
        return f"{who}: {self.reason}" if self.reason else who


def ask(view: View, answer: Answer) -> None:
    if answer.state.paused is None:
        return
    pause = answer.state.pause_at(view.now)
    if pause is not None:
        answer.hold(IsPaused(by=pause.by, reason=pause.reason, since=pause.since, until=pause.until))


GATE = Gate(("K7",), (IsPaused,), ask)
