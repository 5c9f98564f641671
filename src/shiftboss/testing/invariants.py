"""What must hold at every commit, as predicates over the history: each returns the violations it finds.

Rules of this file
- A predicate names the rule (docs/reference/semantics.md) that it checks the engine against, and says what it saw.
- It is asked after the commit: what started in that commit counts as running.
"""

from __future__ import annotations

from collections.abc import Iterator

from shiftboss.core.events import Audit
from shiftboss.core.fleet import LEASE_S, RESCUE_GRACE_S
from shiftboss.core.model import BreakerMode, Cause, Origin, Status
from shiftboss.testing.history import (
    FAILURES,
    HANDED_BACK,
    Commit,
    End,
    History,
    Predicate,
    Start,
    Violation,
)
from shiftboss.testing.oracle import FORGIVEN, Oracle, place
from shiftboss.testing.ordering_invariants import isolation, priorities, reservations, slots
from shiftboss.testing.recurring_invariants import afters, fan_outs, iterations, occurrences

MOVES = {  # S, written independently of the engine
    Status.PENDING: {Status.PENDING, Status.RUNNING, Status.CANCELLED, Status.SKIPPED, Status.DEAD},
    Status.RUNNING: {Status.RUNNING, Status.PENDING, Status.SUCCEEDED, Status.DEAD, Status.CANCELLED},
}
MAX_RESCUES = 5  # C8
MAX_CRASHES = 5  # R4
SLACK_S = 1e-3


def statuses(history: History, commit: Commit) -> Iterator[Violation]:
    """S: only legal moves; D1: the logical time is fixed, except of a scheduled run or a run by `after`."""
    for before, run in commit.changed:
        if run.status not in MOVES.get(before.status, set()):
            yield Violation("S", commit.at, f"run {run.id} changed from {before.status} to {run.status}")
        movable = before.origin in (Origin.OCCURRENCE, Origin.AFTER) and not before.has_started
        if run.occurs_at != before.occurs_at and not movable:
            yield Violation(
                "D1", commit.at, f"the logical time of run {run.id} changed from {before.occurs_at} to {run.occurs_at}"
            )


def claims(history: History, commit: Commit) -> Iterator[Violation]:
    """C1, C4, C5: a claim ends by a report with its own fence, or by a rescue after its node's lease."""
    for end in commit.ends:
        claim = end.claim
        if end.cause is Cause.RESCUED or claim.node in commit.gone_nodes:
            reported = any(r.run == end.run.id and r.fence == claim.fence for r in commit.reports)
            if not reported:
                yield from _rescued_too_early(history, commit, end)
            continue
        held = any(r.run == end.run.id and r.node == claim.node and r.fence == claim.fence for r in commit.reports)
        if commit.by != claim.node or not held:
            yield Violation(
                "C5",
                commit.at,
                f"claim {claim.fence} of run {end.run.id} belongs to {claim.node}, but {commit.by!r} ended it",
            )
    for start in commit.starts:
        if start.claim.node != commit.by:
            yield Violation("C1", commit.at, f"{commit.by!r} claimed run {start.run.id} for {start.claim.node}")


def _rescued_too_early(history: History, commit: Commit, end: End) -> Iterator[Violation]:
    lost = history.nodes.get(end.claim.node)
    me = history.nodes.get(commit.by)
    if end.claim.node in history.dead or lost is None:
        return
    if lost.id in history.frozen and lost.lease_until_s - LEASE_S + lost.freeze_limit_s >= commit.elapsed_s + SLACK_S:
        yield Violation(
            "C4", commit.at, f"run {end.run.id} was rescued from {lost.name}, which is frozen within its limit"
        )
    if lost.lease_until_s + RESCUE_GRACE_S >= commit.elapsed_s + SLACK_S:
        left_s = lost.lease_until_s - commit.elapsed_s
        yield Violation("C4", commit.at, f"run {end.run.id} was rescued {left_s:.3f} s before its node's lease ended")
    if me is None or commit.elapsed_s - me.held_since_s < LEASE_S - SLACK_S:
        yield Violation("C4", commit.at, f"{commit.by} rescued run {end.run.id} before it had held its lease for 30 s")


def gates(history: History, commit: Commit) -> Iterator[Violation]:
    """C1, B1, B8, B9, D2, D4 to D6, K5, T1: nothing starts that a gate should have held."""
    if not commit.starts:
        return
    oracle, first = (
        Oracle(history, commit.at),
        Oracle(history, commit.at, waiting=[start.run.id for start in commit.starts]),
    )
    for run, claim, before in commit.starts:
        definition = history.workers[run.worker].definition
        alone = Oracle(history, commit.at, waiting=(run.id,))  # the others of this commit run already
        for reason in alone.reasons(run) - {"breaker", "rate"}:
            if reason == "disabled" and claim.probe:
                continue
            if reason in ("depends_on", "skip") and (commit.skips or reason not in first.reasons(run)):
                continue  # it was decided before a forced run of a disabled upstream (D6), or before the skip (D5)
            yield Violation(
                RULE_OF[reason], commit.at, f"run {run.id} of {run.worker} started although {reason} holds it"
            )
        if definition.concurrency is not None and len(oracle.running(run.worker)) > definition.concurrency:
            yield Violation(
                "C1",
                commit.at,
                f"{len(oracle.running(run.worker))} runs of {run.worker} are running, more than its concurrency",
            )
        give_up_at = None if before is None or before.has_started else before.give_up_at
        if give_up_at is not None and give_up_at <= commit.at:
            yield Violation("T1", commit.at, f"run {run.id} started although it had expired at {give_up_at}")
        if before is not None and before.cancel is not None and before.status is Status.PENDING:
            yield Violation("T4", commit.at, f"run {run.id} started after it was cancelled")


RULE_OF = {
    "not_due": "O1",
    "unreadable": "W8",
    "disabled": "K5",
    "paused": "K7",
    "concurrency": "C1",
    "rate": "B8",
    "depends_on": "D2",
    "skip": "D5",
    "blocks": "B1",
    "uses": "B9",
    "breaker": "K2",
}


def rates(history: History, commit: Commit) -> Iterator[Violation]:
    """B8: starts of a worker take tokens, and the bucket never falls below zero."""
    for start in commit.starts:
        rate = history.workers[start.run.worker].definition.rate
        if rate is None:
            continue
        level = Oracle(history, commit.at).tokens(start.run.worker, rate)
        if level < 1 - FORGIVEN:
            yield Violation(
                "B8", commit.at, f"run {start.run.id} of {start.run.worker} started with {level:.4f} tokens"
            )
        history.tokens[start.run.worker] = (max(0.0, level - 1), commit.at)


def breakers(history: History, commit: Commit) -> Iterator[Violation]:
    """K1, K2, K3: failures open it, a probe closes it; one probe runs while it is half-open, none while it is open."""
    for end in commit.ends:
        name = history.workers[end.run.worker].definition.breaker
        breaker = None if name is None else commit.breakers_before.get(name, history.breakers.get(name))
        if name is None or breaker is None or end.claim.fallback or end.cause in HANDED_BACK:
            continue
        if breaker.opened_at is not None and end.claim.at < breaker.opened_at:
            continue
        if end.cause in FAILURES - {Cause.UNFIT} and end.run.status is not Status.CANCELLED:
            history.breaker_failures[name] += 1
        elif end.cause is None:
            history.breaker_failures[name] = 0
    for event in commit.events:
        name = history.workers[event.worker].definition.breaker if event.worker in history.workers else None
        if isinstance(event, Audit) and event.action == "enable" and name in history.breakers:
            history.breaker_failures[name] = history.breakers[name].failures
    for start in commit.starts:
        yield from _against_breaker(history, commit, start)
    for name, before in commit.breakers_before.items():
        now = history.breakers[name]
        if before is None or before.mode is now.mode:
            continue
        history.marks[f"breaker:{now.mode}"] += 1
        if now.mode is BreakerMode.HALF_OPEN and before.until is not None and before.until > commit.at:
            yield Violation("K2", commit.at, f"breaker {name} is half-open before its cooldown ended")
        if now.mode is BreakerMode.CLOSED:
            history.breaker_failures[name] = 0
            probed = any(end.claim.probe and end.cause is None for end in commit.ends)
            enabled = any(isinstance(event, Audit) and event.action == "enable" for event in commit.events)
            if not probed and not enabled:
                yield Violation("K2", commit.at, f"breaker {name} closed without a probe that succeeded")
    for name, breaker in history.breakers.items():
        failures, policy = history.breaker_failures[name], breaker.policy
        if policy.rate is None and breaker.mode is BreakerMode.CLOSED and failures >= policy.failures:
            yield Violation("K1", commit.at, f"breaker {name} is closed after {failures} consecutive failures")


def _against_breaker(history: History, commit: Commit, start: Start) -> Iterator[Violation]:
    definition = history.workers[start.run.worker].definition
    breaker = None if definition.breaker is None else history.breakers.get(definition.breaker)
    if breaker is None or breaker.mode is BreakerMode.CLOSED:
        return
    if start.claim.fallback and definition.fallback:
        return
    probes = Oracle(history, commit.at).probes(breaker.name)
    if not start.claim.probe:
        yield Violation(
            "K2", commit.at, f"run {start.run.id} started although breaker {breaker.name} is {breaker.mode}"
        )
    elif len(probes) > 1:
        yield Violation(
            "K2", commit.at, f"runs {[run.id for run in probes]} probe breaker {breaker.name} at the same time"
        )


def attempts(history: History, commit: Commit) -> Iterator[Violation]:
    """R1, R2, R4, C8: only failures count as attempts, up to a maximum; back-off is within its bounds."""
    for run, _, _ in commit.starts:
        state = history.workers[run.worker]
        retry = state.definition.retry
        failed = history.failures[run.id]
        if run.attempt != failed + 1:
            yield Violation("R2", commit.at, f"run {run.id} starts attempt {run.attempt} after {failed} failures")
        is_newer = history.declared_s[run.worker] >= history.failed_s.get(run.id, commit.elapsed_s)
        if retry.max_retries is not None and run.attempt > retry.max_retries + 1 and not is_newer:
            yield Violation(
                "R1", commit.at, f"run {run.id} starts attempt {run.attempt}, more than {retry.max_retries + 1}"
            )
    for end in commit.ends:
        run, retry = end.run, history.workers[end.run.worker].definition.retry
        if history.rescues[run.id] >= MAX_RESCUES and run.status is not Status.DEAD and run.cancel is None:
            yield Violation(
                "C8", commit.at, f"run {run.id} was rescued {history.rescues[run.id]} times in a row and is not dead"
            )
        is_condemned = history.rescues[run.id] >= MAX_RESCUES and run.id in history.condemned
        if run.cause is Cause.CRASH_LOOP and end.cause is Cause.RESCUED and not is_condemned:
            yield Violation("C8", commit.at, f"run {run.id} is dead as crash_loop, but it was not alone on its node")
        if end.cause in HANDED_BACK and run.status is Status.PENDING and run.rescues != history.rescues[run.id]:
            yield Violation(
                "C8", commit.at, f"run {run.id} counts {run.rescues} rescues, not {history.rescues[run.id]}"
            )
        if history.crashes[run.id] >= MAX_CRASHES and run.status is not Status.DEAD and run.cancel is None:
            yield Violation(
                "R4", commit.at, f"run {run.id} crashed {history.crashes[run.id]} times in a row and is not dead"
            )
        if end.cause in FAILURES and run.status is Status.PENDING:
            ceiling_s = min(retry.cap_s, retry.first_s * retry.factor ** max(0, history.failures[run.id] - 1))
            delay_s = (run.due_at - commit.at).total_seconds()
            asked = any(
                getattr(r.outcome, "retry_after_s", None) is not None for r in commit.reports if r.run == run.id
            )
            is_newer = history.declared_s[run.worker] >= commit.elapsed_s  # by the same commit, after this end
            if not asked and not is_newer and not 0 <= delay_s <= ceiling_s + SLACK_S:
                yield Violation(
                    "R1", commit.at, f"run {run.id} backs off for {delay_s:.3f} s, more than {ceiling_s:.3f} s"
                )


def timeouts(history: History, commit: Commit) -> Iterator[Violation]:
    """B6: a run that outlived its timeout has timed out, however its function or its node ended."""
    for end in commit.ends:
        is_known = end.claim.zombie_since is not None  # a node that went silent has not reported the end of its grace
        outlived = (end.run.id, end.claim.fence) in history.outlived and end.cause is Cause.INTERRUPTED
        if outlived or (is_known and end.cause in HANDED_BACK):
            yield Violation("B6", commit.at, f"run {end.run.id} had timed out, but its attempt ended as {end.cause}")
        if outlived or is_known:
            history.marks["end:outlived"] += 1


def places(history: History, commit: Commit) -> Iterator[Violation]:
    """P2: an interrupted run keeps its place in the queue; a retry gets a new one."""
    for end in commit.ends:
        run = end.run
        if run.status is Status.PENDING:
            place_at = history.places[run.id] if end.cause in HANDED_BACK else run.due_at
            if place(run)[0] != place_at:
                yield Violation(
                    "P2", commit.at, f"run {run.id} is placed at {place(run)[0]} in its queue, not at {place_at}"
                )
    for start in commit.starts:
        history.places[start.run.id] = place(start.run)[0]


def ends(history: History, commit: Commit) -> Iterator[Violation]:
    """Q1, K4: a dead run has its dead letter in the same commit; consecutive dead runs disable the worker."""
    lettered = {letter.run for letter in commit.letters}
    for run in commit.finished:
        history.marks[f"run:{run.status}" + (f":{run.cause}" if run.cause else "")] += 1
        if run.status is Status.DEAD and run.id not in lettered:
            yield Violation("Q1", commit.at, f"run {run.id} is dead, and has no dead letter")
        crashes = history.crashes[run.id]
        if run.status is Status.DEAD and run.cause in (Cause.ERROR, Cause.CRASH) and crashes > 1:
            yield Violation(
                "R4", commit.at, f"run {run.id} crashed {crashes} times in a row, but its cause is {run.cause}"
            )
        state = history.workers[run.worker]
        limit, streak = state.definition.max_consecutive_failures, history.streaks[run.worker]
        if limit is not None and streak >= limit and state.disabled is None and history.fails_by(run.worker, run.cause):
            yield Violation("K4", commit.at, f"{run.worker} is not disabled after {streak} dead runs in a row")


def probes(history: History, commit: Commit) -> Iterator[Violation]:
    """K5: a probe that failed makes the next one wait; one that says nothing about the worker does not."""
    for end in commit.ends:
        run, disabled = end.run, history.workers[end.run.worker].disabled
        until = None if disabled is None else disabled.probation_until
        if disabled is None or until is None or end.claim.at < disabled.since or commit.shifted:
            continue
        if not end.claim.probe or run.forced or run.cancel is not None:
            continue
        fails = any(history.fails_by(run.worker, cause) for cause in (end.cause, run.cause))
        history.marks[f"probe:{'failed' if fails else 'undecided'}"] += 1
        if fails is (until <= commit.at):
            yield Violation(
                "K5",
                commit.at,
                f"after a probe that ended as {end.cause or 'a success'}, the next one may start at {until}",
            )


def records(history: History, commit: Commit) -> Iterator[Violation]:
    """D2, K4: the worker's row says what follows from its runs."""
    for name in {run.worker for run in commit.finished} | {end.run.worker for end in commit.ends}:
        record, latest = history.record(name), history.latest.get(name)
        stored = None if record.latest is None else (record.latest.occurs_at, record.latest.run, record.latest.ok)
        if stored != latest:
            yield Violation("D2", commit.at, f"the latest verdict of {name} is {latest}, but its row has {stored}")
        if record.streak != history.streaks[name]:
            yield Violation(
                "K4", commit.at, f"the streak of {name} is {history.streaks[name]}, but its row has {record.streak}"
            )
        succeeded = history.succeeded.get(name)
        if succeeded is not None and (record.last_success_at, record.last_success_started_at) != succeeded:
            yield Violation(
                "D4", commit.at, f"{name} last succeeded at {succeeded[0]}, but its row has {record.last_success_at}"
            )


PREDICATES: tuple[Predicate, ...] = (
    statuses,
    claims,
    gates,
    rates,
    breakers,
    attempts,
    timeouts,
    places,
    probes,
    occurrences,
    iterations,
    fan_outs,
    afters,
    ends,
    records,
    isolation,
    slots,
    priorities,
    reservations,
)
