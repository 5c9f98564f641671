"""A store is opened, made or refused; nothing that is already there is ever harmed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest
from store_values import BYTES, FrozenClock, a_run, a_worker, fetch, store_runs, write

from shiftboss.core.events import Event
from shiftboss.errors import (
    ConfigurationError,
    NotStarted,
    OperatorError,
    StoreDamaged,
    StoreMissing,
    StoreRejected,
    StoreTooNew,
    StoreTooOld,
    StoreUnavailable,
)
from shiftboss.ports.faces import HistoryFilter
from shiftboss.stores.sqlite import schema
from shiftboss.stores.sqlite.store import SqliteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "boss.db"


def a_store(path: Path, **options: str) -> SqliteStore:
    return SqliteStore(path, clock=FrozenClock(), **options)  # type: ignore[arg-type]


def made(path: Path) -> Path:
    """A closed store with one run in it."""
    store = a_store(path)
    store.open(create=True)
    store_runs(store.session(), a_run(1, payload=BYTES))
    store.close()
    return path


def assert_refused(path: Path, error: type[Exception], match: str, *, create: bool = True) -> None:
    """Refused with that message, and the file and its folder are as before."""
    before = contents(path)
    with pytest.raises(error, match=match) as caught:
        a_store(path).open(create=create)
    assert str(path) in str(caught.value)
    assert contents(path) == before


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(path.parent.glob("*")) if file.is_file()}


# ── making ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_store_leaves_nothing_but_itself_and_its_reserve(path: Path):
    made(path)

    assert sorted(file.name for file in path.parent.iterdir()) == ["boss.db", "boss.db.notify", "boss.db.reserve"]


def test_a_store_is_found_again_with_what_was_in_it(path: Path):
    made(path)
    store = a_store(path)
    store.open(create=False)

    assert fetch(store.session(), 1) == [a_run(1, payload=BYTES)]
    store.close()


def test_opening_twice_is_opening_once(path: Path):
    made(path)
    first, second = a_store(path), a_store(path)
    first.open(create=True)
    second.open(create=True)
    store_runs(first.session(), a_run(2))

    assert len(fetch(second.session(), 1, 2)) == 2
    first.close()
    second.close()


def test_durability_is_asked_of_sqlite_at_run_time(path: Path):
    for durability, synchronous in (("power", 2), ("process", 1)):
        store = a_store(path, durability=durability)
        store.open(create=True)
        with store.session().read() as reader:
            info = reader.info()
        store.close()

        assert (info["journal_mode"], info["synchronous"]) == ("wal", synchronous)


def test_the_file_says_whose_it_is(path: Path):
    connection = apsw.Connection(str(made(path)))

    assert connection.pragma("application_id") == schema.APPLICATION_ID
    assert connection.pragma("user_version") == schema.latest() == 7
    connection.close()


def test_a_copy_that_lost_its_journal_mode_gets_it_back(path: Path):
    connection = apsw.Connection(str(made(path)))
    copy = path.with_name("copy.db")
    connection.execute("VACUUM INTO ?", (str(copy),))
    connection.close()
    store = a_store(copy)
    store.open(create=False)
    session = store.session()

    assert fetch(session, 1) == [a_run(1, payload=BYTES)]
    with session.read() as reader:
        assert reader.info()["journal_mode"] == "wal"
    store.close()


def test_strange_names_are_names(tmp_path: Path):
    for name in ("a b?c%20d#e.db", "übung.db", "x'y\"z.db", "-wal"):
        path = made(tmp_path / name)
        store = a_store(path)
        store.open(create=False)
        assert len(fetch(store.session(), 1)) == 1
        store.close()


# ── refusing ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_reading_never_creates(path: Path):
    assert_refused(path, StoreMissing, "there is no store", create=False)


def test_a_missing_folder_is_named(path: Path):
    assert_refused(path / "deep" / "boss.db", StoreMissing, "there is no folder")


def test_a_folder_is_no_store(path: Path):
    path.mkdir()
    assert_refused(path, ConfigurationError, "is a folder")


@pytest.mark.parametrize("create", [True, False])
def test_an_empty_file_is_damaged_and_stays_empty(path: Path, create: bool):
    path.touch()
    assert_refused(path, StoreDamaged, "is empty, and a store never is", create=create)


@pytest.mark.parametrize(
    "content", [b"x", b"hello, this is no database\n" * 400, BYTES * 64, b"SQLite format 3\0" + bytes(4080)]
)
def test_what_is_no_database_is_refused(path: Path, content: bytes):
    path.write_bytes(content)
    assert_refused(path, StoreDamaged, "is damaged|another program")


def test_another_programs_database_is_refused(path: Path):
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = WAL; CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)")
    connection.close()

    assert_refused(path, StoreDamaged, "another program")


def test_a_newer_schema_is_refused_before_anything_is_written(path: Path):
    connection = apsw.Connection(str(made(path)))
    connection.pragma("user_version", schema.latest() + 1)
    connection.close()

    assert_refused(path, StoreTooNew, "upgrade this process")


def test_an_older_schema_is_left_alone_by_who_only_reads(path: Path):
    """W4"""
    connection = apsw.Connection(str(made(path)))
    connection.pragma("user_version", 0)
    connection.close()

    assert_refused(path, StoreTooOld, "shiftboss migrate", create=False)


def test_a_newer_schema_that_is_still_in_the_log_is_refused(path: Path):
    """The first page in the file says 1, the one in the log says 2."""
    connection = apsw.Connection(str(made(path)))
    connection.wal_autocheckpoint(0)
    connection.pragma("user_version", schema.latest() + 1)
    with pytest.raises(StoreTooNew):
        a_store(path).open(create=True)

    assert connection.pragma("user_version") == schema.latest() + 1
    connection.close()


@pytest.mark.parametrize("create", [True, False])
def test_a_missing_file_whose_log_is_there_is_not_made_anew(path: Path, create: bool):
    store = a_store(made(path))
    store.open(create=False)
    store_runs(store.session(), a_run(2))
    shutil.copy(f"{path}-wal", path.with_name("log"))
    store.close()
    path.unlink()
    path.with_name("log").rename(f"{path}-wal")

    assert_refused(path, StoreDamaged, "is missing, but boss.db-wal exists", create=create)


@pytest.mark.parametrize("create", [True, False])
def test_a_newer_schema_in_the_log_is_refused_by_who_only_reads_too(path: Path, create: bool):
    """W4"""
    store = a_store(made(path))
    store.open(create=True)
    session = store.session()
    connection = apsw.Connection(str(path))
    connection.wal_autocheckpoint(0)
    connection.pragma("user_version", schema.latest() + 1)
    with pytest.raises(StoreTooNew):
        a_store(path).open(create=create)

    assert a_store(path).schema() == (schema.latest() + 1, schema.latest())
    session.close()
    connection.close()


# ── whose file is it? ────────────────────────────────────────────────────────────────────────────────────────────

IN_USE = """
import sys, apsw
connection = apsw.Connection(sys.argv[1])
connection.execute("PRAGMA journal_mode = WAL; CREATE TABLE theirs (x); PRAGMA wal_autocheckpoint = 0").fetchall()
connection.execute("INSERT INTO theirs VALUES (1)")
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("is_killed", [False, True])
def test_another_programs_database_is_refused_while_that_program_writes_and_after_its_crash(
    path: Path, is_killed: bool
):
    process = subprocess.Popen(
        [sys.executable, "-c", IN_USE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    if is_killed:
        process.kill()
        process.wait()
    assert_refused(path, StoreDamaged, "another program")
    process.kill()
    process.communicate()


def test_another_programs_database_in_a_folder_without_rights_is_refused_as_that(path: Path):
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = WAL; CREATE TABLE theirs (x)")
    connection.close()
    os.utime(path, (1, 1))
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        assert_refused(path, StoreDamaged, "another program")
        assert path.stat().st_mtime == 1
    finally:
        path.parent.chmod(0o755)


def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.db")
    (tmp_path / "link.db").symlink_to(tmp_path / "nowhere")
    for name, error, match in (
        ("pipe.db", ConfigurationError, "is a pipe"),
        ("/dev/null", ConfigurationError, "a device"),
        ("link.db", StoreMissing, "is a link to"),
        ("x" * 300, ConfigurationError, "cannot be looked at"),
        ("nul\0.db", ConfigurationError, "cannot be looked at"),
    ):
        for create in (True, False):
            with pytest.raises(error, match=match):
                a_store(tmp_path / name).open(create=create)
            with pytest.raises(error, match=match):
                a_store(tmp_path / name).schema()
    assert sorted(os.listdir(tmp_path)) == ["link.db", "pipe.db"]


# ── damage ───────────────────────────────────────────────────────────────────────────────────────────────────────


def overwrite_pages(path: Path, first: int, count: int) -> None:
    with path.open("r+b") as file:
        file.seek(4096 * (first - 1))
        file.write(b"\xa5" * 4096 * count)


def test_overwritten_pages_are_reported_as_damage_and_left_as_they_are(path: Path):
    made(path)
    pages = path.stat().st_size // 4096
    overwrite_pages(path, 2, pages - 1)
    before = path.read_bytes()
    with pytest.raises(StoreDamaged, match="restore a backup"):
        use(path)

    assert path.read_bytes() == before


def use(path: Path) -> None:
    store = a_store(path)
    try:
        store.open(create=True)
        session = store.session()
        store_runs(session, a_run(2))
        fetch(session, 1, 2)
    finally:
        store.close()


def test_a_row_that_cannot_be_read_is_no_damage_of_the_store(path: Path):
    """W8: only that row is lost to its readers (test_unreadable_rows.py)."""
    connection = apsw.Connection(str(made(path)))
    connection.execute("UPDATE run SET data = substr(data, 1, 40)")
    connection.close()
    store = a_store(path)
    store.open(create=True)
    with store.session().read() as reader:
        (run,) = reader.runs([1])
    store.close()

    assert run.unreadable is not None


@pytest.mark.parametrize("what", ["deleted", "replaced"])
def test_a_file_that_goes_away_while_in_use_is_noticed_before_the_next_commit(path: Path, what: str):
    made(path)
    store = a_store(path)
    store.open(create=True)
    session = store.session()
    store_runs(session, a_run(2))
    path.rename(path.with_name("moved"))
    if what == "replaced":
        shutil.copy(path.with_name("moved"), path)
    with pytest.raises(StoreDamaged, match="moved, deleted or replaced"):
        store_runs(session, a_run(3))
    with pytest.raises(StoreDamaged, match="moved, deleted or replaced"):
        fetch(session, 1)

    assert path.exists() == (what == "replaced")
    store.close()


# ── use ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_store_that_was_not_opened_says_so(path: Path):
    with pytest.raises(NotStarted, match="call open"):
        a_store(path).session()


def test_a_fact_that_json_cannot_hold_is_rejected_alone(path: Path):
    store = a_store(path)
    store.open(create=True)
    session = store.session()
    with pytest.raises(OperatorError, match="cannot be stored"):
        write(session, workers=(a_worker(doc="half a pair: \ud800"),))
    write(session, workers=(a_worker(doc="whole"),))
    store.close()


def test_a_question_that_no_row_can_answer_is_rejected_not_broken(path: Path):
    store = a_store(path)
    store.open(create=True)
    for question in (HistoryFilter(worker="\ud800"), HistoryFilter(before=1 << 70)):
        with store.session().read() as reader, pytest.raises(StoreRejected, match="such a value"):
            reader.history(question)
    store.close()


def test_a_neighbour_that_holds_the_lock_is_waited_for_and_then_named(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shiftboss.stores.sqlite.connection.MAX_BUSY_S", 0.02)
    store = a_store(made(path))
    store.open(create=True)
    holder, session = store.session(), store.session()
    with holder.begin(), pytest.raises(StoreUnavailable, match="locked by another process") as caught:
        store_runs(session, a_run(2))

    assert not caught.value.maybe_stored
    store_runs(session, a_run(2))
    store.close()


def test_the_log_is_moved_into_the_file_between_commits(path: Path):
    store = a_store(path)
    store.open(create=True)
    session = store.session()
    sizes = []
    for n in range(0, 40_000, 1000):
        store_runs(session, *(a_run(i, by="x" * 300) for i in range(n, n + 1000)))
        sizes.append(os.stat(f"{path}-wal").st_size)

    assert max(sizes) < 16 << 20
    assert path.stat().st_size > 16 << 20
    store.close()


def test_what_a_newer_process_wrote_beside_what_we_know_is_skipped(path: Path):
    """W4: two versions on one store; unknown fields are ignored, unknown events keep their common part."""
    connection = apsw.Connection(str(made(path)))
    connection.execute("UPDATE run SET data = json_set(data, '$.mood', 'good')")
    event = '{"type": "moon_landed", "at": "2026-03-01T12:00:00Z", "worker": "mail", "crater": 7}'
    connection.execute("INSERT INTO event (id, at, worker, data) VALUES (1, 0, 'mail', ?)", (event,))
    connection.close()
    store = a_store(path)
    store.open(create=False)
    session = store.session()
    with session.read() as reader:
        events = reader.events(after=0, limit=9)

    assert fetch(session, 1) == [a_run(1, payload=BYTES)]
    assert events == [(1, Event(at=datetime(2026, 3, 1, 12, tzinfo=UTC), worker="mail"))]
    store.close()
