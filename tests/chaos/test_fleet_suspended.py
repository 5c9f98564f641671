"""A node is stopped (SIGSTOP) for longer than its lease and goes on: its runs belong to others by then (B7, C3 to C5).

How long the bodies of the resumed node went on, from SIGCONT to their last line, is printed (-s): the moment of B7.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from nodes import Nodes, a_fleet, boot_time, events, finished, lines_of, nodes_that_began, until

from postgres_server import Place
from shiftboss import Orchestrator, Status
from shiftboss.core.events import RunRescued, StaleReport
from shiftboss.core.model import Cause, Run

pytestmark = pytest.mark.chaos
LEASE_S = 4


def suspend_and_resume(folder: Path, place: Place, kinds: tuple[str, ...]) -> dict[str, float]:
    """Stop the node that runs one of each kind until others do, let it go on; how long its bodies went on, in ms.

    What must be true afterwards is asserted here: the run is the other's, and everything has moved once.
    """
    with a_fleet(folder, place, "suspended", LEASE=LEASE_S) as fleet:
        (victim,) = fleet.start_ready(1)
        boss = Orchestrator(place.url)
        with boss.sync as sync:
            runs = {kind: sync.trigger(kind).id for kind in kinds}
            for run in runs.values():
                until(lambda run=run: nodes_that_began(fleet, run) == {1}, "it has begun")  # type: ignore[misc]
            fleet.start_ready(2)
            blocked = {kind: sync.trigger(f"beside-{kind}").id for kind in kinds}
            stopped_at = boot_time()
            victim.stop()
            for run in runs.values():
                until(lambda run=run: len(nodes_that_began(fleet, run)) == 2, "another began it")  # type: ignore[misc]
            taken_s = boot_time() - stopped_at
            resumed_at = boot_time()
            victim.go_on()
            for run in runs.values():
                told = f"run {run} got a late report"
                until(lambda told=told: told in victim.said, "its report was refused")  # type: ignore[misc]
            Path(f"{fleet.ledger}.release").touch()
            for run in (*runs.values(), *blocked.values()):
                sync.wait_for(run, timeout=60)
            status = sync.status()
            history, said = finished(boss), events(boss)
        codes = fleet.end()
        went_on = {kind: last_word(fleet, run) - resumed_at for kind, run in runs.items()}
    shown = {kind: f"{1000 * seconds:.1f} ms" for kind, seconds in went_on.items()}
    print(f"\ntaken over after {taken_s:.1f} s; after SIGCONT the bodies went on for {shown}")

    rescued = Counter(event.run for event in said if isinstance(event, RunRescued))
    refused = Counter(event.run for event in said if isinstance(event, StaleReport))
    assert rescued == dict.fromkeys(runs.values(), 1)
    assert refused == dict.fromkeys(runs.values(), 1)
    for kind, run in runs.items():
        done, beside = history[run], history[blocked[kind]]
        assert (done.status, done.attempt, done.interruptions) == (Status.SUCCEEDED, 1, 1)
        assert [(attempt.number, attempt.cause) for attempt in done.attempts] == [(1, Cause.RESCUED), (1, None)]
        assert (beside.status, beside.attempt, beside.interruptions) == (Status.SUCCEEDED, 1, 0)
        assert not run_beside_each_other(done, beside)  # it may have been quicker when the block was let go
        assert (status.worker(kind).consecutive_failures, status.worker(kind).dead_letters) == (0, 0)
    assert len([node for node in status.nodes if node.live]) == 3
    assert codes == [0, 0, 0]
    return {kind: 1000 * seconds for kind, seconds in went_on.items()}


def run_beside_each_other(one: Run, other: Run) -> bool:
    a, b = one.attempts[-1], other.attempts[-1]
    return a.started_at < b.ended_at and b.started_at < a.ended_at


def last_word(fleet: Nodes, run: int) -> float:
    """When the body on the stopped node was heard for the last time."""
    return max(at for at, what in lines_of(fleet, 1, run) if what == "tick")


def test_the_runs_of_a_node_that_was_suspended_belong_to_others_and_its_report_changes_nothing(
    tmp_path: Path, place: Place
):
    """B7, C3, C5"""
    suspend_and_resume(tmp_path, place, ("loop",))


@pytest.mark.parametrize("number", range(3))
def test_a_suspended_node_tells_its_bodies_of_every_kind_to_stop(tmp_path: Path, place: Place, number: int):
    """B7, C3, C5: a coroutine, a thread, a child; only the node itself is stopped, as a debugger would."""
    suspend_and_resume(tmp_path, place, ("loop", "thread", "child"))


def test_a_child_of_a_suspended_node_has_ended_before_its_run_begins_elsewhere(tmp_path: Path, place: Place):
    with a_fleet(tmp_path, place, "suspended", LEASE=LEASE_S) as fleet:
        (victim,) = fleet.start_ready(1)
        with Orchestrator(place.url).sync as sync:
            run = sync.trigger("child").id
            until(lambda: nodes_that_began(fleet, run) == {1}, "it has begun")
            fleet.start_ready(2)
            victim.stop()
            until(lambda: len(nodes_that_began(fleet, run)) == 2, "another began it")
            began = min(at for node in (2, 3) for at, what in lines_of(fleet, node, run) if what == "start")
            until(lambda: max(at for at, _ in fleet_lines(fleet, run)) > began + 1, "a second has passed")
            beside = [at for at, what in lines_of(fleet, 1, run) if at > began and what == "tick"]
            victim.go_on()
            Path(f"{fleet.ledger}.release").touch()
            sync.wait_for(run, timeout=60)
        fleet.end()
    print(f"\nthe child of the still node went on for {max(beside, default=began) - began:.2f} s beside the other")

    assert beside == []


def fleet_lines(fleet: Nodes, run: int) -> list[tuple[float, str]]:
    return [line for node in (1, 2, 3) for line in lines_of(fleet, node, run)]
