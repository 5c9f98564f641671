"""Whoever reads or copies the files of a store, in whatever process, takes no lock from it."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from store_values import NODE, FrozenClock, a_run, fetch, store_runs
from test_sqlite_processes import PATIENCE_S, Spawn, all_ready, integrity, let_go, lines_of, next_line, path, spawn

from shiftboss.errors import StoreUnavailable
from shiftboss.ports.faces import HistoryFilter
from shiftboss.stores.sqlite import file_locks, locks
from shiftboss.stores.sqlite.connection import Database
from shiftboss.stores.sqlite.store import SqliteStore

__all__ = ["path", "spawn"]

pytestmark = pytest.mark.skipif(not file_locks.HAS_OFD, reason="open file description locks")


def read_all(folder: Path) -> None:
    """Open, read and close every file, as whoever looks for something in a folder does."""
    for file in folder.rglob("*"):
        if file.is_file():
            file.read_bytes()


def copy_all(folder: Path) -> None:
    shutil.copytree(folder, folder.parent / f"copy of {folder.name}", dirs_exist_ok=True)


def look_with_another_sqlite(folder: Path) -> None:
    """Python's own has locks of its own, which are those of the process all the same."""
    connection = sqlite3.connect(folder / "boss.db")
    connection.execute("SELECT count(*) FROM run").fetchall()
    connection.close()


LOOKS = pytest.mark.parametrize("look", [read_all, copy_all, look_with_another_sqlite])
Look = Callable[[Path], None]


# ── what a look leaves alone ─────────────────────────────────────────────────────────────────────────────────────


@LOOKS
def test_a_node_whose_files_are_read_in_its_own_process_lives(spawn: Spawn, sqlite: SqliteStore, look: Look):
    """C4, W7"""
    with sqlite.hold(NODE):
        look(sqlite.path.parent)
        said = lines_of(spawn("is_dead", NODE))

    assert said == ["False"]


@LOOKS
def test_who_closes_beside_a_process_that_looked_does_not_take_itself_for_the_last(
    spawn: Spawn, sqlite: SqliteStore, look: Look
):
    """The last one removes the log; what is written into a removed log is lost."""
    session = sqlite.session()
    store_runs(session, a_run(101))
    look(sqlite.path.parent)
    log = Path(f"{sqlite.path}-wal").stat().st_ino
    process = spawn("open_and_close", 1)
    all_ready(process)
    let_go(process)

    assert lines_of(process) == ["done"]
    assert Path(f"{sqlite.path}-wal").stat().st_ino == log
    store_runs(session, a_run(102))
    assert lines_of(spawn("count")) == ["3"]
    assert integrity(sqlite.path) == ["ok"]


@LOOKS
def test_who_writes_is_alone_though_its_process_looks(spawn: Spawn, sqlite: SqliteStore, look: Look):
    process = spawn("try_to_write")
    all_ready(process)
    session = sqlite.session()
    with session.begin():
        look(sqlite.path.parent)
        let_go(process)
        within = next_line(process)
        all_ready(process)
    let_go(process)

    assert (within, lines_of(process)) == ("False", ["True"])


@LOOKS
def test_the_log_is_not_moved_under_a_view_though_its_process_looks(spawn: Spawn, sqlite: SqliteStore, look: Look):
    session = sqlite.session()
    store_runs(session, *(a_run(number) for number in range(1, 200)))
    process = spawn("try_to_move_the_log")
    all_ready(process)
    with session.read() as reader:
        before = len(reader.history(HistoryFilter(limit=1 << 30)))
        look(sqlite.path.parent)
        let_go(process)
        within = next_line(process)
        after = len(reader.history(HistoryFilter(limit=1 << 30)))
    all_ready(process)
    let_go(process)

    assert (before, within, after) == (199, "False", 199)
    assert lines_of(process) == ["True"]


def test_asking_for_the_schema_drops_no_lock(spawn: Spawn, sqlite: SqliteStore):
    """Who opens the file as SQLite alone does, of an older version for instance, waits for our write lock."""
    session = sqlite.session()
    with session.begin():
        sqlite.schema()
        SqliteStore(sqlite.path, clock=None).open(create=False)  # type: ignore[arg-type]
        said = lines_of(spawn("begin_as_sqlite_does"))

    assert said == ["BusyError"]
    assert lines_of(spawn("begin_as_sqlite_does")) == ["begun"]


def test_views_that_always_overlap_do_not_keep_a_swollen_log_from_being_moved(sqlite: SqliteStore):
    """Once it is swollen, those to come wait until those that are open have ended."""
    views = [Database(sqlite.path) for _ in range(2)]
    writer = Database(sqlite.path)
    views[0].begin_reading()
    without_gate = writer.checkpoint()
    assert writer._locks.try_gate()
    is_in = views[1]._locks.try_view()
    views[0].rollback()
    moved = writer._locks.try_checkpoint()
    writer._locks.release()

    assert (without_gate, is_in, moved, views[1]._locks.try_view()) == (False, False, True, True)
    for database in (*views, writer):
        database.close()


def test_nobody_opens_the_file_while_the_last_one_closes_it_though_its_process_looks(sqlite: SqliteStore):
    """A look drops the exclusive lock with which SQLite removes the log; who opened it now would write into it."""
    database = Database(sqlite.path)
    with locks.closing(database._locks):
        neighbour = os.open(sqlite.path, os.O_RDWR)
        try:
            meanwhile = file_locks.take(neighbour, locks.DOOR)
        finally:
            database._connection.close()
    afterwards = file_locks.take(neighbour, locks.DOOR)
    os.close(neighbour)

    assert (meanwhile, afterwards) == (False, True)


# ── all at once ──────────────────────────────────────────────────────────────────────────────────────────────────


@LOOKS
def test_two_processes_write_while_one_looks_all_the_time(spawn: Spawn, sqlite: SqliteStore, look: Look):
    """W7.  It looks while its store is open, as a body does.

    While a process opens its first connection, or closes its last one, no other SQLite library in it may open the file
    (docs/how-to/store.md): both believe that they are alone with it, because locks of one process never conflict, and
    whoever closes it last removes the log that the other has just opened (SQLITE_IOERR_SHORT_READ).
    """
    processes = [spawn("hammer_and_look", 120, 3, look.__name__), spawn("hammer", 120, 3), spawn("open_and_close", 40)]
    all_ready(*processes)
    let_go(*processes)
    hammered = [line.split() for process in processes[:2] for line in lines_of(process)]
    numbers = [int(words[1]) for words in hammered]
    ids = [int(word) for words in hammered for word in words[2:]]

    assert lines_of(processes[2]) == ["done"]
    assert (len(numbers), len(set(numbers))) == (240, 240)
    assert (len(ids), len(set(ids))) == (720, 720)
    with sqlite.session().read() as reader:
        stored = {run.id for run in reader.history(HistoryFilter(limit=1 << 30))}
    assert set(ids) <= stored
    assert len(stored) == 760
    assert integrity(sqlite.path) == ["ok"]


# ── children ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("way", ["fork", "multiprocessing fork", "multiprocessing spawn", "program"])
def test_a_child_that_outlives_a_killed_node_does_not_keep_it_alive(spawn: Spawn, sqlite: SqliteStore, way: str):
    """C4.  Nor does it keep the write lock that its parent had."""
    process = spawn("hold_with_a_child", way)
    child = int(next_line(process))
    try:
        alive = sqlite.is_dead(NODE)
        process.kill()
        process.wait(PATIENCE_S)
        os.kill(child, 0)  # it is still there
        dead = sqlite.is_dead(NODE)
        store_runs(sqlite.session(), a_run(1))
    finally:
        os.kill(child, 9)

    assert (alive, dead) == (False, True)


# ── two versions ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_node_of_the_version_before_and_one_of_this_see_each_other(spawn: Spawn, sqlite: SqliteStore):
    """W4: that one locked its file by POSIX, and asked for a shared lock of others."""
    old = spawn("hold_as_before", "old")
    all_ready(old)
    with sqlite.hold(NODE):
        seen_by_the_old = lines_of(spawn("is_dead_as_before", NODE))
        old_lives = sqlite.is_dead("old")
    old.kill()
    old.wait(PATIENCE_S)

    assert (seen_by_the_old, old_lives, sqlite.is_dead("old")) == (["False"], False, True)


def test_a_process_of_the_version_before_writes_and_closes_beside_one_of_this(spawn: Spawn, sqlite: SqliteStore):
    """W4"""
    session = sqlite.session()
    store_runs(session, a_run(1))
    for number in range(2, 6):
        assert lines_of(spawn("write_and_close_as_sqlite_does", number)) == ["done"]
        store_runs(session, a_run(100 + number))
    sqlite.close()

    assert lines_of(spawn("count")) == ["9"]
    assert integrity(sqlite.path) == ["ok"]


def test_descriptors_are_given_back(sqlite: SqliteStore):
    def opened() -> int:
        return sum(1 for file in Path("/proc/self/fd").iterdir() if sqlite.path.name in os.path.basename(_target(file)))

    before = opened()
    sessions = [sqlite.session() for _ in range(5)]
    for session in sessions:
        session.close()

    assert (before, opened()) == (0, 0)


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def test_a_store_that_is_opened_by_many_threads_at_once_is_opened(sqlite: SqliteStore):
    def use(number: int) -> int:
        session = sqlite.session()
        store_runs(session, a_run(number))
        session.close()
        return number

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(use, range(1, 81)))

    assert len(fetch(sqlite.session(), *done)) == 80


# ── where there are no such locks ────────────────────────────────────────────────────────────────────────────────


def test_where_there_are_posix_locks_only_opening_warns_and_work_goes_on(
    spawn: Spawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """W7"""
    monkeypatch.setattr(file_locks, "HAS_OFD", False)
    store = SqliteStore(tmp_path / "boss.db", clock=FrozenClock())
    store.open(create=True)
    with store.hold(NODE):
        store_runs(store.session(), a_run(1))
        said = [store.is_dead(NODE), *lines_of(spawn("is_dead", NODE))]
    store.close()

    assert said == [False, "False"]
    assert ["functions must not open the files" in line for line in caplog.messages] == [True]


def test_a_file_system_that_keeps_no_locks_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """W7"""

    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(file_locks.fcntl, "fcntl", refused)
    with pytest.raises(StoreUnavailable, match=r"does not support locks .* local disk"):
        SqliteStore(tmp_path / "boss.db", clock=FrozenClock()).open(create=True)

    assert list(tmp_path.iterdir()) == []
