"""What is asked all the time reads no more pages when a held snapshot keeps thousands of dead rows: counted, not timed.

A transaction that is open and idle keeps every version that was replaced since.  Runs pass through the store in its
presence, as a node would write them; then each question's pages are counted, by EXPLAIN (ANALYZE, BUFFERS) with the
plans and settings that the store's sessions have.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from store_values import FrozenClock, a_run, a_worker, at, ended, started, write

from postgres_server import Cluster, Place, a_place
from shiftboss.core.lane import Lane
from shiftboss.core.policy import Priority
from shiftboss.core.snapshot import Change
from shiftboss.ports.store import Session
from shiftboss.stores.postgres import connection as postgres_connection
from shiftboss.stores.postgres import epoch, reads, waits_from, writes
from shiftboss.stores.postgres.connection import SETTINGS
from shiftboss.stores.postgres.store import PostgresStore
from shiftboss.stores.postgres.wire import Rows, Statement
from shiftboss.stores.sql.statements import Question

ROUNDS = 240  # of commits; each leaves 60 dead rows of runs
AT_ONCE = 20
MOST_PAGES = 100  # of a question; from the beginning it would be hundreds
LONG = "ARRAY[]::bigint[]"
NO_TEXT = "ARRAY[NULL::text]"

PROBES: dict[str, tuple[Question[Statement] | Statement | Rows, str]] = {
    "opening": (epoch.OPEN, "0"),
    "seen": (postgres_connection.NUMBER_SEEN, ""),
    "lanes": (reads.LANES, "ARRAY['mail'], ARRAY[]::text[], 256"),
    "changed lanes": (reads.CHANGED_LANES, f"{{since}}, {LONG}, 256"),
    "claims": (reads.CLAIMS, f"{{since}}, {LONG}"),
    "claims of them": (reads.CLAIMS_OF_THEM, f"{{since}}, {LONG}, ARRAY['mail'], ARRAY['mail']"),
    "changed workers": (reads.CHANGED_WORKERS, f"{{since}}, {LONG}"),
    "touch": (writes.TOUCH_WORKERS, f"ARRAY['mail'], ARRAY[{{stamp}}], {NO_TEXT}, {NO_TEXT}, {NO_TEXT}"),
    "finish": (writes.FINISH, "{stamp}, 0, ARRAY[]::bigint[], 0"),
}


def pass_through(session: Session, first: int, *, second: int) -> None:
    """Runs are stored, claimed and ended, by the node that has their lane."""
    ids = range(first, first + AT_ONCE)
    waiting = [a_run(run_id, due_at=at(second)) for run_id in ids]
    with session.begin() as tx:
        tx.changes()
        tx.write(Change(runs=tuple(waiting)), new=set(ids), lanes={"mail": Lane(waiting)})
    with session.begin() as tx:
        tx.changes()
        tx.write(Change(runs=tuple(map(started, waiting))), new=(), lanes={"mail": Lane()})
    with session.begin() as tx:
        tx.changes()
        tx.write(Change(runs=tuple(ended(started(run)) for run in waiting)), new=(), lanes={"mail": Lane()})


@pytest.fixture(scope="module", params=["as it comes", "analyzed"])
def crowded(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[tuple[Place, PostgresStore]]:
    """A store through which runs have passed while a snapshot was held, as it still is."""
    with a_place(cluster) as place:
        store = PostgresStore(place.url, clock=FrozenClock())
        store.open(create=True)
        session = store.session()
        write(session, workers=(a_worker("mail"),))
        with psycopg.connect(cluster.url) as holder:
            holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            holder.execute("SELECT count(*) FROM pg_class")
            for number in range(ROUNDS):
                pass_through(session, 1 + number * AT_ONCE, second=number)
            if request.param == "analyzed":  # then the planner believes that next to nothing waits or runs
                place.execute("ANALYZE run, worker, committed, meta")
            yield place, store
            holder.rollback()
        store.close()


def pages_of(connection: psycopg.Connection, probe: Question[Statement] | Statement | Rows, values: str) -> int:
    """How many pages it reads the second time: the first plans it."""
    statement = probe.plain if isinstance(probe, Question) else probe._statement if isinstance(probe, Rows) else probe
    kinds = ", ".join(connection.execute("SELECT %s::regtype::text", [oid]).fetchone()[0] for oid in statement.oids)
    connection.execute(f"PREPARE probe {f'({kinds})' if kinds else ''} AS ".encode() + statement.text)
    asked = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE probe {f'({values})' if kinds else ''}"
    for _ in range(2):
        connection.execute("SAVEPOINT before")
        (plan,) = connection.execute(asked.encode()).fetchone()
        connection.execute("ROLLBACK TO before")
    connection.execute("DEALLOCATE probe")
    root = plan[0]["Plan"]
    return int(root["Shared Hit Blocks"]) + int(root["Shared Read Blocks"])


@pytest.mark.parametrize("name", PROBES)
def test_a_question_passes_no_dead_rows(crowded: tuple[Place, PostgresStore], name: str):
    place, _ = crowded
    probe, values = PROBES[name]
    with psycopg.connect(place.cluster.url, prepare_threshold=None) as connection:
        connection.execute(SETTINGS.text.replace(b"$1", f"'{place.schema}'".encode()))
        (since,) = connection.execute("SELECT max(number) - 3 FROM committed").fetchone()
        (stamp,) = connection.execute("SELECT nextval('stamp')").fetchone()
        pages = pages_of(connection, probe, values.format(since=since, stamp=stamp))
        connection.rollback()

    assert pages <= MOST_PAGES


def test_the_dead_rows_are_there(crowded: tuple[Place, PostgresStore]):
    """What the other tests count would be in vain without them."""
    place, _ = crowded
    with psycopg.connect(place.cluster.url, prepare_threshold=None) as connection:
        connection.execute(SETTINGS.text.replace(b"$1", f"'{place.schema}'".encode()))
        connection.execute("UPDATE worker SET waits_from = DEFAULT")
        pages = pages_of(connection, reads.LANES, "ARRAY['mail'], ARRAY[]::text[], 256")
        connection.rollback()

    assert pages > 4 * MOST_PAGES


# ── no run is missed ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def store(place: Place) -> Iterator[PostgresStore]:
    made = PostgresStore(place.url, clock=FrozenClock())
    made.open(create=True)
    yield made
    made.close()


def seen(session: Session) -> list[int]:
    with session.read() as reader:
        reader.changes()
        return [run.id for run in reader.lanes(["mail"], limit=256)["mail"]]


@pytest.mark.parametrize(
    "run",
    [
        a_run(900, due_at=at(1)),
        a_run(900, due_at=at(1), priority=Priority.HIGH),
        a_run(900, due_at=at(9), place_at=at(1)),
    ],
    ids=["due earlier", "of another queue", "with an older place"],
)
def test_a_run_that_is_stored_before_all_others_is_found(store: PostgresStore, run):
    """The queue had moved on; whoever stores the run knows nothing of the lane."""
    session = store.session()
    write(session, workers=(a_worker("mail"),))
    pass_through(session, 1, second=50)
    write(store.session(), runs=(run,), new={900})

    assert seen(session) == [900]  # the first look of a session is from the beginning,
    assert seen(session) == [900]  # the second from where the queue begins


def test_a_claim_that_ends_behind_a_held_one_is_told(store: PostgresStore):
    session, neighbour = store.session(), store.session()
    runs = [a_run(run_id) for run_id in (1, 2, 3)]
    write(session, workers=(a_worker("mail"),), runs=tuple(runs), new={1, 2, 3})
    with neighbour.read() as reader:
        reader.changes()
    write(session, runs=tuple(map(started, runs)))
    with neighbour.read() as reader:
        first = reader.changes()
    write(session, runs=(ended(started(runs[1])),))
    with neighbour.read() as reader:
        second = reader.changes()

    assert (first.claimed, second.claimed) == ([1, 2, 3], [1, 3])


def test_an_empty_lane_says_so_to_whoever_looks_next():
    assert waits_from.fronts(Lane()) == waits_from.EMPTY
    assert waits_from.fronts(Lane(whole=False)) == "{NULL,NULL,NULL,NULL,NULL,NULL,NULL}"
