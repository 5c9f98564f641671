"""On PostgreSQL too: a body keeps the interpreter's lock for longer than a lease, and the keeper says that it lives."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from frozen_nodes import HOLD_S, LEASE_S, SILENT, Nodes, trigger, until

from postgres_server import Place
from process_table import gone, is_alive


@pytest.fixture
def nodes(tmp_path: Path, place: Place) -> Iterator[Nodes]:
    found = Nodes(tmp_path, place.url)
    yield found
    found.end()


def keeper_of(node: subprocess.Popen[bytes]) -> psutil.Process:
    """Waits for it."""
    found: list[psutil.Process] = []

    def is_there() -> bool:
        try:
            found[:] = [each for each in psutil.Process(node.pid).children() if "keeper.py" in " ".join(each.cmdline())]
        except psutil.NoSuchProcess:  # of its children one ended meanwhile
            return False
        return len(found) == 1

    until(is_there, "the node has its keeper")
    return found[0]


def locks(place: Place) -> int:
    """How many keepers hold theirs."""
    ((count,),) = place.cluster.execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'"
    )
    assert isinstance(count, int)
    return count


@pytest.mark.cases
@pytest.mark.parametrize("worker", ["freezes", "freezes-on-the-loop"])
def test_a_body_that_keeps_the_lock_beyond_the_lease_runs_once_and_counts(nodes: Nodes, worker: str):
    """C2, C4: five executions and a dead letter before; two neighbours were there and looked."""
    nodes.start(3)
    result = trigger(nodes, worker, {"seconds": HOLD_S})

    assert result() == "done"
    assert [len(nodes.lines(what, worker)) for what in ("begin", "end")] == [1, 1]
    assert nodes.said().count(SILENT) == 2
    assert "rescued" not in nodes.said()


@pytest.mark.cases
def test_in_the_middle_of_a_transaction_as_well(nodes: Nodes, place: Place):
    """C4: the server ends that one, and the node begins anew on another connection: nothing was put back."""
    nodes.start(3, MOMENT="_write_turn")
    result = trigger(nodes, "freezes", {"seconds": HOLD_S})

    assert result() == "done"
    assert [len(nodes.lines(what, "freezes")) for what in ("begin", "end")] == [1, 1]
    assert "rescued" not in nodes.said()
    assert place.execute("SELECT epoch FROM meta") == [(0,)]


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
def test_a_stopped_node_is_not_waited_for(nodes: Nodes, place: Place):
    """C4: its keeper lets go of the lock, and takes it again when the node goes on."""
    nodes.start(2)
    until(lambda: locks(place) == 2, "both are kept")
    trigger(nodes, "stays", {})
    until(lambda: nodes.lines("begin", "stays"), "it runs")
    stopped = nodes.lines("begin", "stays")[0].pid
    os.kill(stopped, signal.SIGSTOP)
    until(lambda: len(nodes.lines("begin", "stays")) == 2, "the other node has it")
    held = locks(place)
    os.kill(stopped, signal.SIGCONT)
    until(lambda: locks(place) == 2, "it is kept again")

    assert held == 1
    assert SILENT not in nodes.said()


@pytest.mark.cases
def test_a_frozen_node_that_is_killed_is_rescued(nodes: Nodes):
    """C4: its keeper ends with it, and with that its lock."""
    nodes.start(2)
    trigger(nodes, "freezes", {"seconds": 60})
    until(lambda: SILENT in nodes.said(), "its neighbour waits for it")
    (first,) = nodes.lines("begin", "freezes")
    (node,) = (each for each in nodes.processes if each.pid == first.pid)
    shown = [each.frozen for each in nodes.boss.sync.status().nodes if each.pid == node.pid]
    keeper = keeper_of(node)
    node.kill()
    node.wait()
    until(lambda: len(nodes.lines("begin", "freezes")) == 2, "the other node has it")
    for process in nodes.processes:
        process.kill()

    assert shown == [True]
    assert gone([keeper.pid])


@pytest.mark.cases
def test_what_a_frozen_node_runs_in_processes_is_interrupted(nodes: Nodes):
    """B7: its warden cannot know what the neighbours see; that harms the run no more than any interruption."""
    nodes.start()
    nodes.start(ONLY="nothing")
    child = trigger(nodes, "in-a-child", {"seconds": HOLD_S + 2})
    until(lambda: nodes.lines("begin", "in-a-child"), "the child runs")
    result = trigger(nodes, "freezes", {"seconds": HOLD_S})

    assert result() == "done"
    assert child() == "done"
    assert [len(nodes.lines(what, "in-a-child")) for what in ("begin", "end")] == [2, 1]
    assert "was interrupted" in nodes.said()
    assert "rescued" not in nodes.said()
    assert "failed" not in nodes.said()


@pytest.mark.cases
def test_a_frozen_node_whose_keeper_is_killed_is_rescued(nodes: Nodes):
    """C4: nobody can tell then, as for a node that cannot be seen."""
    nodes.start(2)
    trigger(nodes, "freezes", {"seconds": 60})
    until(lambda: SILENT in nodes.said(), "its neighbour waits for it")
    (first,) = nodes.lines("begin", "freezes")
    (node,) = (each for each in nodes.processes if each.pid == first.pid)
    keeper_of(node).kill()
    until(lambda: len(nodes.lines("begin", "freezes")) == 2, "the other node has it")
    for process in nodes.processes:
        process.kill()


def test_a_keeper_that_dies_is_replaced_and_none_outlives_its_node(nodes: Nodes, place: Place):
    """C4: it starts anew by the engine's ticks; kill -9 and SIGTERM of the node, and of all its group."""
    killed, told = nodes.start(2)
    first = keeper_of(killed)
    until(lambda: locks(place) == 2, "both are kept")
    first.kill()
    assert gone([first.pid])
    second, other = keeper_of(killed), keeper_of(told)
    other.terminate()  # what a supervisor says to the whole unit
    until(lambda: locks(place) == 2, "both are kept again")
    survives = is_alive(other.pid)
    killed.kill()
    told.terminate()
    told.wait()
    ended_with_its_node = not is_alive(other.pid)

    assert second.pid != first.pid
    assert survives
    assert ended_with_its_node
    assert gone([second.pid])
    until(lambda: locks(place) == 0, "nobody is kept")


def test_a_keeper_is_told_the_address_where_nobody_sees_it(nodes: Nodes, place: Place):
    """A10: neither in its arguments nor in its environment, and no descriptor of the node's is its own."""
    (node,) = nodes.start(SHIFTBOSS_STORE=place.url)
    keeper = keeper_of(node)
    until(lambda: locks(place) == 1, "it is kept")
    shown = " ".join(keeper.cmdline()) + " ".join(f"{name}={value}" for name, value in keeper.environ().items())
    held = {os.readlink(each) for each in Path(f"/proc/{keeper.pid}/fd").iterdir() if int(each.name) > 2}
    of_node = {os.readlink(each) for each in Path(f"/proc/{node.pid}/fd").iterdir() if int(each.name) > 2}

    assert "SHIFTBOSS_STORE" not in shown
    assert str(place.cluster.port) not in shown.replace(f"STORE={place.url}", "")  # STORE is the program's own
    assert held & {each for each in of_node if not each.startswith("anon_inode:")} == set()


@pytest.mark.cases
def test_a_node_that_no_body_could_freeze_or_that_nobody_would_wait_for_has_no_keeper(nodes: Nodes, place: Place):
    """C4: children and programs have an interpreter of their own, or none"""
    nodes.start(ONLY="in-a-child,program")
    nodes.start(LIMIT=0)
    (kept,) = nodes.start()
    until(lambda: locks(place) == 1, "the last one is kept")
    trigger(nodes, "program", {})()  # the first one has ticked
    trigger(nodes, "in-a-child", {"seconds": 0})()

    assert locks(place) == 1
    assert keeper_of(kept).is_running()


@pytest.mark.cases
def test_a_body_that_keeps_the_lock_for_a_minute_runs_once_and_counts(nodes: Nodes):
    """C2, C4: with the lease as it is."""
    nodes.start(3, LEASE=30)
    result = trigger(nodes, "freezes", {"seconds": 60})

    assert result() == "done"
    assert [len(nodes.lines(what, "freezes")) for what in ("begin", "end")] == [1, 1]
