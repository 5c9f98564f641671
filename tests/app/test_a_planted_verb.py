"""A verb that is declared in one place is there on every face: library, `boss.sync`, API, OpenAPI, command; audited."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PLANT = '''
"""The rule, what it must see, and the declaration: all there is to write."""

from __future__ import annotations

from functools import partial

from shiftboss.app.methods import Instruction
from shiftboss.app.options import Named, name_of
from shiftboss.app.roles import Role
from shiftboss.app.verb import WORKER, VerbWords, verb
from shiftboss.app.verbs import Verbs
from shiftboss.core.events import Audit
from shiftboss.core.model import Disabled, WorkerState
from shiftboss.core.snapshot import Change
from shiftboss.core.value import replace
from shiftboss.engine.mutation import NO_NEEDS, Mutation


def rule(snapshot, now, *, ids, name, by, reason):
    state = replace(snapshot.worker(name), disabled=Disabled(by=by, reason=f"quarantine: {reason}", since=now))
    audit = Audit(at=now, worker=name, by=by, action="quarantine", before="", after=reason)
    return Change(workers=(state,), events=(audit,)), state


def mutation(name, *, by, reason, answer):
    return Mutation(partial(rule, name=name, by=by, reason=reason), NO_NEEDS, answer, worker=name)


@verb(
    WORKER,
    Role.ADMIN,
    VerbWords(
        api="Keep a worker from others.",
        command="Keep workers from others.",
        examples=("shiftboss quarantine report --reason flu",),
        done=lambda _, state: f"{state.name} is in {state.disabled.reason}",
    ),
)
def quarantine(self, worker: Named, *, reason: str | None = None) -> Instruction[WorkerState]:
    """Keep it from others.  Raises UnknownWorker."""
    return Instruction(mutation, name_of(worker), reason=self._remark("reason", reason, of="quarantine"))


Verbs.quarantine = quarantine
'''

USE = """
import planted  # before whatever is derived from the verbs

import asyncio, inspect, json, sys
import click, httpx
from click.testing import CliRunner
from shiftboss import Orchestrator
from shiftboss.app.actor import acting_as
from shiftboss.cli.root import root
from shiftboss.web.access import Mounted
from shiftboss.web.application import Application
from shiftboss.web.openapi import document

boss = Orchestrator("sqlite:///jobs.db")
for name in ("awaited", "blocking", "posted", "typed"):
    boss.register(name, lambda: None)


async def library():
    async with boss:
        with acting_as("ada"):
            await boss.quarantine("awaited", reason="measles")
        answers = {}
        for role in ("operator", "admin"):
            application = Application(boss, Mounted(lambda request: (role, role)))
            transport = httpx.ASGITransport(application)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
                answer = await http.post(
                    "/api/v1/workers/posted/quarantine",
                    json={"reason": "mumps"},
                    headers={"sec-fetch-site": "same-origin"},
                )
            answers[role] = [answer.status_code, answer.json()]
        return answers


answers = asyncio.run(library())
with acting_as("bea"):
    state = boss.sync.quarantine("blocking", reason="flu")
boss.sync.close()
command = CliRunner().invoke(root, ["quarantine", "typed", "--reason", "cold", "--store", "jobs.db"])
help_text = CliRunner().invoke(root, ["quarantine", "--help"]).stdout
root_help = CliRunner().invoke(root, ["--help"]).stdout
acts = [[act.action, act.worker, act.after] for act in boss.sync.audit() if act.action == "quarantine"]
boss.sync.close()
print(json.dumps({
    "signatures": [str(inspect.signature(each.quarantine)) for each in (boss, boss.sync)],
    "docs": [inspect.getdoc(each.quarantine) for each in (boss, boss.sync)],
    "state": [state.name, state.disabled.by, state.disabled.reason],
    "http": answers,
    "openapi": document()["paths"]["/workers/{worker}/quarantine"]["post"],
    "command": [command.exit_code, command.stderr],
    "help": help_text,
    "root_help": root_help,
    "acts": acts,
}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> dict[str, Any]:
    """What each face of a process says in which the verb was planted."""
    folder: Path = tmp_path_factory.mktemp("planted")
    (folder / "planted.py").write_text(PLANT, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SHIFTBOSS_")}
    ended = subprocess.run(
        [sys.executable, "-c", USE], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def test_both_faces_have_it_with_its_parameters_and_its_words(told):
    parameters = "(worker: 'Named', *, reason: 'str | None' = None) -> 'WorkerState'"

    assert told["signatures"] == [parameters, parameters]
    assert told["docs"] == ["Keep it from others.  Raises UnknownWorker."] * 2
    assert told["state"] == ["blocking", "bea", "quarantine: flu"]


def test_the_api_has_it_for_who_has_its_role(told):
    (refused, problem), (status, answer) = told["http"]["operator"], told["http"]["admin"]

    assert (refused, problem["type"]) == (403, "urn:shiftboss:problem:role-too-low")
    assert (status, answer) == (200, {"worker": "posted", "enabled": False, "paused": False})


def test_openapi_describes_it(told):
    operation = told["openapi"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]

    assert operation["summary"] == "Keep a worker from others."
    assert operation["x-role"] == "admin"
    assert [each["name"] for each in operation["parameters"]] == ["worker"]
    assert body == {"$ref": "#/components/schemas/Reason"}


def test_the_command_has_it_with_its_help(told):
    assert told["command"] == [0, "typed is in quarantine: cold\n"]
    assert "Keep workers from others." in told["help"]
    assert "--reason TEXT" in told["help"]
    assert "shiftboss quarantine report --reason flu" in told["help"]
    assert "quarantine" in told["root_help"]


def test_whatever_face_it_was_done_on_it_is_audited_by_who_did_it(told):
    assert sorted(told["acts"]) == [
        ["quarantine", "awaited", "measles"],
        ["quarantine", "blocking", "flu"],
        ["quarantine", "posted", "mumps"],
        ["quarantine", "typed", "cold"],
    ]
