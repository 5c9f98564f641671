"""A gate is one file and a line in the table: a copy of the package is given a new one, and every face has it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src/shiftboss"

GATE = '''"""B8: a worker with the tag "ask-first" waits until somebody has approved it."""

from __future__ import annotations

from typing import ClassVar

from shiftboss.core.gates.gate import Answer, Gate, View
from shiftboss.core.hold import Ends, Hold, Scope, Thing
from shiftboss.core.value import later


class NeedsApproval(Hold, frozen=True, tag="approval"):
    """Nobody has approved it yet."""

    scope: ClassVar = Scope.WORKER
    thing: ClassVar = Thing.WORKER
    ends: ClassVar = Ends.OTHERWISE
    about: ClassVar = "worker"

    worker: str = ""

    def __str__(self) -> str:
        return f"{self.worker} waits for an approval"


def ask(view: View, answer: Answer) -> None:
    if "ask-first" in answer.state.definition.tags:
        until = later(answer.run.due_at, 3600)
        answer.hold(NeedsApproval(worker=answer.run.worker, since=answer.run.due_at, until=until))


GATE = Gate(("B8",), (NeedsApproval,), ask)
'''

APP = """
from shiftboss import Orchestrator

boss = Orchestrator("sqlite:///shop.db")


@boss.worker(tags=["ask-first"])
def pay() -> None: ...


@boss.worker
def pack() -> None: ...
"""

FACES = """
import asyncio, json
import httpx
from app import boss, pack, pay
from shiftboss.web.access import Mounted
from shiftboss.web.application import Application
from shiftboss.testing import Simulation
from shiftboss.testing.liveness import LivenessWatch

async def everybody(request):
    return "admin"

async def main():
    async with boss:
        held, free = await boss.trigger(pay), await boss.trigger(pack)
        await free.result(timeout=30)
        found = {"decide": str(await held.status()), "why": [str(hold) for hold in (await boss.why(pay)).holds]}
        transport = httpx.ASGITransport(app=Application(boss, Mounted(everybody)), client=("127.0.0.1", 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8420/api/v1") as http:
            status = (await http.get("/status")).json()
            (worker,) = [each for each in status["workers"] if each["name"] == "pay"]
            found |= {"status": worker["holds"], "page": (await http.get("/workers/pay")).json()["why"]["holds"]}
    return found

found = asyncio.run(main())
try:
    with Simulation(boss) as sim:
        LivenessWatch(sim._sim).start()  # the oracle, as the simulated fleets of tests/properties have it
        sim.trigger("pay")
        sim.run_for("10m")
        found["simulated"] = [hold.gate for hold in sim.why("pay").holds]
except AssertionError as error:
    found["oracle"] = str(error)
print(json.dumps(found))
"""

TEXT = "pay waits for an approval"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an application, and a package that has the new gate."""
    folder = tmp_path_factory.mktemp("planted")
    shutil.copytree(PACKAGE, folder / "shiftboss", ignore=shutil.ignore_patterns("static", "__pycache__", "demo"))
    (folder / "shiftboss/core/gates/approval.py").write_text(GATE)
    table = folder / "shiftboss/core/gates/table.py"
    text = table.read_text()
    assert text.count("    alone,\n") == text.count("    not_due.GATE,\n") == 1
    text = text.replace("    alone,\n", "    alone,\n    approval,\n")
    table.write_text(text.replace("    not_due.GATE,\n", "    not_due.GATE,\n    approval.GATE,\n"))
    (folder / "app.py").write_text(APP)
    return folder


def python(folder: Path, *arguments: str, code: int = 0) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder), "SHIFTBOSS_STORE": "sqlite:///shop.db", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def test_every_face_has_a_new_gate(planted):
    """A3: what holds is what is shown."""
    found = json.loads(python(planted, "-c", FACES))

    assert (found["decide"], found["why"]) == ("pending", [TEXT])
    (hold,) = found["status"]
    assert found["page"] == [hold]
    assert {key: hold[key] for key in ("gate", "text", "scope", "subject", "subject_kind", "until_says", "worker")} == {
        "gate": "approval",
        "text": TEXT,
        "scope": "worker",
        "subject": "pay",
        "subject_kind": "worker",
        "until_says": "re-checked",
        "worker": "pay",
    }
    assert found["simulated"] == ["approval"]
    assert "A3" in found["oracle"]  # which does not know the rule, and says so: it is told it in words of its own
    assert "of pay has been due" in found["oracle"]

    said = python(planted, "-m", "shiftboss", "why", "pay", code=3)
    assert re.search(rf"approval +{TEXT}, re-checked at ", said)
    (shown,) = json.loads(python(planted, "-m", "shiftboss", "why", "pay", "--json", code=3))["holds"][:1]
    assert shown == hold
