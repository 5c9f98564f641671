"""The demo's bodies that are not functions of the observatory: the program of `backup`, the child of `outlook`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from shiftboss import Context, Orchestrator, Status
from shiftboss.core.events import AttemptEnded
from shiftboss.demo import backup
from shiftboss.demo.archive import FIELDS, FOLDER, Archive
from shiftboss.demo.endpoint import Endpoint
from shiftboss.demo.observatory import observatory
from shiftboss.demo.outlook import outlook

PATIENCE_S = 30.0
COPIES = FOLDER / "backups"


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """With three samples, and we are in the folder that has it."""
    monkeypatch.chdir(tmp_path)
    made = Archive()
    made.create()
    for at in range(3):
        made.add_sample(float(at), dict.fromkeys(FIELDS, at / 4))
    return made


def start(file: Path, folder: Path = COPIES) -> subprocess.Popen[str]:
    words = [sys.executable, backup.__file__, str(file), str(folder)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def back_up(file: Path) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    with start(file) as program:
        out, err = program.communicate(timeout=PATIENCE_S)
        return program.returncode, out, err


def samples_in(file: Path) -> int:
    with contextlib.closing(sqlite3.connect(file)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return copy.execute("SELECT COUNT(*) FROM sample").fetchone()[0]


# ── backup ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_backup_is_a_sound_copy_of_what_is_committed_while_others_write(archive):
    with contextlib.closing(sqlite3.connect(archive.path)) as writer:
        writer.execute("DELETE FROM sample")  # and no commit
        code, out, err = back_up(archive.path)

    [copy] = COPIES.iterdir()
    assert (code, samples_in(copy)) == (0, 3)
    assert out == f"{copy.name}: {copy.stat().st_size:,} bytes, 1 kept\n"
    assert err == "shiftboss-demo/observatory.db copied and verified\n"


def test_the_newest_backups_are_kept_and_nothing_that_is_none(archive):
    COPIES.mkdir()
    names = [f"observatory-2026010{day}-120000.db" for day in range(1, 8)]
    for name in (*names, "notes.txt"):
        (COPIES / name).touch()

    code, out, err = back_up(archive.path)

    new = out.partition(":")[0]
    assert code == 0
    assert sorted(each.name for each in COPIES.iterdir()) == sorted(["notes.txt", *names[-4:], new])
    assert err.splitlines()[1:] == [f"{name} removed" for name in names[:3]]


def test_a_backup_that_is_killed_leaves_no_half_copy_and_the_next_one_tidies_up(archive):
    with contextlib.closing(sqlite3.connect(archive.path)) as large:
        large.execute("CREATE TABLE large AS SELECT zeroblob(50000000)")
        large.commit()
    with start(archive.path) as program:
        until = time.monotonic() + PATIENCE_S
        while not any((COPIES / "unfinished").glob("*")) and program.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.001)
        program.send_signal(signal.SIGKILL)

    assert [samples_in(each) for each in COPIES.glob("*.db")] in ([], [3])
    assert back_up(archive.path)[0] == 0
    assert {each.suffix for each in COPIES.iterdir()} == {".db"}  # and nothing unfinished


def test_two_backups_at_once_or_a_locked_file_mean_try_again(archive, monkeypatch, capsys):
    monkeypatch.setattr(backup, "WAIT_S", 0.01)
    monkeypatch.setattr(sys, "argv", ["backup", str(archive.path), str(COPIES)])
    COPIES.mkdir()
    with backup.alone_in(COPIES):
        assert backup.main() == 75
    with contextlib.closing(sqlite3.connect(archive.path)) as owner:
        owner.execute("PRAGMA locking_mode = EXCLUSIVE")
        owner.execute("DELETE FROM sample")
        assert backup.main() == 75

    assert capsys.readouterr().err.count("backup of shiftboss-demo/observatory.db failed: ") == 2
    assert backup.main() == 0


def test_a_backup_of_nothing_fails_for_good_and_makes_nothing(archive):
    code, out, err = back_up(Path("elsewhere.db"))

    assert (code, out) == (1, "")
    assert err == "backup of elsewhere.db failed: unable to open database file\n"
    assert not os.path.exists("elsewhere.db")
    assert list(COPIES.glob("*.db")) == []


async def test_the_worker_tries_again_while_another_backup_is_under_way(archive):
    boss = Orchestrator("memory:")
    boss.register("backup", observatory("memory:", Mock(spec=Endpoint)).bodies["backup"].command)
    COPIES.mkdir()
    another = contextlib.ExitStack()
    another.enter_context(backup.alone_in(COPIES))
    failed: asyncio.Future[AttemptEnded] = asyncio.get_running_loop().create_future()

    @boss.on_events
    def listen(events):
        for event in events:
            if isinstance(event, AttemptEnded):
                another.close()
                failed.get_loop().call_soon_threadsafe(failed.set_result, event)

    async with boss:
        run = await boss.trigger("backup")
        event = await asyncio.wait_for(failed, PATIENCE_S)
        ended = await run.wait(timeout=PATIENCE_S)

    assert event.error.message.startswith("exit code 75: backup of shiftboss-demo/observatory.db failed: ")
    assert (ended.status, ended.attempt) == (Status.SUCCEEDED, 2)
    assert len(list(COPIES.glob("*.db"))) == 1


# ── outlook ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_outlook_runs_in_a_child_says_how_far_it_is_and_keeps_its_answer(archive):
    boss = Orchestrator("memory:")
    boss.register("outlook", outlook, executor="process")

    async with boss:
        run = await boss.trigger("outlook", {"sensor": "disk", "walks": 20_000})
        answer = await run.result(timeout=PATIENCE_S)
        info = await run.info()

    assert answer.startswith("disk: 0.50 now, up to ")
    assert (info.progress.done, info.progress.total, info.progress.message) == (20_000, 20_000, "20,000 walks")
    assert archive.counts()["reports"] == 1


def test_a_sensor_that_never_changed_stays_where_it_is(archive):
    archive.prune(before=2.0, limit=10)

    assert outlook(Mock(spec=Context), walks=10_000) == "load: 0.50 now, up to 0.50 within a minute in 95 of 100 walks"
