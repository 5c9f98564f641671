"""How healthy is each worker, and the whole system?  (H1 to H3)

Rules of this file
- A status always comes with its reasons: each is one fact, with a sentence and the severity that it causes.
- Disabled workers come first in every order (K6), then the worst.
- Thresholds are the worker's own (`HealthPolicy`); None switches a check off.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import ClassVar

from shiftboss.core.fleet import SILENT_S, able_nodes, silent_nodes
from shiftboss.core.model import BreakerMode, BreakerState, Node, NodeMode, Shed, WorkerState
from shiftboss.core.policy import HealthPolicy, Priority
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.unreadable import REMEDY
from shiftboss.core.value import Value, seconds_between
from shiftboss.errors import OperatorError, StoreUnavailable

MAX_ROWS = 5  # unreadable rows are named one by one up to here; doctor names them all
MAX_DEAD_LETTERS = 10_000  # Q4: nobody reads more than that one by one


class Health(StrEnum):
    """H1."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    OFFLINE = "offline"  # no live node can run it
    DISABLED = "disabled"
    UNKNOWN = "unknown"  # it has never run


WORST_FIRST = (Health.DISABLED, Health.UNHEALTHY, Health.OFFLINE, Health.DEGRADED, Health.UNKNOWN, Health.HEALTHY)
DRAINING = "draining"  # the fact of a worker whose nodes are all shutting down on purpose
DOES_NOT_ANSWER, TAKES_NO_WORK = "does not answer", "takes no new work"
GRAVE = frozenset({Health.UNHEALTHY, Health.OFFLINE})
WELL = frozenset({Health.HEALTHY, Health.UNKNOWN})

Place = tuple[int, int, str]  # in the order of all workers; ends with the worker's name


class HealthReason(Value, frozen=True, omit_defaults=False):
    """One fact that lowers the health, or is good to know; about the whole system if `worker` is empty."""

    severity: Health  # the status that it causes
    fact: str  # failure_rate, slow, backlog, stuck, no_success, breaker, zombie, offline, draining, disabled, store, …
    text: str  # the sentence
    worker: str = ""

    def __str__(self) -> str:
        return f"{self.worker}: {self.text}" if self.worker else self.text


class StoreTrouble(Value, frozen=True):
    """Why the store takes no new work now; `fact` is the name of the reason, `text` says what showed it."""

    text: str
    since: datetime | None = None
    fact: str = TAKES_NO_WORK

    def __str__(self) -> str:
        return f"the store {self.fact}: {self.text}"

    @classmethod
    def of(cls, error: OperatorError, *, since: datetime | None = None) -> StoreTrouble:
        """What an error of the store says about the store, and nothing more."""
        is_silent = isinstance(error, StoreUnavailable) and not error.answers
        return cls(str(error), since=since, fact=DOES_NOT_ANSWER if is_silent else TAKES_NO_WORK)


class WorkerHealth(Value, frozen=True, omit_defaults=False, gc=True, weakref=True):
    """A worker's status and its reasons, worst first."""

    IS_KEPT: ClassVar = True  # encoded once (app/json_format.py)

    status: Health  # healthy, degraded, unhealthy, offline, disabled or unknown
    reasons: tuple[HealthReason, ...] = ()  # worst first


class SystemHealth(Value, frozen=True, omit_defaults=False):
    """H3: the whole system; `status` is healthy, degraded or unhealthy.  `workers`: disabled first, then the worst.

    All workers, or a page; then `reasons` are those of the whole and of the workers of the page.
    """

    status: Health
    reasons: tuple[HealthReason, ...] = ()  # worst first
    workers: dict[str, WorkerHealth] = {}
    counts: dict[str, int] = {}  # how many of all workers have each health that occurs
    matching: int = 0  # how many workers fit the filter, also those that the page leaves out
    next: str | None = None  # the cursor of the next page; None at the end


def place_of(status: Health, priority: Priority, name: str) -> Place:
    """Where a worker stands in the order of all: disabled ones first, then the worst (K6)."""
    return WORST_FIRST.index(status), -priority, name


def is_grave(status: Health, priority: Priority) -> bool:
    """H3: whether one such worker makes the whole system unhealthy."""
    return status in GRAVE and priority >= Priority.HIGH


def health_of_all(
    snapshot: Snapshot,
    workers: dict[str, WorkerHealth],
    *,
    has_grave: bool,
    is_well: bool,
    live: Collection[str],
    letters: Mapping[str, int],
    max_dead_letters: int = MAX_DEAD_LETTERS,
    store_trouble: str | None = None,
    store_concern: str | None = None,
    lease_s: float | None = None,
) -> SystemHealth:
    """H3.  *workers*: the judged workers that are shown, in order; the flags are about all of them.

    *has_grave*: `is_grave` holds for one; *is_well*: all are healthy or have not run yet.  With *lease_s* of the lease
    clock, silent nodes count too.
    """
    store = [] if store_trouble is None else [HealthReason(Health.UNHEALTHY, "store", store_trouble)]
    others = [*_letters(letters, max_dead_letters), *_shedding(snapshot, live), *_unreadable(snapshot)]
    if store_concern is not None:
        others.append(HealthReason(Health.DEGRADED, "store", store_concern))
    if lease_s is not None:
        others += _silent(snapshot, live, lease_s)
    of_workers = (reason for health in workers.values() for reason in health.reasons)
    reasons = (*store, *of_workers, *others, *_durability(snapshot, live))
    if store or has_grave:
        return SystemHealth(Health.UNHEALTHY, reasons, workers)
    return SystemHealth(Health.HEALTHY if is_well and not others else Health.DEGRADED, reasons, workers)


def trouble_of_store(
    snapshot: Snapshot, *, live: Collection[str], lease_s: float, known: StoreTrouble | None
) -> StoreTrouble | None:
    """The *known* reason why the store takes no work; else what the nodes show, if none of them has written lately."""
    if known is not None:
        return known
    nodes = [node for node in snapshot.nodes.values() if node.id in live and node.mode is not NodeMode.CLIENT]
    if not nodes or len(silent_nodes(snapshot, live=live, lease_s=lease_s)) < len(nodes):
        return None
    return StoreTrouble(
        f"no live node has renewed its lease for more than {SILENT_S:g} s: they are frozen or cannot write",
        fact="seems to take no work",
    )


def in_a_word(status: str, reasons: Iterable[HealthReason]) -> str:
    """The status of the system, or "draining" if it is degraded only because nodes are shutting down on purpose."""
    is_draining = status == Health.DEGRADED and any(reason.fact == DRAINING for reason in reasons)
    return DRAINING if is_draining else str(status)


def worker_health(snapshot: Snapshot, now: datetime, name: str, *, live: Collection[str], due: int = 0) -> WorkerHealth:
    """H1, H2.  *due* counts its runs that are due and wait.  Raises UnknownWorker."""
    state = snapshot.worker(name)
    is_paused = state.pause_at(now) is not None  # K7: that its runs wait is meant
    troubles = _troubles(snapshot, now, state, due=0 if is_paused else due, is_paused=is_paused)
    all_reasons = [*_disabled(state), *_offline(snapshot, state, live), *troubles]
    reasons = sorted(all_reasons, key=lambda reason: _gravity(reason.severity))
    if reasons:
        return WorkerHealth(reasons[0].severity, tuple(reasons))
    never_ran = snapshot.record(name).last_run_at is None
    return WorkerHealth(Health.UNKNOWN if never_ran else Health.HEALTHY)


# ── the checks of one worker ─────────────────────────────────────────────────────────────────────────────────────


def _disabled(state: WorkerState) -> Iterator[HealthReason]:
    disabled = state.disabled
    if disabled is not None:
        why = f": {disabled.reason}" if disabled.reason else ""
        text = f"{disabled.how} since {disabled.since:%Y-%m-%d %H:%M:%S} UTC{why}{_of_triggers(state)}"
        yield HealthReason(Health.DISABLED, "disabled", text, state.name)


def _of_triggers(state: WorkerState) -> str:
    """K5: what happens to triggers meanwhile."""
    disabled = state.disabled
    if disabled is None or not state.accepts:
        return "; triggers are refused"
    if disabled.probation_until is None:
        return "; triggers are accepted and wait until it is enabled"
    return f"; triggers are accepted and wait for a test run at {disabled.probation_until:%Y-%m-%d %H:%M:%S} UTC"


def _offline(snapshot: Snapshot, state: WorkerState, live: Collection[str]) -> Iterator[HealthReason]:
    name = state.name
    here = able_nodes(snapshot, name, live=live)
    if not here:
        yield HealthReason(Health.OFFLINE, "offline", "no live node runs it", name)
        return
    fitting = [node for node in here if node.workers[name] == state.definition.parameters]
    if not fitting:
        text = "the live nodes that run it declare other parameters than the declaration in force"
        yield HealthReason(Health.OFFLINE, "offline", text, name)
    elif all(node.mode is NodeMode.DRAINING for node in fitting):
        yield HealthReason(Health.DEGRADED, DRAINING, "every live node that could run it is draining", name)


def _troubles(
    snapshot: Snapshot, now: datetime, state: WorkerState, *, due: int, is_paused: bool
) -> Iterator[HealthReason]:
    """H2, in the order of the rule; before it, rows that cannot be read (W8)."""
    name, policy = state.name, state.definition.health
    for row in islice(snapshot.unreadable_of(name), MAX_ROWS) if name in snapshot.suspects else ():
        yield HealthReason(Health.UNHEALTHY, "unreadable", f"{row}; {REMEDY}", name)
    yield from _attempts(snapshot, name, policy)
    if policy.max_due is not None and due > policy.max_due:
        text = f"{due} runs overdue (threshold {policy.max_due})"
        yield HealthReason(Health.DEGRADED, "backlog", text, name)
    for run in snapshot.running_of(name):
        limit_s = policy.heartbeat_timeout_s
        if limit_s is not None and run.heartbeat_at is not None:
            silent_s = seconds_between(run.heartbeat_at, now)
            if silent_s > limit_s:
                text = f"run {run.id} is stuck: no heartbeat for {silent_s:.0f} s (limit {limit_s:g} s)"
                yield HealthReason(Health.UNHEALTHY, "stuck", text, name)
        if run.claim is not None and run.claim.zombie_since is not None:
            ending = "timed out" if run.cancel is None else "was cancelled"
            text = f"run {run.id} {ending} but its code is still running (zombie)"
            yield HealthReason(Health.DEGRADED, "zombie", text, name)
    within_s = policy.expect_success_within_s
    since = snapshot.record(name).last_success_at or state.declared_at
    if within_s is not None and not is_paused and seconds_between(since, now) > within_s:
        text = f"no success for {seconds_between(since, now):.0f} s, expected within {within_s:g} s"
        yield HealthReason(Health.UNHEALTHY, "no_success", text, name)
    breaker = snapshot.breakers.get(state.definition.breaker) if state.definition.breaker is not None else None
    if breaker is not None and breaker.mode is not BreakerMode.CLOSED:
        text = f"its breaker {breaker.name!r} is {breaker.mode.replace('_', '-')}"
        yield HealthReason(Health.DEGRADED, "breaker", text, name)


def _attempts(snapshot: Snapshot, name: str, policy: HealthPolicy) -> Iterator[HealthReason]:
    """How often its latest attempts failed, and how long they took."""
    ring = snapshot.record(name).ring
    if not ring or len(ring) < policy.min_attempts:
        return
    failed = sum(1 for sample in ring if not sample.ok)
    rate = failed / len(ring)
    text = f"{failed} of the last {len(ring)} attempts failed ({rate:.0%})"
    severity = _grade(rate, policy.degraded_rate, policy.unhealthy_rate)
    if severity is not None:
        yield HealthReason(severity, "failure_rate", text, name)
    expected_s = policy.expected_duration_s
    if expected_s:
        mean_s = sum(sample.duration_s for sample in ring) / len(ring)
        text = f"the last {len(ring)} attempts took {mean_s:.3g} s on average, expected are {expected_s:g} s"
        severity = _grade(mean_s / expected_s, policy.slow_factor, policy.very_slow_factor)
        if severity is not None:
            yield HealthReason(severity, "slow", text, name)


def _grade(value: float, degraded: float | None, unhealthy: float | None) -> Health | None:
    if unhealthy is not None and value >= unhealthy:
        return Health.UNHEALTHY
    return Health.DEGRADED if degraded is not None and value >= degraded else None


# ── the checks of the whole system ───────────────────────────────────────────────────────────────────────────────


def _letters(letters: Mapping[str, int], limit: int) -> Iterator[HealthReason]:
    """Q4."""
    count = sum(letters.values())
    if count > limit:
        worst = max(letters, key=lambda name: (letters[name], name))
        text = (
            f"{count} open dead letters (threshold {limit}), most of them of {worst!r}: replay, resolve or discard them"
        )
        yield HealthReason(Health.DEGRADED, "dead_letters", text)


def _shedding(snapshot: Snapshot, live: Collection[str]) -> Iterator[HealthReason]:
    """H4."""
    for node in snapshot.nodes.values():
        if node.id in live and node.shed is not Shed.NOTHING:
            held = "low" if node.shed is Shed.LOW else "low and normal"
            text = f"node {node.name} sheds load: {held} priority runs are held ({node.shed_reason})"
            yield HealthReason(Health.DEGRADED, "shedding", text)


def _unreadable(snapshot: Snapshot) -> Iterator[HealthReason]:
    """W8: unreadable rows that belong to no single worker."""
    values: tuple[Node | BreakerState, ...] = (*snapshot.nodes.values(), *snapshot.breakers.values())
    for row in islice((value.unreadable for value in values if value.unreadable is not None), MAX_ROWS):
        yield HealthReason(Health.DEGRADED, "unreadable", f"{row}; {REMEDY}")


def _silent(snapshot: Snapshot, live: Collection[str], lease_s: float) -> Iterator[HealthReason]:
    for node in silent_nodes(snapshot, live=live, lease_s=lease_s):
        text = f"node {node.name} has not renewed its lease for more than {SILENT_S:g} s: it is frozen or cannot write"
        yield HealthReason(Health.DEGRADED, "silent", text)


def _durability(snapshot: Snapshot, live: Collection[str]) -> Iterator[HealthReason]:
    """W1: somebody chose this, so it does not lower the health; it is only mentioned."""
    names = sorted(node.name for node in snapshot.nodes.values() if node.id in live and node.durability == "process")
    if names:
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        text = f"durability='process' on {shown}: a power cut may lose the last commits"
        yield HealthReason(Health.HEALTHY, "durability", text)


def _gravity(status: Health) -> int:
    return WORST_FIRST.index(status)
