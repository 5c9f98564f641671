"""A store that is put back to an earlier state, under living nodes and with all of them down (C9, M7)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest

from shiftboss.core import lives
from shiftboss.core.control import Request
from shiftboss.core.schedule import Every
from shiftboss.core.worker import Definition, Mode
from shiftboss.engine import mutation
from shiftboss.engine.running import RunningAttempts
from shiftboss.errors import UnknownWorker
from shiftboss.stores.memory import store
from shiftboss.testing.bodies import Plan
from shiftboss.testing.node import SimNode
from shiftboss.testing.simulator import Simulator

TICK = Definition("tick", mode=Mode.SCHEDULED, schedule=Every(10.0), concurrency=1)
JOB = Definition("job", cancel_grace_s=2.0)
LATE = Definition("late", uses={"gate": 1})


class Takes:
    """Bodies of a job take 40 s, and tidy up for one when they are told to stop."""

    def plan(self, launch):
        return Plan(40.0 if launch.run.worker == "job" else 0.1, stops_after_s=1.0)


def play(*, all_down: bool, seed: int = 0, set_clock_s: float = 0.0) -> Simulator:
    sim = Simulator(seed=seed, model=Takes(), leaps=False)
    nodes = [sim.add_node([TICK, JOB]), sim.add_node([TICK, JOB], only=["tick"])]  # one node has all the jobs

    def trigger(worker: str) -> None:
        with suppress(UnknownWorker):  # what nobody declares again: the oracle is the one to say so
            sim.ask(partial(mutation.trigger, Request(worker=worker)))

    trigger("job")
    sim.run_for(25)
    trigger("job")
    backup = sim.keep()
    nodes.append(sim.add_node([TICK, JOB, LATE], resources={"gate": 2}, only=["late"]))
    for _ in range(30):
        trigger("job")
        trigger("late")
        sim.run_for(1)
    if all_down:
        for node in nodes:
            sim.crash(node)
        sim.run_for(60)
    if set_clock_s:
        sim.step_wall(set_clock_s)
    sim.put_back(backup)
    if all_down:
        sim.add_node([TICK, JOB, LATE], resources={"gate": 2})
    sim.run_for(30)
    for _ in range(10):
        trigger("job")
        trigger("late")
        sim.run_for(1)
    sim.run_for(120)
    return sim


@pytest.mark.parametrize("set_clock_s", [0.0, 3600.0, -3600.0])
@pytest.mark.parametrize("all_down", [False, True])
def test_nothing_is_given_twice_and_everything_is_declared(all_down: bool, set_clock_s: float):
    sim = play(all_down=all_down, set_clock_s=set_clock_s if not all_down else max(0.0, set_clock_s))

    assert sim.history.violations == []
    assert {"tick", "job", "late"} <= sim.history.workers.keys()
    assert sim.history.resources == {"gate": 2}
    assert not sim.history.running


def fences_go_on(patch: pytest.MonkeyPatch) -> None:
    real = lives.next_life
    patch.setattr(
        store,
        "next_life",
        lambda stored, seen, now, **known: real(stored, seen, now, **known)._replace(
            number=stored.number + 1, stamp=stored.stamp + 1
        ),
    )


def ids_go_on(patch: pytest.MonkeyPatch) -> None:
    real = lives.next_life
    patch.setattr(
        store,
        "next_life",
        lambda stored, seen, now, **known: real(stored, seen, now, **known)._replace(run_id=stored.run_id),
    )


def nobody_declares_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SimNode, "_owes_declaration", False)


def what_waits_is_started(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RunningAttempts, "_orphan", lambda self, launch: None)


@pytest.mark.parametrize(
    ("plant", "rule", "all_down"),
    [
        (fences_go_on, "C9", True),
        (fences_go_on, "C9", False),
        (ids_go_on, "C9", True),
        (ids_go_on, "C9", False),
        (nobody_declares_again, "M7", False),
        (what_waits_is_started, "B7", False),
    ],
)
def test_a_planted_mistake_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], rule: str, all_down: bool, monkeypatch: pytest.MonkeyPatch
):
    plant(monkeypatch)

    assert rule in {violation.rule for violation in play(all_down=all_down).history.violations}
