"""A store that takes no work is trouble on every face, in its node's process and in others (H3, H5, W3, A3)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw
import pytest

from shiftboss import Orchestrator, StoreUnavailable
from shiftboss.app import store_trial
from shiftboss.app.views import Views
from shiftboss.clock import SystemClock
from shiftboss.core.health import Health
from shiftboss.engine import contact, presence
from shiftboss.errors import StoreFull
from shiftboss.ports.faces import LetterFilter
from shiftboss.stores.sqlite import connection, disk_reserve
from shiftboss.stores.sqlite import store as sqlite
from shiftboss.stores.sqlite.session import SqliteSession
from shiftboss.stores.urls import open_store

PATIENCE_S = 30.0  # for a busy machine; nothing waits that long when all is well


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at every second or five is looked at at once."""
    monkeypatch.setattr(contact, "WRITE_EVERY_S", 0.1)
    monkeypatch.setattr(contact, "SLOW_S", 0.2)
    monkeypatch.setattr(connection, "MAX_BUSY_S", 0.5)
    monkeypatch.setattr(presence, "TRY_WITHIN_S", 0.3)
    monkeypatch.setattr(store_trial, "TRY_WITHIN_S", 0.3)
    monkeypatch.setattr(disk_reserve, "LOOK_AGAIN_S", 0.0)
    monkeypatch.setattr(sqlite, "LOOK_AGAIN_S", 0.0)
    monkeypatch.setattr(sqlite, "CHECKPOINT_AGAIN_S", 0.0)


async def until(fits: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not fits():
            await asyncio.sleep(0.01)


@contextmanager
def another_process(url: str) -> Iterator[Views]:
    """Its way in: no engine, a session of its own."""
    store = open_store(url, SystemClock())
    store.open(create=False)
    views = Views(store, store.clock)
    try:
        yield views
    finally:
        views.close()
        store.close()


def a_boss(url: str) -> Orchestrator:
    boss = Orchestrator(url, shutdown_timeout=5)
    boss.register("tick", lambda: None, every="1h", start="next")
    boss.register("job", lambda text="": None)
    return boss


def store_reasons(health) -> list[tuple[str, str]]:
    return [(reason.severity, reason.text) for reason in health.reasons if reason.fact == "store"]


async def is_red_everywhere(boss: Orchestrator, url: str, words: str) -> None:
    """The engine, the library, `why`, and somebody who only reads, each by their own way."""
    await until(lambda: boss.trouble is not None and words in boss.trouble)
    own, why, status = await boss.health(), await boss.why("tick"), await boss.status()
    with another_process(url) as views:
        other, other_why = views.health(), views.why("tick")
    for health in (own, other):
        assert health.status is Health.UNHEALTHY
        assert words in store_reasons(health)[0][1]
    for explanation in (why, other_why):
        assert explanation is not None
        assert explanation.holds[0].gate == "store"
        assert words in str(explanation.holds[0])
    assert status.health == "unhealthy"


# ── the disk ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 32 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"mounting a small file system needs root: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def leave(disk: Path, free: int) -> Path:
    facts = os.statvfs(disk)
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):  # the log may have taken some of it meanwhile
        for _ in range((facts.f_bavail * facts.f_frsize - free) // 4096):
            file.write(b"x" * 4096)
    return filler


@pytest.mark.parametrize(
    ("free", "words"),
    [(0, "new work"), (1 << 20, "left; running attempts")],  # full: a commit may say so first
    ids=["full", "below the reserve"],
)
async def test_a_disk_without_room_is_red_holds_and_is_said_and_recovers(
    small_disk: Path, free: int, words: str, caplog
):
    """H3, W3, A3: below the reserve nothing starts, and nothing was said."""
    url = f"sqlite:///{small_disk / 'boss.db'}"
    boss = a_boss(url)
    async with boss:
        filler = leave(small_disk, free)
        await is_red_everywhere(boss, url, words)
        with pytest.raises(StoreFull, match=words):
            await boss.trigger("job")
        await until(lambda: any("takes no new work" in each.message for each in caplog.records))
        filler.unlink()
        await until(lambda: boss.trouble is None)
        again = await boss.trigger("job")
        await again.wait(timeout=PATIENCE_S)
        health = await boss.health()

    assert store_reasons(health) == []
    assert [each.message for each in caplog.records if "accepts new work again" in each.message] != []


async def test_a_client_on_a_disk_without_room_is_refused_before_it_takes_any(small_disk: Path):
    """W3: the reserve is for reports; a client obeys it as well, though it never made it."""
    url = f"sqlite:///{small_disk / 'boss.db'}"
    async with a_boss(url):
        pass
    leave(small_disk, 1 << 20)
    before = os.statvfs(small_disk).f_bavail
    async with Orchestrator(url).client() as client:
        with pytest.raises(StoreFull):
            await client.trigger("job", {"text": "y" * 300_000})
        letters = await client.dead_letters(LetterFilter())

    assert letters == []
    assert os.statvfs(small_disk).f_bavail >= before - 64  # a lock and an index of the log, and no payload
    assert (small_disk / "boss.db.reserve").stat().st_size == disk_reserve.RESERVE_BYTES


async def test_a_disk_that_turned_read_only_is_red(small_disk: Path):
    """W3"""
    url = f"sqlite:///{small_disk / 'boss.db'}"
    boss = a_boss(url)
    async with boss:
        subprocess.run(["mount", "--bind", str(small_disk), str(small_disk)], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,bind,ro", str(small_disk)], check=True)
            await until(lambda: boss.trouble is not None)
            trouble = boss.trouble
        finally:
            subprocess.run(["umount", "-l", str(small_disk)], check=True)
        await until(lambda: boss.trouble is None)

    assert "mounted read-only" in trouble


# ── errors of the disk ───────────────────────────────────────────────────────────────────────────────────────────


class FailingFile(apsw.VFSFile):
    def __init__(self, base: str, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__(base, name, flags)
        self._kind = "log" if flags[0] & apsw.SQLITE_OPEN_WAL else "file"

    def xWrite(self, data: bytes, offset: int) -> None:
        if FailingDisk.fails == self._kind:
            error = apsw.IOError("the disk says no")
            error.result, error.extendedresult = apsw.SQLITE_IOERR, apsw.SQLITE_IOERR_WRITE  # as SQLite's own has
            raise error
        super().xWrite(data, offset)


class FailingDisk(apsw.VFS):
    """SQLite's own view of the disk, but for writes to the log or to the file that fail when told to."""

    fails = ""

    def __init__(self) -> None:
        super().__init__("failing-writes", "unix", makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return FailingFile("unix", name, flags)


@pytest.fixture
def failing_disk() -> Iterator[type[FailingDisk]]:
    vfs = FailingDisk()
    yield FailingDisk
    FailingDisk.fails = ""
    vfs.unregister()


async def test_writes_that_fail_are_trouble_until_one_goes_through(tmp_path: Path, failing_disk, caplog):
    """W3, H5: reading goes on to work, and proves nothing."""
    boss = a_boss(f"sqlite:///{tmp_path / 'boss.db'}")
    async with boss:
        failing_disk.fails = "log"
        await until(lambda: boss.trouble is not None)
        trouble, why = boss.trouble, await boss.why("tick")
        errors = boss.opened().engine.contact.age_s
        await until(lambda: boss.opened().engine.contact.age_s > errors + 0.5)  # several turns have failed meanwhile
        said_meanwhile = [each.message for each in caplog.records if "again;" in each.message]
        failing_disk.fails = ""
        await until(lambda: boss.trouble is None)
        await (await boss.trigger("job")).wait(timeout=PATIENCE_S)

    assert "takes no new work" in trouble
    assert "check the disk" in trouble
    assert why.holds[0].gate == "store"
    assert said_meanwhile == []
    assert [each.message for each in caplog.records if "accepts new work again" in each.message] != []


async def test_a_log_that_cannot_be_moved_into_the_file_is_trouble(tmp_path: Path, failing_disk):
    """W3: commits succeed, and the log grows until the disk is full."""
    boss = a_boss(f"sqlite:///{tmp_path / 'boss.db'}")
    async with boss:
        failing_disk.fails = "file"
        for _ in range(40):
            if boss.trouble is not None:
                break
            await boss.trigger("job", {"text": "y" * 200_000}, delay="1h")
        await until(lambda: boss.trouble is not None)
        trouble = boss.trouble
        failing_disk.fails = ""
        await until(lambda: boss.trouble is None)

    assert "its write-ahead log cannot be moved into the file" in trouble


async def test_a_log_that_has_grown_beyond_bounds_is_said_and_degrades(tmp_path: Path, monkeypatch):
    """H3: a reader that never ends keeps it from being used again."""
    url = f"sqlite:///{tmp_path / 'boss.db'}"
    boss = a_boss(url)
    async with boss:
        before = await boss.health()
        monkeypatch.setattr(sqlite, "LONG_LOG_BYTES", 1000)
        await boss.trigger("job", delay="1h")
        own = await boss.health()
        with another_process(url) as views:
            other = views.health()

    assert store_reasons(before) == []
    for health in (own, other):
        assert health.status is Health.DEGRADED
        assert [(severity, "has grown" in text) for severity, text in store_reasons(health)] == [("degraded", True)]


# ── a lock that somebody holds ───────────────────────────────────────────────────────────────────────────────────

HOLDER = """
import apsw, sys
connection = apsw.Connection(sys.argv[1])
connection.set_busy_timeout(30_000)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(path: Path) -> Iterator[None]:
    """The write lock, by another process."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        yield
    finally:
        process.communicate()


async def test_a_write_lock_that_somebody_holds_is_red_while_it_is_held(tmp_path: Path, monkeypatch):
    """H3, H5: a client knows it from a write that it begins, a node from its lease."""
    path = tmp_path / "boss.db"
    url = f"sqlite:///{path}"
    boss = a_boss(url)
    async with boss, Orchestrator(url).client() as client:
        with held(path):
            await until(lambda: boss.trouble is not None and client.trouble is not None)
            await is_red_everywhere(boss, url, "locked by another process")
            other = await client.health()
            with pytest.raises(StoreUnavailable, match="locked by another process"):
                await client.trigger("job")
        await until(lambda: boss.trouble is None and client.trouble is None)
        await (await client.trigger("job")).wait(timeout=PATIENCE_S)
        after = await client.health()

    assert other.status is Health.UNHEALTHY
    assert store_reasons(after) == []


async def test_a_turn_that_lasts_is_trouble_before_it_has_failed(tmp_path: Path):
    """H3: the faces know from the clock that nobody has answered; no one need be asked."""
    path = tmp_path / "boss.db"
    boss = a_boss(f"sqlite:///{path}")
    async with boss:
        with held(path):
            await until(lambda: boss.trouble is not None)
            first = boss.trouble
        await until(lambda: boss.trouble is None)

    assert first == "the store does not answer: a transaction has taken longer than 0.2 s"


def test_a_client_that_stops_does_not_ask_any_more_whether_a_busy_store_takes_writes(tmp_path, monkeypatch):
    """A command that was refused ends at once: it waits for the lock with its own question, and not again."""
    path = tmp_path / "jobs.db"
    boss = a_boss(f"sqlite:///{path}")
    boss.sync.open(create=True)
    asked: list[bool] = []
    for name in ("try_lock", "try_write"):
        monkeypatch.setattr(SqliteSession, name, _noting(getattr(SqliteSession, name), asked, boss))

    with held(path):
        with pytest.raises(StoreUnavailable, match="locked by another process"):
            boss.sync.trigger("job")
        boss.sync.close()

    assert True not in asked


def _noting(method, asked: list[bool], boss: Orchestrator):
    def noted(self, *arguments):
        asked.append(boss.is_stopping)
        return method(self, *arguments)

    return noted


async def test_a_trigger_that_comes_while_a_client_tries_the_lock_has_its_own_time(tmp_path: Path, monkeypatch):
    """H5: a lock that is let go within 5 s is no reason to refuse, whatever is tried for the sake of health."""
    path = tmp_path / "boss.db"
    url = f"sqlite:///{path}"
    monkeypatch.setattr(connection, "MAX_BUSY_S", PATIENCE_S)
    async with a_boss(url), Orchestrator(url).client() as client:
        with held(path):
            await until(lambda: client.trouble is not None)  # it has tried, and tries again
            trigger = asyncio.create_task(client.trigger("job"))
            await asyncio.sleep(0)
        run = await trigger
        await run.wait(timeout=PATIENCE_S)
