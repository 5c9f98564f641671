"""K5: of a disabled worker only forced runs start; after probation one run may probe."""

from __future__ import annotations

from typing import ClassVar

from shiftboss.core.gates.gate import Answer, Gate, View
from shiftboss.core.hold import Ends, Hold, Scope, Thing
from shiftboss.core.model import disabled_by


class IsDisabled(Hold, frozen=True, tag="disabled"):
    """The worker is disabled; at `until` one run may probe it."""

    scope: ClassVar = Scope.WORKER
    thing: ClassVar = Thing.PERSON
    ends: ClassVar = Ends.OTHERWISE
    about: ClassVar = "by"
    until_says: ClassVar = "next test call"
    is_passed: ClassVar = True  # by a forced run
    forbids_skip: ClassVar = True

    by: str = ""
    reason: str = ""

    def __str__(self) -> str:
        return f"{disabled_by(self.by)}: {self.reason}" if self.reason else disabled_by(self.by)


def ask(view: View, answer: Answer) -> None:
    disabled = answer.state.disabled
    if disabled is None or answer.run.forced:
        return
    until = disabled.probation_until
    is_over = until is not None and until <= view.now
    if is_over and not any(run.claim is not None and run.claim.probe for run in view.running_of(answer.run.worker)):
        answer.probe = True
        return
    ends_at = None if is_over else until  # a probe is running: only its end changes anything
    answer.hold(IsDisabled(by=disabled.by, reason=disabled.reason, since=disabled.since, until=ends_at))


GATE = Gate(("K5",), (IsDisabled,), ask)
