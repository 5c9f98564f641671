"""A file that was copied back, in its place or over itself: no fence and no id of a run is given again (C9)."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import apsw
import pytest
from store_values import NOON, FrozenClock, a_run, a_worker

from shiftboss.core.events import StoreRestored
from shiftboss.core.lives import IDS_A_SECOND, LEAST_IDS, Counted
from shiftboss.core.snapshot import Change
from shiftboss.stores.sql import codec
from shiftboss.stores.sqlite.lives import Notes
from shiftboss.stores.sqlite.store import SqliteStore

NOON_US = codec.micros(NOON)


class Clock(FrozenClock):
    def __init__(self, *, after_s: float = 0.0, boot: str = "boot-1") -> None:
        super().__init__(NOON + timedelta(seconds=after_s))
        self.boot = boot


def opened(path: Path, clock: Clock | None = None) -> SqliteStore:
    store = SqliteStore(path, clock=clock or Clock())
    store.open(create=True)
    return store


def runs_given(store: SqliteStore, count: int, *, event: bool = True) -> list[tuple[int, int]]:
    """(fence, id) of so many commits with a run each, by a node."""
    given = []
    with store.hold("node"), closing(store.session()) as session:
        for _ in range(count):
            with session.begin() as tx:
                run_id = next(tx.ids())
                told = (StoreRestored(at=store.clock.now(), reason="only an instant"),) if event else ()
                tx.write(Change(workers=(a_worker(),), runs=(a_run(run_id),), events=told), new={run_id})
                given.append((tx.number, run_id))
    return given


def restored(store: SqliteStore) -> list[str]:
    with closing(store.session()) as session, session.read() as reader:
        found = [event for _, event in reader.events(after=0, limit=1000) if isinstance(event, StoreRestored)]
    return [event.reason for event in found if event.reason != "only an instant"]


def backup(path: Path, to: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("VACUUM INTO ?", (str(to),))
    connection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "boss.db"


@pytest.mark.parametrize("how", ["in its place", "over itself"])
def test_a_file_that_was_put_back_with_all_nodes_down_gives_nothing_twice(path: Path, how: str):
    """C9"""
    before = runs_given(opened(path), 60)
    backup(path, path.with_name("backup.db"))
    lost = runs_given(opened(path), 60)
    for tail in ("-wal", "-shm"):
        Path(f"{path}{tail}").unlink(missing_ok=True)
    if how == "in its place":
        path.rename(path.with_name("old.db"))  # it keeps its inode from being used again
        shutil.copy(path.with_name("backup.db"), path)
    else:
        path.write_bytes(path.with_name("backup.db").read_bytes())
    again = opened(path, Clock(after_s=60))
    after = runs_given(again, 60)

    fences, ids = ([each[place] for each in (*before, *lost, *after)] for place in (0, 1))
    assert len(set(fences)) == len(set(ids)) == 180
    assert fences == sorted(fences)
    assert ids == sorted(ids)
    assert after[0][0] > NOON_US
    assert max(fences) < 1 << 53
    assert len(restored(again)) == 1
    with closing(again.session()) as session, session.read() as reader:
        assert reader.changes().epoch > lost[-1][0]


def test_ids_jump_by_what_can_have_been_given_and_no_further(path: Path):
    """C9"""
    ((_, last),) = runs_given(opened(path), 1)
    shutil.copy(path, path.with_name("copy.db"))
    moved = opened(path.with_name("copy.db"), Clock(after_s=60))
    ((_, run_id),) = runs_given(moved, 1)

    assert run_id == last + LEAST_IDS + 60 * IDS_A_SECOND + 1
    assert restored(moved) == ["it is another file than the one it was written in"]


def test_a_store_that_is_opened_again_just_goes_on(path: Path):
    given = [each for _ in range(3) for each in runs_given(opened(path), 2)]

    assert given == [(number, number) for number in range(1, 7)]
    assert restored(opened(path)) == []


def test_after_a_boot_fences_go_on_from_the_clock_and_ids_just_go_on(path: Path):
    """C9: a disk may have lost what it had said to have written."""
    runs_given(opened(path), 2)
    booted = opened(path, Clock(after_s=60, boot="boot-2"))
    given = runs_given(booted, 2)

    first = NOON_US + 60_000_000 + 2
    assert given == [(first, 3), (first + 1, 4)]
    assert restored(booted) == []
    assert runs_given(opened(path, Clock(after_s=70, boot="boot-2")), 1) == [(first + 2, 5)]


def test_a_clock_that_was_set_back_takes_no_fence_back(path: Path):
    """C9"""
    runs_given(opened(path), 2)
    (one,) = runs_given(opened(path, Clock(after_s=600, boot="boot-2")), 1)
    (other,) = runs_given(opened(path, Clock(after_s=-600, boot="boot-3")), 1)

    assert other[0] > one[0]


def test_a_file_that_is_written_over_under_a_living_node_is_noticed(path: Path):
    """C9"""
    store = opened(path)
    before = runs_given(store, 2)
    backup(path, path.with_name("backup.db"))
    lost = runs_given(store, 2)
    with closing(store.session()) as session:
        with session.read() as reader:
            epoch = reader.changes().epoch
        other = apsw.Connection(str(path))  # as a tool would: pages and all, through SQLite
        kept = apsw.Connection(str(path.with_name("backup.db")))
        with other.backup("main", kept, "main") as copying:
            copying.step()
        other.close()
        kept.close()
        (after,) = runs_given(store, 1)
        with session.read() as reader:
            delta = reader.changes()

    assert delta.everything
    assert delta.epoch != epoch
    assert after[0] > lost[-1][0]
    assert after[1] not in {run_id for _, run_id in (*before, *lost)}


def test_a_new_file_in_the_place_of_an_old_one_begins_anew(path: Path):
    runs_given(opened(path), 5)
    for tail in ("", "-wal", "-shm"):
        Path(f"{path}{tail}").unlink(missing_ok=True)

    assert runs_given(opened(path), 2) == [(1, 1), (2, 2)]
    assert runs_given(opened(path), 1) == [(3, 3)]


def test_what_is_noted_is_read_whole_or_not_at_all_and_no_file_lives_for_a_moment(path: Path):
    """C9: who copies the folder meanwhile stumbles over nothing."""
    folder = Path(f"{path}.nodes")
    folder.mkdir()
    notes, reader = Notes(path), Notes(path)
    notes.write(Counted(9, 9, 9, 9))
    is_over = threading.Event()

    def write() -> None:
        for number in range(10, 3000):
            notes.write(Counted(number, number, number, number))
        is_over.set()

    writer = threading.Thread(target=write)
    writer.start()
    names, seen = set(), []
    while not is_over.is_set():
        names.update(os.listdir(folder))
        seen.append(reader.read().number)
    writer.join()

    assert names == {".counted"}
    assert reader.read() == Counted(2999, 2999, 2999, 2999)
    whole = [number for number in seen if number]
    assert whole == sorted(whole)


@pytest.mark.parametrize("text", ["", "7 7 7\n", "7 7 7 00000000\n", "7 7 7 7 7", "seven", "\x00" * 80])
def test_a_note_that_says_something_else_is_none(path: Path, text: str):
    folder = Path(f"{path}.nodes")
    folder.mkdir()
    (folder / ".counted").write_text(text)

    assert Notes(path).read() == Counted()


def test_a_node_that_is_never_let_go_of_ends_with_its_process_and_not_when_it_is_collected(
    sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch
):
    """C4: while the interpreter ends, nothing of a module is there any more."""
    held = sqlite.hold("one")
    held.__enter__()

    with monkeypatch.context() as at_the_end:
        at_the_end.setattr(sqlite, "_notes", None)
        held.gen.close()  # as its collection does
