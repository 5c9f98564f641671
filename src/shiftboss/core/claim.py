"""Granted runs become running: the rule of a start.

Rules of this file
- One change holds the claim, the missed scheduled times that the run takes up, the next scheduled run and the breaker's
  probe (B2, O2, M3, K2).
- The misfire policy may drop the run instead of starting it; then nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from shiftboss.core.decide import Grant
from shiftboss.core.events import BreakerHalfOpen, RunStarted
from shiftboss.core.gates.rate import tokens_at
from shiftboss.core.lifecycle import next_status
from shiftboss.core.model import BreakerMode, Cause, Claim, Origin, Run, Status, Verdict
from shiftboss.core.occurrence import next_occurrence, skip_range, take_up
from shiftboss.core.snapshot import Change, Draft, Snapshot
from shiftboss.core.value import replace, seconds_between


def claim(
    snapshot: Snapshot, now: datetime, *, ids: Iterator[int], grants: Iterable[Grant], node: str, fence: int
) -> tuple[Change, list[Run | None]]:
    """Start the granted runs, one after another.

    The answer is each running run, or None in place of one that its misfire policy dropped.
    """
    draft = Draft(snapshot, now, ids)
    runs = [_claim(draft, grant, node=node, fence=fence) for grant in grants]
    return draft.change(), runs


def _claim(draft: Draft, grant: Grant, *, node: str, fence: int) -> Run | None:
    run, now = grant.run, draft.now
    definition = draft.worker(run.worker).definition
    is_new_occurrence = run.origin is Origin.OCCURRENCE and not run.has_started
    if is_new_occurrence:
        taken = take_up(draft, definition, run)
        if taken is None:
            return None
        run = taken
    started = draft.put(
        replace(
            run,
            status=next_status(run, Status.RUNNING),
            claim=Claim(node=node, fence=fence, at=now, probe=grant.probe, fallback=grant.fallback),
            attempt=run.attempt + 1,
            first_started_at=run.first_started_at or now,
            degraded=grant.degraded or grant.fallback,  # about this attempt only, not about earlier ones
            give_up_at=None,
            progress=None,
            heartbeat_at=None,
        )
    )
    record = replace(draft.record(run.worker), last_run_at=now)
    if is_new_occurrence and definition.times is not None:
        record = replace(record, fired=record.fired + 1)
    if definition.rate is not None:
        record = replace(record, tokens=tokens_at(record, definition.rate, now) - 1, tokens_at=now)
    draft.put_record(run.worker, record)
    if grant.probe and definition.breaker is not None:
        _half_open(draft, definition.breaker)
    if is_new_occurrence:
        next_occurrence(draft, definition)
    delay_s = max(0.0, seconds_between(run.due_at, now))
    draft.emit(RunStarted(at=now, worker=run.worker, run=run.id, node=node, attempt=started.attempt, delay_s=delay_s))
    return started


def skip_for_dependency(snapshot: Snapshot, now: datetime, *, ids: Iterator[int], run: Run) -> tuple[Change, None]:
    """D5: the scheduled run is recorded as skipped, which counts as a failure for the workers downstream (D2)."""
    draft = Draft(snapshot, now, ids)
    definition = draft.worker(run.worker).definition
    record = draft.record(run.worker)
    latest = Verdict(occurs_at=run.occurs_at, run=run.id, ok=False)
    if record.latest is None or (record.latest.occurs_at, record.latest.run) < (latest.occurs_at, latest.run):
        draft.put_record(run.worker, replace(record, latest=latest))
    skip_range(draft, definition, run, until=now, reason=Cause.DEPENDENCY_FAILED)
    return draft.change(), None


def _half_open(draft: Draft, name: str) -> None:
    breaker = draft.breaker(name)
    if breaker is not None and breaker.mode is BreakerMode.OPEN:
        draft.put_breaker(replace(breaker, mode=BreakerMode.HALF_OPEN))
        draft.emit(BreakerHalfOpen(at=draft.now, breaker=name))
