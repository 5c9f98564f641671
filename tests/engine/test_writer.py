"""What a turn has decided is true in the snapshot at once, and in the store with the next flush."""

from __future__ import annotations

from itertools import count

import pytest
from builders import NOON, a_run, after

from shiftboss.core.events import RunStored
from shiftboss.core.lane import Lane
from shiftboss.core.model import Status
from shiftboss.core.snapshot import NOTHING, Change
from shiftboss.core.value import replace
from shiftboss.engine.agenda import Agenda
from shiftboss.engine.snapshot_cache import SnapshotCache
from shiftboss.engine.writer import Writer


class Transaction:
    def __init__(self) -> None:
        self.written: list[tuple[Change, set[int]]] = []

    def ids(self):
        return count(101)

    def write(self, change, *, new):
        self.written.append((change, set(new)))


@pytest.fixture
def tx() -> Transaction:
    return Transaction()


@pytest.fixture
def cache() -> SnapshotCache:
    cache = SnapshotCache(Agenda())
    cache.snapshot.lanes["a"] = Lane()
    return cache


@pytest.fixture
def writer(tx, cache) -> Writer:
    return Writer(tx, cache)


def test_a_change_is_in_the_snapshot_at_once_and_in_the_store_with_the_flush(writer, tx, cache):
    run = a_run(id=7)
    writer.take(Change(runs=(run,)))
    assert [each.id for each in cache.snapshot.lane("a")] == [7]
    assert (tx.written, writer.has_written) == ([], False)

    writer.flush()
    assert [change.runs for change, _ in tx.written] == [(run,)]
    assert writer.has_written


def test_with_nothing_to_write_nothing_is_written(writer, tx):
    writer.take(NOTHING)
    writer.flush()

    assert (tx.written, writer.has_written, writer.events) == ([], False, [])


def test_what_was_flushed_is_not_written_again(writer, tx):
    writer.take(Change(runs=(a_run(id=7),)))
    writer.flush()
    writer.flush()
    writer.take(Change(runs=(a_run(id=8),)))
    writer.flush()

    assert [[run.id for run in change.runs] for change, _ in tx.written] == [[7], [8]]


def test_the_store_learns_which_ids_were_handed_out_since_the_last_flush(writer, tx):
    """Of those no row exists yet: it inserts them, and updates the others."""
    ids = writer.ids()
    first = next(ids)
    writer.take(Change(runs=(a_run(id=first), a_run(id=7))))
    writer.flush()
    second = next(ids)
    writer.take(Change(runs=(a_run(id=second),)))
    writer.flush()

    assert [new for _, new in tx.written] == [{101}, {102}]


def test_events_are_kept_in_their_order_for_after_the_commit(writer):
    events = [RunStored(at=NOON, run=number) for number in range(3)]
    writer.take(Change(events=(events[0], events[1])))
    writer.take(Change(events=(events[2],)))

    assert writer.events == events


def test_the_earliest_end_of_a_wait_is_remembered(writer, cache):
    """T1: the next turn must not come later than a run expires."""
    late, early = a_run(id=7, give_up_at=after(600)), a_run(id=8, give_up_at=after(60))
    writer.take(Change(runs=(late,)))
    assert cache.next_give_up_at == after(600)

    writer.take(Change(runs=(early, a_run(id=9))))
    assert cache.next_give_up_at == after(60)

    writer.take(Change(runs=(replace(early, id=10, status=Status.CANCELLED, give_up_at=after(1)),)))
    assert cache.next_give_up_at == after(60), "what has ended does not wait"
