"""78 where trying again cannot help, so that no supervisor does; 75 where it may: over the real command."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from postgres_server import GUARDED, SECRET, Place, free_port

from .conftest import COMMAND, PATIENCE_S, clean_environment

APP = """
from shiftboss import Orchestrator
boss = Orchestrator({url!r})


@boss.worker(every="1h")
def tidy() -> None: ...
"""


def ended(folder: Path, *words: str, before: tuple[str, ...] = ()) -> tuple[int, str]:
    """The exit code of the command in *folder*, and what it said."""
    found = subprocess.run(
        [*before, *COMMAND, *words],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )
    return found.returncode, found.stderr


def written(path: Path, statement: str) -> None:
    db = sqlite3.connect(path)
    db.execute(statement)
    db.commit()
    db.close()


def too_new(path: Path) -> None:
    written(path, "PRAGMA user_version = 9999")


def of_another_program(path: Path) -> None:
    path.unlink()
    written(path, "CREATE TABLE theirs (id)")


def no_database(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def damaged(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))


@pytest.mark.parametrize("spoil", [too_new, of_another_program, no_database, empty, damaged])
@pytest.mark.parametrize("words", [("run", "app.py"), ("status",)])
def test_a_file_that_does_not_mend_itself_is_78(tmp_path: Path, spoil: Callable[[Path], None], words):
    """W3, W4"""
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    (tmp_path / "app.py").write_text(APP.format(url=url))
    assert ended(tmp_path, "migrate", "--store", url)[0] == 0
    for beside in tmp_path.glob("jobs.db-*"):
        beside.unlink()
    spoil(tmp_path / "jobs.db")

    code, said = ended(tmp_path, *words, *(() if words[0] == "run" else ("--store", url)))

    assert code == 78, said
    assert "Traceback" not in said


def test_a_server_that_is_away_is_75(tmp_path: Path):
    """H5"""
    code, said = ended(tmp_path, "status", "--store", f"postgresql://ada@127.0.0.1:{free_port()}/shop")

    assert code == 75, said
    assert "retrying" in said


def test_a_server_that_does_not_let_us_in_is_78(tmp_path: Path, place: Place):
    """A wrong password, an unknown role, a role without the privilege."""
    assert ended(tmp_path, "migrate", "--store", place.url)[0] == 0
    server = place.url.partition("@")[2]

    found = {
        user: ended(tmp_path, "status", "--store", f"postgresql://{user}@{server}")
        for user in (f"{GUARDED}:wrong", GUARDED, f"{GUARDED}:{SECRET.replace(' ', '%20')}", "nobody-of-that-name")
    }

    assert {user: code for user, (code, _) in found.items()} == dict.fromkeys(found, 78), found


def test_a_schema_that_is_newer_on_a_server_is_78(tmp_path: Path, place: Place):
    """W4"""
    assert ended(tmp_path, "migrate", "--store", place.url)[0] == 0
    place.execute("UPDATE meta SET schema = 9999")

    code, said = ended(tmp_path, "status", "--store", place.url)

    assert (code, "upgrade this process" in said) == (78, True), said
