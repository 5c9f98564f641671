"""`shiftboss dev`: real processes, real files, a real port."""

from __future__ import annotations

import os
import signal
import urllib.request
from pathlib import Path

import pytest

from shiftboss.cli.commands import dev
from shiftboss.cli.reloading import folder_of

from .conftest import PATIENCE_S
from .running import Running

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

APP = """
import asyncio
from shiftboss import Orchestrator

boss = Orchestrator()

@boss.worker(every="1h")
async def {name}() -> None:
    {body}
"""


@pytest.fixture
def home(tmp_path) -> Path:
    (tmp_path / "shop").mkdir()
    return tmp_path / "shop"


def write(home: Path, name: str = "fetch", body: str = "pass") -> None:
    (home / "app.py").write_text(APP.format(name=name, body=body))


@pytest.fixture
def start(home):
    """`shiftboss dev` in the folder; killed at the end if it still runs."""
    running: list[Running] = []

    def start_(*args: str) -> Running:
        command = Running("dev", *args, cwd=home)
        running.append(command)
        return command

    yield start_
    for command in running:
        command.__exit__()


def address_in(line: str) -> str:
    """The address, and the file of its token."""
    return line.split("dashboard and API: ")[1].strip()


def status_of(address: str) -> str:
    url, _, file = address.strip(")").partition(" (token: ")
    request = urllib.request.Request(f"{url}api/v1/status")  # noqa: S310  # ours
    request.add_header("authorization", f"Bearer {Path(file).read_text().strip()}")
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310  # ours
        return answer.read().decode()


def test_a_save_starts_the_app_again_on_the_same_port_and_ctrl_c_ends_it(home, start):
    write(home, "fetch")
    command = start("app.py", "--http", "127.0.0.1:0")
    first = address_in(command.says("dashboard and API: "))
    command.says("fetch run 1 succeeded")
    assert '"fetch"' in status_of(first)

    write(home, "gather")
    command.says("app.py changed: restarting")
    command.says("stopped in")
    second = address_in(command.says("dashboard and API: "))
    command.says("gather run 3 succeeded")
    assert second == first
    assert '"gather"' in status_of(second)

    assert command.ends(signal.SIGINT) == 0
    command.says("stopped in")


def test_an_app_that_cannot_be_imported_says_why_and_waits_for_the_next_save(home, start):
    (home / "app.py").write_text("from shiftboss import Orchestrator\nboss = Orchestrator(\n")
    command = start("app.py", "--http", "127.0.0.1:0")
    command.says("SyntaxError")
    command.says("it restarts at the next save")

    write(home)
    command.says("fetch run 1 succeeded")

    (home / "app.py").write_text("1 / 0\n")
    command.says("ZeroDivisionError")
    command.says("it restarts at the next save")
    assert command.ends(signal.SIGINT) == 2  # what the app came to


def test_a_module_beside_the_app_counts_and_other_files_do_not(home, start):
    write(home, body="import words; print(words.WORD, flush=True)")
    (home / "words.py").write_text("WORD = 'one'\n")
    command = start("app.py", "--http", "127.0.0.1:0")
    command.says("one")
    command.says("fetch run 1 succeeded")

    (home / "notes.txt").write_text("nothing of interest\n")
    (home / "words.py").write_text("WORD = 'two'\n")
    assert "notes" not in command.says("changed: restarting")


def test_what_runs_at_a_save_is_handed_back_and_starts_again_in_the_new_code(home, start):
    write(home, body="await asyncio.Event().wait()")
    command = start("app.py", "--http", "127.0.0.1:0", "--shutdown-timeout", "0.2s")
    command.says("fetch run 1 started")

    write(home, body="print('done by the new code', flush=True)")
    command.says("interrupted 1 (requeued)")
    command.says("done by the new code")
    command.says("fetch run 1 succeeded")


@pytest.mark.chaos  # as `shiftboss run` does
def test_a_second_ctrl_c_forces_it_out(home, start):
    write(home, body="await asyncio.Event().wait()")
    command = start("app.py", "--http", "127.0.0.1:0", "--shutdown-timeout", "60s")
    command.says("fetch run 1 started")
    command.process.send_signal(signal.SIGINT)
    command.says("stopping")

    assert command.ends(signal.SIGINT) == 130


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="the kernel of Linux tells")
def test_the_app_does_not_outlive_what_started_it(home, start):
    write(home)
    command = start("app.py", "--http", "127.0.0.1:0")
    command.says("fetch run 1 succeeded")
    command.process.kill()

    command.says("stopped in")  # by the app, which drained


def test_a_port_that_is_taken_is_refused_or_passed_over(home, start):
    write(home)
    first = start("app.py", "--http", "127.0.0.1:0")
    taken = address_in(first.says("dashboard and API: ")).partition(" ")[0].removeprefix("http://").strip("/")
    second = start("app.py", "--http", taken)

    second.says("cannot listen on")
    assert second.ends() == 2


def test_what_is_missing_is_named_with_its_remedy(cli, monkeypatch):
    monkeypatch.setattr(dev, "find_spec", lambda name: None)

    found = cli("dev", "app.py")

    assert found.code == 2
    assert "pip install 'shiftboss[dev]'" in found.err


def test_the_folder_of_an_app_is_that_of_its_topmost_package(tmp_path, monkeypatch):
    package = tmp_path / "src" / "shop" / "jobs"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)

    assert folder_of("src/shop/jobs/app.py:boss") == tmp_path / "src"
    assert folder_of("app.py") == folder_of("shop.jobs:boss") == folder_of(None) == tmp_path
