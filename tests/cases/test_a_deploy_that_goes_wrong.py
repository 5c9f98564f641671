"""M7: two versions of an app on one store; what the newest code declares holds, whoever is killed and starts again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postgres_server import Place
from shiftboss.app.views import Views
from shiftboss.cli import store_access as store_of
from shiftboss.core.model import WorkerState
from shiftboss.core.schedule import Every
from shiftboss.ports.faces import AuditFilter

APP = """
from shiftboss import Orchestrator

boss = Orchestrator(resources={{"press": {size}}})

@boss.worker(every={every}, start="next", breaker={breaker})
def report({parameters}): ...

@boss.worker(uses={{"press": 1}})
def print_it(): ...
"""
OLD = APP.format(size=1, every=3600, breaker="True", parameters="")
NEW = APP.format(size=2, every=7200, breaker="True", parameters="pages: int = 1")
OLD_HOLDS, NEW_HOLDS = (3600.0, "", 1), (7200.0, "pages?", 2)
COMMAND = (sys.executable, "-m", "shiftboss")
PATIENCE_S = 60.0  # for a process on a busy machine
LEASE_S = 35.0  # and what may come on top of it
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


class Fleet:
    """Nodes as processes of their own, and a look at their store."""

    def __init__(self, folder: Path, url: str, views: Views) -> None:
        self._folder, self.url, self.views = folder, url, views
        self._nodes: list[subprocess.Popen[bytes]] = []

    def start(self, text: str, **env: str) -> subprocess.Popen[bytes]:
        """A node of that code; it has joined."""
        file = self._folder / ("new.py" if text is NEW else "old.py")
        file.write_text(text)
        node = subprocess.Popen(
            [*COMMAND, "run", f"{file}:boss", "--store", self.url],
            env={**os.environ, **env},
            cwd=self._folder,
        )
        self._nodes.append(node)
        self.until(lambda: node.pid in self.pids() or node.poll() is not None)
        assert node.poll() is None, "it ended at its start"
        return node

    def end(self, node: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> None:
        node.send_signal(number)
        node.wait(PATIENCE_S)

    def says(self, *args: str) -> str:
        """What the command says."""
        called = [*COMMAND, *args, "--store", self.url]
        done = subprocess.run(called, capture_output=True, text=True, timeout=PATIENCE_S)
        return " ".join((done.stdout + done.stderr).split())

    def pids(self) -> set[int]:
        return {node.pid for node in self.views.snapshot().nodes.values()}

    def report(self) -> WorkerState:
        return self.views.snapshot().worker("report")

    def holding(self) -> tuple[float, str, int]:
        """What holds: the interval, the parameters, the size of the press."""
        definition, snapshot = self.report().definition, self.views.snapshot()
        assert isinstance(definition.schedule, Every)
        return definition.schedule.every_s, definition.parameters.partition(":")[0], snapshot.resources["press"]

    def until(self, holds: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
        deadline_s = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < deadline_s, "it did not come to hold in time"
            time.sleep(0.05)  # the nodes are processes of their own: there is no notification to wait for

    def close(self) -> None:
        for node in self._nodes:
            node.kill()
            node.wait()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.cases)])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'jobs.db'}"
    else:
        place: Place = request.getfixturevalue("place")
        url = place.url
    subprocess.run([*COMMAND, "migrate", "--store", url], check=True, capture_output=True)
    with store_of.reading(url, None) as views:
        made = Fleet(tmp_path, url, views)
        yield made
        made.close()


def holds_of(fleet: Fleet) -> list[str]:
    explanation = fleet.views.why("report")
    return [] if explanation is None else [hold.gate for hold in explanation.holds]


def test_old_code_that_is_killed_and_starts_again_during_a_deploy_does_not_win(fleet: Fleet):
    """M7, B9: it is as old as it was; the new code's interval, parameters and sizes hold throughout, and after it."""
    old = fleet.start(OLD)
    fleet.start(NEW)
    assert fleet.holding() == NEW_HOLDS

    fleet.end(old, signal.SIGKILL)
    old = fleet.start(OLD)
    assert fleet.holding() == NEW_HOLDS
    assert "version" not in holds_of(fleet)

    fleet.end(old)
    assert fleet.holding() == NEW_HOLDS
    assert "version" not in holds_of(fleet)


@pytest.mark.cases
def test_a_roll_back_holds_as_soon_as_the_new_code_is_gone(fleet: Fleet):
    """M7: by the old code that is left, and by the old code that starts."""
    left = fleet.start(OLD)
    new = fleet.start(NEW)
    assert fleet.holding() == NEW_HOLDS

    fleet.end(new)
    fleet.until(lambda: fleet.holding() == OLD_HOLDS, LEASE_S)
    assert "version" not in holds_of(fleet)

    new = fleet.start(NEW)
    assert fleet.holding() == NEW_HOLDS
    fleet.end(left)
    fleet.end(new)
    fleet.start(OLD)
    assert fleet.holding() == OLD_HOLDS


def test_while_both_live_why_names_the_process_to_stop_and_a_person_chooses(fleet: Fleet):
    """M7, A1: what was chosen holds until newer code comes."""
    old = fleet.start(OLD, SHIFTBOSS_CODE_VERSION="1.0")
    fleet.start(NEW, SHIFTBOSS_CODE_VERSION="1.1")
    fleet.start(NEW, SHIFTBOSS_CODE_VERSION="1.2")
    explanation = fleet.views.why("report")
    assert explanation is not None
    [other] = explanation.declared_otherwise
    assert (other.pid, other.code_version) == (old.pid, "1.0")
    assert f"stop its process {old.pid} on {other.host}" in fleet.says("why", "report")
    assert f"shiftboss prefer {other.node}" in fleet.says("why", "report")
    assert f"shiftboss prefer {other.node}" in fleet.says("show", "report")

    assert "apply from now on: report, press" in fleet.says("prefer", other.node)
    fleet.until(lambda: fleet.holding() == OLD_HOLDS)
    assert "already apply" in fleet.says("prefer", other.node)
    explanation = fleet.views.why("report")
    assert explanation is not None
    assert len(explanation.declared_otherwise) == 2
    acts = [(act.action, act.worker) for act in fleet.views.audit(AuditFilter(action="prefer"))]
    assert sorted(acts) == [("prefer", ""), ("prefer", "report")]

    fleet.end(old, signal.SIGKILL)
    fleet.start(OLD, SHIFTBOSS_CODE_VERSION="1.0")
    fleet.until(lambda: fleet.holding() == OLD_HOLDS)


@pytest.mark.cases
def test_a_roll_back_after_the_new_code_was_killed_holds_within_one_lease(fleet: Fleet):
    """M7, C2."""
    fleet.start(OLD)
    new = fleet.start(NEW)
    fleet.end(new, signal.SIGKILL)

    fleet.until(lambda: fleet.holding() == OLD_HOLDS, LEASE_S)


def test_code_with_a_new_version_is_new_though_it_declares_what_was_declared_before(fleet: Fleet):
    """M7: a change that was taken back is a deploy like any other."""
    fleet.start(OLD, SHIFTBOSS_CODE_VERSION="1")
    fleet.start(NEW, SHIFTBOSS_CODE_VERSION="2")
    fleet.start(OLD, SHIFTBOSS_CODE_VERSION="3")

    assert fleet.holding() == OLD_HOLDS
