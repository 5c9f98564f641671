"""Which bodies a node had entered is known when its process is gone (C8), and "nobody can tell" is never "none"."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shiftboss.stores.sqlite.entry_file import BEGIN, FIRST, MAX_BYTES, RECORD, EntryFile, entries_in
from shiftboss.stores.sqlite.node_locks import NodeFiles

PROGRAM = """
import sys, time
from pathlib import Path
from shiftboss.stores.sqlite.node_locks import NodeFiles

with NodeFiles(Path("jobs.db"), lambda: ("n1",)).hold("n1") as entries:
    for run in range(1, 200):
        entries.note(run, 7)
        if run % 50:
            entries.forget(run, 7)
    print("noted", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path / "n1", os.O_RDWR | os.O_CREAT)
    yield opened
    os.close(opened)


def read(descriptor: int) -> object:
    return entries_in(os.pread(descriptor, MAX_BYTES, 0))


def test_what_is_noted_survives_a_process_that_is_killed(tmp_path: Path):
    (tmp_path / "jobs.db").touch()
    with subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"noted\n"
        files = NodeFiles(tmp_path / "jobs.db", lambda: ("n1",))
        alive = files.entered("n1")
        process.send_signal(signal.SIGKILL)
    entered = files.entered("n1")

    assert alive is None
    assert entered is not None
    assert {(50, 7), (100, 7), (150, 7), (199, 7)} <= set(entered)
    assert (51, 7) not in entered
    assert (tmp_path / "jobs.db.nodes" / "n1").stat().st_size == FIRST + 4 * RECORD.size


def test_a_node_that_never_was_tells_nothing(tmp_path: Path):
    assert NodeFiles(tmp_path / "jobs.db", tuple).entered("n9") is None


def test_nothing_noted_is_nothing_entered(descriptor: int):
    EntryFile(descriptor)

    assert read(descriptor) == set()


def test_a_place_is_taken_again(descriptor: int):
    entries = EntryFile(descriptor)
    entries.note(1, 1)
    entries.note(2, 1)
    entries.forget(1, 1)
    entries.note(3, 2)

    assert read(descriptor) == {(3, 2), (2, 1)}


@pytest.mark.parametrize("harm", ["torn", "changed", "an older file", "cut within the mark"])
def test_what_cannot_be_read_whole_tells_nothing(descriptor: int, harm: str):
    EntryFile(descriptor).note(5, 9)
    match harm:
        case "torn":
            os.ftruncate(descriptor, FIRST + 10)
        case "changed":
            os.pwrite(descriptor, b"\xff", FIRST + 3)
        case "an older file":
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"4711\n", 0)
        case "cut within the mark":
            os.ftruncate(descriptor, BEGIN + 3)

    assert read(descriptor) is None


def test_a_note_that_cannot_be_written_takes_all_of_them_with_it(descriptor: int, monkeypatch: pytest.MonkeyPatch):
    """A full disk, say: who was not noted must not count as not entered."""
    entries = EntryFile(descriptor)
    entries.note(5, 9)
    monkeypatch.setattr(os, "pwrite", lambda *_: 0)
    entries.note(6, 9)
    monkeypatch.undo()
    entries.note(7, 9)

    assert read(descriptor) is None
