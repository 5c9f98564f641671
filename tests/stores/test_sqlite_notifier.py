"""W1: processes on one file hear of each other's commits; real files and processes, and counted looks."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from store_values import FrozenClock, a_node, write
from test_sqlite_processes import PATIENCE_S, Spawn, all_ready, let_go, next_line, path, spawn, until_state

from shiftboss.stores.sqlite import notifier, session
from shiftboss.stores.sqlite.notifier import Listener, Notifier, NotWatched
from shiftboss.stores.sqlite.session import SqliteSession
from shiftboss.stores.sqlite.store import SqliteStore

__all__ = ["path", "spawn"]  # fixtures

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/sys/fs/inotify"), reason="no inotify")


@pytest.fixture
def only_notifications(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks by himself before the test has failed."""
    for name in ("LOOK_S", "POLL_S"):
        monkeypatch.setattr(notifier, name, 10 * PATIENCE_S)


@pytest.fixture
def listener(sqlite: SqliteStore) -> Iterator[Listener]:
    listener = Listener(sqlite.notifier)
    assert listener.wait(0) is False  # begins to watch
    yield listener
    listener.close()


def waiter(session: SqliteSession) -> threading.Thread:
    with session.read() as reader:
        reader.changes()
    thread = threading.Thread(target=session.wait, args=(10 * PATIENCE_S,), daemon=True)
    thread.start()
    return thread


def is_told(listener: Listener) -> bool:
    """Whether it was notified since the last call."""
    return listener.wait(0) is False


# ── between processes ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("only_notifications")
def test_a_commit_of_another_process_ends_every_wait_without_a_look(spawn: Spawn, sqlite: SqliteStore):
    """W1"""
    process = spawn("commit_once")
    all_ready(process)
    waiters = [waiter(sqlite.session()) for _ in range(3)]
    let_go(process)
    for each in waiters:
        each.join(PATIENCE_S)

    assert not any(each.is_alive() for each in waiters)


def test_a_listener_that_is_stopped_holds_nobody_up_and_is_notified_when_it_goes_on(spawn: Spawn, sqlite: SqliteStore):
    """W1: however many commits there were, one notification waits for it."""
    process = spawn("wait_notified")
    all_ready(process)
    process.send_signal(signal.SIGSTOP)
    until_state(process.pid, stopped=True)
    session = sqlite.session()
    for _ in range(300):
        write(session, nodes=(a_node("elsewhere"),))
    process.send_signal(signal.SIGCONT)

    assert next_line(process) == "notified"


def test_a_killed_listener_leaves_nothing_behind(spawn: Spawn, sqlite: SqliteStore):
    before = sorted(file.name for file in sqlite.path.parent.iterdir())
    process = spawn("wait_notified")
    all_ready(process)
    process.kill()
    process.wait(PATIENCE_S)
    write(sqlite.session(), nodes=(a_node(),))
    left = sorted(file.name for file in sqlite.path.parent.iterdir())

    assert [name for name in left if not name.endswith(("-wal", "-shm"))] == before
    assert before == ["boss.db", "boss.db.notify", "boss.db.reserve"]


def test_a_forked_child_neither_listens_nor_wakes_its_parent(spawn: Spawn, path: Path):
    """W4"""
    process = spawn("listen_and_fork")

    assert next_line(process) == "child has none of 3, parent was woken: False"


def test_who_comes_by_a_link_is_notified_too(sqlite: SqliteStore, listener: Listener):
    link = sqlite.path.parent / "link.db"
    link.symlink_to(sqlite.path)
    other = SqliteStore(link, clock=FrozenClock())
    other.open(create=False)
    write(other.session(), nodes=(a_node(),))
    other.close()

    assert is_told(listener)


def test_who_has_heard_of_a_commit_does_not_look_again_whether_there_is_one(
    monkeypatch: pytest.MonkeyPatch, sqlite: SqliteStore
):
    session = sqlite.session()
    idle_s(session, 0.001)
    elsewhere = SqliteStore(sqlite.path, clock=FrozenClock())
    elsewhere.open(create=False)
    write(elsewhere.session(), nodes=(a_node(),))
    elsewhere.close()
    session.wait(PATIENCE_S)
    with monkeypatch.context() as patched:
        patched.setattr(session._db, "number", lambda *_: pytest.fail("it looked"))
        told = session.changed_elsewhere()
    with session.read() as reader:
        reader.changes()

    assert (told, session.changed_elsewhere()) == (True, False)


# ── who does not commit does not notify ──────────────────────────────────────────────────────────────────────────


def test_whoever_reads_or_copies_the_files_notifies_nobody(sqlite: SqliteStore, listener: Listener):
    """W7"""
    shutil.copytree(sqlite.path.parent, sqlite.path.parent.parent / "copy")
    sqlite.notifier.path.read_bytes()

    assert not is_told(listener)
    sqlite.notifier.announce()
    assert is_told(listener)


def test_a_view_and_an_empty_transaction_notify_nobody(sqlite: SqliteStore, listener: Listener):
    session = sqlite.session()
    with session.read() as reader:
        reader.changes()
    with session.begin():
        pass

    assert not is_told(listener)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere"), lambda path: None])
def test_a_commit_fails_for_nothing_that_is_in_the_place_of_the_file(
    sqlite: SqliteStore, make: Callable[[Path], object]
):
    sqlite.notifier.path.unlink()
    make(sqlite.notifier.path)
    write(sqlite.session(), nodes=(a_node(),))

    with sqlite.session().read() as reader:
        assert reader.changes().nodes == [a_node()]


@pytest.mark.parametrize("lose", [Path.unlink, lambda path: path.rename(f"{path}.old")])
def test_a_listener_whose_file_was_taken_away_watches_a_new_one(
    monkeypatch: pytest.MonkeyPatch, sqlite: SqliteStore, listener: Listener, lose: Callable[[Path], object]
):
    lose(sqlite.notifier.path)
    monkeypatch.setattr(listener, "_see_to_watch_s", 0.0)  # a second later
    while is_told(listener):  # that the file is gone, and that it has begun to watch another one
        pass
    sqlite.notifier.announce()

    assert is_told(listener)


# ── how often somebody looks ─────────────────────────────────────────────────────────────────────────────────────


class Time:
    """A clock that only waiting moves, and the waiting: `select.poll` without a descriptor that is ever ready."""

    def __init__(self, *, always_ready: bool = False) -> None:
        self.now_s = 0.0
        self.waits_ms: list[int] = []
        self.always_ready = always_ready
        self.at: dict[float, Callable[[], object]] = {}
        self.watched: Notifier | None = None

    def monotonic_s(self) -> float:
        return self.now_s

    def poll(self) -> Poll:
        return Poll(self)


class Poll:
    def __init__(self, time: Time) -> None:
        self._time = time
        self._descriptors: list[int] = []

    def register(self, descriptor: int, events: int) -> None:
        self._descriptors.append(descriptor)

    def unregister(self, descriptor: int) -> None:
        self._descriptors.remove(descriptor)

    def poll(self, timeout_ms: int) -> list[tuple[int, int]]:
        time = self._time
        time.waits_ms.append(timeout_ms)
        if time.always_ready and len(self._descriptors) > 1:
            time.now_s += 40e-6
            if time.watched is not None:
                time.watched.announce()
            return [(self._descriptors[-1], 1)]
        time.now_s = round(time.now_s + timeout_ms / 1000, 6)
        for at in sorted(at for at in time.at if at <= time.now_s):
            time.at.pop(at)()
        return []


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(notifier, "_clock", time)
    monkeypatch.setattr(session, "_clock", time)
    monkeypatch.setattr(notifier, "select", SimpleNamespace(poll=time.poll, POLLIN=1))
    return time


def idle_s(session: SqliteSession, seconds: float) -> None:
    with session.read() as reader:
        reader.changes()
    session.wait(seconds)


def test_an_idle_process_looks_once_a_second(sqlite: SqliteStore, time: Time):
    """W1"""
    idle_s(sqlite.session(), 10.0)

    assert time.waits_ms == [1000] * 10


def test_where_nothing_can_be_watched_it_looks_every_20_ms(
    monkeypatch: pytest.MonkeyPatch, sqlite: SqliteStore, time: Time
):
    """W1"""

    def no_instance(self: Notifier) -> None:
        raise NotWatched("this user has no inotify instance left")

    monkeypatch.setattr(Notifier, "watch", no_instance)
    idle_s(sqlite.session(), 1.0)

    assert time.waits_ms == [20] * 50


def test_a_commit_that_nobody_announced_is_found_within_a_second_and_the_next_within_20_ms(
    monkeypatch: pytest.MonkeyPatch, sqlite: SqliteStore, time: Time
):
    """W1: an older version commits without a word."""
    waiting, other = sqlite.session(), sqlite.session()
    monkeypatch.setattr(sqlite, "announce", lambda committed: None)
    time.at[3.5] = lambda: write(other, nodes=(a_node(),))
    idle_s(waiting, 60.0)
    found_s, before = time.now_s, len(time.waits_ms)
    idle_s(waiting, 12.0)

    assert found_s == 4.0
    assert time.waits_ms[before:] == [20] * 500 + [1000] * 2


def test_false_notifications_cost_at_most_500_looks_a_second(sqlite: SqliteStore, time: Time):
    session = sqlite.session()
    idle_s(session, 0.001)
    time.watched, time.always_ready = sqlite.notifier, True
    time.waits_ms.clear()
    idle_s(session, 10.0)
    looks = len(time.waits_ms)

    assert looks <= 2 * 10 * 500 + 100  # each in vain: one wait ends by the notification, one pauses


def test_many_commits_are_one_notification(sqlite: SqliteStore):
    watch = sqlite.notifier.watch()
    for _ in range(1000):
        sqlite.notifier.announce()

    assert len(os.read(watch.descriptor, 1 << 16)) == notifier.EVENT.size
    watch.close()


# ── what keeps it from working ───────────────────────────────────────────────────────────────────────────────────


def test_a_system_that_reports_no_changes_is_found_out(monkeypatch: pytest.MonkeyPatch, sqlite: SqliteStore):
    monkeypatch.setattr(Notifier, "_announce", lambda self: None)
    with pytest.raises(NotWatched, match="reports no changes"):
        sqlite.notifier.watch()

    assert str(sqlite.notifier.trouble()) == f"the file system of {sqlite.notifier.path} reports no changes"


def test_a_watch_that_fails_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch, sqlite: SqliteStore):
    before = psutil.Process().num_fds()
    monkeypatch.setattr(Notifier, "_announce", lambda self: None)
    for _ in range(10):
        with pytest.raises(NotWatched):
            sqlite.notifier.watch()

    assert psutil.Process().num_fds() == before


def test_a_closed_session_leaves_no_descriptor(sqlite: SqliteStore):
    sqlite.session().close()
    before = psutil.Process().num_fds()
    for _ in range(5):
        session = sqlite.session()
        session.wait(0.001)
        session.close()
        session.wake()  # by a thread that did not know

    assert psutil.Process().num_fds() == before


def test_all_is_well(sqlite: SqliteStore):
    assert sqlite.notifier.trouble() is None


def test_a_folder_in_which_the_file_cannot_be_made_is_named_with_the_remedy(tmp_path: Path):
    file = Path(os.path.realpath(tmp_path), "gone", "boss.db.notify")
    with pytest.raises(NotWatched) as refused:
        Notifier(tmp_path / "gone" / "boss.db").watch()

    assert str(refused.value) == f"{file} cannot be made (No such file or directory)"
    assert refused.value.remedy == "let every process that writes the store write its folder too"


@pytest.mark.parametrize(
    ("number", "why", "limit"),
    [
        (errno.EMFILE, "this user has no inotify instance left", "fs.inotify.max_user_instances"),
        (errno.ENOSPC, "this user has no inotify watch left", "fs.inotify.max_user_watches"),
    ],
)
def test_a_limit_that_is_reached_is_named(
    monkeypatch: pytest.MonkeyPatch, sqlite: SqliteStore, number: int, why: str, limit: str
):
    def reached(answer: int) -> int:
        os.close(answer)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(notifier, "_made", reached)
    trouble = sqlite.notifier.trouble()

    assert trouble is not None
    assert (str(trouble), trouble.remedy) == (why, f"raise {limit} (sysctl), or end programs that watch files")


def test_a_process_that_is_not_notified_says_so_once(
    monkeypatch: pytest.MonkeyPatch, sqlite: SqliteStore, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(Notifier, "_announce", lambda self: None)
    with caplog.at_level("INFO", "shiftboss.store"):
        for _ in range(2):
            sqlite.session().wait(0.001)

    assert [record.getMessage() for record in caplog.records] == [
        f"the file system of {sqlite.notifier.path} reports no changes; "
        "commits of other processes are looked for every 20 ms"
    ]
