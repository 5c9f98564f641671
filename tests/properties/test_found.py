"""What the random systems found, each as the shortest story that showed it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from shiftboss.core.control import Request
from shiftboss.core.model import BreakerMode, Run, Shed, Status
from shiftboss.core.policy import BreakerPolicy, Priority, Rate, RetryPolicy
from shiftboss.core.schedule import Cron, Every
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition, Misfire, Mode, OnFailure, Start, Upstream
from shiftboss.engine import mutation
from shiftboss.engine.membership import shed
from shiftboss.ports.executor import Launch
from shiftboss.testing.bodies import SUCCESS, Plan, failed
from shiftboss.testing.fault_injection import Loss
from shiftboss.testing.simulator import Simulator

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NO_RETRY = RetryPolicy(max_retries=0)
HOUR_S = 3600.0


class Plans:
    """A model: a plan for each worker, a second of work for the others."""

    def __init__(self, **plans: Plan) -> None:
        self.plans = plans

    def plan(self, launch: Launch) -> Plan:
        return self.plans.get(launch.run.worker, Plan(1.0))


def scheduled(name: str, schedule: Every | Cron, **options: Any) -> Definition:
    return Definition(name, mode=Mode.SCHEDULED, schedule=schedule, **{"concurrency": 1, **options})


def continuous(name: str, **options: Any) -> Definition:
    return Definition(name, mode=Mode.CONTINUOUS, concurrency=1, **options)


def simulate(*definitions: Definition, slots: int = 10, nodes: int = 1, leaps: bool = True, **plans: Plan) -> Simulator:
    sim = Simulator(NOON, model=Plans(**plans), leaps=leaps)
    for _ in range(nodes):
        sim.add_node(definitions, slots=slots)
    return sim


def trigger(sim: Simulator, worker: str, **options: Any) -> int:
    run: Run = sim.ask(partial(mutation.trigger, Request(worker, **options)))
    return run.id


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def started(sim: Simulator, worker: str) -> list[datetime]:
    return [start.claim.at for start in sim.history.starts if start.run.worker == worker]


def statuses(sim: Simulator, *runs: int) -> Sequence[Status]:
    return [sim.history.runs[run].status for run in runs]


# ── who goes first ───────────────────────────────────────────────────────────────────────────────────────────────


def test_forced_runs_have_their_priorities_as_well():
    """P2"""
    sim = simulate(Definition("a"), slots=1)
    sim.ask(partial(mutation.disable, "a", by="test", reason=""))
    ids = [trigger(sim, "a", force=True, priority=p) for p in (Priority.NORMAL, Priority.LOW, Priority.CRITICAL)]
    sim.run_for(10)

    assert [start.run.id for start in sim.history.starts] == [ids[2], ids[0], ids[1]]


def test_a_worker_is_not_starved_by_a_blocker_that_only_other_nodes_run():
    """B4: the node that runs the blocker on and on leaves a gap for a run that it cannot start itself."""
    a, b = continuous("a"), Definition("b", blocks=("a",), patience_s=5.0)
    sim = Simulator(NOON, model=Plans())
    sim.add_node([a, b], only=["a"])
    sim.add_node([a, b], only=["b"])
    sim.run_for(3)
    run = trigger(sim, "b")
    sim.run_for(10)

    assert statuses(sim, run) == [Status.SUCCEEDED]


# ── looking again ────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_held_back_starts_when_the_node_is_well_again():
    """H4"""
    sim = simulate(Definition("a", priority=Priority.LOW))
    (node,) = sim.nodes
    node.put(shed(node.id, Shed.LOW, "memory"))
    run = trigger(sim, "a")
    sim.run_for(60)

    assert statuses(sim, run) == [Status.PENDING]

    node.put(shed(node.id, Shed.NOTHING, ""))
    sim.run_for(2)

    assert statuses(sim, run) == [Status.SUCCEEDED]


def test_a_run_that_is_dropped_as_too_late_holds_nobody():
    """O2: b waited for a, which was about to start and was skipped instead."""
    every = Every(30.0)
    sim = simulate(
        scheduled("a", every, misfire=Misfire.SKIP, grace_s=1.0, blocks=("b",), priority=Priority.HIGH),
        scheduled("b", every),
    )
    sim.pause(sim.nodes[0], 50.0)
    sim.run_for(52)

    assert started(sim, "b") == [at(50)]


def test_without_any_grace_what_is_on_time_starts_and_what_is_late_does_not():
    """O2: a second is on time, by a node that was up and with nothing in the way."""
    sim = simulate(scheduled("a", Every(30.0), misfire=Misfire.SKIP, grace_s=0.0))
    sim.run_for(35)
    sim.pause(sim.nodes[0], 50.0)  # the instant at 60 passes
    sim.run_for(90)

    assert started(sim, "a") == [at(30), at(90), at(120)]


def test_a_run_that_is_skipped_for_its_upstream_holds_nobody():
    """D5: b waited for what a owed."""
    sim = simulate(
        Definition("up", retry=NO_RETRY),
        scheduled("a", Every(60.0), depends_on=(Upstream("up", on_failure=OnFailure.SKIP),)),
        scheduled("b", Every(60.0), depends_on=(Upstream("a", on_failure=OnFailure.RUN),)),
        up=Plan(1.0, failed()),
    )
    trigger(sim, "up")
    sim.run_for(65)

    assert started(sim, "a") == []
    assert started(sim, "b") == [at(60)]


def test_a_run_starts_when_the_relation_that_held_it_is_declared_away():
    """M7: also on the nodes that knew it"""
    a, b = Definition("a", timeout_s=None, blocks=("b",)), Definition("b")
    sim = simulate(a, b, a=Plan(HOUR_S))
    trigger(sim, "a")
    run = trigger(sim, "b")
    sim.run_for(5)
    assert statuses(sim, run) == [Status.PENDING]

    sim.add_node([replace(a, blocks=()), b], only=[])
    sim.run_for(2)

    assert statuses(sim, run) == [Status.SUCCEEDED]


def test_an_occurrence_that_is_too_late_from_the_start_does_not_start():
    """T1: the successor of an expired one, under misfire="all"."""
    sim = simulate(scheduled("a", Every(10.0), misfire=Misfire.ALL, deadline_s=5.0))
    sim.pause(sim.nodes[0], 47.0)
    sim.run_for(49)

    assert started(sim, "a") == []
    assert [run.status for run in sim.history.runs.values()][:4] == [Status.DEAD] * 4


# ── claims ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_claim_whose_reply_was_lost_is_handed_back():
    """H5, W2: committed, and never started: no lease would ever end it."""
    sim = simulate(Definition("a"), leaps=False)
    sim.run_for(1)
    sim.nodes[0].session.loss = Loss.REPLY
    run = trigger(sim, "a")
    sim.run_for(5)

    assert statuses(sim, run) == [Status.SUCCEEDED]
    assert [attempt.cause for attempt in sim.views.run(run).attempts] == ["interrupted", None]


def test_a_run_that_comes_back_to_its_node_can_be_cancelled_again():
    """T4: its earlier body was told to stop, which says nothing to this one."""
    a = Definition("a", timeout_s=None)
    sim = Simulator(NOON, model=Plans(a=Plan(HOUR_S, SUCCESS, stops_after_s=20.0)), leaps=False)
    first = sim.add_node([a])
    sim.add_node([a], only=[])
    sim.run_for(60)
    run = trigger(sim, "a")
    sim.run_for(1)
    sim.pause(first, 60.0)
    sim.run_for(70)
    assert statuses(sim, run) == [Status.RUNNING]
    assert sim.history.runs[run].interruptions == 1

    sim.ask(partial(mutation.cancel, run, by="test", reason=""))
    sim.run_for(40)

    assert statuses(sim, run) == [Status.CANCELLED]


def test_a_node_runs_a_function_as_it_declares_it_itself():
    """M7: the newest declaration is of a function that has become async; the older node's is still a plain one."""
    sim = simulate(Definition("a", executor="thread"))
    sim.add_node([Definition("a", executor="coroutine")], only=[])
    run = trigger(sim, "a")
    sim.run_for(5)

    assert statuses(sim, run) == [Status.SUCCEEDED]


def test_a_continuous_worker_begins_with_its_first_declaration():
    """M5"""
    sim = simulate(continuous("a"))
    sim.run_for(10.5)

    assert len(started(sim, "a")) == 11


# ── a clock that was set back ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("somebody_looks", [True, False])
def test_a_bucket_is_not_empty_for_an_hour(somebody_looks):
    """B8, O4: also when the clock was set while no node lived."""
    a = Definition("a", rate=Rate(1, 4.0))
    sim = simulate(a)
    trigger(sim, "a")
    sim.run_for(2)
    if not somebody_looks:
        sim.crash(sim.nodes[0])
    sim.step_wall(-HOUR_S)
    if not somebody_looks:
        sim.add_node([a])
    answer = sim.ask_at(sim.up[0], partial(mutation.trigger, Request("a")))
    sim.run_for(15)

    assert statuses(sim, answer.get().id) == [Status.SUCCEEDED]


def test_a_breaker_does_not_stay_open_for_an_hour():
    """K2, O4"""
    policy = BreakerPolicy(failures=1, cooldown_s=30.0)
    sim = simulate(
        Definition("a", breaker="x", breaker_policy=policy, retry=NO_RETRY), a=Plan(1.0, failed(), stops_after_s=0.0)
    )
    trigger(sim, "a")
    sim.run_for(2)
    assert sim.history.breakers["x"].mode is BreakerMode.OPEN

    sim.step_wall(-HOUR_S)
    sim.model.plans.clear()  # type: ignore[attr-defined]  # of the Plans above
    trigger(sim, "a")
    sim.run_for(40)

    assert sim.history.breakers["x"].mode is BreakerMode.CLOSED


def test_a_continuous_worker_does_not_stand_still_for_an_hour():
    """M5, O4"""
    sim = simulate(continuous("a", pause_s=10.0, retry=RetryPolicy(cap_s=20.0)))
    sim.run_for(60)
    sim.step_wall(-HOUR_S)
    before = len(started(sim, "a"))
    sim.run_for(60)

    assert len(started(sim, "a")) - before >= 3


def test_a_schedule_that_is_declared_anew_repeats_no_instant():
    """O1, O4: else the store refuses the successor, and with it the report that brings it."""
    a = scheduled("a", Cron("* * * * *"), start=Start.NEXT)
    sim = simulate(a)
    sim.run_for(300)
    sim.step_wall(-180.0)
    sim.add_node([replace(a, schedule=Cron("*/1 * * * *"))])
    sim.run_for(600)
    instants = [start.run.occurs_at for start in sim.history.starts]

    assert len(set(instants)) == len(instants)
    assert sim.history.violations == []


def test_an_interval_whose_row_was_unreadable_while_the_clock_was_set_goes_on_when_that_is_set_aside():
    """O1, O4, A5: what ran since its last instant, whatever lies between, is no instant of the moved interval."""
    sim = simulate(scheduled("a", Every(10.0), start=Start.NEXT))
    sim.run_for(65)
    (waiting,) = sim.history.pending()
    sim.spoil(waiting.id)
    sim.run_for(240)
    sim.step_wall(-30.0)
    sim.run_for(10)
    sim.ask(partial(mutation.set_aside, (("run", str(waiting.id)),), clock=sim.clock, by="ada", note=""))
    before = len(started(sim, "a"))
    sim.run_for(60)

    assert len(started(sim, "a")) - before >= 5
    assert sim.history.violations == []
