"""The reasons why a due run may not start, as values.

Rules of this file
- A hold says what holds, since when, and when that can change by time alone (`until`; None: only by an event).
- Its sentence (`str`) is its one wording: `why`, the logs, the command and the dashboard show it.
- Whatever else anybody asks of a kind of hold stands in its class: what else it holds, what would
  have to change, whether it ends by itself.  Nobody keeps a list of kinds but `AnyHold`, the table; a test walks that.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar, get_args

from shiftboss.core.policy import Priority
from shiftboss.core.unreadable import REMEDY, Unreadable
from shiftboss.core.value import Value


class Scope(StrEnum):
    """What else the same thing holds."""

    RUN = "run"  # nothing else
    WORKER = "worker"  # every run of its worker
    COMPONENT = "component"  # runs of workers with which it has to do
    FLEET = "fleet"  # everything
    NODE = "node"  # on the node that was asked; another one may start it


class Hold(Value, frozen=True):
    """Why a run does not start."""

    since: datetime | None = None
    until: datetime | None = None

    scope: ClassVar[Scope]  # what else the same thing holds
    about: ClassVar[str] = ""  # the field that names its subject
    option: ClassVar[str] = ""  # of the worker, without which there is no such hold
    passes: ClassVar[bool] = False  # it ends by itself, when a run ends or soon
    until_says: ClassVar[str] = "until"  # how its end is said: "until 14:02", "probed at 14:02"
    is_passed: ClassVar[bool] = False  # another run of its worker may start before it
    is_passed_in_queue: ClassVar[bool] = False  # and so may those right behind it (E3)
    reserves: ClassVar[bool] = False  # B4: who waits for nothing else of the fleet reserves in time
    forbids_skip: ClassVar[bool] = False  # D5: an occurrence that it holds is not skipped
    lifts_with_nodes: ClassVar[bool] = False  # it may end when anything changes on a node: its lane is looked at then

    @property
    def subject(self) -> str:
        """What would have to change: a worker, breaker, resource, node or person; empty: the run itself, or time."""
        return str(getattr(self, self.about)) if self.about else ""

    @property
    def is_passing(self) -> bool:
        """Whether it ends by itself, when a run ends or soon; else it takes a person, an instant or another process."""
        return self.passes

    @property
    def gate(self) -> str:
        """The rule's name: depends_on, blocks, …"""
        return str(self.__struct_config__.tag)


class NotDue(Hold, frozen=True, tag="not_due"):
    """It is not time yet; `attempt` is above 0 for a retry in back-off."""

    scope: ClassVar = Scope.RUN
    forbids_skip: ClassVar = True
    until_says: ClassVar = "at"

    attempt: int = 0

    def __str__(self) -> str:
        return f"in back-off after attempt {self.attempt}" if self.attempt else "not due yet"


class IsUnreadable(Hold, frozen=True, tag="unreadable"):
    """W8: a row that this run has to do with cannot be read, so nobody knows what it may do beside it."""

    scope: ClassVar = Scope.COMPONENT
    forbids_skip: ClassVar = True
    about: ClassVar = "worker"

    table: str = ""
    id: str = ""
    worker: str = ""
    reason: str = ""

    @classmethod
    def of(cls, row: Unreadable, *, since: datetime) -> IsUnreadable:
        return cls(table=row.table, id=row.id, worker=row.worker, reason=row.reason, since=since)

    def __str__(self) -> str:
        row = Unreadable(table=self.table, id=self.id, worker=self.worker, reason=self.reason)
        return f"{row}; {REMEDY}"


class IsEncoded(Hold, frozen=True, tag="codec"):
    """E3: its payload cannot be decoded: the node lacks the key, or it is damaged."""

    scope: ClassVar = Scope.NODE
    is_passed_in_queue: ClassVar = True
    about: ClassVar = "node"
    is_passed: ClassVar = True

    key: str = ""
    node: str = ""
    reason: str = ""

    def __str__(self) -> str:
        if self.reason:
            return f"its payload is {self.reason}"
        return (
            f"its payload is encrypted with key {self.key!r}, which node {self.node} does not have; start one that has"
        )


class IsDisabled(Hold, frozen=True, tag="disabled"):
    scope: ClassVar = Scope.WORKER
    forbids_skip: ClassVar = True
    about: ClassVar = "by"
    is_passed: ClassVar = True  # by a forced one (K5)
    until_says: ClassVar = "probed at"

    by: str = ""
    reason: str = ""

    def __str__(self) -> str:
        return f"the worker is disabled by {self.by}: {self.reason}" if self.reason else f"disabled by {self.by}"


class BreakerIsOpen(Hold, frozen=True, tag="breaker"):
    scope: ClassVar = Scope.COMPONENT
    about: ClassVar = "breaker"
    option: ClassVar = "breaker"
    until_says: ClassVar = "probed at"

    breaker: str = ""
    probe: int | None = None  # half-open: the run that probes now

    def __str__(self) -> str:
        if self.probe is not None:
            return f"breaker {self.breaker!r} is half-open; run {self.probe} probes it"
        return f"breaker {self.breaker!r} is open"


class IsFull(Hold, frozen=True, tag="concurrency"):
    scope: ClassVar = Scope.WORKER
    passes: ClassVar = True
    option: ClassVar = "concurrency"

    limit: int = 1
    runs: tuple[int, ...] = ()

    def __str__(self) -> str:
        shown = ", ".join(str(run) for run in self.runs[:5]) + (" …" if len(self.runs) > 5 else "")
        return f"{len(self.runs)} of {self.limit} allowed are running (run {shown})"


class RateReached(Hold, frozen=True, tag="rate"):
    scope: ClassVar = Scope.WORKER
    passes: ClassVar = True
    option: ClassVar = "rate"

    count: int = 0
    per_s: float = 0.0

    def __str__(self) -> str:
        return f"the rate of {self.count} starts in {self.per_s:g} s is used up"


class UpstreamOwes(Hold, frozen=True, tag="depends_on"):
    """D2: an upstream has an unfinished run of the same or an earlier instant."""

    scope: ClassVar = Scope.COMPONENT
    about: ClassVar = "upstream"
    option: ClassVar = "depends_on"

    upstream: str = ""
    run: int = 0
    state: str = ""  # pending, running, in back-off

    def __str__(self) -> str:
        return f"{self.upstream}: run {self.run} is {self.state}"

    @property
    def is_passing(self) -> bool:
        return self.until is None  # else it waits for that instant


class UpstreamFailed(Hold, frozen=True, tag="depends_on"):
    """D5, D6: the upstream's latest run failed, or it is disabled, or its breaker is not closed."""

    scope: ClassVar = Scope.COMPONENT
    about: ClassVar = "upstream"
    option: ClassVar = "depends_on"

    upstream: str = ""
    run: int | None = None
    why: str = ""

    def __str__(self) -> str:
        return f"{self.upstream}: {self.why}"


class UpstreamStale(Hold, frozen=True, tag="depends_on"):
    """D4: it has not succeeded recently enough, or never ran."""

    scope: ClassVar = Scope.COMPONENT
    about: ClassVar = "upstream"
    option: ClassVar = "depends_on"

    upstream: str = ""
    why: str = ""

    def __str__(self) -> str:
        return f"{self.upstream}: {self.why}"


class IsBlocked(Hold, frozen=True, tag="blocks"):
    scope: ClassVar = Scope.COMPONENT
    passes: ClassVar = True
    about: ClassVar = "by"
    reserves: ClassVar = True
    option: ClassVar = "blocks"

    by: str = ""
    run: int = 0
    node: str = ""
    zombie: bool = False

    def __str__(self) -> str:
        state = "was told to end, but its body still runs" if self.zombie else "is running"
        return f"{self.by}: run {self.run} {state} on node {self.node}"


class NoPermit(Hold, frozen=True, tag="uses"):
    scope: ClassVar = Scope.COMPONENT
    passes: ClassVar = True
    about: ClassVar = "resource"
    reserves: ClassVar = True
    option: ClassVar = "uses"

    resource: str = ""
    wanted: int = 1
    free: int = 0
    runs: tuple[int, ...] = ()

    def __str__(self) -> str:
        shown = ", ".join(str(run) for run in self.runs[:5])
        return f"resource {self.resource!r} has {self.free} free, {self.wanted} wanted (taken by run {shown})"


class IsReserved(Hold, frozen=True, tag="reserved"):
    """B4: a run of higher rank has waited longer than its patience for what this one would take."""

    scope: ClassVar = Scope.COMPONENT
    lifts_with_nodes: ClassVar = True
    passes: ClassVar = True
    about: ClassVar = "worker"

    worker: str = ""
    run: int = 0

    def __str__(self) -> str:
        return f"reserved for {self.worker} run {self.run}, which has waited too long"


class NoSlot(Hold, frozen=True, tag="slots"):
    """The node, or its executor of this kind, is fully used; `kept`: the rest is for high and critical (P3)."""

    scope: ClassVar = Scope.NODE
    passes: ClassVar = True
    about: ClassVar = "node"

    node: str = ""
    slots: int = 0
    executor: str = ""
    kept: bool = False

    def __str__(self) -> str:
        if self.kept:
            return f"the free slots of node {self.node} are kept for high and critical runs"
        what = f"{self.executor} slots" if self.executor else "slots"
        return f"all {self.slots} {what} of node {self.node} are in use"


class IsIsolated(Hold, frozen=True, tag="isolated"):
    """C8: it was there when nodes went down, so it runs alone until it has finished an attempt.  Accuses nobody."""

    scope: ClassVar = Scope.NODE
    passes: ClassVar = True
    about: ClassVar = "node"

    node: str = ""
    rescues: int = 0

    def __str__(self) -> str:
        return (
            f"waits until nothing else runs on node {self.node}: it took its node down {self.rescues} times, or was "
            "there when that went down; alone it shows which"
        )


class MakesWay(Hold, frozen=True, tag="makes_way"):
    """C8: a run that may have taken its node down has the node to itself; a minute at most."""

    scope: ClassVar = Scope.NODE
    passes: ClassVar = True
    about: ClassVar = "worker"

    worker: str = ""
    run: int = 0
    node: str = ""
    runs: bool = True  # or is it still to start

    def __str__(self) -> str:
        what = "has" if self.runs else "waits to have"
        return (
            f"{self.worker} run {self.run} {what} node {self.node} to itself, since it was there when nodes went down "
            "(a minute at most)"
        )


class IsShed(Hold, frozen=True, tag="shed"):
    scope: ClassVar = Scope.NODE
    lifts_with_nodes: ClassVar = True
    passes: ClassVar = True
    about: ClassVar = "node"
    is_passed: ClassVar = True  # by one of a higher priority

    node: str = ""
    reason: str = ""
    priority: Priority = Priority.LOW

    def __str__(self) -> str:
        return f"node {self.node} holds back {self.priority.label} runs: {self.reason}"


class IsDraining(Hold, frozen=True, tag="draining"):
    scope: ClassVar = Scope.NODE
    about: ClassVar = "node"

    node: str = ""

    def __str__(self) -> str:
        return f"node {self.node} is shutting down and starts nothing new"


class NotHere(Hold, frozen=True, tag="unknown_worker"):
    """No live node can run it (Q1), or this one cannot."""

    scope: ClassVar = Scope.NODE
    about: ClassVar = "node"

    worker: str = ""
    node: str = ""

    def __str__(self) -> str:
        return f"node {self.node} does not run it" if self.node else "no live node runs this worker"


class OtherVersion(Hold, frozen=True, tag="version"):
    """M7: the node declares other parameters for it than the declaration that holds."""

    scope: ClassVar = Scope.NODE
    about: ClassVar = "node"

    node: str = ""
    pid: int = 0
    host: str = ""
    code_version: str = ""

    def __str__(self) -> str:
        return f"node {self.node} {self.fact}"

    @property
    def fact(self) -> str:
        code = f", of code {self.code_version}" if self.code_version else ""
        return f"declares other parameters than the declaration that holds{code}"


class StoreTakesNothing(Hold, frozen=True, tag="store"):
    """The store takes no new work (W3, H5), or nobody has renewed a lease there for too long."""

    scope: ClassVar = Scope.FLEET

    reason: str = ""

    def __str__(self) -> str:
        return self.reason


AnyHold = (
    NotDue
    | IsUnreadable
    | IsEncoded
    | IsDisabled
    | BreakerIsOpen
    | IsFull
    | RateReached
    | UpstreamOwes
    | UpstreamFailed
    | UpstreamStale
    | IsBlocked
    | NoPermit
    | IsReserved
    | NoSlot
    | IsIsolated
    | MakesWay
    | IsShed
    | IsDraining
    | NotHere
    | OtherVersion
    | StoreTakesNothing
)

KINDS: tuple[type[Hold], ...] = get_args(AnyHold)
OPTIONS = frozenset(kind.option for kind in KINDS if kind.option)  # of a worker, by which anything can hold its runs
