"""B8: a worker starts no more often than its `rate` allows."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from shiftboss.core.gates.gate import Answer, Gate, View
from shiftboss.core.hold import Ends, Hold, Scope, Thing
from shiftboss.core.model import Record
from shiftboss.core.policy import Rate
from shiftboss.core.value import later, seconds_between

UNITS = {1.0: "s", 60.0: "min", 3600.0: "h", 86400.0: "d"}


class RateReached(Hold, frozen=True, tag="rate"):
    """`rate` is used up."""

    scope: ClassVar = Scope.WORKER
    thing: ClassVar = Thing.RUN
    ends: ClassVar = Ends.SOON
    option: ClassVar = "rate"
    until_says: ClassVar = "next start"

    count: int = 0
    per_s: float = 0.0

    def __str__(self) -> str:
        return f"rate limit of {self.count}/{UNITS.get(self.per_s, f'{self.per_s:g} s')} reached"


def ask(view: View, answer: Answer) -> None:
    rate = answer.state.definition.rate
    if rate is None:
        return
    granted = len(view.granted.get(answer.run.worker, ()))
    tokens = tokens_at(view.snapshot.record(answer.run.worker), rate, view.now) - granted
    if tokens < 1:
        wait_s = max(1e-6, (1 - tokens) * rate.per_s / rate.count)  # the smallest step of time, or it would spin
        until = later(view.now, wait_s)
        answer.hold(RateReached(count=rate.count, per_s=rate.per_s, until=until, since=answer.run.due_at))


def tokens_at(record: Record, rate: Rate, now: datetime) -> float:
    """The tokens in the bucket, refilled evenly since it was last written; a clock that went back refills nothing."""
    if record.tokens is None or record.tokens_at is None:
        return float(rate.count)
    refilled = max(0.0, seconds_between(record.tokens_at, now)) * rate.count / rate.per_s
    # One microsecond's worth is added: rounding must not leave the computed end of a wait short of a whole token.
    return min(float(rate.count), record.tokens + refilled + 1e-6 * rate.count / rate.per_s + 1e-9)


GATE = Gate(("B8",), (RateReached,), ask, is_about_options=True)
