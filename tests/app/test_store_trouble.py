"""The store goes away, is locked, fills up: triggers are refused, nothing is lost, all comes back (H5, W3)."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import apsw
import pytest

from shiftboss import Orchestrator, Status, StoreUnavailable
from shiftboss.errors import StoreFull


class Outage:
    """Makes every transaction of an orchestrator's engine fail while it lasts."""

    def __init__(self, boss: Orchestrator, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = False
        self.refused = 0
        session = boss.opened().engine._session
        begin, read = session.begin, session.read

        def broken(real):
            def maybe(*args, **kwargs):
                if self.on:
                    self.refused += 1
                    raise StoreUnavailable("the disk is away")
                return real(*args, **kwargs)

            return maybe

        monkeypatch.setattr(session, "begin", broken(begin))
        monkeypatch.setattr(session, "read", broken(read))


async def test_triggers_are_refused_and_reports_wait_until_the_store_is_back(tmp_path, monkeypatch, caplog):
    """H5"""
    boss = Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}")
    release = asyncio.Event()
    ended = asyncio.Event()

    @boss.worker()
    async def job() -> str:
        await release.wait()
        ended.set()
        return "kept"

    async with boss:
        outage = Outage(boss, monkeypatch)
        run = await job.trigger()
        while await run.status() is not Status.RUNNING:
            await asyncio.sleep(0)
        outage.on = True
        with pytest.raises(StoreUnavailable, match="the disk is away"):
            await job.trigger()
        release.set()
        await asyncio.wait_for(ended.wait(), 5)
        refused = outage.refused
        while outage.refused < refused + 2:
            await asyncio.sleep(0.01)
        trouble = boss.opened().engine.trouble
        outage.on = False

        assert trouble == "the disk is away"
        assert await run.result(timeout=10) == "kept"
        assert (await run.info()).attempt == 1
        assert await (await job.trigger()).result(timeout=5) == "kept"
    assert [r.message for r in caplog.records if "does not answer" in r.message] != []
    assert [r.message for r in caplog.records if "answers again" in r.message] != []


async def test_a_stop_ends_in_time_although_the_store_is_away(tmp_path, monkeypatch):
    """G3, G4: exit code 75; the claim stays in the store and is rescued by the next start."""
    url = f"sqlite:///{tmp_path / 'boss.db'}"
    boss = Orchestrator(url, shutdown_timeout=1)
    began = asyncio.Event()

    @boss.worker()
    async def job() -> None:
        began.set()
        await asyncio.sleep(60)

    await boss.start()
    outage = Outage(boss, monkeypatch)
    run = await job.trigger()
    await asyncio.wait_for(began.wait(), 5)
    outage.on = True
    report = await asyncio.wait_for(boss.stop(), 10)
    async with boss:
        info = await run.info()
        while (info := await run.info()).interruptions == 0:
            await asyncio.sleep(0.01)

    assert report.exit_code == 75
    assert report.lost == 0
    assert info.interruptions == 1


async def test_a_writer_that_holds_the_lock_delays_a_trigger_and_loses_nothing(tmp_path):
    """W2: another program has the file locked for a moment."""
    path = tmp_path / "boss.db"
    boss = Orchestrator(f"sqlite:///{path}")

    @boss.worker()
    async def job() -> int:
        return 1

    lock = (
        f"import apsw, sys; c = apsw.Connection({str(path)!r}); c.execute('BEGIN IMMEDIATE'); "
        "print('locked', flush=True); sys.stdin.read()"
    )
    async with boss:
        process = await asyncio.to_thread(
            subprocess.Popen, [os.sys.executable, "-c", lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        await asyncio.to_thread(process.stdout.readline)
        trigger = asyncio.create_task(job.trigger())
        await asyncio.sleep(0.05)
        waited = not trigger.done()
        await asyncio.to_thread(process.communicate)
        run = await asyncio.wait_for(trigger, 10)

        assert waited
        assert await run.result(timeout=10) == 1


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 32 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"mounting a small file system needs root: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    return filler


async def trigger_until_refused(job) -> None:
    for _ in range(200):
        await job.trigger("y" * 500_000)


async def test_a_full_disk_refuses_new_work_records_what_runs_and_recovers(small_disk, caplog):
    """W3, H5"""
    boss = Orchestrator(f"sqlite:///{small_disk / 'boss.db'}")
    release = asyncio.Event()

    @boss.worker()
    async def job(text: str) -> int:
        await release.wait()
        return len(text)

    async with boss:
        running = await job.trigger("x")
        while await running.status() is not Status.RUNNING:
            await asyncio.sleep(0)
        filler = fill(small_disk)
        with pytest.raises(StoreUnavailable) as refused:
            await trigger_until_refused(job)
        release.set()

        assert isinstance(refused.value, StoreFull)
        assert "full" in str(refused.value)
        assert await running.result(timeout=20) == 1
        filler.unlink()
        while True:
            try:
                again = await job.trigger("zz")
                break
            except StoreUnavailable:
                await asyncio.sleep(0.05)
        assert await again.result(timeout=20) == 2


async def test_a_store_that_is_damaged_while_it_runs_is_said_and_not_replaced(tmp_path, caplog):
    """W3: never an empty new store in place of a damaged one."""
    path = tmp_path / "boss.db"
    boss = Orchestrator(f"sqlite:///{path}")
    boss.register("job", lambda: None)
    async with boss:
        pass
    page = path.read_bytes()[:100] + b"\xde\xad\xbe\xef" * 1000
    path.write_bytes(page)
    before = path.read_bytes()
    with pytest.raises(Exception, match=r"damaged|corrupt|malformed") as caught:
        await boss.start()

    assert "boss.db" in str(caught.value)
    assert path.read_bytes() == before
    assert isinstance(apsw.sqlite_lib_version(), str)
