"""D2 to D6: a run starts when its upstreams have no unfinished work for it and their latest runs have succeeded."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from shiftboss.core import subject
from shiftboss.core.gates.gate import Answer, Gate, View
from shiftboss.core.hold import Ends, Hold, Scope, Thing
from shiftboss.core.model import BreakerMode, Origin, Record, Run, Status, Verdict, WorkerState
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.subject import Subject
from shiftboss.core.value import later, seconds_between
from shiftboss.core.worker import OnFailure, Upstream


class UpstreamOwes(Hold, frozen=True, tag="depends_on"):
    """D2: an upstream has an unfinished run of the same or an earlier logical time."""

    scope: ClassVar = Scope.COMPONENT
    thing: ClassVar = Thing.WORKER
    ends: ClassVar = Ends.RUN
    about: ClassVar = "upstream"
    option: ClassVar = "depends_on"

    upstream: str = ""
    run: int = 0
    state: str = ""  # pending, running, waiting to retry

    def awaits(self, view: View, run: Run) -> Subject:
        return subject.upstream(self.upstream)

    def __str__(self) -> str:
        return f"waiting for {self.upstream} (run #{self.run} is {self.state})"

    @property
    def is_passing(self) -> bool:
        return self.until is None  # otherwise it waits for that time


class UpstreamFailed(Hold, frozen=True, tag="depends_on"):
    """D5, D6: the upstream's latest run failed, or it is disabled, or its breaker is not closed."""

    scope: ClassVar = Scope.COMPONENT
    thing: ClassVar = Thing.WORKER
    ends: ClassVar = Ends.OTHERWISE
    about: ClassVar = "upstream"
    option: ClassVar = "depends_on"

    upstream: str = ""
    run: int | None = None
    why: str = ""

    def awaits(self, view: View, run: Run) -> Subject:
        return subject.upstream(self.upstream)

    def __str__(self) -> str:
        return f"waiting for {self.upstream}: {self.why}"


class UpstreamStale(Hold, frozen=True, tag="depends_on"):
    """D4: it has not succeeded recently enough, or has never run."""

    scope: ClassVar = Scope.COMPONENT
    thing: ClassVar = Thing.WORKER
    ends: ClassVar = Ends.OTHERWISE
    about: ClassVar = "upstream"
    option: ClassVar = "depends_on"

    upstream: str = ""
    why: str = ""

    def awaits(self, view: View, run: Run) -> Subject:
        return subject.upstream(self.upstream)

    def __str__(self) -> str:
        return f"waiting for {self.upstream}: {self.why}"


def ask(view: View, answer: Answer) -> None:
    for edge in answer.state.definition.depends_on:
        _ask_upstream(view, answer, edge)


def _ask_upstream(view: View, answer: Answer, edge: Upstream) -> None:
    """D2 to D6."""
    snapshot, run = view.snapshot, answer.run
    upstream = snapshot.workers.get(edge.worker)
    if upstream is None:
        answer.hold(UpstreamStale(upstream=edge.worker, why="it is no longer registered", since=run.due_at))
        return
    record = snapshot.record(edge.worker)
    broken = _why_broken(snapshot, upstream)
    occurs_at = min(run.occurs_at, max(run.due_at, view.now))  # a clock that was set back may leave it ahead (O4)
    owed = owed_run(view, edge.worker, occurs_at, running_only=broken is not None)
    if owed is not None:
        answer.hold(
            UpstreamOwes(
                upstream=edge.worker,
                run=owed.id,
                state=_words(owed, view.now),
                since=answer.since(owed.claim.at if owed.claim else owed.created_at),
                until=owed.due_at if owed.status is Status.PENDING and owed.due_at > view.now else None,
            )
        )
        return
    if broken is not None:
        _judge_failure(answer, edge, record, run=record.latest.run if record.latest else None, why=broken)
    elif record.latest is None:
        answer.hold(UpstreamStale(upstream=edge.worker, why="it has never run", since=run.due_at))
    elif (skipped := _skipped_since(view, edge.worker, record.latest)) is not None:
        _judge_failure(answer, edge, record, run=skipped.id, why=f"its latest run #{skipped.id} was skipped")
    elif not record.latest.ok:
        latest = record.latest.run
        _judge_failure(answer, edge, record, run=latest, why=f"its latest run #{latest} did not succeed")
    else:
        _ask_freshness(view, answer, edge, record)


def _skipped_since(view: View, name: str, latest: Verdict) -> Run | None:
    """D2: the run of *name* that this walk skips, if it will be the latest one."""
    skipped = view.skipped.get(name)
    is_later = skipped is not None and (latest.occurs_at, latest.run) < (skipped.occurs_at, skipped.id)
    return skipped if is_later else None


def _judge_failure(answer: Answer, edge: Upstream, record: Record, *, run: int | None, why: str) -> None:
    """D5: wait, skip (scheduled runs only) or run degraded."""
    match edge.on_failure:
        case OnFailure.RUN:
            answer.degraded = True
        case OnFailure.SKIP if answer.run.origin is Origin.OCCURRENCE and not answer.run.has_started:
            answer.skip = True
        case _:
            since = answer.since(record.last_error_at)
            answer.hold(UpstreamFailed(upstream=edge.worker, run=run, why=why, since=since))


def _ask_freshness(view: View, answer: Answer, edge: Upstream, record: Record) -> None:
    """D4."""
    success = record.last_success_at
    if edge.fresh:
        mine = view.snapshot.record(answer.run.worker).last_success_started_at
        if success is None or (mine is not None and success < mine):
            why = "it has not succeeded since this worker last started a run that succeeded"
            answer.hold(UpstreamStale(upstream=edge.worker, why=why, since=answer.run.due_at))
    if edge.max_age_s is None:
        return
    if success is None or seconds_between(success, view.now) > edge.max_age_s:
        why = f"its last success is older than {edge.max_age_s:g} s"
        answer.hold(UpstreamStale(upstream=edge.worker, why=why, since=answer.run.due_at))
    else:
        stale_at = later(success, edge.max_age_s + 1e-6)
        answer.good_until = stale_at if answer.good_until is None else min(answer.good_until, stale_at)


def _why_broken(snapshot: Snapshot, upstream: WorkerState) -> str | None:
    """D6: why it counts as failed: it is disabled, or its breaker is not closed and it has no fallback (K3)."""
    if upstream.disabled is not None:
        return f"it is {upstream.disabled.how}"
    name = upstream.definition.breaker
    if name is None or upstream.definition.fallback:
        return None
    breaker = snapshot.breakers.get(name)
    if breaker is None or breaker.mode is BreakerMode.CLOSED:
        return None
    return f"its breaker {name} is {breaker.mode.replace('_', '-')}"


def owed_run(view: View, name: str, occurs_at: datetime, *, running_only: bool) -> Run | None:
    """D2: the unfinished run of *name* with the earliest logical time, if that is at or before *occurs_at*."""
    runs = list(view.running_of(name))
    if not running_only:
        least = view.snapshot.lane(name).least
        if least is not None:
            runs.append(least)
    owed = min(runs, key=lambda run: (run.occurs_at, run.id), default=None)
    return owed if owed is not None and owed.occurs_at <= occurs_at else None


def _words(run: Run, now: datetime) -> str:
    if run.status is Status.RUNNING:
        return "running"
    if run.attempt > 0 and run.due_at > now:
        return f"waiting to retry after attempt {run.attempt}"
    return "pending" if run.due_at <= now else "pending, not yet due"


GATE = Gate(("D2", "D3", "D4", "D5", "D6"), (UpstreamOwes, UpstreamFailed, UpstreamStale), ask, is_about_options=True)
