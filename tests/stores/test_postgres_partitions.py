"""Transactions of a fleet beside each other: each has its partitions to itself, and commits stand in one order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from store_values import Abandoned, a_run, a_worker, at, change_runs, ended, started, store_runs, write

from postgres_server import Place
from shiftboss.core.events import WorkerForgotten
from shiftboss.core.snapshot import Change
from shiftboss.ports.cycle import Delta, Partition, Wanted
from shiftboss.ports.store import Session
from shiftboss.stores.postgres.store import PostgresStore

MAIL: Wanted = {1: Partition(["mail"], ["mail"])}
BACKUP: Wanted = {2: Partition(["backup"], ["backup"])}
BOTH: Wanted = MAIL | BACKUP  # type: ignore[operator]
PATIENCE_S = 10.0


@pytest.fixture
def session(postgres: PostgresStore) -> Session:
    session = postgres.session()
    write(session, workers=(a_worker("mail"), a_worker("backup")))
    return session


@pytest.fixture
def neighbour(session: Session, postgres: PostgresStore) -> Session:
    neighbour = postgres.session()
    look(neighbour)
    return neighbour


def look(session: Session, *, lanes: int = 0) -> Delta:
    with session.read() as reader:
        return reader.changes(lanes=lanes)


def in_a_thread(act: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def held_while(session: Session, wanted: Wanted, **options: Any) -> frozenset[int] | None:
    with session.begin(wanted, **options) as tx:
        return tx.held


# ── locks ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_partitions_are_held_beside_each_other_and_each_by_one(session: Session, neighbour: Session):
    with session.begin(MAIL) as one:
        assert one.held == {1}
        assert held_while(neighbour, BOTH) == {2}
        assert held_while(neighbour, MAIL) == set()
        assert held_while(neighbour, {}) == set()
    assert held_while(neighbour, BOTH, waits=True) == {1, 2}  # an end that wrote nothing is on its way


def test_the_whole_is_waited_for_and_keeps_everybody_out(session: Session, neighbour: Session):
    held: list[object] = []

    def take_the_whole() -> None:
        with neighbour.begin() as tx:
            held.append(tx.held)

    with session.begin(MAIL):
        thread = in_a_thread(take_the_whole)
        thread.join(0.2)
        assert held == []
    thread.join(PATIENCE_S)
    assert held == [None]


def test_no_partition_is_held_while_the_whole_is_waited_for(session: Session, neighbour: Session, place: Place):
    """Else a third one, who shares the whole and waits for that partition, would close a circle."""
    held: list[object] = []
    with session.begin():
        thread = in_a_thread(lambda: held.append(held_while(neighbour, BOTH)))
        granted: list[tuple[object, ...]] = []
        deadline = time.monotonic() + PATIENCE_S
        while not any(not row[1] for row in granted) and time.monotonic() < deadline:
            granted = place.execute(
                "SELECT objid, granted FROM pg_locks WHERE locktype = 'advisory' "
                "AND classid::bigint = hashtext(current_schema())::bigint & 4294967295"
            )
        assert sorted(granted) == [(0, False), (0, True)]
    thread.join(PATIENCE_S)
    assert held == [{1, 2}]


def test_a_partition_is_waited_for(session: Session, neighbour: Session):
    held: list[frozenset[int] | None] = []
    with session.begin(BOTH):
        thread = in_a_thread(lambda: held.append(held_while(neighbour, BOTH, waits=True)))
        thread.join(0.1)
        assert held == []
    thread.join(PATIENCE_S)

    assert held[0] is not None
    assert 1 in held[0]  # and mostly the other one, unless it was asked for before that was let go


def test_who_stands_still_keeps_its_own_partitions_and_no_others(session: Session, neighbour: Session):
    with session.begin(MAIL):
        assert held_while(neighbour, BOTH, waits=True) == {2}
        with neighbour.begin(BACKUP) as tx:
            tx.write(Change(runs=(a_run(1, "backup"),)), new={1})
    with neighbour.read() as reader:
        assert [run.id for run in reader.runs([1])] == [1]


def test_a_session_that_knows_nothing_gets_the_whole(session: Session, neighbour: Session):
    neighbour.forget()

    assert held_while(neighbour, MAIL) is None


def test_locks_end_with_the_transaction_also_when_it_fails(session: Session, neighbour: Session):
    with pytest.raises(KeyError), session.begin(MAIL):
        raise KeyError

    assert held_while(neighbour, MAIL, waits=True) == {1}


# ── one order ────────────────────────────────────────────────────────────────────────────────────────────────────


def forgotten(name: str) -> Change:
    return Change(events=(WorkerForgotten(at=at(1), worker=name),))


def test_who_commits_first_stands_first_whoever_began_first(session: Session, neighbour: Session, postgres):
    """A1: numbers of events have the order of commits, so nobody who reads on from the last one misses any."""
    with session.begin(MAIL) as slow:
        slow.changes()
        slow.write(forgotten("slow"), new=())
        with neighbour.begin(BACKUP) as fast:
            fast.changes()
            fast.write(forgotten("fast"), new=())
            assert fast.number > slow.number
        third = postgres.session()
        with third.read() as reader:
            seen = reader.last_event()
            assert [event.worker for _, event in reader.events(after=0, limit=9)] == ["fast"]
    with third.read() as reader:
        assert [event.worker for _, event in reader.events(after=seen, limit=9)] == ["slow"]


def test_fences_of_a_partition_grow_with_its_commits_and_ids_are_given_once(session: Session, neighbour: Session):
    """C1, C5"""
    fences, ids = [], []
    for each in (session, neighbour, session, neighbour):
        with each.begin(MAIL, runs=2) as tx:
            fences.append(tx.number)
            numbers = tx.ids()
            ids += [next(numbers) for _ in range(5)]  # more than were expected
            tx.write(forgotten("any"), new=())

    assert fences == sorted(set(fences))
    assert len(set(ids)) == 20
    assert ids == sorted(ids)


def test_many_writers_on_partitions_lose_nothing(postgres: PostgresStore, session: Session):
    """Four sessions, each with its own worker and one that all share: every run is there, and told to a reader once."""
    names = ["shared", *(f"own-{n}" for n in range(4))]
    write(session, workers=tuple(a_worker(name) for name in names))
    reader = postgres.session()
    look(reader)
    wanted = {n + 1: Partition([name], [name]) for n, name in enumerate(names)}
    stored: list[list[int]] = [[] for _ in range(4)]

    def work(n: int) -> None:
        mine = postgres.session()
        look(mine)
        deadline = time.monotonic() + PATIENCE_S
        while len(stored[n]) < 40 and time.monotonic() < deadline:
            partitions = {partition: wanted[partition] for partition in (1, n + 2)}
            with mine.begin(partitions, waits=True, runs=2) as tx:
                tx.changes()
                assert tx.held is not None
                ids = tx.ids()
                runs = tuple(a_run(next(ids), names[partition - 1]) for partition in sorted(tx.held))
                tx.write(Change(runs=runs), new={run.id for run in runs})
            stored[n] += [run.id for run in runs]
        mine.close()

    threads = [in_a_thread(lambda n=n: work(n)) for n in range(4)]
    while any(thread.is_alive() for thread in threads):
        look(reader)
    for thread in threads:
        thread.join()
    with reader.read() as view:
        view.changes()
        lanes = view.lanes(names, limit=1000)
        found = sorted(run.id for lane in lanes.values() for run in lane)

    assert found == sorted(run_id for ids in stored for run_id in ids)
    assert len(set(found)) == len(found) >= 160


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────


def names_in(delta: Delta) -> list[str]:
    return sorted(state.name for state, _ in delta.workers)


def test_who_holds_a_partition_is_told_of_that_partition_and_that_there_is_more(session: Session, neighbour: Session):
    look(session)
    with neighbour.begin(BOTH) as tx:
        tx.changes()
        tx.write(Change(runs=(started(a_run(1)), started(a_run(2, "backup")))), new={1, 2})

    with session.begin(MAIL) as tx:
        delta = tx.changes(lanes=9)
    assert names_in(delta) == ["mail"]
    assert (list(delta.claimed or ()), [run.id for run in delta.running]) == ([1], [1])
    assert delta.more
    assert session.changed_elsewhere()
    rest = look(session)
    assert names_in(rest) == ["backup", "mail"]  # once more, what was told already
    assert not session.changed_elsewhere()


def test_nothing_of_its_own_comes_back_and_nothing_of_the_others_is_left_out(session: Session, neighbour: Session):
    look(session)
    with session.begin(MAIL) as mine:
        mine.changes()
        mine.write(Change(runs=(started(a_run(1)),)), new={1})
        with neighbour.begin(BACKUP) as other:
            other.changes()
            other.write(Change(runs=(started(a_run(2, "backup")),)), new={2})
    with session.begin(MAIL) as mine:
        delta = mine.changes()
        assert (names_in(delta), list(delta.running), delta.more) == ([], [], True)
    delta = look(session)
    assert (names_in(delta), [run.id for run in delta.running]) == (["backup"], [2])
    assert sorted(delta.claimed or ()) == [1, 2]


def test_after_somebody_had_the_whole_everything_is_told(session: Session, neighbour: Session):
    """Declaring, rescuing: what belongs together may be another matter since."""
    look(session)
    write(neighbour, workers=(a_worker("new"),))
    store_runs(neighbour, a_run(1, "backup"))

    with session.begin(MAIL) as tx:
        assert names_in(tx.changes()) == ["backup", "new"]


def test_claims_of_workers_that_hold_nobody_are_left_for_later(session: Session, neighbour: Session):
    look(session)
    with neighbour.begin(MAIL) as tx:
        tx.changes()
        tx.write(Change(runs=(started(a_run(1)),)), new={1})

    with session.begin({1: Partition(["mail"])}) as tx:
        delta = tx.changes()
    assert (names_in(delta), list(delta.running)) == (["mail"], [])
    assert [run.id for run in look(session).running] == [1]


def look_and_fail(session: Session) -> None:
    with session.begin(MAIL) as tx:
        tx.changes()
        raise Abandoned


def test_a_failed_transaction_leaves_nothing_in_what_is_known_of_a_partition(session: Session, neighbour: Session):
    look(session)
    with neighbour.begin(MAIL) as tx:
        tx.changes()
        tx.write(Change(runs=(started(a_run(1)),)), new={1})
    with pytest.raises(Abandoned):
        look_and_fail(session)

    with session.begin(MAIL) as tx:
        assert [run.id for run in tx.changes().running] == [1]


def test_who_was_away_for_longer_than_commits_are_kept_reads_everything(
    session: Session, neighbour: Session, place: Place
):
    store_runs(session, started(a_run(1)))
    change_runs(session, ended(started(a_run(1))))
    place.execute("DELETE FROM committed WHERE number < (SELECT number FROM meta)")

    assert look(neighbour).everything
    store_runs(session, a_run(2))
    assert not look(neighbour).everything
