"""What will go wrong with these workers, although each of them is allowed?  (`shiftboss check`)

Rules of this file
- Pure: it sees declarations, sizes of resources and slots of a node.  What cannot work at all, `graph.check` refuses.
- A finding names the worker, what will happen and the remedy.  If it may be intended, it is only a note.
- Most applications should get no finding: what is true of most of them is not reported.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from itertools import combinations, pairwise
from statistics import fmean

from shiftboss.core.graph import Relations
from shiftboss.core.policy import BreakerPolicy, HealthPolicy, Priority
from shiftboss.core.rank import OFFSET
from shiftboss.core.schedule import Cron, Every, Schedule, Several, Within
from shiftboss.core.schedules.cron import steps
from shiftboss.core.value import Value
from shiftboss.core.worker import DEFAULT_TIMEOUT_S, Definition, Mode, OnFailure

SEEN_FROM = datetime(2026, 1, 1, tzinfo=UTC)  # any date does: the gaps of a cron schedule are measured from there
SEEN_INSTANTS = 50  # a month of working days and more
SELDOM_IDLE = 0.5  # of the time: what a busier worker keeps out waits for longer than it runs
NEARLY_FULL = 0.8  # of a node's slots: the rest is for high and critical runs (P3), and for bad days


class Severity(StrEnum):
    WARNING = "warning"  # will go wrong as it stands
    NOTE = "note"  # may be intended


class Finding(Value, frozen=True, omit_defaults=False):
    """One thing to correct or to know.  `worker` is empty if it is about all workers, `rule` is the rule's number."""

    severity: Severity
    rule: str
    worker: str
    message: str
    remedy: str

    @property
    def text(self) -> str:
        return f"{self.message}; {self.remedy}"

    def __str__(self) -> str:
        return f"{self.worker}: {self.text}" if self.worker else self.text


def findings(
    definitions: Iterable[Definition],
    *,
    resources: Mapping[str, int] | None = None,
    slots: int = 100,
    slots_of: Mapping[str, int] | None = None,
    heedless: Collection[str] = (),
) -> list[Finding]:
    """All findings about workers that `graph.check` accepts; warnings first, then in the order of declaration.

    *slots_of*: the slots of executors that have fewer than the node, by kind.  *heedless*: workers whose function takes
    no context, so that it can neither notice that it should end nor send a heartbeat.
    """
    known = {definition.name: definition for definition in definitions}
    sizes = resources or {}
    all_findings = [
        *_starving(known, sizes),
        *(finding for one in known.values() for finding in _upstreams(one, known)),
        *(finding for one in known.values() for finding in _own(one)),
        *_capacity(known, sizes, slots, slots_of or {}),
        *_breakers(known),
        *_unenforceable(known, heedless),
        *_unheard(known, heedless),
    ]
    order = {name: number for number, name in enumerate(known)}
    return sorted(
        all_findings, key=lambda finding: (finding.severity is Severity.NOTE, order.get(finding.worker, len(order)))
    )


# ── who shuts out whom ───────────────────────────────────────────────────────────────────────────────────────────


def _starving(known: dict[str, Definition], sizes: Mapping[str, int]) -> Iterator[Finding]:
    """P2, B4: a worker of higher priority that is seldom idle goes first each time; nothing ages past critical."""
    relations = Relations.of(known.values())
    busy = [one for one in known.values() if (share := _busy_share(one)) is not None and share > SELDOM_IDLE]
    for first in busy:
        for other in known.values():
            if other.priority >= first.priority or not _exclude(relations, first, other, sizes):
                continue
            always = first.mode is Mode.CONTINUOUS and first.pause_s == 0
            often = "never idle" if always else f"busy {_busy_share(first):.0%} of the time"
            if first.priority is Priority.CRITICAL:
                yield Finding(
                    Severity.WARNING,
                    "P2",
                    other.name,
                    f"it cannot run at the same time as {first.name!r}, which is critical and {often}: "
                    + ("it will never start" if always else "it will seldom start"),
                    f"give {first.name!r} a pause or a lower priority, or let the two run at the same time",
                )
            elif always:
                wait_s = (OFFSET[other.priority] - OFFSET[first.priority]).total_seconds()
                yield Finding(
                    Severity.NOTE,
                    "B4",
                    other.name,
                    f"it cannot run at the same time as {first.name!r}, which never pauses: each run waits "
                    f"{wait_s:.0f} s",
                    f"give {first.name!r} a pause, or both the same priority",
                )


def _exclude(relations: Relations, one: Definition, other: Definition, sizes: Mapping[str, int]) -> bool:
    """Whether runs of the two can never run together: by `blocks`, or because a resource is too small for both."""
    if one.name == other.name:
        return False
    too_few = (one.uses[r] + other.uses[r] > sizes.get(r, 0) for r in one.uses.keys() & other.uses.keys())
    return relations.conflict(one.name, other.name) or any(too_few)


# ── upstreams ────────────────────────────────────────────────────────────────────────────────────────────────────


def _upstreams(one: Definition, known: dict[str, Definition]) -> Iterator[Finding]:
    for edge in one.depends_on:
        upstream = known.get(edge.worker)
        if upstream is None:
            continue
        name = upstream.name
        if not _comes_by_itself(name, known):
            yield Finding(
                Severity.WARNING,
                "D6",
                one.name,
                f"it depends on {name!r}, which runs only when somebody triggers it: until then it never starts",
                f"give {name!r} a schedule or after=, or drop it from depends_on",
            )
        if upstream.mode is Mode.CONTINUOUS and upstream.timeout_s is None:
            yield Finding(
                Severity.WARNING,
                "D2",
                one.name,
                f"it depends on {name!r}, which has no timeout: a run that hangs holds it forever",
                f"give {name!r} a timeout",
            )
        if edge.on_failure is not OnFailure.WAIT and upstream.retry.max_retries is None:
            yield Finding(
                Severity.NOTE,
                "D5",
                one.name,
                f"{name!r} has unlimited retries: on_failure={edge.on_failure.value!r} applies to fatal errors only",
                f"give {name!r} max_retries",
            )
        gap_s = _shortest_gap_s(upstream.schedule)
        if edge.max_age_s is not None and gap_s is not None and edge.max_age_s < gap_s:
            yield Finding(
                Severity.WARNING,
                "D4",
                one.name,
                f"it requires a success of {name!r} within the last {edge.max_age_s:g} s, which runs every {gap_s:g} s",
                "raise max_age, or run the upstream more often",
            )


def _comes_by_itself(name: str, known: dict[str, Definition]) -> bool:
    """Whether it gets runs without a trigger: by its mode, or after a worker that does."""
    todo, seen = [name], set()
    while todo:
        one = known.get(todo.pop())
        if one is None or one.name in seen:
            continue
        if one.mode is not Mode.TRIGGERED:
            return True
        seen.add(one.name)
        todo += one.after
    return False


# ── one worker by itself ─────────────────────────────────────────────────────────────────────────────────────────


def _own(one: Definition) -> Iterator[Finding]:
    gap_s = _shortest_gap_s(one.schedule)
    if gap_s is not None:
        yield from _cadence(one, gap_s)
    for cron in _crons(one.schedule):
        for step in steps(cron.expression):
            if step.never_comes or step.is_uneven:
                severity = Severity.WARNING if step.never_comes else Severity.NOTE
                yield Finding(severity, "O3", one.name, f"cron={cron.expression!r}: {step.fact}", step.remedy)
    if one.at_most_once and one.retry.max_retries != 0:
        yield Finding(
            Severity.WARNING,
            "C7",
            one.name,
            "at_most_once runs are never retried, so max_retries has no effect",
            "drop one of them",
        )
    if one.at_most_once and one.in_pool:
        yield Finding(
            Severity.NOTE,
            "C7",
            one.name,
            "at_most_once does not reach into the pool: a pool that repeats calls, as Dask does when it loses a "
            "worker, may run it twice",
            "use executor='process', or a pool that never repeats a call",
        )


def _cadence(one: Definition, gap_s: float) -> Iterator[Finding]:
    within_s, expected_s = one.health.expect_success_within_s, one.health.expected_duration_s
    at_once = one.concurrency or 1
    if expected_s is not None and expected_s > gap_s * at_once:
        yield Finding(
            Severity.WARNING,
            "M3",
            one.name,
            f"a run takes {expected_s:g} s and one is due every {gap_s:g} s: it cannot keep up and will skip runs",
            "run it less often, or raise its concurrency",
        )
    elif one.can_be_stopped and one.timeout_s is not None and one.timeout_s > gap_s and one.concurrency == 1:
        yield Finding(
            Severity.NOTE,
            "M3",
            one.name,
            f"its timeout of {one.timeout_s:g} s is longer than its interval of {gap_s:g} s: "
            "an attempt that hangs delays the next runs",
            f"use timeout={gap_s:g} or less",
        )
    start_s = one.rate.per_s / one.rate.count if one.rate is not None else 0.0
    if start_s > gap_s:
        yield Finding(
            Severity.WARNING,
            "B8",
            one.name,
            f"its rate limit allows one start every {start_s:g} s, but its schedule needs one every {gap_s:g} s",
            "raise the rate limit, or run it less often",
        )
    if within_s is not None and within_s < gap_s:
        yield Finding(
            Severity.WARNING,
            "H2",
            one.name,
            f"a success is expected within {within_s:g} s, but it runs every {gap_s:g} s: it is unhealthy in between",
            f"expect one within {2 * gap_s:g} s",
        )


# ── all of them together ─────────────────────────────────────────────────────────────────────────────────────────


def _capacity(
    known: dict[str, Definition], sizes: Mapping[str, int], slots: int, slots_of: Mapping[str, int]
) -> Iterator[Finding]:
    """P3, B9: what is busy at once on average, where `expected_duration` is declared."""
    shares = {name: share for name, one in known.items() if (share := _busy_share(one)) is not None}
    load = sum(shares.values())
    if load > NEARLY_FULL * slots:
        yield Finding(
            Severity.WARNING if load > slots else Severity.NOTE,
            "P3",
            "",
            f"scheduled and continuous workers keep {load:.1f} slots busy on average, but a node has {slots}",
            "start more nodes, or raise max_concurrency",
        )
    for kind, of_kind in slots_of.items():
        load = sum(share for name, share in shares.items() if known[name].executor == kind)
        if load > of_kind:
            yield Finding(
                Severity.WARNING,
                "P3",
                "",
                f"scheduled and continuous workers keep {load:.1f} {kind} slots busy on average, but a node has "
                f"{of_kind}",
                f"start more nodes, or raise {kind}_slots",
            )
    for resource, size in sizes.items():
        taken = sum(share * known[name].uses.get(resource, 0) for name, share in shares.items())
        if taken > size:
            yield Finding(
                Severity.WARNING,
                "B9",
                "",
                f"resource {resource!r} has {size} concurrency slots, but {taken:.1f} are needed on average",
                "make it larger, or run the workers that use it less often",
            )


def _breakers(known: dict[str, Definition]) -> Iterator[Finding]:
    """K1: a breaker has one policy, whichever workers share it."""
    policies: dict[str, dict[str, BreakerPolicy]] = {}
    for one in known.values():
        if one.breaker is not None and one.breaker_policy is not None:
            policies.setdefault(one.breaker, {})[one.name] = one.breaker_policy
    for breaker, given in policies.items():
        for (first, policy), (second, other) in combinations(given.items(), 2):
            if policy != other:
                yield Finding(
                    Severity.WARNING,
                    "K1",
                    second,
                    f"it shares breaker {breaker!r} with {first!r} but has another policy: either one may apply",
                    "give the policy on one worker, and only the name on the others",
                )
                break


# ── what an executor cannot give ─────────────────────────────────────────────────────────────────────────────────


def _unenforceable(known: dict[str, Definition], heedless: Collection[str]) -> Iterator[Finding]:
    """T2, B6: time limits of functions that nobody can stop.

    It is a warning if a limit was asked for and the function cannot even be told to end.  The others, most of which
    have the timeout that every worker has by default, share one note.
    """
    relations = Relations.of(known.values())
    noted: list[str] = []
    for one in known.values():
        limit = _limit(one)
        if one.can_be_stopped or limit is None:
            continue
        if one.name not in heedless or limit == f"timeout of {DEFAULT_TIMEOUT_S:g} s":
            noted.append(one.name)
            continue
        why, remedy = _WHY_IN_POOL if one.in_pool else _WHY_IN_THREAD
        yield Finding(
            Severity.WARNING,
            "T2",
            one.name,
            f"its {limit} cannot be enforced: {why}{_waits_for(one, known, relations)}",
            f"{remedy}; or set timeout=None",
        )
    if noted:
        shown = ", ".join(noted[:5]) + (f" and {len(noted) - 5} more" if len(noted) > 5 else "")
        yield Finding(
            Severity.NOTE,
            "B6",
            "",
            f"threads and pool calls cannot be stopped: after a timeout the function of {shown} keeps its slot until "
            "it returns",
            "check ctx.cancelled in it, make it async, or use executor='process'",
        )


_WHY_IN_POOL = "a call that a pool has started cannot be stopped", "use executor='process'"
_WHY_IN_THREAD = (
    "a thread cannot be stopped, and its function takes no ctx, so it cannot see that it should end",
    "use executor='process', make it async, or check ctx.cancelled in it",
)


def _limit(one: Definition) -> str | None:
    """What limits its attempts, in words."""
    if one.timeout_s is not None:
        return f"timeout of {one.timeout_s:g} s"
    return f"deadline of {one.deadline_s:g} s" if one.deadline_s is not None else None


def _waits_for(one: Definition, known: dict[str, Definition], relations: Relations) -> str:
    """B6: what cannot start until its function ends."""
    waiting = ["its next run"] if one.concurrency == 1 else []
    waiting += [repr(name) for name in known if name != one.name and relations.conflict(one.name, name)][:3]
    waiting += [f"users of {resource!r}" for resource in one.uses]
    return f"; until its function returns, these cannot start: {', '.join(waiting)}" if waiting else ""


def _unheard(known: dict[str, Definition], heedless: Collection[str]) -> Iterator[Finding]:
    """H2: silence is noticed only of a function that can send heartbeats."""
    for one in known.values():
        limit_s = one.health.heartbeat_timeout_s
        if one.name in heedless and limit_s is not None and limit_s != HealthPolicy().heartbeat_timeout_s:
            yield Finding(
                Severity.WARNING,
                "H2",
                one.name,
                f"a heartbeat is expected every {limit_s:g} s, but its function takes no ctx, so it cannot send one: "
                "a missing heartbeat will not be noticed",
                "let it take ctx and call ctx.heartbeat() or ctx.progress(), or drop heartbeat_timeout",
            )


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _busy_share(one: Definition) -> float | None:
    """How many of its runs are in progress at once on average; None if the declaration does not tell."""
    expected_s = one.health.expected_duration_s
    if one.mode is Mode.CONTINUOUS:
        if one.pause_s == 0:
            return 1.0
        return None if expected_s is None else expected_s / (expected_s + one.pause_s)
    gaps = _gaps_s(one.schedule)
    return expected_s / fmean(gaps) if expected_s is not None and gaps else None


def _crons(schedule: Schedule | None) -> list[Cron]:
    """The cron expressions in a schedule."""
    inner = schedule.rule if isinstance(schedule, Within) else schedule
    rules = inner.rules if isinstance(inner, Several) else (inner,)
    return [rule for rule in rules if isinstance(rule, Cron)]


def _shortest_gap_s(schedule: Schedule | None) -> float | None:
    return min(_gaps_s(schedule), default=None)


def _gaps_s(schedule: Schedule | None) -> list[float]:
    """The distances between its next scheduled times."""
    match schedule:
        case None:
            return []
        case Every(every_s=every_s):
            return [every_s]
        case _:
            instants: list[datetime] = []
            at = schedule.after(SEEN_FROM)
            while at is not None and len(instants) < SEEN_INSTANTS:
                instants.append(at)
                at = schedule.after(at)
            return [(later - earlier).total_seconds() for earlier, later in pairwise(instants)]
