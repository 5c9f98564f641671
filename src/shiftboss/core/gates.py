"""Why may this run not start now?

Rules of this file
- One function a gate; it appends its holds to the `Ask`, or notes what the start must be (probe, fallback, degraded).
- Gates look at a `View`: the snapshot plus what has been granted before in the same walk.
- The same functions answer `decide` and `why`; what holds is what is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from shiftboss.core.holds import (
    BreakerIsOpen,
    Hold,
    IsBlocked,
    IsDisabled,
    IsDraining,
    IsEncoded,
    IsFull,
    IsShed,
    IsUnreadable,
    NoPermit,
    NotDue,
    NotHere,
    OtherVersion,
    RateReached,
    UpstreamFailed,
    UpstreamOwes,
    UpstreamStale,
)
from shiftboss.core.model import (
    BreakerMode,
    BreakerState,
    Node,
    NodeMode,
    Origin,
    Record,
    Run,
    Shed,
    Status,
    WorkerState,
)
from shiftboss.core.policy import Priority, Rate
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.unreadable import Unreadable
from shiftboss.core.value import later, seconds_between
from shiftboss.core.worker import OnFailure, Upstream


class Ask:
    """What the gates said about one run: its holds, and how it must be started if there are none."""

    __slots__ = ("degraded", "fallback", "good_until", "holds", "priority", "probe", "run", "skip", "state")

    def __init__(self, run: Run, state: WorkerState) -> None:
        self.run = run
        self.state = state
        self.priority = run.priority  # or what was lent to it (D9)
        self.holds: list[Hold] = []
        self.probe = False  # of a half-open breaker or of probation
        self.fallback = False
        self.degraded = False
        self.skip = False  # D5: not held but to be recorded as skipped
        self.good_until: datetime | None = None  # when a gate that lets it pass now will hold it by time alone (D4)

    def hold(self, hold: Hold) -> None:
        self.holds.append(hold)


class View:
    """A snapshot in which the starts granted so far count as running."""

    def __init__(self, snapshot: Snapshot, now: datetime) -> None:
        self.snapshot = snapshot
        self.now = now
        self.granted: dict[str, list[Run]] = {}
        self.skipped: dict[str, Run] = {}  # by D5, in the same walk: a failure for those downstream (D2)

    def grant(self, run: Run) -> None:
        self.granted.setdefault(run.worker, []).append(run)

    def running_of(self, name: str) -> list[Run]:
        running = self.snapshot.running_of(name)
        granted = self.granted.get(name)
        if granted is None:
            return list(running)
        return [*running, *granted]

    def running_workers(self, names: tuple[str, ...]) -> Iterator[str]:
        """Those of *names* that run something; asked from the smaller side."""
        busy = self.snapshot.running_by
        if len(names) <= len(busy) + len(self.granted):
            return (name for name in names if busy.get(name) or name in self.granted)
        members = set(names)
        return (
            name for name in {**busy, **self.granted} if name in members and (busy.get(name) or name in self.granted)
        )


def ask(view: View, run: Run) -> Ask:
    """Every gate of the fleet for one run; what a single node adds stands in `ask_node`."""
    state = view.snapshot.worker(run.worker)
    definition = state.definition
    answer = Ask(run, state)
    if run.due_at > view.now:
        answer.hold(NotDue(until=run.due_at, attempt=run.attempt, since=run.created_at))
    if view.snapshot.suspects:
        _ask_unreadable(view, answer)
    if run.id in view.snapshot.undecodable:
        answer.hold(IsEncoded(key=run.encoded_by, reason=view.snapshot.undecodable[run.id], since=run.due_at))
    if state.disabled is not None:
        _ask_disabled(view, answer)
    if definition.concurrency is not None:
        _ask_concurrency(view, answer)
    if definition.rate is not None:
        _ask_rate(view, answer, definition.rate)
    if definition.depends_on:
        for edge in definition.depends_on:
            _ask_upstream(view, answer, edge)
    if view.snapshot.relations.may_block(run.worker):
        _ask_blocks(view, answer)
    if definition.uses:
        _ask_permits(view, answer)
    if definition.breaker is not None:
        _ask_breaker(view, answer, definition.breaker)  # last: a probe is the first run to pass all other gates
    return answer


def ask_node(node: Node, ask: Ask) -> None:
    """What this node itself says: it does not know the worker, lacks the key of the payload, drains, sheds."""
    name = ask.run.worker
    parameters = node.workers.get(name)
    if parameters is None:
        ask.hold(NotHere(worker=name, node=node.name))
    elif parameters != ask.state.definition.parameters:
        ask.hold(OtherVersion(node=node.name, pid=node.pid, host=node.host, code_version=node.code_version))
    if ask.run.encoded_by and ask.run.encoded_by not in node.decodes:
        ask.hold(IsEncoded(key=ask.run.encoded_by, node=node.name, since=ask.run.due_at))
    if node.mode is not NodeMode.RUNNING:
        ask.hold(IsDraining(node=node.name))
    if sheds(node.shed, ask.priority):
        ask.hold(IsShed(node=node.name, reason=node.shed_reason, priority=ask.priority))


def sheds(level: Shed, priority: Priority) -> bool:
    """H4: whether a node at that level holds back runs of that priority."""
    match level:
        case Shed.NOTHING:
            return False
        case Shed.LOW:
            return priority is Priority.LOW
        case Shed.NORMAL:
            return priority <= Priority.NORMAL


# ── one gate each ────────────────────────────────────────────────────────────────────────────────────────────────


MAX_ROWS = 5  # that one run's holds name: whoever sets those aside learns of the next


def _ask_unreadable(view: View, ask: Ask) -> None:
    """W8: its worker's own row, and every row with which it shares what only one may have, or comes after."""
    for row in islice(unreadable_beside(view.snapshot, ask.state), MAX_ROWS):
        ask.hold(IsUnreadable.of(row, since=ask.run.due_at))


def unreadable_beside(snapshot: Snapshot, state: WorkerState) -> Iterator[Unreadable]:
    """The rows that hold every run of that worker.

    Its own live runs only where it has a limit of how many run at once: without one they have nothing in common.
    """
    definition, relations = state.definition, snapshot.relations
    for row in snapshot.unreadable_of(state.name) if state.name in snapshot.suspects else ():
        if row.table != "run" or definition.concurrency is not None:
            yield row
    breaker = None if definition.breaker is None else snapshot.breakers.get(definition.breaker)
    if breaker is not None and breaker.unreadable is not None:
        yield breaker.unreadable
    component = relations.component(state.name)
    if len(component) == 1 or snapshot.suspects.isdisjoint(component):
        return
    before = {*definition.after, *(edge.worker for edge in definition.depends_on)}
    for other in component:
        if other == state.name or other not in snapshot.suspects:
            continue
        theirs = snapshot.workers[other].definition
        if (
            other in before
            or relations.conflict(state.name, other)
            or not definition.uses.keys().isdisjoint(theirs.uses)
            or (definition.breaker is not None and definition.breaker == theirs.breaker)
        ):
            yield from snapshot.unreadable_of(other)


def _ask_disabled(view: View, ask: Ask) -> None:
    """K5: only forced runs pass; after probation one run may probe what was disabled automatically."""
    disabled = ask.state.disabled
    if disabled is None or ask.run.forced:
        return
    until = disabled.probation_until
    is_over = until is not None and until <= view.now
    if is_over and not any(run.claim is not None and run.claim.probe for run in view.running_of(ask.run.worker)):
        ask.probe = True
        return
    ends_at = None if is_over else until  # a probe runs: only its end changes anything
    ask.hold(IsDisabled(by=disabled.by, reason=disabled.reason, since=disabled.since, until=ends_at))


def _ask_concurrency(view: View, ask: Ask) -> None:
    """C1: counted from live claims, zombies included (B6)."""
    limit = ask.state.definition.concurrency
    running = view.running_of(ask.run.worker)
    if limit is not None and len(running) >= limit:
        since = max((r.claim.at for r in running if r.claim), default=None)
        ask.hold(IsFull(limit=limit, runs=tuple(r.id for r in running), since=_since(ask.run, since)))


def _ask_rate(view: View, ask: Ask, rate: Rate) -> None:
    """B8."""
    granted = len(view.granted.get(ask.run.worker, ()))
    tokens = tokens_at(view.snapshot.record(ask.run.worker), rate, view.now) - granted
    if tokens < 1:
        wait_s = max(1e-6, (1 - tokens) * rate.per_s / rate.count)  # the next instant there is, or it would spin
        ask.hold(RateReached(count=rate.count, per_s=rate.per_s, until=later(view.now, wait_s), since=ask.run.due_at))


def tokens_at(record: Record, rate: Rate, now: datetime) -> float:
    """B8: the bucket's content, refilled evenly since it was last written; a clock that went back refills nothing."""
    if record.tokens is None or record.tokens_at is None:
        return float(rate.count)
    refilled = max(0.0, seconds_between(record.tokens_at, now)) * rate.count / rate.per_s
    # A microsecond's share is forgiven: the computed end of a wait must not fall short of a whole token by rounding.
    return min(float(rate.count), record.tokens + refilled + 1e-6 * rate.count / rate.per_s + 1e-9)


def _ask_upstream(view: View, ask: Ask, edge: Upstream) -> None:
    """D2 to D6."""
    snapshot, run = view.snapshot, ask.run
    upstream = snapshot.workers.get(edge.worker)
    if upstream is None:
        ask.hold(UpstreamStale(upstream=edge.worker, why="is not stored or declared any more", since=run.due_at))
        return
    record = snapshot.record(edge.worker)
    broken = _why_broken(snapshot, upstream)
    occurs_at = min(run.occurs_at, max(run.due_at, view.now))  # a clock that was set back leaves it ahead (O4)
    owed = owed_run(view, edge.worker, occurs_at, running_only=broken is not None)
    if owed is not None:
        ask.hold(
            UpstreamOwes(
                upstream=edge.worker,
                run=owed.id,
                state=_words(owed, view.now),
                since=_since(run, owed.claim.at if owed.claim else owed.created_at),
                until=owed.due_at if owed.status is Status.PENDING and owed.due_at > view.now else None,
            )
        )
        return
    failed = broken
    if failed is None and record.latest is None:
        ask.hold(UpstreamStale(upstream=edge.worker, why="has never run", since=run.due_at))
        return
    if failed is None and record.latest is not None and not record.latest.ok:
        failed = f"its latest run {record.latest.run} did not succeed"
    skipped = view.skipped.get(edge.worker)
    if failed is None and skipped is not None and _is_later(skipped, record):
        failed = f"its latest run {skipped.id} is skipped"
    if failed is not None:
        _judge_failure(ask, edge, failed, record)
        return
    _ask_freshness(view, ask, edge, record)


def _is_later(run: Run, record: Record) -> bool:
    """D2: whether a verdict about *run* would be the latest."""
    latest = record.latest
    return latest is None or (latest.occurs_at, latest.run) < (run.occurs_at, run.id)


def _judge_failure(ask: Ask, edge: Upstream, why: str, record: Record) -> None:
    """D5: wait, skip (scheduled occurrences only) or run degraded."""
    match edge.on_failure:
        case OnFailure.RUN:
            ask.degraded = True
        case OnFailure.SKIP if ask.run.origin is Origin.OCCURRENCE and not ask.run.has_started:
            ask.skip = True
        case _:
            run = record.latest.run if record.latest else None
            ask.hold(
                UpstreamFailed(upstream=edge.worker, run=run, why=why, since=_since(ask.run, record.last_error_at))
            )


def _ask_freshness(view: View, ask: Ask, edge: Upstream, record: Record) -> None:
    """D4."""
    success = record.last_success_at
    if edge.fresh:
        mine = view.snapshot.record(ask.run.worker).last_success_started_at
        if success is None or (mine is not None and success < mine):
            why = "has not succeeded since the last successful start of this worker"
            ask.hold(UpstreamStale(upstream=edge.worker, why=why, since=ask.run.due_at))
    if edge.max_age_s is None:
        return
    if success is None or seconds_between(success, view.now) > edge.max_age_s:
        why = f"its last success is older than {edge.max_age_s:g} s"
        ask.hold(UpstreamStale(upstream=edge.worker, why=why, since=ask.run.due_at))
    else:
        stale_at = later(success, edge.max_age_s + 1e-6)
        ask.good_until = stale_at if ask.good_until is None else min(ask.good_until, stale_at)


def _why_broken(snapshot: Snapshot, upstream: WorkerState) -> str | None:
    """D6: disabled, or the breaker is not closed and no fallback covers for it (K3)."""
    if upstream.disabled is not None:
        return f"is disabled by {upstream.disabled.by}"
    name = upstream.definition.breaker
    if name is None or upstream.definition.fallback:
        return None
    breaker = snapshot.breakers.get(name)
    if breaker is None or breaker.mode is BreakerMode.CLOSED:
        return None
    return f"its breaker {name!r} is {breaker.mode.replace('_', '-')}"


def owed_run(view: View, name: str, occurs_at: datetime, *, running_only: bool) -> Run | None:
    """D2: the unfinished run of *name* with the least logical instant, if that is at or before *occurs_at*."""
    runs = list(view.running_of(name))
    if not running_only:
        least = view.snapshot.lane(name).least
        if least is not None:
            runs.append(least)
    owed = min(runs, key=lambda run: (run.occurs_at, run.id), default=None)
    return owed if owed is not None and owed.occurs_at <= occurs_at else None


def _ask_blocks(view: View, ask: Ask) -> None:
    """B1: asked of what runs, in the component only."""
    relations = view.snapshot.relations
    name = ask.run.worker
    for other in view.running_workers(relations.component(name)):
        if not relations.conflict(name, other):
            continue
        for blocker in view.running_of(other):
            claim = blocker.claim
            ask.hold(
                IsBlocked(
                    by=other,
                    run=blocker.id,
                    node=node_name(view.snapshot, claim.node if claim else ""),
                    zombie=claim is not None and claim.zombie_since is not None,
                    since=_since(ask.run, claim.at if claim else None),
                )
            )
            break  # one run of each blocking worker is enough to say


def _ask_permits(view: View, ask: Ask) -> None:
    """B9: counted from live claims."""
    for resource, wanted in ask.state.definition.uses.items():
        takers = permit_takers(view, ask.run.worker, resource)
        free = free_permits(view, resource, takers)
        if free < wanted:
            since = max((run.claim.at for run, _ in takers if run.claim), default=None)
            ids = tuple(run.id for run, _ in takers)
            hold = NoPermit(resource=resource, wanted=wanted, free=free, runs=ids, since=_since(ask.run, since))
            ask.hold(hold)


def permit_takers(view: View, name: str, resource: str) -> list[tuple[Run, int]]:
    """The running runs that hold permits of *resource*, with how many."""
    takers = []
    for other in view.running_workers(view.snapshot.relations.component(name)):
        state = view.snapshot.workers.get(other)
        permits = state.definition.uses.get(resource, 0) if state else 0
        if permits:
            takers += [(run, permits) for run in view.running_of(other)]
    return takers


def free_permits(view: View, resource: str, takers: list[tuple[Run, int]]) -> int:
    """Below zero after the resource was declared smaller than what is taken."""
    return view.snapshot.resources.get(resource, 0) - sum(permits for _, permits in takers)


def _ask_breaker(view: View, ask: Ask, name: str) -> None:
    """K2, K3."""
    breaker = view.snapshot.breakers.get(name)
    if breaker is None or breaker.mode is BreakerMode.CLOSED:
        return
    cooling = breaker.until is not None and breaker.until > view.now
    probe = probe_of(view, breaker)
    if not cooling and probe is None and not ask.holds and not ask.skip:
        ask.probe = True
    elif ask.state.definition.fallback and not ask.probe:  # what probes for K5 must be the body
        ask.fallback = True
    elif cooling or probe is not None:
        until = breaker.until if cooling else None
        ask.hold(BreakerIsOpen(breaker=name, since=breaker.opened_at, until=until, probe=probe.id if probe else None))


def probe_of(view: View, breaker: BreakerState) -> Run | None:
    """The run that probes a half-open breaker now, in the whole fleet.  What began before it opened probes nothing."""
    for name in view.snapshot.relations.sharing_breaker(breaker.name):
        for run in view.running_of(name):
            claim = run.claim
            if claim is not None and claim.probe and (breaker.opened_at is None or claim.at >= breaker.opened_at):
                return run
    return None


def _since(run: Run, other: datetime | None) -> datetime:
    """A hold cannot be older than the run's wish to start."""
    return run.due_at if other is None else max(run.due_at, other)


def _words(run: Run, now: datetime) -> str:
    if run.status is Status.RUNNING:
        return "running"
    if run.attempt > 0 and run.due_at > now:
        return f"in back-off after attempt {run.attempt}"
    return "pending" if run.due_at <= now else "pending, not yet due"


def node_name(snapshot: Snapshot, node_id: str) -> str:
    node = snapshot.nodes.get(node_id)
    return node.name if node else node_id
