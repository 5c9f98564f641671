"""The command as people use it: in this process where that is enough, as a process of its own where it is not.

`shop` is a folder with an app and a store in which something has run, failed, waits and is disabled.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from shiftboss.cli.root import root

APPS = Path(__file__).with_name("apps")
COMMAND = (sys.executable, "-m", "shiftboss")
PATIENCE_S = 30.0  # for a process on a busy machine; nothing waits that long when all is well


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Cli = Callable[..., Result]


def clean_environment(**more: str) -> dict[str, str]:
    """Ours without what could tell the command anything."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SHIFTBOSS", "NO_COLOR", "COLUMNS"))}
    return {**kept, "SHIFTBOSS_USER": "ada", "TZ": "UTC", **more}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in set(os.environ) - set(clean_environment()):
        monkeypatch.delenv(key)
    monkeypatch.setenv("SHIFTBOSS_USER", "ada")
    monkeypatch.setattr(sys, "path", list(sys.path))  # loading an app puts its folder there, and children inherit that


@pytest.fixture
def cli() -> Cli:
    """Call the command in this process, in the folder we are in."""

    def call(*args: str, input: str | bytes | None = None, **env: str) -> Result:  # click's word
        found = CliRunner().invoke(root, args, input=input, env=env, prog_name="shiftboss")
        return Result(found.exit_code, found.stdout, found.stderr)

    return call


def process(*args: str, cwd: Path, input: bytes | None = None, **env: str) -> Result:
    """Call the command as a process of its own."""
    found = subprocess.run(
        [*COMMAND, *args], cwd=cwd, input=input, env=clean_environment(**env), capture_output=True, timeout=PATIENCE_S
    )
    return Result(found.returncode, found.stdout.decode(), found.stderr.decode())


@pytest.fixture(scope="session")
def _seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seed")
    shutil.copy(APPS / "shop.py", folder / "app.py")
    _burst(folder)
    for words in (("to=ada", "copies=2"), ("to=broken",), ("to=nobody",)):
        _call(folder, "trigger", "send-mail", *words)
    _burst(folder)
    _call(folder, "trigger", "pick", "--in", "1h")
    _call(folder, "disable", "report", "--reason", "moving house")
    return folder


def _burst(folder: Path) -> None:
    done = process("run", "--burst", cwd=folder)
    assert done.code == 0, done.err


def _call(folder: Path, *args: str) -> None:
    env = {"SHIFTBOSS_STORE": str(folder / "shiftboss.db"), "SHIFTBOSS_USER": "ada"}
    done = CliRunner().invoke(root, args, env=env)
    assert done.exit_code == 0, done.stderr


@pytest.fixture
def shop(_seeded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with app.py and shiftboss.db, and we are in it.  No node lives."""
    folder = tmp_path / "shop"
    shutil.copytree(_seeded, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nothing in it, and we are in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dead_runs(cli: Cli) -> dict[str, int]:
    """The dead letters of the shop by their error."""
    return {line["error_type"].rpartition(".")[2]: line["run"] for line in cli("dead", "export").lines}
