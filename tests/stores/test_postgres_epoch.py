"""After a restore or a failover no number is given twice, and everything is read anew."""

from __future__ import annotations

import pytest
from store_values import FrozenClock, a_run, a_worker, fetch, store_runs, write

from postgres_server import Cluster, Place
from shiftboss.core.events import StoreRestored
from shiftboss.core.snapshot import Change
from shiftboss.ports import Session
from shiftboss.stores.postgres import PostgresStore
from shiftboss.stores.postgres_epoch import LOST_IDS, Counted, Opened, lost_past
from shiftboss.stores.postgres_link import Origin
from shiftboss.stores.reading import EPOCH

HERE = Origin(cluster=77, timeline=3)
NOTHING = Counted()


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
    }
    return Opened(number, **(others | where | facts))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "origin", "newest", "why"),
    [
        (opened(), HERE, NOTHING, ""),
        (opened(), HERE, Counted(5, 8, 10, 20), ""),
        (opened(), HERE, Counted(6, 8, 10, 20), "6 was seen before"),
        (opened(), Origin(cluster=78, timeline=3), NOTHING, "another cluster"),
        (opened(), Origin(cluster=77, timeline=4), NOTHING, "from timeline 3 to 4"),
        (opened(table=4001), HERE, NOTHING, "made anew"),
        (opened(), Origin(None, None), NOTHING, ""),  # who may not ask knows nothing, and changes nothing
        (opened(cluster=None, timeline=None, place=None), HERE, NOTHING, ""),
    ],
)
def test_a_past_is_lost_when_it_shows(found: Opened, origin: Origin, newest: Counted, why: str):
    said = lost_past(found, origin, newest)

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
    session, neighbour = postgres.session(), postgres.session()
    write(session, workers=(a_worker(),))
    store_runs(session, a_run(1))
    with neighbour.read() as reader:
        reader.changes()
    place.execute("UPDATE meta SET number = 1")
    place.execute("SELECT setval('stamp', 1), setval('run_id', 1, false)")
    number, run_id = next_ids(session)

    assert (number, run_id) == (EPOCH + 1, LOST_IDS + 1)
    assert [event.epoch for event in restored(session)] == [1]
    for each in (session, neighbour):
        with each.read() as reader:
            assert reader.changes().everything
    assert next_ids(neighbour) == (EPOCH + 2, LOST_IDS + 2)


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

    assert next_ids(session)[0] == EPOCH + 1
    assert next_ids(session)[0] == EPOCH + 2


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
    assert (number, run_id) == (EPOCH + 1, LOST_IDS + 1)
    assert [run.id for run in fetch(session, 1, 2)] == [1]
    assert [event.reason for event in restored(session)] == ["its tables were made anew"]
    again.close()
