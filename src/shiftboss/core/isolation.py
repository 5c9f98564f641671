"""Which run takes its node down?  A run that was there twice runs alone from then on, so that the next time tells (C8).

Rules of this file
- Isolation is no accusation: most isolated runs were merely present.
- From its start on, a node alternates between a quiet minute, in which an isolated run may have the node to itself, and
  `OPEN_S` for everything else.  So other runs wait for a minute at most, however many isolated runs there are.
- An isolated run starts in a quiet minute, while nothing else runs.  Its start is chosen so that the age at which its
  node went down before falls into a quiet minute too.  Until it is older than that, nothing else starts there then.
- An isolated run that could not be alone within `PATIENCE_S` starts although others run; then nobody can be blamed.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from shiftboss.core.lane import MANY_RESCUES
from shiftboss.core.model import Claim, Node, Run
from shiftboss.core.value import later, replace, seconds_between

QUIET_S = 60.0  # C8: the longest that other runs wait for an isolated one
OPEN_S = 20.0  # time for the runs that waited to get slots; the shorter it is, the sooner the guilty run is found
SETTLED_S = 5.0  # after so much of a quiet minute, most of the runs that began before it have ended
DRAIN_FOR_S = 2 * (QUIET_S + OPEN_S)  # so long others make way for a waiting isolated run; after that it needs luck
PATIENCE_S = 600.0  # functions that take hours leave no quiet minute; after that it starts beside them


def is_isolated(run: Run) -> bool:
    """Whether it was there again and again when a node went down, and has not finished an attempt since."""
    return run.rescues >= MANY_RESCUES


def lived_s(run: Run) -> float:
    """The duration of its longest earlier attempt: if this run was guilty, it took its node down by that age."""
    return max((attempt.duration_s for attempt in run.attempts), default=0.0)


def quiet_until(node: Node, now: datetime) -> datetime | None:
    """The end of the quiet minute that contains *now*; None outside of one."""
    phase_s = _phase_s(node, now)
    return later(now, QUIET_S - phase_s) if phase_s < QUIET_S else None


def may_begin_at(node: Node, now: datetime, run: Run) -> datetime:
    """When it may start on *node* if nothing else runs there: now, or the next moment at which its age fits."""
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
    """Until when nothing else may start beside it in quiet minutes: until it is older than its earlier attempts."""
    claim = run.claim
    if claim is None or not is_isolated(run):
        return None
    age_s, longest_s = seconds_between(claim.at, now), lived_s(run)
    is_young, is_near = age_s < QUIET_S, longest_s - age_s <= QUIET_S
    return later(claim.at, longest_s) if age_s < longest_s and (is_young or is_near) else None


class Way(NamedTuple):
    """The isolated run that others make way for: it runs, or waits to be alone."""

    run: Run
    runs: bool
    since: datetime
    until: datetime


class Company:
    """What runs on one node, as far as it matters to isolated runs.  The walk reports what starts."""

    def __init__(self, node: Node, now: datetime, running: Collection[Run], *, waiting: Collection[Run] = ()) -> None:
        self.wanting: dict[str, Run] = {}  # worker → a run of it that lacks nothing but to be alone
        self._node = node
        self._now = now
        self._runs_something = bool(running)
        self._quiet_until = quiet_until(node, now)
        self._guarded = next((run for run in running if run.rescues and guards(run, now) is not None), None)
        self._waiting = next((run for run in waiting if self._is_made_way_for(run)), None)

    def alone_at(self, run: Run) -> datetime | None:
        """When the isolated *run* may start here by the clock; None: now."""
        if has_lost_patience(run, self._now):
            return None
        patient_until = later(run.due_at, PATIENCE_S)
        ready_at = may_begin_at(self._node, self._now, run)
        if not self._runs_something and ready_at == self._now:
            return None
        return patient_until if ready_at == self._now else min(ready_at, patient_until)

    def way_before(self, run: Run) -> Way | None:
        """The isolated run that *run*, which is not isolated, must make way for; None if there is none."""
        quiet_until = self._quiet_until
        if quiet_until is None or (self._guarded is None and self._waiting is None):
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
        """*run* would start if nothing else ran here: others make way for it."""
        if self._waiting is None and self._is_made_way_for(run):
            self._waiting = run
        self.wanting.setdefault(run.worker, run)

    def starts(self, run: Run) -> None:
        """*run* is about to start on this node."""
        self._runs_something = True
        if self._guarded is None and is_isolated(run):
            claimed = replace(run, claim=Claim(node=self._node.id, fence=0, at=self._now))
            if guards(claimed, self._now) is not None:
                self._guarded = claimed

    def _is_made_way_for(self, run: Run) -> bool:
        return run.due_at <= self._now < later(run.due_at, DRAIN_FOR_S)


def _phase_s(node: Node, now: datetime) -> float:
    return seconds_between(node.started_at, now) % (QUIET_S + OPEN_S)


def _fits(phase_s: float, age_s: float) -> bool:
    """Whether a start at that phase falls into a quiet minute, and the moment *age_s* later as well."""
    if phase_s >= QUIET_S:
        return False
    at_s = phase_s + age_s
    return at_s < QUIET_S or SETTLED_S <= at_s % (QUIET_S + OPEN_S) < QUIET_S
