"""A body in C code keeps the interpreter's lock for longer than a lease: its node is silent, and lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from process_table import is_alive
from shiftboss import Orchestrator
from shiftboss.core.events import Event, NodeFrozen

PROGRAM = Path(__file__).with_name("frozen_node.py")
PATIENCE_S = 90.0  # each wait is for a condition; one that takes longer has failed
LEASE_S = 3.0
HOLD_S = 8.0  # a lease, its grace, and several looks of a neighbour


class Line(NamedTuple):
    what: str
    worker: str
    run: int
    pid: int
    at_s: float


class Nodes:
    """Processes on one store."""

    def __init__(self, folder: Path, store: str) -> None:
        self.store = store
        self.processes: list[subprocess.Popen[bytes]] = []
        self.boss = Orchestrator(store)
        self._folder = folder
        self._ledger = folder / "ledger"

    def start(self, count: int = 1, **environment: object) -> list[subprocess.Popen[bytes]]:
        given = {"STORE": self.store, "LEDGER": str(self._ledger), "LEASE": str(LEASE_S)}
        given |= {name: str(value) for name, value in environment.items()}
        started = []
        for _ in range(count):
            number = len(self.processes)
            with (self._folder / f"node-{number}.log").open("wb") as log:
                process = subprocess.Popen([sys.executable, PROGRAM], env={**os.environ, **given}, stderr=log)
            self.processes.append(process)
            started.append(process)
        numbers = range(len(self.processes) - count, len(self.processes))
        until(lambda: all(" joined" in self.said(number) for number in numbers), "the nodes have joined")
        return started

    def said(self, number: int | None = None) -> str:
        numbers = range(len(self.processes)) if number is None else (number,)
        return "".join((self._folder / f"node-{each}.log").read_text(errors="replace") for each in numbers)

    def lines(self, what: str, worker: str) -> list[Line]:
        if not self._ledger.exists():
            return []
        split = (line.split() for line in self._ledger.read_text().splitlines())
        lines = [Line(said, name, int(run), int(pid), float(at_s)) for said, name, run, pid, at_s in split]
        return [line for line in lines if (line.what, line.worker) == (what, worker)]

    def events(self) -> list[Event]:
        views = self.boss.new_views()
        try:
            return [event for _, event in views.events(after=0, limit=1000)]
        finally:
            views.close()

    def end(self) -> None:
        self.boss.sync.stop()
        for process in self.processes:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes:
            try:
                process.wait(PATIENCE_S)
            finally:
                process.kill()
                process.wait()


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    found = Nodes(tmp_path, f"sqlite:///{tmp_path}/boss.db")
    yield found
    found.end()


def until(holds: Callable[[], object], what: str) -> None:
    began_s = time.monotonic()
    while not holds():
        assert time.monotonic() - began_s < PATIENCE_S, f"still not: {what}"
        time.sleep(0.02)


def trigger(nodes: Nodes, worker: str, payload: Mapping[str, Any]) -> Callable[[], Any]:
    run = nodes.boss.sync.trigger(worker, payload)
    return lambda: nodes.boss.sync.result(run.id, timeout=PATIENCE_S)


SILENT = "has been silent for"  # a neighbour: the lease has ended, the process lives


@pytest.mark.parametrize("worker", ["freezes", pytest.param("freezes-on-the-loop", marks=pytest.mark.cases)])
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


def test_a_stopped_node_is_not_waited_for(nodes: Nodes):
    """C4: nobody knows whether it ever goes on."""
    nodes.start(2)
    trigger(nodes, "stays", {})
    until(lambda: nodes.lines("begin", "stays"), "it runs")
    os.kill(nodes.lines("begin", "stays")[0].pid, signal.SIGSTOP)
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
    nodes.processes[0].send_signal(signal.SIGSTOP)
    until(lambda: len(nodes.lines("begin", "in-a-child")) == 2, "the other node has begun")
    child_lives = is_alive(child.pid)
    for process in nodes.processes:
        process.kill()

    assert not child_lives


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
    until(lambda: "stood still for" in nodes.said(), "the node says so")
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
    assert "its process lives" in looked[1]
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
    nodes.processes[0].send_signal(signal.SIGSTOP)
    time.sleep(16)  # what is tested is that time passes
    nodes.processes[0].send_signal(signal.SIGCONT)
    renewed = nodes.said().count("joined")
    result = trigger(nodes, "freezes", {"seconds": 0})
    result()

    assert renewed == 1
    assert "stood still for" not in nodes.said()


@pytest.mark.cases
def test_a_node_that_is_frozen_in_its_transaction_keeps_the_file_and_its_run(nodes: Nodes):
    """H5, C4: nobody can write meanwhile, and nobody is to blame; all go on then."""
    nodes.start(2, MOMENT="_write_turn")
    result = trigger(nodes, "freezes", {"seconds": HOLD_S})

    assert result() == "done"
    assert [len(nodes.lines(what, "freezes")) for what in ("begin", "end")] == [1, 1]
    assert "was kept busy by another process" in nodes.said()
    assert "rescued" not in nodes.said()


@pytest.mark.cases
def test_a_body_that_keeps_the_lock_for_a_minute_runs_once_and_counts(nodes: Nodes):
    """C2, C4: with the lease as it is."""
    nodes.start(3, LEASE=30)
    result = trigger(nodes, "freezes", {"seconds": 60})

    assert result() == "done"
    assert [len(nodes.lines(what, "freezes")) for what in ("begin", "end")] == [1, 1]
