"""Who took the node down?  A run that was there twice runs alone from then on, so that it is known (C8).

Rules of this file
- It accuses nobody: most of those that it isolates were merely there.  It only sees to it that the next time tells.
- A node's time is parted from its start on: a quiet minute, in which such a run may have the node to itself, then
  `OPEN_S` for everything else.  So whoever is held by this waits a minute at most, however many such runs there are.
- An isolated run starts in a quiet minute and where nothing else runs, at a moment from which the age at which it was
  with its node before falls in a quiet minute too.  Until it has outlived that age nothing else starts then.
- Who could not be alone within `PATIENCE_S` runs beside others after all; that can condemn nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from shiftboss.core.lane import MANY_RESCUES
from shiftboss.core.model import Node, Run
from shiftboss.core.value import later, seconds_between

QUIET_S = 60.0  # C8: the longest that somebody else waits for it
OPEN_S = 20.0  # in which all that waited gets its slots; the less, the sooner the guilty one is found
SETTLED_S = 5.0  # into a quiet minute most of what began before it has ended
DRAIN_FOR_S = 2 * (QUIET_S + OPEN_S)  # for so long others make way for one that waits; then it waits for luck
PATIENCE_S = 600.0  # bodies of hours leave no quiet minute; after that it starts beside them


def is_isolated(run: Run) -> bool:
    """Whether it was there when a node went down, again and again, and has not finished an attempt since."""
    return run.rescues >= MANY_RESCUES


def lived_s(run: Run) -> float:
    """Its longest earlier attempt: by that age it took its node down, if it was the one."""
    return max((attempt.duration_s for attempt in run.attempts), default=0.0)


def quiet_until(node: Node, now: datetime) -> datetime | None:
    """The end of the quiet minute that *now* lies in, if it does."""
    phase_s = _phase_s(node, now)
    return later(now, QUIET_S - phase_s) if phase_s < QUIET_S else None


def may_begin_at(node: Node, now: datetime, run: Run) -> datetime:
    """When *node* is ready for it, if nothing else runs there: now, or the next moment that fits."""
    phase_s, age_s = _phase_s(node, now), lived_s(run)
    if _fits(phase_s, age_s):
        return now
    for second in range(1, round(QUIET_S + OPEN_S) + 1):
        if _fits((phase_s + second) % (QUIET_S + OPEN_S), age_s):
            return later(now, second)
    return later(now, QUIET_S + OPEN_S - phase_s)


def has_lost_patience(run: Run, now: datetime) -> bool:
    return later(run.due_at, PATIENCE_S) <= now


def guards(run: Run, now: datetime) -> datetime | None:
    """Until when nothing else is to start beside it (in quiet minutes): it has not outlived its earlier attempts."""
    claim = run.claim
    if claim is None or not is_isolated(run):
        return None
    age_s, longest_s = seconds_between(claim.at, now), lived_s(run)
    is_young, is_near = age_s < QUIET_S, longest_s - age_s <= QUIET_S
    return later(claim.at, longest_s) if age_s < longest_s and (is_young or is_near) else None


class Way(NamedTuple):
    """Whom others make way for: it runs alone, or waits to."""

    run: Run
    runs: bool
    since: datetime
    until: datetime


class Company:
    """What runs on one node, as far as it matters to those that must be alone there.  The walk tells it what starts."""

    def __init__(self, node: Node, now: datetime, running: Iterable[Run], *, waiting: Collection[Run] = ()) -> None:
        self.wanting: dict[str, Run] = {}  # worker → a run of it that lacks nothing but to be alone
        self._node = node
        self._now = now
        self._running = list(running)
        self._quiet_until = quiet_until(node, now)
        self._guarded = next((run for run in self._running if guards(run, now) is not None), None)
        self._waiting = next((run for run in waiting if self._is_made_way_for(run)), None)

    def alone_at(self, run: Run) -> datetime | None:
        """When the isolated *run* may start here, as far as time tells; None: now."""
        if has_lost_patience(run, self._now):
            return None
        patient_until = later(run.due_at, PATIENCE_S)
        ready_at = may_begin_at(self._node, self._now, run)
        if not self._running and ready_at == self._now:
            return None
        return patient_until if ready_at == self._now else min(ready_at, patient_until)

    def way_before(self, run: Run) -> Way | None:
        """Whom *run*, which is not isolated, must make way for; None: nobody."""
        quiet_until = self._quiet_until
        if quiet_until is None:
            return None
        quiet_since = max(run.due_at, quiet_until - timedelta(seconds=QUIET_S))
        if self._guarded is not None:
            ends_at = guards(self._guarded, self._now) or self._now
            since = self._guarded.claim.at if self._guarded.claim is not None else self._now
            return Way(self._guarded, runs=True, since=max(since, quiet_since), until=min(ends_at, quiet_until))
        if self._waiting is not None:
            since = max(self._waiting.due_at, quiet_since)
            return Way(self._waiting, runs=False, since=since, until=quiet_until)
        return None

    def wants(self, run: Run) -> None:
        """Nothing but company keeps *run* from starting: others make way for it."""
        if self._waiting is None and self._is_made_way_for(run):
            self._waiting = run
        self.wanting.setdefault(run.worker, run)

    def starts(self, run: Run) -> None:
        """*run* is claimed, as it stands here."""
        self._running.append(run)
        if self._guarded is None and guards(run, self._now) is not None:
            self._guarded = run

    def _is_made_way_for(self, run: Run) -> bool:
        return run.due_at <= self._now < later(run.due_at, DRAIN_FOR_S)


def _phase_s(node: Node, now: datetime) -> float:
    return seconds_between(node.started_at, now) % (QUIET_S + OPEN_S)


def _fits(phase_s: float, age_s: float) -> bool:
    """Whether a start at that phase is in a quiet minute, and the age *age_s* as well."""
    if phase_s >= QUIET_S:
        return False
    at_s = phase_s + age_s
    return at_s < QUIET_S or SETTLED_S <= at_s % (QUIET_S + OPEN_S) < QUIET_S
