"""A finished attempt is folded into the state: its run, its worker's record, its breaker, what follows from it.

Rules of this file
- A report whose claim is no longer its sender's changes nothing (C5).
- One change holds the end of a run, the next run, runs by `after`, the breaker, the dead letter and an auto-disable.
- An interruption gives the attempt back (R2, G2), and so does the rescue from a node that is gone (C4).  But a function
  that had outlived its timeout by then has timed out (B6).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import NamedTuple, assert_never

from shiftboss.core import breaker as breakers
from shiftboss.core.autodisable import counts, disable_automatically, enable_again, extend_probation
from shiftboss.core.events import (
    AttemptEnded,
    DeadLettered,
    NodeLeft,
    RunEnded,
    RunRescued,
    StaleReport,
)
from shiftboss.core.isolation import is_isolated
from shiftboss.core.lane import MANY_RESCUES
from shiftboss.core.lifecycle import move, next_status
from shiftboss.core.model import (
    RING_SIZE,
    Attempt,
    BreakerState,
    Cancelled,
    Cause,
    DeadLetter,
    Error,
    Failed,
    Interrupted,
    Node,
    Origin,
    Record,
    Report,
    Run,
    Sample,
    Status,
    Succeeded,
    TimedOut,
    Unfit,
    Verdict,
)
from shiftboss.core.occurrence import end_unstarted, next_iteration, next_occurrence, runs_after
from shiftboss.core.policy import RetryPolicy
from shiftboss.core.snapshot import Change, Draft, Snapshot
from shiftboss.core.unreadable import SetAside
from shiftboss.core.value import later, replace
from shiftboss.core.worker import Definition

MAX_ATTEMPTS_KEPT = 50  # of a run that is retried without limit; as many as a page shows, and rows stay small
MAX_RESCUES = 5  # C8
MAX_CRASHES = 5  # R4: as many as rescues; a crash ends a child instead of a node
OUTLIVED = Error(type="TimeoutError", message="was still running after its timeout when its process ended")  # B6
UNCOUNTED = frozenset({Cause.INTERRUPTED, Cause.RESCUED})  # R2


def settle(snapshot: Snapshot, now: datetime, *, ids: Iterator[int], report: Report) -> tuple[Change, bool]:
    """Apply one report.  The answer says whether it was accepted."""
    run = snapshot.running.get(report.run)
    if run is None or not run.held_by(report.node, report.fence):
        worker = run.worker if run is not None else ""
        stale = StaleReport(at=now, run=report.run, node=report.node, worker=worker, fence=report.fence)
        return Change(events=(stale,)), False
    draft = Draft(snapshot, now, ids)
    _settle(draft, run, report)
    return draft.change(), True


def _settle(draft: Draft, run: Run, report: Report) -> None:
    outcome, duration_s, code_version = report.outcome, report.duration_s, report.code_version
    match outcome:
        case Succeeded():
            _succeed(draft, run, report, outcome)
        case Cancelled():
            run = _with_attempt(draft, run, duration_s, Cause.CANCELLED, None, code_version)
            _cancel(draft, run)
        case Failed(error=error):
            cause = Cause.CRASH if outcome.crashed else Cause.FATAL if outcome.fatal else Cause.ERROR
            run = _with_attempt(draft, run, duration_s, cause, error, code_version)
            _fail(draft, run, cause, error, retry_after_s=outcome.retry_after_s)
        case TimedOut(error=error):
            run = _with_attempt(draft, run, duration_s, Cause.TIMEOUT, error, code_version)
            _fail(draft, run, Cause.TIMEOUT, error)
        case Unfit(error=error):
            run = _with_attempt(draft, run, duration_s, Cause.UNFIT, error, code_version)
            _die(draft, run, Cause.UNFIT, error)
        case Interrupted():
            outlived = _outlived(run)
            if outlived is Cause.TIMEOUT:
                _settle(draft, run, replace(report, outcome=TimedOut(OUTLIVED)))
            else:
                run = _with_attempt(draft, run, duration_s, outlived or Cause.INTERRUPTED, None, code_version)
                _give_back(draft, run, began=outcome.began)
        case _:
            assert_never(outcome)


# ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _succeed(draft: Draft, run: Run, report: Report, outcome: Succeeded) -> None:
    attempt = _attempt(draft, run, report.duration_s, None, None, report.code_version)
    record = draft.record(run.worker)
    draft.put_record(
        run.worker,
        replace(
            record,
            ring=_ring(record, attempt, ok=True),
            failed_iterations=0,
            last_success_at=draft.now,
            last_success_started_at=attempt.started_at,
            streak=0,
            latest=_latest(record, run, draft.now, ok=True),
        ),
    )
    _tell_breaker(draft, run, ok=True)
    if record.owes_letters:
        _supersede(draft, run.worker)
    enable_again(draft, run)
    ended = replace(
        run,
        status=next_status(run, Status.SUCCEEDED),
        attempts=_with(run, attempt),
        claim=None,
        finished_at=draft.now,
        cause=None,
        clock_set_us=draft.snapshot.clock_set_us if run.key is not None else 0,
        result=outcome.result,
        result_error=outcome.result_error,
    )
    _end(draft, ended, idle_s=outcome.idle_s)
    runs_after(draft, run, traceparent=report.traceparent)


def _fail(draft: Draft, run: Run, cause: Cause, error: Error, *, retry_after_s: float | None = None) -> None:
    """A failed attempt: retried, or dead (R1).  If an operator cancelled the run, its end is no failure (T4)."""
    if run.cancel is not None:
        _cancel(draft, run)
        return
    definition = draft.worker(run.worker).definition
    record = draft.record(run.worker)
    draft.put_record(
        run.worker,
        replace(
            record,
            ring=_ring(record, run.attempts[-1], ok=False),
            failed_iterations=record.failed_iterations + (run.origin is Origin.ITERATION),
            last_error=error.short(),
            last_error_at=draft.now,
        ),
    )
    _tell_breaker(draft, run, ok=False)
    extend_probation(draft, run, cause)
    retry = definition.retry
    crashes = _crashes(run)
    if crashes >= MAX_CRASHES:
        _die(draft, run, Cause.CRASH_LOOP, _crash_loop(crashes, error))
        return
    may_retry = retry.max_retries is None or run.attempt <= retry.max_retries
    if cause is Cause.FATAL or not may_retry or definition.at_most_once:
        if cause is Cause.CRASH and definition.at_most_once:
            cause = Cause.LOST  # C7
        elif crashes > 1:
            cause, error = Cause.CRASH_LOOP, _crash_loop(crashes, error)
        _die(draft, run, cause, error)
        return
    delay_s = back_off_s(retry, run.id, run.attempt) if retry_after_s is None else retry_after_s
    due_at = later(draft.now, delay_s)
    if run.deadline_at is not None and due_at >= run.deadline_at:
        _die(draft, run, cause, error)
        return
    waiting = move(
        run,
        Status.PENDING,
        claim=None,
        due_at=due_at,
        place_at=None,  # P2: it queues up again
        error=error,
        give_up_at=run.deadline_at,
        rescues=0,
    )
    draft.put(waiting)
    draft.emit(
        AttemptEnded(
            at=draft.now,
            worker=run.worker,
            run=run.id,
            node=run.claim.node if run.claim else "",
            attempt=run.attempt,
            cause=cause,
            error=error,
            retry_at=due_at,
        )
    )


def _cancel(draft: Draft, run: Run) -> None:
    """T4: no failure, but for dependent workers no success either."""
    _end(draft, move(run, Status.CANCELLED, claim=None, finished_at=draft.now, cause=Cause.CANCELLED))


def _die(draft: Draft, run: Run, cause: Cause, error: Error) -> None:
    """Q1: the run is dead and gets an entry among the dead letters."""
    definition = draft.worker(run.worker).definition
    name = run.worker
    dead = move(run, Status.DEAD, claim=None, finished_at=draft.now, cause=cause, error=error)
    draft.put_letter(
        DeadLetter(
            run=run.id,
            worker=name,
            cause=cause,
            error_type=error.type,
            entered_at=draft.now,
            has_payload=run.digest is not None,
        )
    )
    draft.emit(DeadLettered(at=draft.now, worker=name, run=run.id, cause=cause, error=error))
    record = draft.record(name)
    record = replace(
        record,
        last_error=error.short(),
        last_error_at=draft.now,
        owes_letters=record.owes_letters or run.digest is None,
    )
    if counts(definition, cause):
        record = replace(record, streak=record.streak + 1)
        extend_probation(draft, run, cause)
    draft.put_record(name, record)
    limit = definition.max_consecutive_failures
    if limit is not None and record.streak >= limit and counts(definition, cause):
        disable_automatically(draft, dead, record.streak, error)
    _end(draft, dead, idle_s=definition.retry.cap_s)


def _end(draft: Draft, run: Run, *, idle_s: float | None = None) -> None:
    """What follows every end: verdict, next run, event.

    *idle_s* is the pause before the next iteration, if it is not the declared one.  A success has its verdict already.
    """
    name = run.worker
    definition = draft.worker(name).definition
    last = run.attempts[-1] if run.attempts else None
    if run.origin is Origin.OCCURRENCE and not run.has_started:
        run = end_unstarted(draft, definition, run)
    draft.put(run)
    if run.has_started and run.status is not Status.SUCCEEDED:
        record = draft.record(name)
        latest = _latest(record, run, draft.now, ok=False)
        if latest is not record.latest:
            draft.put_record(name, replace(record, latest=latest))
    if run.origin is Origin.OCCURRENCE:
        next_occurrence(draft, definition)
    elif run.origin is Origin.ITERATION:
        pause_s = definition.pause_s if idle_s is None else idle_s
        next_iteration(draft, definition, pause_s=pause_s, last_start=last.started_at if last is not None else None)
    ended_with = last if last is not None and last.ended_at == draft.now else None
    draft.emit(
        RunEnded(
            at=draft.now,
            worker=name,
            run=run.id,
            node=last.node if last is not None else "",
            status=run.status,
            cause=run.cause,
            duration_s=ended_with.duration_s if ended_with is not None else 0.0,
            error=run.error if run.status is Status.DEAD else None,
            attempt=ended_with.number if ended_with is not None else 0,
            attempt_cause=ended_with.cause if ended_with is not None else None,
        )
    )


def _latest(record: Record, run: Run, now: datetime, *, ok: bool) -> Verdict:
    """D2: the later verdict, by `occurs_at`, then id; if a clock set back left one ahead, it counts as now (O4)."""
    latest, occurs_at = record.latest, min(run.occurs_at, now)
    if latest is not None and (latest.occurs_at, latest.run) >= (occurs_at, run.id):
        return latest
    return Verdict(occurs_at=occurs_at, run=run.id, ok=ok)


def _give_back(draft: Draft, run: Run, *, began: bool) -> None:
    """R2, G2: pending again with the attempt given back; with at_most_once dead, if the function was entered."""
    definition = draft.worker(run.worker).definition
    if run.cancel is not None:
        _cancel(draft, run)
    elif definition.at_most_once and began:
        lost = Error(type="Interrupted", message="the attempt was interrupted, and at_most_once forbids another one")
        _die(draft, run, Cause.LOST, lost)
    else:
        draft.put(_pending_again(run, due_at=draft.now, rescues=run.rescues))
        draft.emit(
            AttemptEnded(
                at=draft.now,
                worker=run.worker,
                run=run.id,
                node=run.claim.node if run.claim else "",
                attempt=run.attempt,
                cause=Cause.INTERRUPTED,
                retry_at=draft.now,
            )
        )


def _pending_again(run: Run, *, due_at: datetime, rescues: int) -> Run:
    """P2: the run may start again from *due_at* on, at its old place in the queue."""
    return move(
        run,
        Status.PENDING,
        claim=None,
        due_at=due_at,
        place_at=run.ranks_from if run.ranks_from < due_at else None,
        attempt=run.attempt - 1,
        interruptions=run.interruptions + 1,
        rescues=rescues,
        give_up_at=run.deadline_at,
    )


# ── other ends ───────────────────────────────────────────────────────────────────────────────────────────────────


def expire(snapshot: Snapshot, now: datetime, *, ids: Iterator[int], run: Run) -> tuple[Change, None]:
    """T1, D7: a pending run whose `give_up_at` has come is dead as expired."""
    draft = Draft(snapshot, now, ids)
    if run.deadline_at is not None and run.deadline_at <= now:
        message = f"its deadline {run.deadline_at.isoformat()} has passed"
    else:
        message = "it did not start within start_within"
    _die(draft, run, Cause.EXPIRED, Error(type="Expired", message=message))
    return draft.change(), None


def end_pending(draft: Draft, run: Run) -> None:
    """An operator cancels a waiting run: it ends at once."""
    _end(draft, move(run, Status.CANCELLED, finished_at=draft.now, cause=Cause.CANCELLED))


def rescue(
    snapshot: Snapshot,
    now: datetime,
    *,
    ids: Iterator[int],
    node: Node,
    by: str,
    process_is_gone: bool,
    entered: Collection[tuple[int, int]] | None = None,
) -> tuple[Change, tuple[Run, ...]]:
    """C4, C8: give back every claim of a node that is gone, and forget the node.

    *process_is_gone*: that is known; otherwise only that its lease has ended.  *entered*: (run, fence) of the claims
    whose functions had been entered; None if nobody can tell, and then all of them count as entered.
    """
    draft = Draft(snapshot, now, ids)
    runs = tuple(run for run in snapshot.running_on(node.id) if run.unreadable is None)
    if node.unreadable is not None:
        draft.set_aside(SetAside.of(node.unreadable, at=now, by=by, note="its process is gone", leaves=False))
    there = {run.id for run in runs if _was_there(run, entered)}
    for run in runs:
        end = NodeEnd(node, process_is_gone, was_there=run.id in there, was_alone=there == {run.id})
        _rescue(draft, run, end)
    draft.emit(NodeLeft(at=now, node=node.id, name=node.name, lost=True))
    change = draft.change()
    return replace(change, gone_nodes=(node.id,)), runs


def _was_there(run: Run, entered: Collection[tuple[int, int]] | None) -> bool:
    """C8: whether its function had been entered; if nobody can tell, it had."""
    claim = run.claim
    return claim is None or entered is None or (run.id, claim.fence) in entered


class NodeEnd(NamedTuple):
    """How a node ended, as far as it concerns one of its runs."""

    node: Node
    process_is_gone: bool
    was_there: bool  # the run's function had been entered
    was_alone: bool  # and no other function had


def _rescue(draft: Draft, run: Run, end: NodeEnd) -> None:
    node, process_is_gone = end.node, end.process_is_gone
    definition = draft.worker(run.worker).definition
    claim = run.claim
    cause = _outlived(run) or Cause.RESCUED
    started_at = claim.at if claim is not None else draft.now
    duration_s = max(0.0, (draft.now - started_at).total_seconds())
    error = _lost(node, process_is_gone=process_is_gone)
    run = _with_attempt(draft, run, duration_s, cause, error, node.code_version)
    if cause is Cause.TIMEOUT:  # B6: the timeout is settled only now
        _fail(draft, run, Cause.TIMEOUT, error)
        return
    if run.cancel is not None:
        _cancel(draft, run)
        return
    if not end.was_there:  # C8: the run cannot be the cause
        _put_rescued(draft, run, node, due_at=draft.now, rescues=run.rescues)
        return
    if definition.at_most_once:
        _die(draft, run, Cause.LOST, replace(error, message=error.message + "; at_most_once forbids another attempt"))
        return
    rescues = run.rescues + (end.was_alone or not is_isolated(run))
    if rescues >= MAX_RESCUES:
        _die(draft, run, Cause.CRASH_LOOP, Error(type="CrashLoop", message=_rescue_loop(run, rescues)))
        return
    delay_s = 0.0 if rescues == 1 else back_off_s(definition.retry, run.id, rescues - 1)
    _put_rescued(draft, run, node, due_at=later(draft.now, delay_s), rescues=rescues)


def _put_rescued(draft: Draft, run: Run, node: Node, *, due_at: datetime, rescues: int) -> None:
    draft.put(_pending_again(run, due_at=due_at, rescues=rescues))
    draft.emit(RunRescued(at=draft.now, worker=run.worker, run=run.id, lost_node=node.name, due_at=due_at))


def _lost(node: Node, *, process_is_gone: bool) -> Error:
    if process_is_gone:
        return Error(type="NodeLost", message=f"node {node.name} ended without handing the run back")
    message = f"the lease of node {node.name} expired: its process ended, froze, or lost contact with the store"
    return Error(type="LeaseEnded", message=message)


def _rescue_loop(run: Run, rescues: int) -> str:
    """C8: what is known about the ends of the run's nodes."""
    alone = f"{rescues - MANY_RESCUES} times while running alone"
    message = f"rescued {rescues} times in a row without finishing an attempt, {alone}"
    rescued = [attempt for attempt in run.attempts if attempt.cause is Cause.RESCUED][-rescues:]
    unknown = sum(attempt.error is not None and attempt.error.type == "LeaseEnded" for attempt in rescued)
    if not unknown:
        return f"{message}: it seems to crash its process"
    often = "each time" if unknown == len(rescued) else f"{unknown} of these times"
    return (
        f"{message}; {often} the lease of its node expired, because the node froze, lost contact with the store, or "
        "had ended: check the nodes and the connection to the store first, then the function"
    )


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _outlived(run: Run) -> Cause | None:
    """B6: why the function had been told to end, if it went on until its node ended: a timeout, or a cancellation."""
    since = None if run.claim is None else run.claim.zombie_since
    if since is None:
        return None
    return Cause.CANCELLED if run.cancel is not None and run.cancel.at <= since else Cause.TIMEOUT


def _crashes(run: Run) -> int:
    """R4: how many of its latest attempts in a row ended because their process did."""
    crashes = 0
    for attempt in reversed(run.attempts):
        if attempt.cause is Cause.CRASH:
            crashes += 1
        elif attempt.cause not in UNCOUNTED:
            break
    return crashes


def _crash_loop(crashes: int, last: Error) -> Error:
    return replace(
        last, message=f"the function crashed its process {crashes} times in a row; the last time: {last.message}"
    )


def back_off_s(retry: RetryPolicy, run_id: int, attempt: int) -> float:
    """R1: full jitter below min(cap, first × factor^(attempt − 1)), computed from run and attempt, so it is repeatable.

    The formula is "full jitter" of the AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).
    """
    try:
        ceiling = min(retry.cap_s, retry.first_s * retry.factor ** (attempt - 1))
    except OverflowError:
        ceiling = retry.cap_s
    seed = hashlib.sha256(b"%d:%d" % (run_id, attempt)).digest()
    return ceiling * int.from_bytes(seed[:8], "big") / 2**64


def _with_attempt(
    draft: Draft, run: Run, duration_s: float, cause: Cause | None, error: Error | None, code_version: str
) -> Run:
    return replace(run, attempts=_with(run, _attempt(draft, run, duration_s, cause, error, code_version)))


def _with(run: Run, attempt: Attempt) -> tuple[Attempt, ...]:
    return (*run.attempts, attempt)[-MAX_ATTEMPTS_KEPT:]


def _attempt(
    draft: Draft, run: Run, duration_s: float, cause: Cause | None, error: Error | None, code_version: str
) -> Attempt:
    """The attempt of *run* that has just ended."""
    claim = run.claim
    return Attempt(
        number=run.attempt,
        node=claim.node if claim is not None else "",
        started_at=claim.at if claim is not None else draft.now,
        ended_at=draft.now,
        duration_s=duration_s,
        cause=cause,
        error=error,
        code_version=code_version,
    )


def _ring(record: Record, attempt: Attempt, *, ok: bool) -> tuple[Sample, ...]:
    """H2: the last attempts; rescued and interrupted ones do not count (R2)."""
    return (*record.ring[1 - RING_SIZE :], Sample(ok, attempt.duration_s))


def _tell_breaker(draft: Draft, run: Run, *, ok: bool) -> None:
    """K1: an attempt of *run* has ended; not called for rescued and interrupted ones (R2)."""
    definition = draft.worker(run.worker).definition
    breaker_name = definition.breaker
    if breaker_name is None or run.claim is None:
        return
    breaker = _breaker(draft, breaker_name, definition)
    changed, events = breakers.after_attempt(breaker, draft.now, claim=run.claim, ok=ok)
    if changed != breaker:
        draft.put_breaker(changed)
        draft.emit(*events)


def _breaker(draft: Draft, name: str, definition: Definition) -> BreakerState:
    state = draft.breaker(name)
    if state is not None:
        return state
    policy = definition.breaker_policy
    return BreakerState(name=name, policy=policy) if policy is not None else BreakerState(name=name)


def _supersede(draft: Draft, worker: str) -> None:
    """Q5: a success closes dead letters without payload; the cycle has read a bounded number of them.

    Only a success that finds none can be sure that none is left.
    """
    record = draft.record(worker)
    if not record.owes_letters:
        return
    letters = [letter for letter in draft.snapshot.letters.values() if letter.worker == worker]
    owed = [letter for letter in letters if letter.state == "open" and not letter.has_payload]
    for letter in owed:
        draft.put_letter(replace(letter, state="superseded", closed_at=draft.now, closed_by="auto"))
    if not owed:
        draft.put_record(worker, replace(record, owes_letters=False))
