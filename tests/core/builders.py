"""Values for the tests of the rules: builders fill in what a test does not care about.

`a_snapshot` gives a `World`: a snapshot with its lanes, which applies what rules decide and remembers what has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from shiftboss.core import control
from shiftboss.core.claim import claim, skip_for_dependency
from shiftboss.core.control import Request
from shiftboss.core.decide import Decision, decide
from shiftboss.core.explain import Explanation, explain
from shiftboss.core.lane import Lane
from shiftboss.core.model import (
    BreakerMode,
    BreakerState,
    Claim,
    DeadLetter,
    Disabled,
    Error,
    Failed,
    Node,
    Origin,
    Outcome,
    Record,
    Report,
    Run,
    Status,
    Succeeded,
    TimedOut,
    Verdict,
    WorkerState,
)
from shiftboss.core.policy import BreakerPolicy, Priority, RetryPolicy
from shiftboss.core.reconcile import Declarer, declare
from shiftboss.core.room import room_of
from shiftboss.core.schedule import Cron, Every
from shiftboss.core.settle import settle
from shiftboss.core.snapshot import Change, Snapshot
from shiftboss.core.subject import Subject
from shiftboss.core.unreadable import Unreadable
from shiftboss.core.value import replace
from shiftboss.core.waitlists import Waitlists
from shiftboss.core.worker import Definition, Mode, Start, Upstream

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
NO_RETRY = RetryPolicy(max_retries=0)
AT_ONCE = RetryPolicy(first_s=0.0)  # retries without a wait
BOOM = Error(type="ValueError", message="boom", traceback="…")
FAILED = Failed(BOOM)
FATAL = Failed(BOOM, fatal=True)
TIMED_OUT = TimedOut(Error(type="TimeoutError"))
OK = Succeeded()
MAX_ROUNDS = 1000  # of starts in one instant: more is a loop without end


def at(text: str) -> datetime:
    """An instant of the day: "12:30" or "12:30:05.5"."""
    return datetime.fromisoformat(f"2026-06-01T{text}").replace(tzinfo=UTC)


def after(seconds: float, start: datetime = NOON) -> datetime:
    return start + timedelta(seconds=seconds)


def a_definition(
    name: str = "a",
    *,
    every: float | None = None,
    cron: str | None = None,
    continuous: bool = False,
    priority: str = "normal",
    depends_on: Iterable[str | Upstream] = (),
    **fields: Any,
) -> Definition:
    """A declaration as the application makes it: scheduled and continuous workers run one at a time."""
    rule = Every(every) if every is not None else Cron(cron) if cron is not None else None
    mode = Mode.CONTINUOUS if continuous else Mode.TRIGGERED if rule is None else Mode.SCHEDULED
    fields.setdefault("concurrency", None if mode is Mode.TRIGGERED else 1)
    fields.setdefault("start", Start.NOW if every is not None else Start.NEXT)
    if continuous:
        fields.setdefault("retry", RetryPolicy(max_retries=None))
    return Definition(
        name=name,
        mode=mode,
        schedule=rule,
        priority=Priority[priority.upper()],
        depends_on=tuple(Upstream(edge) if isinstance(edge, str) else edge for edge in depends_on),
        **fields,
    )


def a_worker(name: str = "a", *, disabled: Disabled | str | None = None, **fields: Any) -> WorkerState:
    """A worker as the store keeps it.  `disabled="auto"` or by a person's name."""
    if isinstance(disabled, str):
        disabled = Disabled(by=disabled, reason="for a test", since=at("11:00"))
    return WorkerState(a_definition(name, **fields), declared_at=at("06:00"), disabled=disabled)


def a_run(worker: str = "a", status: Status = Status.PENDING, **fields: Any) -> Run:
    """A run, due at noon by hand.  `node=`, `fence=`, `since=`, `probe=`, `zombie_since=` make its claim."""
    node, fence, since = fields.pop("node", "n1"), fields.pop("fence", 1), fields.pop("since", at("11:59"))
    marks = {name: fields.pop(name) for name in ("probe", "fallback", "zombie_since") if name in fields}
    due_at = fields.pop("due_at", NOON)
    if status is Status.RUNNING:
        fields.setdefault("claim", Claim(node=node, fence=fence, at=since, **marks))
        fields.setdefault("attempt", 1)
    if fields.get("attempt", 0) > 0:
        fields.setdefault("first_started_at", since)
    priority = fields.pop("priority", "normal")
    return Run(
        id=fields.pop("id", 0),
        worker=worker,
        origin=fields.pop("origin", Origin.TRIGGER),
        status=status,
        priority=Priority[priority.upper()],
        created_at=fields.pop("created_at", due_at),
        occurs_at=fields.pop("occurs_at", due_at),
        due_at=due_at,
        **fields,
    )


def an_occurrence(worker: str = "a", status: Status = Status.PENDING, **fields: Any) -> Run:
    return a_run(worker, status, origin=Origin.OCCURRENCE, **fields)


def an_iteration(worker: str = "a", status: Status = Status.PENDING, **fields: Any) -> Run:
    return a_run(worker, status, origin=Origin.ITERATION, **fields)


def a_node(id: str = "n1", *workers: str, **fields: Any) -> Node:
    """A node with a good lease; it runs everything that the snapshot has unless *workers* are named."""
    facts: dict[str, Any] = {"name": f"host:{id}", "boot": "boot-1", "lease_until_s": 130.0, "started_at": at("06:00")}
    return Node(id=id, workers=dict.fromkeys(workers, ""), **(facts | fields))


def a_breaker(name: str, mode: BreakerMode = BreakerMode.OPEN, **fields: Any) -> BreakerState:
    """An open breaker, that cools down until 12:00:30."""
    if mode is not BreakerMode.CLOSED:
        fields.setdefault("opened_at", NOON)
        fields.setdefault("until", at("12:00:30"))
        fields.setdefault("cooldown_s", 30.0)
    return BreakerState(name=name, mode=mode, policy=fields.pop("policy", BreakerPolicy()), **fields)


def a_record(*, ok: bool | None = None, occurs_at: datetime | None = None, run: int = 1, **fields: Any) -> Record:
    """How a worker has done; `ok` says how its latest run ended, an hour ago unless *occurs_at* is given."""
    occurs_at = occurs_at or at("11:00")
    if ok is not None:
        fields.setdefault("latest", Verdict(occurs_at=occurs_at, run=run, ok=ok))
        fields.setdefault("last_run_at", occurs_at)
    if ok:
        fields.setdefault("last_success_at", occurs_at)
        fields.setdefault("last_success_started_at", occurs_at)
    return Record(**fields)


class World(Snapshot):
    """A snapshot that does what the cycle does: applies rules in turn and keeps what has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ids = count(101)  # of new runs
        self.fences = count(11)
        self.events: list[Any] = []
        self.ended: dict[int, Run] = {}

    def apply(self, change: Change) -> None:
        for state in change.workers:
            self.lanes.setdefault(state.name, Lane())
        super().apply(change)
        self.events += change.events
        self.ended.update((run.id, run) for run in change.runs if run.status.is_final)

    def does(self, rule: Callable[..., tuple[Change, Any]], now: datetime = NOON, **facts: Any) -> Any:
        """Apply *rule*; its answer."""
        change, answer = rule(self, now, ids=self.ids, **facts)
        self.apply(change)
        return answer

    # deciding

    def decide(
        self,
        now: datetime = NOON,
        *,
        node: str = "n1",
        live: Iterable[str] | None = None,
        waitlists: Waitlists | None = None,
    ) -> Decision:
        """What *node* would start now."""
        me = self.nodes[node]
        nodes = frozenset(self.nodes if live is None else live)
        room, lanes = room_of(self, me), list(self.workers)
        return decide(self, now, node=me, room=room, lanes=lanes, live=nodes, waitlists=waitlists)

    def filed(self, lane: str, now: datetime = NOON) -> set[Subject]:
        """What *lane* waits for once the node has decided."""
        waitlists = Waitlists()
        self.decide(now, waitlists=waitlists)
        return waitlists.places(lane)

    def start(self, now: datetime = NOON, *, node: str = "n1") -> list[int]:
        """Start what may start, until nothing more does; the ids in order."""
        started: list[int] = []
        for _ in range(MAX_ROUNDS):
            decision = self.decide(now, node=node)
            for run in decision.skips:
                self.does(skip_for_dependency, now, run=run)
            fence = next(self.fences)
            runs = self.does(claim, now, grants=decision.grants, node=node, fence=fence)
            started += [run.id for run in runs if run is not None]
            if not decision.skips and not decision.grants:
                return started
        raise AssertionError(f"after {MAX_ROUNDS} rounds more may start still: {started[:10]}, …")

    def why(self, run: Run, now: datetime = NOON) -> Explanation:
        return explain(self, now, run=run, live=frozenset(self.nodes))

    # facts

    def settle(self, run_id: int, outcome: Outcome = OK, now: datetime = NOON, *, duration_s: float = 1.0) -> bool:
        """The attempt that runs now ends with *outcome*."""
        run = self.running[run_id]
        assert run.claim is not None
        said = Report(run_id, run.claim.node, run.claim.fence, outcome, duration_s=duration_s)
        return bool(self.does(settle, now, report=said))

    def trigger(self, worker: str, now: datetime = NOON, **fields: Any) -> Run:
        return self.does(control.trigger, now, request=Request(worker=worker, **fields))

    def declare(
        self,
        *definitions: Definition,
        now: datetime = NOON,
        resources: Mapping[str, int] = {},
        by: Declarer | None = None,
    ) -> Any:
        return self.does(declare, now, definitions=definitions, resources=resources, by=by)

    # looking

    def pending(self, worker: str = "a") -> list[Run]:
        """What waits, by id."""
        return sorted(self.lane(worker), key=lambda run: run.id)

    def said(self, kind: type) -> list[Any]:
        """The events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]


def a_snapshot(
    *runs: Run,
    workers: Iterable[WorkerState] = (),
    nodes: Iterable[Node] = (),
    records: Mapping[str, Record] | None = None,
    breakers: Iterable[BreakerState] = (),
    resources: Mapping[str, int] | None = None,
    letters: Iterable[DeadLetter] = (),
) -> World:
    """A world of these values.  Runs without id get 1, 2, … in order; a node without workers runs them all."""
    world = World()
    states = {state.name: state for state in workers}
    numbered = [run if run.id else replace(run, id=number) for number, run in enumerate(runs, 1)]
    for run in numbered:
        states.setdefault(run.worker, a_worker(run.worker))
    world.workers = states
    world.rebuild()
    world.records = dict(records or {})
    world.breakers = {breaker.name: breaker for breaker in breakers}
    world.resources = dict(resources or {})
    world.letters = {letter.run: letter for letter in letters}
    everything = {name: state.definition.parameters for name, state in states.items()}
    world.nodes = {
        node.id: node if node.workers else replace(node, workers=everything) for node in (list(nodes) or [a_node()])
    }
    world.lanes = {name: Lane() for name in states}
    for run in numbered:
        if run.unreadable is not None:
            world.suspect(run.worker)
        if run.unreadable is not None and run.status is Status.PENDING:
            world.lanes[run.worker].seal([run])
        elif run.status is Status.PENDING:
            world.lanes[run.worker].put(run)
        elif run.status is Status.RUNNING:
            world.put_claim(run)
        else:
            world.fetched[run.id] = run
    for name, state in states.items():
        if state.unreadable is not None or world.record(name).unreadable is not None:
            world.suspect(name)
    for breaker in world.breakers.values():
        if breaker.unreadable is not None:
            world.suspects.update(world.relations.sharing_breaker(breaker.name))
    return world


def unreadable(value: Any, table: str, id: str = "1", *, fields: tuple[str, ...] = ()) -> Any:
    """*value* as a store tells it when its row cannot be read."""
    return replace(value, unreadable=Unreadable(table, id, getattr(value, "worker", ""), reason="?", fields=fields))


def starts(decision: Decision) -> list[int]:
    return [grant.run.id for grant in decision.grants]


def gates(decision: Decision, run_id: int) -> list[str]:
    """The names of the gates that hold a run."""
    return [hold.gate for hold in decision.holds.get(run_id, ())]
