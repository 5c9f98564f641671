"""After a restore or a failover no number is given twice, and everything is read anew."""

from __future__ import annotations

import pytest
from store_values import NOON, FrozenClock, a_run, a_worker, fetch, store_runs, write

from postgres_server import Cluster, Place
from shiftboss.core.events import StoreRestored
from shiftboss.core.lives import UNKNOWN_IDS, Counted
from shiftboss.core.snapshot import Change
from shiftboss.ports.store import Session
from shiftboss.stores.postgres.epoch import Newest, Opened, lost_past
from shiftboss.stores.postgres.link import ClusterHistory
from shiftboss.stores.postgres.store import PostgresStore
from shiftboss.stores.sql import codec

HERE = ClusterHistory(cluster=77, timeline=3)
NOTHING = Counted()
NOON_US = codec.micros(NOON)


def opened(number: int = 5, **facts: int | None) -> Opened:
    where: dict[str, int | None] = {"cluster": 77, "timeline": 3, "place": 4000, "table": 4000}
    others = {
        "next_event": 20,
        "schema": 3,
        "at_us": 0,
        "has_arrivals": False,
        "stamp": 8,
        "ids": [],
        "oldest": 1,
        "alone": 0,
        "clock": None,
        "epoch": 0,
        "server_started": 100,
        "started": 100,
    }
    return Opened(number, **(others | where | facts))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "origin", "newest", "why"),
    [
        (opened(), HERE, NOTHING, ""),
        (opened(), HERE, Counted(5, 8, 10, 20), ""),
        (opened(), HERE, Counted(6, 8, 10, 20), "6 was seen before"),
        (opened(), ClusterHistory(cluster=78, timeline=3), NOTHING, "another cluster"),
        (opened(), ClusterHistory(cluster=77, timeline=4), NOTHING, "from timeline 3 to 4"),
        (opened(table=4001), HERE, NOTHING, "recreated"),
        (opened(), ClusterHistory(None, None), NOTHING, ""),  # who may not ask knows nothing, and changes nothing
        (opened(cluster=None, timeline=None, place=None), HERE, NOTHING, ""),
        (opened(started=200), HERE, NOTHING, "its server was restarted"),
        (opened(started=200), HERE, Counted(5, 8, 10, 20), "its server was restarted"),
        (opened(server_started=None), HERE, NOTHING, ""),  # nobody has said since when it runs
    ],
)
def test_a_past_is_lost_when_it_shows(found: Opened, origin: ClusterHistory, newest: Counted, why: str):
    said = lost_past(found, origin, newest, lived=None)

    assert why in said
    assert bool(said) == bool(why)


def next_ids(session: Session) -> tuple[int, int]:
    with session.begin() as tx:
        run_id = next(tx.ids())
        tx.write(Change(runs=(a_run(run_id),)), new={run_id})
        return tx.number, run_id


def restored(session: Session) -> list[StoreRestored]:
    with session.read() as reader:
        return [event for _, event in reader.events(after=0, limit=10) if isinstance(event, StoreRestored)]


def test_a_store_set_back_under_a_node_goes_on_beyond_what_it_gave(postgres: PostgresStore, place: Place):
    """C9"""
    session, neighbour = postgres.session(), postgres.session()
    write(session, workers=(a_worker(),))
    store_runs(session, a_run(1))
    with neighbour.read() as reader:
        reader.changes()
    place.execute("UPDATE meta SET number = 1")
    place.execute("SELECT setval('stamp', 1), setval('run_id', 1, false)")
    number, run_id = next_ids(session)

    assert NOON_US < number < NOON_US + 10
    assert run_id == UNKNOWN_IDS + 1  # nothing there says when the store lived last
    assert [NOON_US < event.epoch < number for event in restored(session)] == [True]
    for each in (session, neighbour):
        with each.read() as reader:
            assert reader.changes().everything
    assert next_ids(neighbour) == (number + 1, run_id + 1)


def test_a_store_that_is_set_back_twice_in_a_second_is_read_anew_twice(postgres: PostgresStore, place: Place):
    """C9: the clock has not moved; what was seen has."""
    session = postgres.session()
    write(session, workers=(a_worker(),))
    write(session, workers=(a_worker("other"),))
    epochs, fences = [], []
    for _ in range(3):
        with session.read() as reader:
            epochs.append(reader.changes().epoch)
        place.execute("UPDATE meta SET number = 1, epoch = 0")
        place.execute("SELECT setval('stamp', 1)")
        fences.append(next_ids(session)[0])

    assert fences == sorted(set(fences))
    assert epochs == sorted(set(epochs))


def test_a_view_of_a_store_set_back_is_a_full_reading(postgres: PostgresStore, place: Place):
    session = postgres.session()
    write(session, workers=(a_worker(),))
    write(session, workers=(a_worker("other"),))
    with session.read() as reader:
        reader.changes()
    place.execute("UPDATE meta SET number = 1")

    with session.read() as reader:
        assert reader.changes().everything


def test_a_promotion_is_noticed_by_the_timeline(postgres: PostgresStore, place: Place):
    session = postgres.session()
    store_runs(session, a_run(1))
    place.execute("UPDATE meta SET timeline = timeline + 1")
    number, _ = next_ids(session)

    assert number > NOON_US
    assert next_ids(session)[0] == number + 1


def test_a_server_that_was_started_anew_is_trusted_by_a_node_that_lived_before(postgres: PostgresStore, place: Place):
    """C9: it finds all that it has seen."""
    session = postgres.session()
    with postgres.hold("one"):
        number, run_id = next_ids(session)
        place.execute("UPDATE meta SET server_started = 1")  # the one before
        postgres.lived_with = 1

        assert next_ids(session) == (number + 2, run_id + 1)  # a fence was drawn to look, no id
        assert restored(session) == []


@pytest.mark.parametrize("who", ["a new node", "a client that lived", "a node that has seen more"])
def test_a_server_that_was_started_anew_is_trusted_by_nobody_else(postgres: PostgresStore, place: Place, who: str):
    """C9: its folder may have been put back, and nobody there would know."""
    session = postgres.session()
    number, run_id = next_ids(session)
    place.execute("UPDATE meta SET server_started = 1")
    if who == "a node that has seen more":
        postgres.newest.saw(Counted(number=number + 100))
        postgres.lived_with = 1
    if who == "a new node":
        postgres.newest = Newest()
    later_number, later_id = next_ids(session)

    assert later_number > NOON_US
    assert later_id > run_id + UNKNOWN_IDS - 10
    assert len(restored(session)) == 1
    assert next_ids(session) == (later_number + 1, later_id + 1)


def test_a_dump_that_is_restored_starts_the_next_epoch_also_for_who_never_saw_more(place: Place, cluster: Cluster):
    """A real pg_dump; the node after it is a new process, which remembers nothing."""
    store = PostgresStore(place.url, clock=FrozenClock())
    store.open(create=True)
    store_runs(store.session(), a_run(1))
    address = ["-h", "127.0.0.1", "-p", cluster.port, "-U", "postgres"]
    cluster.run("pg_dump", *address, "-n", place.schema, "-f", cluster.folder / "dump.sql", "postgres")
    store_runs(store.session(), a_run(2))
    store.close()
    place.drop()
    cluster.run("psql", *address, "-q", "-v", "ON_ERROR_STOP=1", "-f", cluster.folder / "dump.sql", "postgres")

    again = PostgresStore(place.url, clock=FrozenClock())
    again.open(create=True)
    session = again.session()
    number, run_id = next_ids(session)
    assert number > NOON_US
    assert run_id == UNKNOWN_IDS + 1
    assert [run.id for run in fetch(session, 1, 2)] == [1]
    assert [event.reason for event in restored(session)] == ["its tables were recreated"]
    again.close()
