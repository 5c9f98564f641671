"""H5, W3: while the store takes no work, nothing starts."""

from __future__ import annotations

from typing import ClassVar

from shiftboss.core.gates.gate import Answer, Gate
from shiftboss.core.health import StoreTrouble
from shiftboss.core.hold import Ends, Hold, Scope, Thing


class StoreTakesNothing(Hold, frozen=True, tag="store"):
    """The store takes no new work (W3, H5), or nobody has renewed a lease there for too long."""

    scope: ClassVar = Scope.FLEET
    thing: ClassVar = Thing.STORE
    ends: ClassVar = Ends.OTHERWISE

    reason: str = ""

    def __str__(self) -> str:
        return self.reason


def ask(trouble: StoreTrouble, answer: Answer) -> None:
    answer.hold(StoreTakesNothing(reason=str(trouble), since=trouble.since))


GATE = Gate(("H5", "W3"), (StoreTakesNothing,), ask)
