"""C8: bodies that take their node down, beside innocent ones: a killer ends dead, an innocent one never; all end.

Rules of this file
- Each world is made by chance, of one seed.  Supervisors start nodes anew; what a body does is up to its run alone.
- Who is held by this waits a minute at most, counted from when it could have started on that node.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from shiftboss.core import isolation, settle
from shiftboss.core.control import Request
from shiftboss.core.model import Cause, Status
from shiftboss.core.policy import Priority, RetryPolicy
from shiftboss.core.worker import Definition, Mode
from shiftboss.engine import mutation
from shiftboss.ports.executor import Launch
from shiftboss.testing.bodies import Plan
from shiftboss.testing.node import SimNode, State
from shiftboss.testing.simulator import Simulator

HOURS = 2
LATER = 40  # runs that come while the killers are found out
A_MINUTE = timedelta(seconds=60.001)
KILLER, INNOCENT = "killer", "innocent"
MACHINES = {"machine": 1.0, "belt": 1.7}  # how long each iteration lasts: the node is never idle by itself
SEEDS = range(8)
SEEN_IN = {"everybody_counts_as_entered": 5, "quiet_without_end": 3}  # a mistake that shows late: played first

Plant = Callable[[pytest.MonkeyPatch], None]


class World:
    """A few nodes, some runs that take theirs down, and many that do not."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.lives_s: dict[int, float] = {}  # run → how long its body lasts
        self.sim = Simulator(seed=seed, model=self, leaps=True)
        self.kernel_tells = rng.random() < 0.8
        self.definitions = [
            self.worker(KILLER, concurrency=rng.choice((1, None))),
            self.worker(INNOCENT, priority=rng.choice(list(Priority))),
            *(self.worker(name, mode=Mode.CONTINUOUS, concurrency=1) for name in MACHINES),
        ]
        self.longest_s = rng.choice((0.5, 5.0, 40.0))
        self.kills_after_s = rng.choice((0.0, 0.0, 2.0, 20.0, 61.0, 100.0))
        self.began_at: dict[str, datetime] = {}  # node → when it began
        for _ in range(rng.choice((1, 1, 2))):
            self.begin_node()
        self.runs = [self.trigger(KILLER) for _ in range(rng.randint(1, 4))]
        self.runs += [self.trigger(INNOCENT) for _ in range(rng.randint(5, 30))]
        for number in range(LATER):
            self.sim.after(number * rng.uniform(5.0, 15.0), lambda: self.runs.append(self.trigger(INNOCENT)))

    def worker(self, name: str, **facts: Any) -> Definition:
        retry = RetryPolicy(first_s=1.0, cap_s=30.0)
        return Definition(name, **({"mode": Mode.TRIGGERED, "timeout_s": None, "retry": retry} | facts))

    def begin_node(self) -> None:
        node = self.sim.add_node(self.definitions, slots=40)
        node.fall = partial(self.fall, node)
        self.began_at[node.id] = node.node.started_at

    def fall(self, node: SimNode) -> None:
        if node.state is not State.GONE:
            self.sim.crash(node, kernel_tells=self.kernel_tells)
            self.sim.after(self.rng.uniform(0.1, 3.0), self.begin_node)

    def trigger(self, name: str) -> int:
        run_id: int = self.sim.ask(partial(mutation.trigger, Request(name))).id
        return run_id

    def plan(self, launch: Launch) -> Plan:
        run = launch.run
        if run.worker == KILLER:
            return Plan(self.kills_after_s, takes_node=True)
        if run.worker in MACHINES:
            return Plan(MACHINES[run.worker])
        return Plan(self.lives_s.setdefault(run.id, self.rng.uniform(0.1, self.longest_s)))

    def play(self) -> list[str]:
        """What went wrong."""
        history = self.sim.history
        while len(self.runs) < LATER or not all(history.runs[run_id].status.is_final for run_id in self.runs):
            if history.violations or self.sim.clock.elapsed_s() > HOURS * 3600:
                break
            self.sim.run_for(60.0)
        wrong = [str(violation) for violation in history.violations[:5]]
        for run in history.runs.values():
            if run.worker != KILLER and run.status not in (Status.SUCCEEDED, Status.RUNNING, Status.PENDING):
                wrong.append(f"innocent run {run.id} of {run.worker} is {run.status}, {run.cause}")
            if run.worker == INNOCENT and not run.status.is_final:
                wrong.append(f"innocent run {run.id} has not ended: {run.status}")
            if run.worker == KILLER and (run.status, run.cause) != (Status.DEAD, Cause.CRASH_LOOP):
                wrong.append(f"killer {run.id} is {run.status}, {run.cause}")
        for run, claim, _ in history.starts:
            waits_since = max(run.due_at, self.began_at[claim.node])
            if run.rescues < 2 and run.worker == INNOCENT and claim.at - waits_since > A_MINUTE:
                wrong.append(f"run {run.id} of {run.worker} waited {claim.at - waits_since} on {claim.node}")
        wrong += [f"{name} is disabled" for name in (INNOCENT, *MACHINES) if history.workers[name].disabled is not None]
        return wrong


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killer_ends_dead_and_an_innocent_run_never(seed: int):
    """C8, K4"""
    assert World(seed).play() == []


def everybody_counts_as_entered(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(settle, "_was_there", lambda run, entered: True)


def company_condemns(patch: pytest.MonkeyPatch) -> None:
    real = settle._rescue
    patch.setattr(settle, "_rescue", lambda draft, run, end: real(draft, run, end._replace(was_alone=True)))


def nobody_is_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(isolation.Company, "alone_at", lambda self, run: None)
    patch.setattr(isolation.Company, "way_before", lambda self, run: None)


def nobody_waits_beside_it(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(isolation.Company, "way_before", lambda self, run: None)


def quiet_without_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(isolation, "quiet_until", lambda node, now: isolation.later(now, isolation.QUIET_S))
    patch.setattr(isolation, "guards", lambda run, now: None if run.rescues < 2 else isolation.later(now, 60.0))


MISTAKES: tuple[Plant, ...] = (
    everybody_counts_as_entered,
    company_condemns,
    nobody_is_alone,
    nobody_waits_beside_it,
    quiet_without_end,
)


@pytest.mark.parametrize("plant", MISTAKES, ids=lambda plant: plant.__name__)
def test_a_planted_mistake_is_noticed(plant: Plant, monkeypatch: pytest.MonkeyPatch):
    """C8"""
    plant(monkeypatch)

    assert any(World(seed).play() for seed in (SEEN_IN.get(plant.__name__, 0), *SEEDS))
