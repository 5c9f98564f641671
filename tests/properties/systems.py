"""Small systems by chance: workers with relations, a fleet with faults, people who interfere; all of one seed.

`play(seed)` runs one through the real rules and returns what was seen.  To look at a seed that failed (behind a colon:
the share of the store's partitions that others hold):

    .venv/bin/python tests/properties/systems.py 1234 1235:0.4
"""

from __future__ import annotations

import contextlib
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from shiftboss.core.control import Request
from shiftboss.core.model import Shed, Status
from shiftboss.core.policy import BreakerPolicy, Priority, Rate, RetryPolicy
from shiftboss.core.schedule import Anchored, CalendarEvent, Cron, Every, Schedule, Several, Within
from shiftboss.core.schedules.within import DayFilter
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition, Misfire, Mode, OnFailure, Start, Upstream
from shiftboss.engine import mutation
from shiftboss.engine.membership import shed
from shiftboss.errors import CallerError, TriggersRefused, WorkerDisabled
from shiftboss.ports.executor import Launch
from shiftboss.testing.bodies import SUCCESS, Plan, crashed, failed
from shiftboss.testing.fault_injection import Loss
from shiftboss.testing.history import Violation
from shiftboss.testing.liveness import LivenessWatch
from shiftboss.testing.node import SimNode, State
from shiftboss.testing.simulator import Simulator

RESOURCES = {"disk": 2, "api": 3}
MINUTE = 60.0
FREEZE_LIMIT_S = 120.0
FAULTS = (
    "failures",
    "hangs",
    "crashes",
    "pauses",
    "cuts",
    "losses",
    "clock",
    "people",
    "deploys",
    "notifications",
    "stops",
)


@dataclass(frozen=True)
class System:
    """One system, and how it is treated."""

    definitions: tuple[Definition, ...]
    nodes: int
    slots: int
    faults: frozenset[str]
    leaps: bool
    longest_s: float  # of a body
    every_s: float  # between two things that happen to it, on average
    minutes: float

    def __str__(self) -> str:
        lines = [
            f"{self.nodes} nodes of {self.slots} slots, {self.minutes:g} min, faults: {', '.join(sorted(self.faults))}"
        ]
        for definition in self.definitions:
            default = Definition(definition.name)
            said = {
                name: getattr(definition, name)
                for name in definition.__struct_fields__
                if name != "schedule" and getattr(definition, name) != getattr(default, name)
            }
            lines.append(f"  {definition.schedule or ''} {said}")
        return "\n".join(lines)


# ── making one ───────────────────────────────────────────────────────────────────────────────────────────────────


def random_system(rng: random.Random) -> System:
    names = [chr(ord("a") + index) for index in range(rng.randint(2, 5))]
    density = rng.choice((0.15, 0.35, 0.6))
    definitions = tuple(random_worker(rng, name, names[:index], names, density) for index, name in enumerate(names))
    chance = random.Random(repr(definitions))  # its own: the rest stays what it was
    definitions = tuple(
        replace(each, fatal_counts=chance.choice((None, None, None, True, False))) for each in definitions
    )
    definitions = tuple(with_calendar(chance, each) for each in definitions)
    faults = frozenset(fault for fault in FAULTS if rng.random() < 0.4)
    return System(
        definitions=definitions,
        nodes=rng.choice((1, 1, 2, 2, 3)),
        slots=rng.choice((1, 2, 3, 5, 8, 20)),
        faults=faults,
        leaps=rng.random() < 0.5 and not faults & {"cuts", "losses"},
        longest_s=rng.choice((0.5, 4.0, 15.0, 50.0)),
        every_s=rng.choice((3.0, 12.0, 40.0)),
        minutes=rng.choice((4.0, 10.0, 25.0)),
    )


def random_worker(
    rng: random.Random, name: str, earlier: Sequence[str], all_names: Sequence[str], density: float
) -> Definition:
    def often(chance: float = density) -> bool:
        return rng.random() < chance

    mode = rng.choice((Mode.SCHEDULED, Mode.SCHEDULED, Mode.TRIGGERED, Mode.TRIGGERED, Mode.CONTINUOUS))
    others = [other for other in all_names if other != name]
    breaker = rng.choice((name, "shared")) if often(0.3) else None
    return Definition(
        name=name,
        mode=mode,
        schedule=random_schedule(rng) if mode is Mode.SCHEDULED else None,
        start=rng.choice(list(Start)),
        jitter_s=rng.choice((0.0, 0.0, 3.0)),
        misfire=rng.choice((Misfire.ONE, Misfire.ONE, Misfire.SKIP, Misfire.ALL)),
        grace_s=rng.choice((0.0, 20.0, 60.0)),
        misfire_limit=rng.choice((1, 3, 100)),
        pause_s=rng.choice((0.0, 1.0, 10.0)),
        priority=rng.choice(list(Priority)),
        timeout_s=rng.choice((None, 5.0, 20.0, 60.0)),
        start_within_s=rng.choice((5.0, 60.0)) if often(0.15) else None,
        deadline_s=rng.choice((20.0, 200.0)) if often(0.15) else None,
        concurrency=1 if mode is Mode.CONTINUOUS else rng.choice((1, 1, 2, 3, None)),
        patience_s=rng.choice((0.0, 5.0, 30.0)),
        retry=RetryPolicy(
            max_retries=rng.choice((0, 1, 3)), first_s=rng.choice((0.5, 2.0)), cap_s=rng.choice((5.0, 60.0))
        ),
        breaker=breaker,
        breaker_policy=BreakerPolicy(failures=2, cooldown_s=10.0, max_cooldown_s=30.0) if breaker else None,
        fallback=breaker is not None and often(0.3),
        max_consecutive_failures=rng.choice((None, 1, 2, 5)),
        probation_s=rng.choice((None, 20.0, 90.0)),
        depends_on=tuple(random_edge(rng, other) for other in earlier if often()),
        after=tuple(other for other in earlier if often(density / 2)),
        blocks=tuple(other for other in others if often()) + (("tag:t",) if often(density / 2) else ()),
        tags=("t",) if often() or name == "a" else (),
        uses={resource: rng.randint(1, size) for resource, size in RESOURCES.items() if often(density / 1.5)},
        rate=rng.choice((Rate(1, 4.0), Rate(3, 10.0), Rate(10, 60.0))) if often(0.2) else None,
        at_most_once=often(0.1),
        executor=rng.choice(("coroutine", "coroutine", "thread")),
    )


def random_schedule(rng: random.Random) -> Every | Cron:
    if rng.random() < 0.7:
        return Every(rng.choice((2.5, 5.0, 10.0, 10.0, 30.0, 60.0, 60.0)))
    return Cron(rng.choice(("* * * * *", "*/10 * * * * *", "*/2 * * * *", "7,37 * * * * *")))


START = datetime(2026, 3, 1, tzinfo=UTC)  # where the simulator begins
KINDS: tuple[Schedule, ...] = (
    Anchored(20.0, datetime(2026, 1, 1, tzinfo=UTC)),
    Anchored(86_400.0, datetime(2026, 1, 1, 0, 3, tzinfo=UTC), 1, "Europe/Berlin"),
    CalendarEvent("*:*:0/15"),
    CalendarEvent("Sun,Mon *:0/2"),
    Several((Cron("*/2 * * * *"), Cron("*/3 * * * *"))),
    Within(Cron("*/20 * * * * *"), DayFilter(except_dates=(date(2026, 1, 2),), hours=(0, 600))),
)


def with_calendar(rng: random.Random, definition: Definition) -> Definition:
    """Now and then a scheduled worker has a schedule of another kind, or one that ends (M4)."""
    if definition.mode is not Mode.SCHEDULED or rng.random() < 0.6:
        return definition
    schedule = rng.choice(KINDS) if rng.random() < 0.7 else definition.schedule
    until = START + timedelta(seconds=rng.choice((30, 200, 600))) if rng.random() < 0.3 else None
    return replace(
        definition, schedule=schedule, until=until, times=rng.choice((1, 3, 10)) if rng.random() < 0.3 else None
    )


def random_edge(rng: random.Random, upstream: str) -> Upstream:
    return Upstream(
        upstream,
        fresh=rng.random() < 0.2,
        max_age_s=rng.choice((5.0, 60.0)) if rng.random() < 0.15 else None,
        on_failure=rng.choice((OnFailure.WAIT, OnFailure.WAIT, OnFailure.SKIP, OnFailure.RUN)),
    )


# ── playing it ───────────────────────────────────────────────────────────────────────────────────────────────────


class RandomBodies:
    """A model: bodies of any length and end, until `is_healed`."""

    def __init__(self, system: System, rng: random.Random) -> None:
        self._system = system
        self._rng = rng
        self.is_healed = False

    def plan(self, launch: Launch) -> Plan:
        rng = self._rng
        if self.is_healed:
            return Plan(rng.uniform(0.2, 1.0))
        duration_s: float | None = rng.choice((0.2, rng.uniform(0.2, 2.0), rng.uniform(0.2, self._system.longest_s)))
        stops_after_s = rng.choice((0.0, 0.0, rng.uniform(0.0, 3.0), None))
        outcome: Any = SUCCESS
        if "failures" in self._system.faults and rng.random() < 0.4:
            retry_after_s = rng.uniform(0.0, 20.0) if rng.random() < 0.2 else None
            outcome = failed(fatal=rng.random() < 0.2, retry_after_s=retry_after_s)
            if rng.random() < 0.3:
                outcome = crashed()
        if "hangs" in self._system.faults and rng.random() < 0.08:
            duration_s = None
        return Plan(duration_s, outcome, stops_after_s)


@dataclass
class Play:
    """A system while it is played, and what was seen."""

    seed: int
    system: System
    sim: Simulator
    bodies: RandomBodies
    rng: random.Random
    partitions_held: float | None = None
    accepted: set[int] = field(default_factory=set)  # runs whose trigger was answered
    log: list[str] = field(default_factory=list)
    spoils: float = 0.0
    chance_of_spoiling: random.Random = field(default_factory=random.Random)  # its own: the rest stays what it was
    freezes: float = 0.0
    chance_of_freezing: random.Random = field(default_factory=random.Random)  # likewise
    restarts: float = 0.0
    chance_of_restarts: random.Random = field(default_factory=random.Random)  # likewise
    fan_outs: float = 0.0
    chance_of_fan_outs: random.Random = field(default_factory=random.Random)  # likewise
    chance_of_pauses: random.Random = field(default_factory=random.Random)
    deployed: list[list[Definition]] = field(default_factory=list)

    @property
    def violations(self) -> list[Violation]:
        return self.sim.history.violations

    def refused(self, error: BaseException) -> None:
        """K5: a worker that is only triggered accepts, unless a person has disabled it."""
        if isinstance(error, WorkerDisabled):
            state = next(each for name, each in self.sim.history.workers.items() if f"worker {name!r} " in str(error))
            self.marks["refused"] += 1
            if state.disabled is not None and state.disabled.automatic and state.definition.mode is Mode.TRIGGERED:
                self.sim.history.violate("K5", f"a trigger was refused: {error}")

    @property
    def marks(self) -> Counter[str]:
        return self.sim.history.marks


def play(
    seed: int,
    *,
    system: System | None = None,
    partitions_held: float | None = None,
    spoils: float = 0.0,
    freezes: float = 0.0,
    restarts: float = 0.0,
    fan_outs: float = 0.0,
) -> Play:
    """Run one system: a time with faults, then one without, at whose end nothing may be left over.

    With *partitions_held* as on a store that many use at once: each partition is somebody else's with that probability.
    With *spoils* the row of a waiting run becomes one that nobody can read, with that probability after each happening
    (W8); with *freezes* a body freezes its node likewise (C4); with *restarts* there are deploys, and old code starts
    again (M7); with *fan_outs* somebody triggers many at once (O6).
    """
    rng = random.Random(seed)
    system = system or random_system(rng)
    bodies = RandomBodies(system, rng)
    sim = Simulator(
        seed=rng.getrandbits(32),
        model=bodies,
        leaps=system.leaps,
        notification_s=rng.choice((0.0, 0.02)),
        notifications_lost=0.1 if "notifications" in system.faults else 0.0,
        partitions_held=partitions_held,
    )
    played = Play(seed, system, sim, bodies, rng, partitions_held, spoils=spoils, freezes=freezes, restarts=restarts)
    played.chance_of_spoiling, played.chance_of_freezing = random.Random(seed), random.Random(seed)
    played.chance_of_restarts, played.chance_of_fan_outs = random.Random(seed), random.Random(seed)
    played.fan_outs = fan_outs
    played.chance_of_pauses = random.Random(seed)  # its own: the rest stays what it was
    watch = LivenessWatch(sim)
    for _ in range(system.nodes):
        add_node(played, system.definitions)
    watch.start(first_s=rng.uniform(5.0, 60.0))
    _run(played, system.minutes * MINUTE, max_steps=600)
    if not played.violations:
        _heal(played)
        _run(played, 5 * MINUTE, max_steps=500)
    if not played.violations:
        watch.look_at_the_end(played.accepted)
    return played


def add_node(played: Play, definitions: Sequence[Definition], *, only: Sequence[str] | None = None) -> SimNode:
    limit_s = FREEZE_LIMIT_S if played.freezes else 0.0
    return played.sim.add_node(
        definitions, resources=RESOURCES, slots=played.system.slots, only=only, freeze_limit_s=limit_s
    )


def _run(played: Play, seconds: float, *, max_steps: int) -> None:
    sim, rng = played.sim, played.rng
    until_s, last_step = sim.clock.monotonic_s() + seconds, sim.steps + max_steps
    while not played.violations and sim.steps < last_step:
        left_s = until_s - sim.clock.monotonic_s()
        if left_s <= 1e-6:
            return
        sim.run_for(min(left_s, rng.expovariate(1 / played.system.every_s)), max_steps=last_step - sim.steps)
        if not played.bodies.is_healed:
            _happen(played)
            _spoil(played)
            _freeze(played)
            _restart(played)
            _fan_out(played)


def _freeze(played: Play) -> None:
    """A body freezes its node; some of these are killed meanwhile, some stopped."""
    rng, sim = played.chance_of_freezing, played.sim
    busy = [node for node in sim.up if len(node.running)]
    if not busy or rng.random() >= played.freezes:
        return
    node, seconds = rng.choice(busy), rng.choice((20.0, 50.0, 80.0, 150.0, 400.0))
    _note(played, f"freeze {node.id} for {seconds} s")
    sim.freeze(node, seconds)
    end = rng.choice((None, None, "killed", "stopped"))
    if end is not None:
        after_s = rng.uniform(0.0, seconds)
        _note(played, f"it will be {end} after {after_s:.1f} s")
        sim.after(after_s, lambda: node.state is State.PAUSED and _end_frozen(played, node, end))


def _restart(played: Play) -> None:
    """New code is deployed, code of an earlier deploy starts again, and a node of any code is killed or stopped."""
    rng, sim = played.chance_of_restarts, played.sim
    if rng.random() >= played.restarts:
        return
    if sim.up and rng.random() < 0.6:
        node = rng.choice(sim.up)
        _note(played, f"{node.id} ends, {len(node.definitions)} workers")
        if rng.random() < 0.5:
            sim.crash(node, kernel_tells=rng.random() < 0.5)
        else:
            sim.stop(node)
    if len(sim.up) > 3:
        return
    definitions = list(played.system.definitions)
    if not played.deployed or rng.random() < 0.4:
        index = rng.randrange(len(definitions))
        names = [definition.name for definition in definitions]
        definitions[index] = random_worker(rng, names[index], names[:index], names, 0.3)
        played.deployed.append(definitions)
    else:
        definitions = rng.choice([*played.deployed, definitions])
    _note(played, f"starts {definitions}")
    with_suppressed(lambda: add_node(played, definitions))


def _end_frozen(played: Play, node: SimNode, end: str) -> None:
    if end == "killed":
        played.sim.crash(node)
        played.sim.after(5.0, lambda: _come_back(played))
    else:
        played.sim.stop_frozen(node)


def _spoil(played: Play) -> None:
    waiting = sorted(run.id for run in played.sim.history.pending() if run.id not in played.sim.history.sealed)
    if waiting and played.spoils and played.chance_of_spoiling.random() < played.spoils:
        run_id = played.chance_of_spoiling.choice(waiting)
        _note(played, f"the row of run {run_id} is spoiled")
        played.sim.spoil(run_id)


def _heal(played: Play) -> None:
    """No more faults: everybody is back, whatever hung has ended, every worker is enabled and succeeds."""
    sim = played.sim
    played.bodies.is_healed = True
    sim.notifications_lost = 0.0
    sim.on_commit = lambda told: None
    if sim.history.sealed:
        places = tuple(("run", str(run_id)) for run_id in sim.history.sealed)
        sim.ask(partial(mutation.set_aside, places, clock=sim.clock, by="test", note=""))
    for node in sim.nodes:
        node.session.is_cut, node.session.loss = False, None
        sim.resume(node)
        for executor in node.executors.values():
            for attempt in executor.hung():
                executor.end(attempt, SUCCESS)
    if not sim.up:
        add_node(played, _newest(played))
    for node in sim.up:
        sim.ask_at(node, lambda answer, node=node: shed(node.id, Shed.NOTHING, ""))
    for name in sim.history.workers:
        sim.ask(partial(mutation.enable, name, by="test"))
        sim.ask(partial(mutation.resume, name, by="test"))
        if sim.history.workers[name].definition.mode is Mode.TRIGGERED:
            _trigger(played, name, plain=True)


def _newest(played: Play) -> list[Definition]:
    return [state.definition for state in played.sim.history.workers.values()]


# ── what happens to it ───────────────────────────────────────────────────────────────────────────────────────────


def _happen(played: Play) -> None:
    rng, faults = played.rng, played.system.faults
    wanted: list[Callable[[Play], None]] = [_trigger_some, _trigger_some]
    wanted += [happening for fault, happening in HAPPENINGS if fault in faults]
    rng.choice(wanted)(played)


def _trigger_some(played: Play) -> None:
    for _ in range(played.rng.choice((1, 1, 2, 5))):
        _trigger(played, played.rng.choice(sorted(played.sim.history.workers)))


def _trigger(played: Play, name: str, *, plain: bool = False) -> None:
    rng, sim = played.rng, played.sim
    request = Request(name)
    if not plain:
        request = Request(
            name,
            payload=rng.choice((None, b'{"n":1}')),
            digest=None,
            key=rng.choice((None, None, "k1", "k2")),
            delay_s=rng.choice((0.0, 0.0, 0.0, rng.uniform(0.0, 60.0))),
            priority=rng.choice((None, None, *Priority)),
            force=rng.random() < 0.2,
        )
        request = replace(request, digest="d" if request.payload else None)
    played.log.append(f"{sim.clock.now():%H:%M:%S.%f} trigger {request}")
    node = rng.choice(sim.up) if sim.up and rng.random() < 0.7 else None
    if node is not None:
        sim.ask_at(node, lambda answer: mutation.trigger(request, _Noted(played, answer)))
        return
    try:
        played.accepted.add(sim.ask(partial(mutation.trigger, request)).id)
    except CallerError as error:
        played.refused(error)


def _fan_out(played: Play) -> None:
    """Many triggers in one call, under a name of its own; in some of them one is refused."""
    rng, sim = played.chance_of_fan_outs, played.sim
    if rng.random() >= played.fan_outs:
        return
    by = f"fan-out {len(sim.history.fan_outs) + 1}"
    names = sorted(sim.history.workers)
    requests = [
        Request(
            rng.choice(names),
            by=by,
            key=rng.choice((None, None, by)),
            delay_s=rng.choice((0.0, 0.0, rng.uniform(0.0, 60.0))),
            force=rng.random() < 0.8,
        )
        for _ in range(rng.randint(2, 6))
    ]
    is_wrong = rng.random() < 0.3
    if is_wrong:
        requests.insert(rng.randint(0, len(requests)), Request("nobody", by=by))
    keyed = {request.worker for request in requests if request.key}
    unkeyed = sum(request.key is None for request in requests)
    sim.history.fan_outs[by] = 0 if is_wrong else unkeyed + len(keyed)
    _note(played, f"{by}: {requests}")
    node = rng.choice(sim.up) if sim.up and rng.random() < 0.7 else None
    if node is not None:
        sim.ask_at(node, lambda answer: mutation.trigger_many(requests, _NotedMany(played, requests, answer)))
        return
    with_suppressed(
        lambda: sim.ask(lambda answer: mutation.trigger_many(requests, _NotedMany(played, requests, answer)))
    )


class _NotedMany:
    """The answer to a fan-out, which is compared with what was asked for."""

    loop = None

    def __init__(self, played: Play, requests: Sequence[Request], answer: Any) -> None:
        self._played = played
        self._requests = requests
        self._answer = answer

    def resolve(self, value: Any) -> None:
        """O6: the runs in the order of the triggers, each of its own worker and key."""
        played, asked = self._played, [(request.worker, request.key) for request in self._requests]
        played.marks["fan-out"] += 1
        played.accepted.update(run.id for run in value)
        if [(run.worker, run.key) for run in value] != asked:
            played.sim.history.violate("O6", f"the answer to {asked} is {[(run.worker, run.key) for run in value]}")
        if any(run.id not in played.sim.history.runs for run in value):
            played.sim.history.violate("O6", f"the answer to {asked} has runs that are not stored")
        self._answer.resolve(value)

    def reject(self, error: BaseException) -> None:
        self._played.marks["fan-out refused"] += isinstance(error, TriggersRefused)
        self._answer.reject(error)


class _Noted:
    """An answer that remembers which runs were accepted."""

    loop = None

    def __init__(self, played: Play, answer: Any) -> None:
        self._played = played
        self._answer = answer

    def resolve(self, value: Any) -> None:
        self._played.accepted.add(value.id)
        self._answer.resolve(value)

    def reject(self, error: BaseException) -> None:
        self._played.refused(error)
        self._answer.reject(error)


def with_suppressed(act: Callable[[], object]) -> None:
    """What a rule refuses is no mistake."""
    with contextlib.suppress(CallerError):
        act()


def _note(played: Play, what: str) -> None:
    played.log.append(f"{played.sim.clock.now():%H:%M:%S.%f} {what}")


def _crash(played: Play) -> None:
    sim, rng = played.sim, played.rng
    if sim.up:
        node = rng.choice(sim.up)
        tells = rng.random() < 0.5
        _note(played, f"crash {node.id}, kernel tells: {tells}")
        sim.crash(node, kernel_tells=tells)
        sim.after(rng.uniform(0.0, 60.0), lambda: _come_back(played))


def _come_back(played: Play) -> None:
    if len(played.sim.up) < played.system.nodes:
        add_node(played, _newest(played))


def _pause(played: Play) -> None:
    if played.sim.up:
        node, seconds = played.rng.choice(played.sim.up), played.rng.choice((0.5, 5.0, 29.0, 40.0, 100.0))
        _note(played, f"pause {node.id} for {seconds} s")
        if played.rng.random() < 0.5:
            played.sim.pause(node, seconds)
        else:  # between its next commit and what that decided

            def pause_then(told: Any) -> None:
                if told.by == node.id and node.state is State.UP:
                    played.sim.on_commit = lambda told: None
                    played.sim.pause(node, seconds)

            played.sim.on_commit = pause_then


def _cut(played: Play) -> None:
    if played.sim.up:
        node, seconds = played.rng.choice(played.sim.up), played.rng.choice((1.0, 12.0, 45.0, 90.0))
        _note(played, f"cut {node.id} for {seconds} s")
        played.sim.cut(node, seconds)


def _lose(played: Play) -> None:
    if played.sim.up:
        node, loss = played.rng.choice(played.sim.up), played.rng.choice(list(Loss))
        _note(played, f"{node.id} loses {loss}")
        node.session.loss = loss


def _set_clock(played: Play) -> None:
    step_s = played.rng.choice((-3600.0, -90.0, -5.0, 5.0, 90.0, 3600.0))
    _note(played, f"the clock is set by {step_s} s")
    played.sim.step_wall(step_s)


def _interfere(played: Play) -> None:
    sim, rng = played.sim, played.rng
    name = rng.choice(sorted(sim.history.workers))
    unfinished = sorted(run_id for runs in sim.history.unfinished.values() for run_id in runs)
    dead = sorted(run.id for run in sim.history.runs.values() if run.status is Status.DEAD)
    acts: list[tuple[str, Any]] = [
        (f"disable {name}", partial(mutation.disable, name, by="test", reason="")),
        (f"enable {name}", partial(mutation.enable, name, by="test")),
        (f"enable {name}", partial(mutation.enable, name, by="test")),
    ]
    chance = played.chance_of_pauses
    if chance.random() < 0.15:
        for_s = chance.choice((None, 5.0, 60.0))
        end = {"for_s": for_s, "until": None}
        if for_s is None and chance.random() < 0.7:
            end["until"] = sim.clock.now() + timedelta(seconds=30)
        acts = [(f"pause {name} {end}", partial(mutation.pause, name, by="test", reason="", **end))]
    elif chance.random() < 0.1:
        acts = [(f"resume {name}", partial(mutation.resume, name, by="test"))]
    if unfinished:
        run_id = rng.choice(unfinished)
        acts += [(f"cancel {run_id}", partial(mutation.cancel, run_id, by="test", reason=""))] * 2
    if dead:
        run_id = rng.choice(dead)
        acts.append((f"replay {run_id}", partial(mutation.replay, run_id, by="test", delay_s=rng.choice((0.0, 5.0)))))
    said, make = rng.choice(acts)
    _note(played, said)
    if sim.up and rng.random() < 0.5:
        sim.ask_at(rng.choice(sim.up), make)
    else:
        with_suppressed(lambda: sim.ask(make))


def _shed(played: Play) -> None:
    if played.sim.up:
        node, level = played.rng.choice(played.sim.up), played.rng.choice(list(Shed))
        _note(played, f"{node.id} sheds {level}")
        node.put(shed(node.id, level, "simulated"))


def _deploy(played: Play) -> None:
    """A node with one worker declared anew, or one that runs only some."""
    rng, newest = played.rng, _newest(played)
    if len(played.sim.up) > 4:
        return
    if rng.random() < 0.3:
        _note(played, "a node that runs half of the workers")
        add_node(played, newest, only=[d.name for d in newest[::2]])
        return
    index = rng.randrange(len(newest))
    names = [definition.name for definition in newest]
    newest[index] = random_worker(rng, names[index], names[:index], names, 0.3)
    _note(played, f"declares {newest[index]}")
    with_suppressed(lambda: add_node(played, newest))


def _stop(played: Play) -> None:
    sim, rng = played.sim, played.rng
    if sim.up:
        node, owns = rng.choice(sim.up), rng.random() < 0.8
        _note(played, f"stop {node.id}, owning its process: {owns}")
        sim.stop(node, timeout_s=rng.choice((1.0, 8.0, 25.0)), owns_process=owns)
        if rng.random() < 0.2:
            sim.after(rng.uniform(0.0, 5.0), lambda: node.state is State.UP and sim.stop(node, timeout_s=25.0))
        sim.after(rng.uniform(0.0, 30.0), lambda: _come_back(played))


HAPPENINGS: tuple[tuple[str, Callable[[Play], None]], ...] = (
    ("crashes", _crash),
    ("pauses", _pause),
    ("cuts", _cut),
    ("losses", _lose),
    ("clock", _set_clock),
    ("people", _interfere),
    ("people", _shed),
    ("deploys", _deploy),
    ("stops", _stop),
)


def report(played: Play, *, log: int = 60) -> str:
    """What somebody needs who looks at a seed that failed."""
    lines = [f"seed {played.seed}: {len(played.violations)} violations", str(played.system), "", *played.log[-log:], ""]
    lines += [str(violation) for violation in played.violations[:10]]
    held = "" if played.partitions_held is None else f":{played.partitions_held:g}"
    lines.append(f"reproduce: .venv/bin/python tests/properties/systems.py {played.seed}{held}")
    return "\n".join(lines)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        seed, _, held = argument.partition(":")
        print(report(play(int(seed), partitions_held=float(held) if held else None)))
