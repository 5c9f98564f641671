"""A reader that does not end lets the log of a store grow: it is named, with what to do, while that happens."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from store_values import a_run, store_runs

from shiftboss.stores.sqlite import readers as sqlite_readers
from shiftboss.stores.sqlite import store as stores_sqlite
from shiftboss.stores.sqlite.readers import readers
from shiftboss.stores.sqlite.store import SqliteStore

TRIES = 2000
READS = """
import sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, isolation_level=None)
db.execute("BEGIN"); db.execute("SELECT count(*) FROM run").fetchall()
print("reading", flush=True); sys.stdin.read()
"""

pytestmark = pytest.mark.skipif(not sqlite_readers.LOCKS.exists(), reason="only Linux tells who holds a lock")


@contextmanager
def a_reader(path: Path) -> Iterator[int]:
    """A process with a reading transaction, for as long as the block lasts."""
    with subprocess.Popen(
        [sys.executable, "-c", READS, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"reading\n"
        yield child.pid
        assert child.stdin is not None
        child.stdin.close()


def test_who_reads_is_known_by_its_lock(sqlite: SqliteStore):
    session = sqlite.session()
    store_runs(session, a_run(1))
    with a_reader(sqlite.path) as pid:
        assert readers(sqlite.path) == {pid}
        with session.read() as reader:
            reader.runs([1])
            assert readers(sqlite.path) == {pid, os.getpid()}
    assert readers(sqlite.path) == set()
    assert readers(sqlite.path.with_name("none.db")) == set()


def test_a_long_reader_is_named_with_what_to_do(sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch):
    """H3"""
    monkeypatch.setattr(stores_sqlite, "LONG_LOG_BYTES", 4096)
    monkeypatch.setattr(stores_sqlite, "LOOK_AGAIN_S", 0.0)
    session = sqlite.session()
    with a_reader(sqlite.path) as pid:
        until(lambda: sqlite.log_bytes > 4096, lambda number: store_runs(session, a_run(number)))
        concern = until(lambda: "read transaction" in (sqlite.concern or "") and sqlite.concern, lambda number: None)
        with closing(sqlite.session()) as other, other.read() as reader:
            info = reader.info()  # type: ignore[attr-defined]

    assert f"process {pid} ({sys.executable}" in concern
    assert "has a read transaction open" in concern
    assert concern.endswith("end that transaction")
    assert info["long_readers"].startswith(f"process {pid} (")


def until(is_so: Callable[[], object], act: Callable[[int], object]) -> object:
    for number in range(1, TRIES):
        if found := is_so():
            return found
        act(number)
    return pytest.fail("it never came so far")
