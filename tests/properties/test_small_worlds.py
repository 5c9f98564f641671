"""Two workers, one relation, a few things that happen: what fails here is shrunk to the shortest story.

The random systems of test_systems.py see more; these are for reading.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from examples import examples
from shiftboss.core.control import Request
from shiftboss.core.model import Status
from shiftboss.core.policy import BreakerPolicy, Priority, Rate, RetryPolicy
from shiftboss.core.schedule import Every
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition, Mode, OnFailure, Upstream
from shiftboss.engine import mutation
from shiftboss.ports.executor import Launch
from shiftboss.testing.bodies import SUCCESS, Plan, failed
from shiftboss.testing.fault_injection import Loss
from shiftboss.testing.liveness import LivenessWatch
from shiftboss.testing.node import State
from shiftboss.testing.simulator import Simulator

A = Definition("a", retry=RetryPolicy(max_retries=1), probation_s=30.0, max_consecutive_failures=2)
B = Definition("b", retry=RetryPolicy(max_retries=1), patience_s=5.0)
EVERY = {"mode": Mode.SCHEDULED, "schedule": Every(10.0), "concurrency": 1}
BREAKER = {"breaker": "x", "breaker_policy": BreakerPolicy(failures=2, cooldown_s=10.0, max_cooldown_s=20.0)}

WORLDS = {
    "blocks": (A, replace(B, blocks=("a",))),
    "blocks by tag": (replace(A, tags=("t",), concurrency=2), replace(B, blocks=("tag:t",))),
    "depends_on": (A, replace(B, depends_on=(Upstream("a"),))),
    "depends_on, both every 10 s": (replace(A, **EVERY), replace(B, **EVERY, depends_on=(Upstream("a"),))),
    "depends_on, skip": (A, replace(B, **EVERY, depends_on=(Upstream("a", on_failure=OnFailure.SKIP),))),
    "depends_on, fresh": (A, replace(B, depends_on=(Upstream("a", fresh=True, on_failure=OnFailure.RUN),))),
    "after": (A, replace(B, after=("a",))),
    "uses": (replace(A, uses={"disk": 1}), replace(B, uses={"disk": 2})),
    "concurrency and rate": (replace(A, concurrency=2, rate=Rate(3, 10.0)), replace(B, concurrency=1)),
    "a shared breaker": (replace(A, **BREAKER), replace(B, **BREAKER)),
    "continuous": (replace(A, mode=Mode.CONTINUOUS, concurrency=1), replace(B, blocks=("a",))),
    "at most once": (replace(A, at_most_once=True), replace(B, depends_on=(Upstream("a"),))),
}


class Happening(NamedTuple):
    """After *wait_s* something happens: to a worker, or to a node."""

    wait_s: float
    what: str
    to: str
    takes_s: float = 0.0
    fails: bool = False


waits = st.sampled_from((0.0, 0.0, 1.0, 7.0, 31.0))
triggers = st.builds(
    Happening,
    waits,
    st.just("trigger"),
    st.sampled_from(("a", "b")),
    takes_s=st.sampled_from((0.5, 3.0, 12.0, 70.0)),
    fails=st.booleans(),
)
troubles = st.builds(
    Happening,
    waits,
    st.sampled_from(("crash", "vanish", "pause", "stop", "lose the commit", "lose the reply", "add a node")),
    st.just("node"),
    takes_s=st.sampled_from((1.0, 28.0, 45.0)),
)
stories = st.lists(st.one_of(triggers, triggers, troubles), min_size=1, max_size=12)


class Bodies:
    """A model: what the last trigger of the worker said."""

    def __init__(self) -> None:
        self.said: dict[str, Happening] = {}

    def plan(self, launch: Launch) -> Plan:
        said = self.said.get(launch.run.worker)
        if said is None:
            return Plan(1.0)
        return Plan(said.takes_s, failed() if said.fails and launch.run.attempt == 1 else SUCCESS, stops_after_s=1.0)


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS.keys())
@settings(
    max_examples=examples(6, of=40),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(nodes=st.integers(1, 2), story=stories)
def test_two_workers_keep_their_promises_whatever_happens(world, nodes, story):
    """B1, B4, B8, B9, C1, C4, C5, C7, D2, D4, D5, K2, K5, M5, M6, R1, R2, W2"""
    bodies = Bodies()
    sim = Simulator(model=bodies, leaps=False)
    watch = LivenessWatch(sim)
    watch.start()
    accepted: set[int] = set()
    for _ in range(nodes):
        sim.add_node(world, resources={"disk": 2}, slots=3)
    for happening in story:
        sim.run_for(happening.wait_s)
        happen(sim, world, bodies, happening, accepted)
    bodies.said.clear()
    sim.add_node(world, resources={"disk": 2}, slots=3)  # the others may all be gone, or about to go
    sim.run_for(300.0)
    watch.look_at_the_end(accepted)

    assert sim.history.violations == []
    assert all(sim.history.runs[run_id].status is not Status.RUNNING for run_id in accepted)


def happen(
    sim: Simulator, world: tuple[Definition, ...], bodies: Bodies, happening: Happening, accepted: set[int]
) -> None:
    match happening.what:
        case "trigger":
            bodies.said[happening.to] = happening
            request = Request(happening.to, priority=Priority.HIGH if happening.fails else None, force=True)
            accepted.add(sim.ask(partial(mutation.trigger, request)).id)
        case "add a node":
            sim.add_node(world, resources={"disk": 2}, slots=3)
        case _ if sim.up:
            node = sim.up[0]
            match happening.what:
                case "crash":
                    sim.crash(node)
                case "vanish":
                    sim.crash(node, kernel_tells=False)
                case "pause":
                    sim.pause(node, happening.takes_s)
                case "stop" if node.state is State.UP:
                    sim.stop(node, timeout_s=10.0)
                case "lose the commit":
                    node.session.loss = Loss.COMMIT
                case "lose the reply":
                    node.session.loss = Loss.REPLY
