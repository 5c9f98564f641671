"""What a child of executor="process" is started from: archives, folders, and what is no interpreter at all."""

from __future__ import annotations

import multiprocessing.spawn
import subprocess
import sys
import zipapp
from pathlib import Path

import pytest

from shiftboss import ConfigurationError, Orchestrator, interpreter
from shiftboss.executors.warden_client import WardenClient

PROGRAM = """
import asyncio, os
from shiftboss import Orchestrator
from beside import other
def inside() -> int:
    return 1
boss = Orchestrator("memory:")
workers = [boss.register(name, fn, executor="process", max_retries=0) for name, fn in (("a", inside), ("b", other))]
async def main():
    async with boss:
        runs = [await worker.trigger() for worker in workers]
        print(await runs[1].result(timeout=30), flush=True)
        os.chdir("/")  # the first child is there; a second one would be started from elsewhere
        print(await runs[0].result(timeout=30), flush=True)
if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "program"
    made.mkdir()
    (made / "__main__.py").write_text(PROGRAM)
    (made / "beside.py").write_text("def other() -> int:\n    return 2\n")
    return made


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_functions_of_the_main_of_an_archive_or_a_folder_run_in_children(folder, kind):
    if kind == "archive":
        zipapp.create_archive(folder, folder.with_suffix(".pyz"))
    name = "program" if kind == "folder" else "program.pyz"

    done = subprocess.run(
        [sys.executable, name], cwd=folder.parent, capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.stdout.split(), done.returncode) == (["2", "1"], 0), done.stderr


def test_a_program_that_cannot_be_read_again_is_refused_at_the_declaration():
    source = PROGRAM.replace("from beside import other", "other = print")

    done = subprocess.run([sys.executable, "-"], input=source, capture_output=True, text=True, timeout=60, check=False)

    assert "worker 'a': a child process cannot load 'inside' again, because its program is " in done.stderr


async def test_a_frozen_application_does_not_start_itself_again(monkeypatch, tmp_path):
    boss = Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}")
    boss.register("count", interpreter.interpreter, executor="process")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(subprocess, "Popen", no_process)

    with pytest.raises(
        ConfigurationError, match="executor='process' of 'count' cannot run here: this is a frozen appl"
    ):
        await boss.start()


def test_nor_does_its_warden(monkeypatch, caplog):
    """Commands run there, and what the lack of a warden means is said."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(subprocess, "Popen", no_process)
    warden = WardenClient()

    warden.open()
    warden.hold(1)
    warden.close(0.0)

    assert "the warden of this node's processes cannot be started (there is no Python to run it with)" in caplog.text


def test_a_host_that_embeds_python_is_not_taken_for_one(monkeypatch, tmp_path):
    host = tmp_path / "uwsgi"
    host.touch(0o755)
    monkeypatch.setattr(sys, "executable", str(host))
    monkeypatch.setattr(multiprocessing.spawn, "get_executable", lambda: str(host).encode())
    found = interpreter.interpreter()
    assert found is None or Path(found).name.startswith("python")

    monkeypatch.setattr(sys, "exec_prefix", str(tmp_path))
    assert interpreter.interpreter() is None
    with pytest.raises(
        ConfigurationError, match=r"use executor='thread', or set one with multiprocessing\.set_executable"
    ):
        interpreter.require_interpreter(["count"])

    monkeypatch.setattr(sys, "executable", "")  # and the host has named one
    assert interpreter.interpreter() == str(host)


def no_process(*args: object, **options: object) -> None:
    raise AssertionError(f"started {args}")
