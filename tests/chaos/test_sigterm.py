"""SIGTERM with work in flight: what is short finishes, what is long goes back, and the exit is in time."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from processes import Fleet

from shiftboss import Orchestrator, Status
from shiftboss.core.model import Cause


def started(ledger: Path) -> list[str]:
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    return [line.split()[1] for line in lines if line.startswith("start ")]


def test_short_bodies_finish_and_long_ones_go_back_without_an_attempt(tmp_path):
    """G1, G2, G4, R2"""
    fleet = Fleet(tmp_path, "bodies.py")
    boss = Orchestrator(fleet.store)
    names = ["short", "short", "long", "long", "long", "short", "long", "short"]  # six slots, two wait; one is kept
    fleet.start()
    fleet.until(lambda: "joined" in fleet.said())
    with boss.sync:
        runs = [boss.sync.trigger(name).id for name in names]
        fleet.until(lambda: len(started(fleet.ledger)) >= 5)
        signalled_at = time.time()
        codes = fleet.terminate(within_s=12)
        infos = [boss.sync.run_info(run) for run in runs]
    took_s = time.time() - signalled_at
    lines = [line.split() for line in fleet.ledger.read_text().splitlines()]

    assert codes == [0]
    assert [info.status for info in infos[:5]] == [Status.SUCCEEDED] * 2 + [Status.PENDING] * 3
    assert [info.status for info in infos[5:]] == [Status.PENDING] * 3
    assert [(info.attempt, info.interruptions) for info in infos[2:5]] == [(0, 1)] * 3
    assert [info.attempts[-1].cause for info in infos[2:5]] == [Cause.INTERRUPTED] * 3
    assert [line for line in lines if line[0] == "start" and float(line[3]) > signalled_at] == []
    assert "drained 2, interrupted 3 (requeued), pending 6, lost 0" in fleet.said()
    assert took_s < 10


@pytest.mark.parametrize("body", ["deaf", "stuck", "frozen"])
def test_it_ends_in_time_with_a_body_that_cannot_be_stopped(tmp_path, monkeypatch, body):
    """G3, G2: its claim is handed back as the last act of the process, which then ends."""
    monkeypatch.setenv("SHUTDOWN_TIMEOUT", "3s")
    fleet = Fleet(tmp_path, "bodies.py")
    boss = Orchestrator(fleet.store)
    fleet.start()
    fleet.until(lambda: "joined" in fleet.said())
    with boss.sync:
        run = boss.sync.trigger(body).id
        fleet.until(lambda: body in started(fleet.ledger))
        began = time.monotonic()
        codes = fleet.terminate(within_s=10)
        took_s = time.monotonic() - began
        info = boss.sync.run_info(run)
        status = boss.sync.status()

    assert codes == [1]
    assert took_s < 7
    assert (info.status, info.attempt, info.interruptions) == (Status.PENDING, 0, 1)
    assert status.nodes == ()
    assert "stuck 1" in fleet.said()
    assert "lost 0" in fleet.said()


def test_a_second_signal_cancels_and_a_third_leaves_at_once(tmp_path, monkeypatch):
    """G3, G4"""
    monkeypatch.setenv("SHUTDOWN_TIMEOUT", "60s")
    fleet = Fleet(tmp_path, "bodies.py")
    boss = Orchestrator(fleet.store)
    process = fleet.start()
    fleet.until(lambda: "joined" in fleet.said())
    with boss.sync:
        runs = [boss.sync.trigger(name).id for name in ("long", "deaf")]
        fleet.until(lambda: len(started(fleet.ledger)) >= 2)
        process.send_signal(signal.SIGINT)
        fleet.until(lambda: "stopping" in fleet.said())
        process.send_signal(signal.SIGINT)
        fleet.until(lambda: "deaf " in fleet.ledger.read_text().replace("start deaf", ""))
        process.send_signal(signal.SIGINT)
        code = process.wait(10)
        infos = [boss.sync.run_info(run) for run in runs]

    assert code == 130
    assert [info.status for info in infos] == [Status.PENDING, Status.PENDING]
    assert [info.interruptions for info in infos] == [1, 1]
