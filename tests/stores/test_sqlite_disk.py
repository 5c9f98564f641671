"""A disk that is full or read-only: no success is reported, what ran can be recorded, everything recovers by itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import apsw
import pytest
from store_values import NODE, FrozenClock, a_node, a_run, ended, fetch, started, store_runs, write

from shiftboss.core.model import Run, Status
from shiftboss.errors import OperatorError, StoreFull, StoreReadOnly, StoreUnavailable
from shiftboss.ports.faces import HistoryFilter
from shiftboss.ports.store import Session
from shiftboss.stores.sqlite import disk_reserve
from shiftboss.stores.sqlite.store import SqliteStore

DISK_BYTES = 24 << 20


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount("-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small tmpfs cannot be mounted here (not root, or no mount): {error}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


@pytest.fixture
def store(disk: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(disk / "boss.db", clock=FrozenClock())
    store.open(create=True)
    yield store
    store.close()


def fill(disk: Path, *, leave: int = 0) -> Path:
    """Take all the room that is left, but for *leave* bytes."""
    ballast = disk / "ballast"
    descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with suppress(OSError):
        os.posix_fallocate(descriptor, 0, max(1, free - leave))
    os.close(descriptor)
    return ballast


def big(run_id: int) -> Run:
    return a_run(run_id, payload=b"x" * 100_000)


def until_full(action: Callable[[int], None]) -> int:
    """Do it until the disk is full; how often it went well."""
    for n in range(10_000):
        try:
            action(n)
        except StoreFull:
            return n
    raise AssertionError("the disk never got full")


def stored_ids(session: Session) -> list[int]:
    with session.read() as reader:
        return sorted(run.id for run in reader.history(HistoryFilter(limit=1 << 30)))


# ── full ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_full_disk_is_said_and_what_was_acknowledged_is_there(store: SqliteStore, disk: Path):
    session = store.session()
    count = until_full(lambda n: store_runs(session, big(n + 1)))
    with pytest.raises(StoreFull, match=r"disk is full.*until there is room") as caught:
        until_refused(session, 10_000)

    assert not caught.value.maybe_stored
    assert stored_ids(session)[:count] == list(range(1, count + 1))
    assert store.tight
    with session.read() as reader:
        assert reader.info()["integrity"] == "ok"


def until_refused(session: Session, first: int) -> None:
    for n in range(first, first + 100):
        store_runs(session, big(n))


def test_the_reserve_lets_running_attempts_be_recorded_on_a_full_disk(store: SqliteStore, disk: Path):
    session = store.session()
    running = [started(a_run(n)) for n in range(1, 301)]
    store_runs(session, *running)
    fill(disk)
    until_full(lambda n: store_runs(session, big(1000 + n)))
    before = store.tight
    for run in running:  # one by one: the worst case for the log
        write(session, runs=(ended(run, result=b"done"),))

    assert before
    assert [run.status for run in fetch(session, *range(1, 301))] == [Status.SUCCEEDED] * 300


def test_it_recovers_without_a_restart_once_there_is_room(
    store: SqliteStore, disk: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(disk_reserve, "LOOK_AGAIN_S", 0.0)
    session = store.session()
    ballast = fill(disk)
    until_full(lambda n: store_runs(session, big(n + 1)))
    full = store.tight, os.path.exists(f"{store.path}.reserve")
    ballast.unlink()
    room = store.tight, os.path.getsize(f"{store.path}.reserve")
    store_runs(session, big(5000))

    assert full == (True, False)
    assert room == (False, disk_reserve.RESERVE_BYTES)


def test_a_transaction_that_met_the_full_disk_leaves_nothing_and_the_session_goes_on(store: SqliteStore, disk: Path):
    session = store.session()
    store_runs(session, a_run(1))
    fill(disk)
    with pytest.raises(StoreFull):
        store_runs(session, *(big(n) for n in range(2, 100)))

    assert stored_ids(session) == [1]
    write(session, runs=(started(a_run(1)),))  # the reserve has been given up by now


def test_a_store_cannot_be_made_on_a_full_disk_and_leaves_no_pieces(disk: Path):
    fill(disk)
    store = SqliteStore(disk / "boss.db", clock=FrozenClock())
    with pytest.raises(OperatorError):
        store.open(create=True)

    assert [file.name for file in disk.iterdir()] == ["ballast"]


def test_a_nearly_full_disk_is_tight_from_the_start(disk: Path):
    fill(disk, leave=3 << 20)
    store = SqliteStore(disk / "boss.db", clock=FrozenClock())
    store.open(create=True)

    assert store.tight
    store_runs(store.session(), a_run(1))
    store.close()


def test_a_second_process_that_meets_the_full_disk_is_tight_as_well(store: SqliteStore, disk: Path):
    second = SqliteStore(store.path, clock=FrozenClock())
    second.open(create=True)
    session, other = store.session(), second.session()
    fill(disk)
    until_full(lambda n: store_runs(session, big(n + 1)))
    until_full(lambda n: store_runs(other, big(1000 + n)))

    assert (store.tight, second.tight) == (True, True)
    second.close()


def test_where_one_process_met_the_full_disk_all_are_tight(store: SqliteStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(disk_reserve, "LOOK_AGAIN_S", 0.0)
    second = SqliteStore(store.path, clock=FrozenClock())
    second.open(create=True)
    before = second.tight
    monkeypatch.setattr(disk_reserve, "ENOUGH_BYTES", 1 << 60)
    store._reserve.give_up()

    assert (before, second.tight) == (False, True)
    second.close()


# ── read-only ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_store_on_a_read_only_disk_is_refused(store: SqliteStore, disk: Path):
    store_runs(store.session(), a_run(1))
    store.close()
    mount("-o", "remount,ro", str(disk))
    for create in (True, False):
        with pytest.raises(StoreReadOnly, match="read-only"):
            SqliteStore(store.path, clock=FrozenClock()).open(create=create)


def test_a_store_is_not_made_in_a_read_only_folder(disk: Path):
    mount("-o", "remount,ro", str(disk))
    with pytest.raises(StoreReadOnly, match="this user cannot write its folder"):
        SqliteStore(disk / "boss.db", clock=FrozenClock()).open(create=True)


def test_a_file_that_cannot_be_written_is_refused(store: SqliteStore, tmp_path: Path):
    store.close()
    mount("--bind", str(store.path), str(store.path))
    mount("-o", "remount,bind,ro", str(store.path))
    try:
        with pytest.raises(StoreReadOnly, match="read-only"):
            SqliteStore(store.path, clock=FrozenClock()).open(create=True)
    finally:
        subprocess.run(["umount", str(store.path)], check=True)


@pytest.fixture
def remounted(store: SqliteStore, disk: Path) -> Session:
    """A session of a store whose disk turned read-only after it was opened (an ext4 with errors does that)."""
    session = store.session()
    store_runs(session, started(a_run(1)))
    store._reserve.give_up()
    # a file that is open for writing keeps a file system from being remounted; a bind mount over the folder does not
    mount("--bind", str(disk), str(disk))
    mount("-o", "remount,bind,ro", str(disk))
    return session


def test_a_new_session_on_a_disk_that_turned_read_only_says_so(remounted: Session, store: SqliteStore, disk: Path):
    try:
        with pytest.raises((StoreReadOnly, StoreUnavailable)):
            store_runs(store.session(), a_run(2))
        with pytest.raises(StoreReadOnly), store.hold(NODE):
            pass
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


# ── a failing disk ───────────────────────────────────────────────────────────────────────────────────────────────


class FailingFile(apsw.VFSFile):
    def xSync(self, flags: int) -> None:
        if FailingDisk.fails:
            error = apsw.IOError("the disk says no")
            error.result, error.extendedresult = apsw.SQLITE_IOERR, apsw.SQLITE_IOERR_FSYNC  # as SQLite's own has
            raise error
        super().xSync(flags)


class FailingDisk(apsw.VFS):
    """SQLite's own view of the disk, but for syncs that fail when told to."""

    fails = False

    def __init__(self) -> None:
        super().__init__("failing", "unix", makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return FailingFile("unix", name, flags)


@pytest.fixture
def failing_disk() -> Iterator[type[FailingDisk]]:
    vfs = FailingDisk()
    yield FailingDisk
    FailingDisk.fails = False
    vfs.unregister()


def test_a_commit_whose_sync_failed_is_in_doubt_and_never_a_success(tmp_path: Path, failing_disk: type[FailingDisk]):
    store = SqliteStore(tmp_path / "boss.db", clock=FrozenClock())
    store.open(create=True)
    session = store.session()
    store_runs(session, a_run(1))
    failing_disk.fails = True
    with pytest.raises(StoreUnavailable, match="check the disk") as caught:
        write(session, runs=(a_run(2),), nodes=(a_node(),), new={2})
    failing_disk.fails = False
    with session.read() as reader:
        delta = reader.changes()

    assert caught.value.maybe_stored
    assert delta.everything  # what was believed before the failure is read anew
    assert stored_ids(session) == [1]
    store_runs(session, a_run(2))
    store.close()
