"""`probe` sees one process, whoever else lives, and does not blame it for its store (C2, G1)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from process_table import stop_between_writes

from .running import Running

APP = """
from shiftboss import Orchestrator

boss = Orchestrator("sqlite:///jobs.db")

@boss.worker(every="1h", start="next")
def tick() -> None: ...
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


@pytest.fixture
def store(folder):
    return f"sqlite:///{folder / 'jobs.db'}"


@pytest.fixture
def two(folder):
    with Running("run", "app.py", cwd=folder) as one, Running("run", "app.py", cwd=folder) as other:
        for each in (one, other):
            each.says("joined")
        yield one.process.pid, other.process.pid
        for each in (one, other):
            each.process.send_signal(signal.SIGCONT)
            each.ends(signal.SIGTERM)


def test_a_stopped_process_fails_while_its_neighbour_lives(two, store, cli):
    one, _ = two
    both = [cli("probe", "--pid", str(pid), "--store", store) for pid in two]
    stop_between_writes(one, store)
    stopped, neighbour = (cli("probe", "--pid", str(pid), "--store", store) for pid in two)

    assert [each.code for each in both] == [0, 0]
    assert (stopped.code, neighbour.code) == (3, 0)
    assert "stopped (SIGSTOP)" in stopped.err
    assert "renewed its lease" in neighbour.err


def test_a_node_that_does_not_renew_fails_by_its_name_whoever_lives(two, store, cli, monkeypatch):
    """What another machine can see: only the lease."""
    one, _ = two
    name = f"{socket.gethostname()}:{one}"
    stop_between_writes(one, store)
    before = cli("probe", "--node", name, "--store", store)
    monkeypatch.setattr("shiftboss.cli.commands.probe.SILENT_S", 0.0)  # as if 15 s had passed
    after = cli("probe", "--node", name, "--store", store, "--json")
    nobody = cli("probe", "--node", "nobody:1", "--store", store)

    assert (before.code, after.code, nobody.code) == (0, 3, 3)
    assert "it is frozen" in after.json["text"]
    assert "there is no node of nobody:1" in nobody.err


def test_a_store_that_takes_no_writes_is_no_reason_to_start_the_process_again(folder, store, cli, monkeypatch):
    holder = (
        "import apsw, sys; c = apsw.Connection(sys.argv[1]); c.set_busy_timeout(30000); c.execute('BEGIN IMMEDIATE')"
    )
    with Running("run", "app.py", cwd=folder) as running:
        running.says("joined")
        held = subprocess.Popen(
            [sys.executable, "-c", f"{holder}; print('held', flush=True); sys.stdin.read()", str(folder / "jobs.db")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert held.stdout.readline() == b"held\n"
        monkeypatch.setattr("shiftboss.cli.commands.probe.SILENT_S", 0.0)  # as if 15 s had passed
        found = cli("probe", "--pid", str(running.process.pid), "--store", store)
        held.communicate()
        running.ends(signal.SIGTERM)

    assert found.code == 0
    assert "the store accepts no writes" in found.err


def test_a_store_that_is_away_is_no_reason_either(folder, cli):
    away = f"sqlite:///{folder / 'nothing.db'}"
    found = cli("probe", "--pid", str(os.getpid()), "--store", away)
    gone = cli("probe", "--pid", str(2**22), "--store", away)

    assert (found.code, gone.code) == (0, 3)
    assert "the store cannot be read" in found.err


def test_which_node_has_to_be_said(store, cli):
    assert cli("probe", "--store", store).code == 2
    assert cli("probe", "--pid", "1", "--node", "a:1", "--store", store).code == 2
