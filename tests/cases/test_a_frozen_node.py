"""A body in C code keeps the interpreter's lock for longer than a lease: its node is silent, and lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from frozen_nodes import HOLD_S, LEASE_S, SILENT, Nodes, trigger, until

from process_table import is_alive, stop_between_writes
from shiftboss.core.events import NodeFrozen


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    found = Nodes(tmp_path, f"sqlite:///{tmp_path}/boss.db")
    yield found
    found.end()


@pytest.mark.cases
@pytest.mark.parametrize("worker", ["freezes", "freezes-on-the-loop"])
def test_a_body_that_keeps_the_lock_beyond_the_lease_runs_once_and_counts(nodes: Nodes, worker: str):
    """C2, C4: five executions and a dead letter before; a neighbour was there and looked."""
    nodes.start(2)
    result = trigger(nodes, worker, {"seconds": HOLD_S})

    assert result() == "done"
    assert [len(nodes.lines(what, worker)) for what in ("begin", "end")] == [1, 1]
    assert nodes.said().count(SILENT) == 1
    assert "rescued" not in nodes.said()


@pytest.mark.cases
def test_past_its_limit_its_runs_are_taken_from_it(nodes: Nodes):
    """C4"""
    nodes.start(2, LIMIT=LEASE_S + 2)
    trigger(nodes, "freezes", {"seconds": 30})
    until(lambda: len(nodes.lines("begin", "freezes")) == 2, "another node has begun")
    first, second = nodes.lines("begin", "freezes")
    for process in nodes.processes:
        process.kill()

    assert LEASE_S + 2 - 1 <= second.at_s - first.at_s < 30
    assert first.pid != second.pid


@pytest.mark.cases
def test_without_a_limit_its_lease_decides(nodes: Nodes):
    """C4: as for a node that nobody can see"""
    nodes.start(2, LIMIT=0)
    trigger(nodes, "freezes", {"seconds": 30})
    until(lambda: len(nodes.lines("begin", "freezes")) == 2, "another node has begun")
    for process in nodes.processes:
        process.kill()

    assert SILENT not in nodes.said()


@pytest.mark.cases
def test_a_stopped_node_is_not_waited_for(nodes: Nodes):
    """C4: nobody knows whether it ever goes on."""
    nodes.start(2)
    trigger(nodes, "stays", {})
    until(lambda: nodes.lines("begin", "stays"), "it runs")
    stop_between_writes(nodes.lines("begin", "stays")[0].pid, nodes.store)
    until(lambda: len(nodes.lines("begin", "stays")) == 2, "the other node has it")

    assert SILENT not in nodes.said()


@pytest.mark.cases
def test_a_frozen_node_that_is_killed_is_rescued_at_once(nodes: Nodes):
    """C4: the kernel lets go of its lock."""
    nodes.start(2)
    trigger(nodes, "freezes", {"seconds": 60})
    until(lambda: SILENT in nodes.said(), "its neighbour waits for it")
    os.kill(nodes.lines("begin", "freezes")[0].pid, signal.SIGKILL)
    until(lambda: len(nodes.lines("begin", "freezes")) == 2, "the other node has it")
    for process in nodes.processes:
        process.kill()


@pytest.mark.cases
def test_what_a_frozen_node_runs_in_processes_lives_on(nodes: Nodes):
    """B7: its warden sees what the neighbours see."""
    nodes.start()
    nodes.start(ONLY="nothing")
    result = trigger(nodes, "in-a-child", {"seconds": HOLD_S + 2})
    program = trigger(nodes, "program", {})
    until(lambda: nodes.lines("begin", "in-a-child"), "the child runs")
    trigger(nodes, "freezes", {"seconds": HOLD_S})

    assert result() == "done"
    program()
    assert len(nodes.lines("begin", "in-a-child")) == 1
    assert nodes.said().count(SILENT) == 1
    assert "rescued" not in nodes.said()


@pytest.mark.cases
def test_what_a_stopped_node_runs_in_processes_ends_before_others_begin_it(nodes: Nodes):
    """B7: also when it was frozen, and was stopped then; its warden looks once a second, others act 5 s later."""
    nodes.start(GRACE=5)
    trigger(nodes, "in-a-child", {"seconds": 60})
    until(lambda: nodes.lines("begin", "in-a-child"), "the child runs")
    trigger(nodes, "freezes-once", {"seconds": 60})
    (child,) = nodes.lines("begin", "in-a-child")
    nodes.start(GRACE=5)
    until(lambda: SILENT in nodes.said(), "its neighbour waits for it")
    stop_between_writes(nodes.processes[0].pid, nodes.store)
    until(lambda: len(nodes.lines("begin", "in-a-child")) == 2, "the other node has begun")
    child_lives = is_alive(child.pid)
    for process in nodes.processes:
        process.kill()

    assert not child_lives


@pytest.mark.cases
@pytest.mark.parametrize("worker", ["in-a-child", "program"])
def test_what_the_warden_of_a_stopped_node_has_ended_was_interrupted(nodes: Nodes, worker: str):
    """B7: nobody else was there to rescue its run, and it has not failed."""
    (node,) = nodes.start()
    result = trigger(nodes, worker, {} if worker == "program" else {"seconds": 10})
    until(lambda: f"shiftboss.run {worker} run 1 started" in nodes.said(), "it runs")
    until(lambda: bodies_of(node), "its process is there")
    bodies = bodies_of(node)
    stop_between_writes(node.pid, nodes.store)
    until(lambda: not any(map(is_alive, bodies)), "the warden has ended it")
    node.send_signal(signal.SIGCONT)
    result()

    assert "was interrupted" in nodes.said()
    assert "failed" not in nodes.said()


def bodies_of(node: subprocess.Popen[bytes]) -> list[int]:
    """Its processes that are no warden."""
    children = psutil.Process(node.pid).children()
    return [each.pid for each in children if "warden.py" not in " ".join(each.cmdline())]


@pytest.mark.cases
@pytest.mark.parametrize(
    ("worker", "function"), [("freezes", "freezes"), ("freezes-on-the-loop", "freezes_on_the_loop")]
)
def test_a_freeze_of_fifteen_seconds_leaves_a_trace(nodes: Nodes, worker: str, function: str):
    """C4: an event and a line with the body's name and its stack."""
    nodes.start(LEASE=30)
    trigger(nodes, "stays", {})
    until(lambda: nodes.lines("begin", "stays"), "another body runs beside it")
    result = trigger(nodes, worker, {"seconds": 15})
    result()
    until(lambda: "was frozen for" in nodes.said(), "the node says so")
    events = [event for event in nodes.events() if isinstance(event, NodeFrozen)]
    frozen = [(event.worker, event.seconds >= 12, f" in {function}\n" in event.stack) for event in events]

    assert frozen == [(worker, True, True)]
    assert f"'{worker}' (run {events[0].run})" in nodes.said()
    assert events[0].stack.splitlines()[0].endswith(" in keep_the_lock")


@pytest.mark.cases
def test_while_a_node_is_frozen_every_face_says_so_and_nobody_ends_or_moves_it(nodes: Nodes, tmp_path: Path):
    """C4: `nodes`, `doctor`, `probe`, `migrate`; one process that looks, of the lease as it is"""
    (node,) = nodes.start(LEASE=30)
    trigger(nodes, "freezes", {"seconds": 60})
    until(lambda: nodes.boss.sync.status().nodes[0].frozen, "it is seen to be silent and to live")

    def said(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "shiftboss", *arguments, "--store", nodes.store]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        return ran.returncode, ran.stdout + ran.stderr

    probed, looked, examined = said("probe", "--pid", str(node.pid)), said("nodes"), said("doctor")
    until(lambda: not nodes.boss.sync.status().nodes[0].live, "its lease has ended")
    late, shown = said("probe", "--pid", str(node.pid)), said("nodes")
    moved = subprocess.run(
        [sys.executable, "-m", "shiftboss", "migrate", "--from", nodes.store, "--to", f"sqlite:///{tmp_path}/b.db"],
        capture_output=True,
        text=True,
        check=False,
    )
    node.kill()

    assert (probed[0], late[0]) == (0, 0), probed + late
    assert "its process is alive" in looked[1]
    assert "kill " in examined[1]
    assert "frozen" in shown[1]
    assert "is in use by" in moved.stderr
    assert moved.returncode != 0


@pytest.mark.cases
def test_a_process_that_was_stopped_blames_no_body(nodes: Nodes):
    """C4"""
    nodes.start(LEASE=30)
    trigger(nodes, "stays", {})
    until(lambda: nodes.lines("begin", "stays"), "it runs")
    stop_between_writes(nodes.processes[0].pid, nodes.store)
    time.sleep(16)  # what is tested is that time passes
    nodes.processes[0].send_signal(signal.SIGCONT)
    renewed = nodes.said().count("joined")
    result = trigger(nodes, "freezes", {"seconds": 0})
    result()

    assert renewed == 1
    assert "was frozen for" not in nodes.said()


@pytest.mark.cases
def test_a_node_that_is_frozen_in_its_transaction_keeps_the_file_and_its_run(nodes: Nodes):
    """H5, C4: nobody can write meanwhile, and nobody is to blame; all go on then."""
    nodes.start(2, MOMENT="Cycle._write")
    result = trigger(nodes, "freezes", {"seconds": HOLD_S})

    assert result() == "done"
    assert [len(nodes.lines(what, "freezes")) for what in ("begin", "end")] == [1, 1]
    assert "was locked by another process" in nodes.said()
    assert "rescued" not in nodes.said()


@pytest.mark.cases
def test_a_body_that_keeps_the_lock_for_a_minute_runs_once_and_counts(nodes: Nodes):
    """C2, C4: with the lease as it is."""
    nodes.start(3, LEASE=30)
    result = trigger(nodes, "freezes", {"seconds": 60})

    assert result() == "done"
    assert [len(nodes.lines(what, "freezes")) for what in ("begin", "end")] == [1, 1]
