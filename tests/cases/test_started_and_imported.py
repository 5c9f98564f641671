"""A script whose modules import it again: `python app.py` and `python -m app` with `from app import boss` elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

APP = """
from shiftboss import Orchestrator

boss = Orchestrator("sqlite:///jobs.db")
told = []
boss.on_events(lambda events: told.append(len(events)))


@boss.worker(max_retries=0)
def outer() -> int:
    import tasks

    return tasks.both()


@boss.worker(executor="{executor}")
def inner(number: int) -> int:
    return number + 1


import tasks  # which imports this file

if __name__ == "__main__":
    import app

    boss.sync.start()
    print(app.boss is boss, len(boss.subscribers), boss.sync.result(boss.sync.trigger("outer").id, timeout=20))
"""
TASKS = """
import app


@app.boss.worker()
def far() -> int:
    return 100


def both() -> int:
    from app import boss

    runs = [boss.sync.trigger("inner", {"number": 1}), boss.sync.trigger("far")]
    return sum(boss.sync.result(run.id, timeout=20) for run in runs)
"""


@pytest.mark.parametrize("executor", ["thread", "process"])
@pytest.mark.parametrize("words", [["app.py"], ["-m", "app"]], ids=["python app.py", "python -m app"])
def test_a_file_that_is_run_and_imported_again_has_one_orchestrator(tmp_path: Path, words: list[str], executor: str):
    """W4: there were two: one that ran, and one that was triggered and knew other workers."""
    (tmp_path / "app.py").write_text(APP.replace("{executor}", executor), encoding="utf-8")
    (tmp_path / "tasks.py").write_text(TASKS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.stdout.strip(), done.returncode) == ("True 1 102", 0), done.stderr


def test_a_worker_that_is_declared_twice_is_still_refused_there(tmp_path: Path):
    text = 'from shiftboss import Orchestrator\nboss = Orchestrator("memory:")\nfor _ in range(2):\n'
    text += "    @boss.worker(name='one')\n    def one() -> None: ...\n"
    (tmp_path / "app.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "app.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert "registered twice" in done.stderr
