"""Real nodes beside a store that takes no work for a while, and what everybody is told of it meanwhile (H3, H5, W3)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from programs import AS_ANOTHER, open_folder, skip_unless_there_is_another

from process_table import stop_between_writes

APP = """
import time
from shiftboss import Orchestrator

boss = Orchestrator("sqlite:///jobs.db", shutdown_timeout=5)


def note(what):
    with open("ledger", "a") as ledger:
        ledger.write(what + "\\n")


@boss.worker(every="300ms")
def tick() -> None:
    note("tick")


@boss.worker(timeout="5m", max_retries=0)
def lasts() -> None:
    note("begins")
    while not open("end").read():
        time.sleep(0.05)
    note("ends")
"""
HOLDER = """
import apsw, sys
connection = apsw.Connection(sys.argv[1])
connection.set_busy_timeout(30_000)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""
WITHIN_S = 60.0  # passes only where something is broken


def until(what: str, is_true: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + WITHIN_S
    while not is_true():
        assert time.monotonic() < ends_at, what
        time.sleep(0.05)


def shiftboss(folder: Path, *words: str, who: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*who, sys.executable, "-m", "shiftboss", *words]
    env = {**os.environ, "SHIFTBOSS_STORE": "sqlite:///jobs.db"}  # no app is imported that nobody named
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WITHIN_S, env=env, check=False)


@contextmanager
def a_node(folder: Path, name: str = "log") -> Iterator[subprocess.Popen]:
    with (folder / name).open("w") as log:
        node = subprocess.Popen(
            [sys.executable, "-m", "shiftboss", "run", "app.py"], cwd=folder, stdout=log, stderr=log
        )
    try:
        until("it joins", lambda: "joined" in (folder / name).read_text() or node.poll() is not None)
        yield node
    finally:
        node.send_signal(signal.SIGCONT)
        node.kill()
        node.wait()


def ended(node: subprocess.Popen) -> int:
    node.send_signal(signal.SIGTERM)
    return node.wait(WITHIN_S)


def ticks(folder: Path) -> int:
    return (folder / "ledger").read_text().count("tick")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return with_the_app(tmp_path)


def with_the_app(folder: Path) -> Path:
    (folder / "app.py").write_text(APP)
    (folder / "ledger").touch()
    (folder / "end").touch()
    return folder


@pytest.mark.cases
def test_a_write_lock_that_outlives_the_lease_is_red_and_work_goes_on_by_itself(folder: Path):
    """A browser for SQLite with a change that is not committed: 40 s, longer than the lease."""
    with a_node(folder) as node:
        shiftboss(folder, "trigger", "lasts")
        until("it runs", lambda: "begins" in (folder / "ledger").read_text())
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, "jobs.db"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert holder.stdout.readline() == b"held\n"
        refused, health, why = (
            shiftboss(folder, *words) for words in (("trigger", "lasts"), ("health",), ("why", "tick"))
        )
        until(
            "the lease ends", lambda: "live" in shiftboss(folder, "nodes", "--json").stdout and _lease_is_over(folder)
        )
        late = shiftboss(folder, "health")
        holder.communicate()
        before = ticks(folder)
        until("it goes on", lambda: ticks(folder) > before + 3)
        (folder / "end").write_text("now")
        until("it is well", lambda: shiftboss(folder, "health").returncode == 0)
        code = ended(node)

    said = (folder / "log").read_text()
    assert (refused.returncode, health.returncode, why.returncode, late.returncode, code) == (75, 3, 3, 3, 0), said
    assert "locked by another process" in health.stdout
    assert why.stdout.splitlines()[1].split()[0] == "store"
    assert said.count("the store takes no new work") == 1
    assert said.count("the store accepts new work again") == 1


def _lease_is_over(folder: Path) -> bool:
    return '"live": false' in shiftboss(folder, "nodes", "--json").stdout.replace('":f', '": f')


@pytest.mark.cases
def test_a_file_that_is_moved_away_is_said_once_and_put_back_is_enough(folder: Path):
    """A clean-up, a restore: nothing is written into a file without a name."""
    with a_node(folder) as node:
        until("it ticks", lambda: ticks(folder) > 0)
        away = folder / "away"
        away.mkdir()
        names = [name for name in ("jobs.db", "jobs.db-wal", "jobs.db-shm") if (folder / name).exists()]
        for name in names:
            (folder / name).rename(away / name)
        until("it is said", lambda: "moved, deleted or replaced" in (folder / "log").read_text())
        refused = shiftboss(folder, "trigger", "tick")
        made = [name for name in names if (folder / name).exists()]
        for name in names:
            (away / name).rename(folder / name)
        before = ticks(folder)
        until("it goes on", lambda: ticks(folder) > before + 3)
        code = ended(node)

    said = (folder / "log").read_text()
    assert (refused.returncode != 0, made, code) == (True, [], 0), said
    assert said.count("moved, deleted or replaced") == 1
    assert "accepts new work again" in said


@pytest.mark.cases
def test_a_user_who_may_only_read_is_refused_clearly_and_keeps_nobody_out():
    skip_unless_there_is_another()
    with open_folder() as folder:
        with_the_app(folder)
        with a_node(folder) as node:
            during = shiftboss(folder, "status", "-s", "jobs.db", who=AS_ANOTHER)
            code = ended(node)
        after = shiftboss(folder, "status", "-s", "jobs.db", who=AS_ANOTHER)
        with a_node(folder, "again") as node:
            again = ended(node)

        for each in (during, after):
            assert each.returncode in (0, 3) or ("jobs.db" in each.stderr and "Traceback" not in each.stderr), each
        assert (code, again) == (0, 0)


@pytest.mark.cases
def test_a_probe_sees_a_process_that_has_been_stopped_for_longer_than_its_lease(folder: Path):
    """A neighbour has taken over by then: some node lives, this one does not."""
    with a_node(folder) as one, a_node(folder, "other") as other:
        stop_between_writes(one.pid, f"sqlite:///{folder}/jobs.db")
        until(
            "it is given up",
            lambda: f'"pid":{one.pid}' not in shiftboss(folder, "nodes", "--json").stdout.replace(" ", ""),
        )
        by_pid, by_name, neighbour = (
            shiftboss(folder, "probe", *words).returncode
            for words in (
                ("--pid", str(one.pid)),
                ("--node", f"{socket.gethostname()}:{one.pid}"),
                ("--pid", str(other.pid)),
            )
        )
        ended(other)

    assert (by_pid, by_name, neighbour) == (3, 3, 0)
