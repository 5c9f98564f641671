"""K2, K3: an open breaker holds its workers; while it is half-open one run probes; a fallback runs in place of it."""

from __future__ import annotations

from typing import ClassVar

from shiftboss.core import subject
from shiftboss.core.gates.gate import Answer, Gate, View
from shiftboss.core.hold import Ends, Hold, Scope, Thing
from shiftboss.core.model import BreakerMode, BreakerState, Run
from shiftboss.core.subject import Subject


class BreakerIsOpen(Hold, frozen=True, tag="breaker"):
    """Its breaker is open; `probe`: the run that probes now."""

    scope: ClassVar = Scope.COMPONENT
    thing: ClassVar = Thing.BREAKER
    ends: ClassVar = Ends.OTHERWISE
    about: ClassVar = "breaker"
    option: ClassVar = "breaker"
    until_says: ClassVar = "next test call"

    breaker: str = ""
    probe: int | None = None  # half-open: the run that probes now

    def awaits(self, view: View, run: Run) -> Subject:
        return subject.breaker(self.breaker)

    def __str__(self) -> str:
        if self.probe is not None:
            return f"breaker {self.breaker} is half-open, with run #{self.probe} as its test call"
        return f"breaker {self.breaker} is open"


def ask(view: View, answer: Answer) -> None:
    name = answer.state.definition.breaker
    breaker = None if name is None else view.snapshot.breakers.get(name)
    if breaker is None or breaker.mode is BreakerMode.CLOSED:
        return
    cooling = breaker.until is not None and breaker.until > view.now
    probe = probe_of(view, breaker)
    if not cooling and probe is None and not answer.holds and not answer.skip:
        answer.probe = True
    elif answer.state.definition.fallback and not answer.probe:  # a probe for K5 must run the function
        answer.fallback = True
    elif cooling or probe is not None:
        until = breaker.until if cooling else None
        running = probe.id if probe else None
        answer.hold(BreakerIsOpen(breaker=breaker.name, since=breaker.opened_at, until=until, probe=running))


def probe_of(view: View, breaker: BreakerState) -> Run | None:
    """The run that probes a half-open breaker now, in the whole fleet; one that began before it opened is no probe."""
    sharing = view.snapshot.relations.sharing_breaker(breaker.name)
    for name in view.running_beside(sharing[0]) if sharing else ():
        if view.snapshot.workers[name].definition.breaker != breaker.name:
            continue
        for run in view.running_of(name):
            claim = run.claim
            if claim is not None and claim.probe and (breaker.opened_at is None or claim.at >= breaker.opened_at):
                return run
    return None


GATE = Gate(("K2", "K3"), (BreakerIsOpen,), ask, is_about_options=True)
