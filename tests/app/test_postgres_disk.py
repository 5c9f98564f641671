"""A PostgreSQL server whose disk fills up while a node runs on it: a real server on a small tmpfs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from postgres_server import Cluster
from shiftboss import Orchestrator, Status
from shiftboss.clock import SystemClock
from shiftboss.errors import StoreFull, StoreUnavailable

PATIENCE_S = 60.0
MAX_TRIGGERS = 400  # of 0.5 MiB each: more than the disk holds


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Cluster]:
    """A server with 150 MiB for everything."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small tmpfs cannot be mounted here: {mounted.stderr}")
    for folder in (tmp_path, *tmp_path.parents):  # the server runs as somebody who must come this far
        if os.stat(folder).st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    try:
        cluster = Cluster(disk, "min_wal_size=32MB", "max_wal_size=32MB", "wal_recycle=on")
        cluster.create()
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def trigger_until_refused(boss: Orchestrator, stored: list[Any]) -> None:
    for number in range(MAX_TRIGGERS):
        text = os.urandom(256 * 1024).hex()  # nothing that compresses
        stored.append(boss.sync.trigger("eat", {"text": text}, key=str(number)))


def test_a_full_disk_of_the_server_loses_nothing_that_was_acknowledged(small: Cluster):
    """W2, W3"""
    clock = SystemClock()
    boss = Orchestrator(f"{small.url}?schema=full")

    @boss.worker()
    def eat(text: str) -> int:
        return len(text)

    filler = small.folder / "filler"
    stored: list[Any] = []
    boss.sync.start()
    try:
        room = os.statvfs(small.folder)
        with filler.open("wb") as file:
            file.write(b"\0" * max(0, room.f_bavail * room.f_frsize - 20 * 1024 * 1024))
        with pytest.raises((StoreFull, StoreUnavailable)) as refused:
            trigger_until_refused(boss, stored)
        filler.unlink()
        small.stop()  # a server that cannot write its log ends by itself; it is started again with the room made
        small.start()
        until_s = clock.monotonic_s() + PATIENCE_S
        while True:
            try:
                last = boss.sync.trigger("eat", {"text": "x"}, key="after")
                break
            except (StoreFull, StoreUnavailable):
                assert clock.monotonic_s() < until_s, "there is room again, and nothing is accepted"
        ended = {boss.sync.wait_for(run.id, timeout=PATIENCE_S).status for run in (*stored, last)}
    finally:
        boss.sync.stop()
    print(f"\n{len(stored)} runs fitted; then: {type(refused.value).__name__}: {refused.value}")

    assert len(stored) > 0
    assert ended == {Status.SUCCEEDED}
