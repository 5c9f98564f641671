"""What a server or a network can do to a session: it is said in time, and everything recovers by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest
from postgres_proxy import Proxy
from psycopg import sql
from store_values import FrozenClock, a_node, a_run, a_worker, fetch, store_runs, write

from postgres_server import Cluster, Place, a_cluster
from shiftboss.core.snapshot import Change
from shiftboss.errors import StoreReadOnly, StoreUnavailable
from shiftboss.ports.store import Session
from shiftboss.stores.postgres import connection
from shiftboss.stores.postgres import link as postgres_link
from shiftboss.stores.postgres.connection import Database
from shiftboss.stores.postgres.store import PostgresStore

FOREVER_S = 600.0  # a test that waits this long has failed
TRIES = 10_000  # each waits for something by itself: this many have failed as well


def backend_of(session: Session) -> int:
    link = session._db._connected()  # type: ignore[attr-defined]
    return int(link.connection.pgconn.backend_pid)


def kill(cluster: Cluster, session: Session) -> None:
    """End the server's process of that session, and wait until it is gone."""
    pid = backend_of(session)
    cluster.execute(f"SELECT pg_terminate_backend({pid}, 10000)")  # type: ignore[arg-type]


def until_it_works(act: Callable[[], object]) -> None:
    for _ in range(TRIES):
        try:
            act()
        except StoreUnavailable:
            continue
        return
    pytest.fail("it never worked again")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines of a fifth of a second; nothing else is changed."""
    monkeypatch.setattr(connection, "CALL_S", 0.2)
    monkeypatch.setattr(postgres_link, "CALL_S", 0.2)
    monkeypatch.setattr(postgres_link, "CONNECT_S", 0.2)
    monkeypatch.setattr(postgres_link, "GRACE_S", 0.0)


@pytest.fixture
def proxy(place: Place) -> Iterator[Proxy]:
    with Proxy(place.url + "&connect_timeout=2") as proxy:
        yield proxy


@pytest.fixture
def far(proxy: Proxy, clock: FrozenClock) -> Iterator[PostgresStore]:
    """The store behind the proxy."""
    store = PostgresStore(proxy.url, clock=clock)
    store.open(create=True)
    yield store
    store.close()


# ── the server ends a connection ─────────────────────────────────────────────────────────────────────────────────


def test_a_connection_that_broke_while_idle_is_replaced_without_a_word(postgres: PostgresStore, cluster: Cluster):
    session = postgres.session()
    store_runs(session, a_run(1))
    kill(cluster, session)
    store_runs(session, a_run(2))
    kill(cluster, session)

    assert [run.id for run in fetch(session, 1, 2)] == [1, 2]


def test_a_connection_killed_in_mid_transaction_keeps_nothing_and_the_next_one_works(
    postgres: PostgresStore, cluster: Cluster
):
    session = postgres.session()

    def interrupted() -> None:
        with session.begin() as tx:
            tx.write(Change(runs=(a_run(1),)), new={1})
            kill(cluster, session)
            tx.payloads([1])

    with pytest.raises(StoreUnavailable) as caught:
        interrupted()

    assert not caught.value.maybe_stored
    assert fetch(session, 1) == []
    store_runs(session, a_run(1))
    assert [run.id for run in fetch(session, 1)] == [1]


def test_killed_before_its_commit_could_answer_it_is_in_doubt_and_everything_is_read_anew(
    postgres: PostgresStore, cluster: Cluster
):
    session = postgres.session()
    write(session, workers=(a_worker(),))

    def interrupted() -> None:
        with session.begin() as tx:
            tx.write(Change(runs=(a_run(1),)), new={1})
            kill(cluster, session)

    with pytest.raises(StoreUnavailable) as caught:
        interrupted()

    assert caught.value.maybe_stored
    with session.read() as reader:
        assert reader.changes().everything


def test_what_follows_a_killed_connection_never_runs_outside_a_transaction(postgres: PostgresStore, cluster: Cluster):
    """A write after the loss must not be sent on a new connection, where it would be kept alone."""
    session = postgres.session()
    session.changed_elsewhere()

    def go_on_regardless() -> None:
        with session.begin() as tx:
            kill(cluster, session)
            with pytest.raises(StoreUnavailable):
                tx.payloads([1])
            tx.write(Change(runs=(a_run(1),)), new={1})
            with pytest.raises(StoreUnavailable):
                tx.payloads([1])

    with pytest.raises(StoreUnavailable):
        go_on_regardless()
    assert fetch(session, 1) == []


# ── the server is silent ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("impatient")
def test_a_silent_server_is_given_up_in_time_and_used_again_when_it_speaks(far: PostgresStore, proxy: Proxy):
    session = far.session()
    store_runs(session, a_run(1))
    proxy.fall_silent()
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match=r"did not answer|cannot be reached") as caught:
            store_runs(session, a_run(2))
        assert not caught.value.maybe_stored
    with pytest.raises(StoreUnavailable):
        fetch(session, 1)
    proxy.recover()

    until_it_works(lambda: fetch(session, 1))
    store_runs(session, a_run(2))
    assert [run.id for run in fetch(session, 1, 2)] == [1, 2]


@pytest.mark.usefixtures("impatient")
def test_an_answer_lost_after_the_commit_says_so_and_the_commit_is_there(far: PostgresStore, proxy: Proxy):
    session = far.session()
    store_runs(session, a_run(1))
    proxy.fall_silent_after(b"run 2 is here")
    with pytest.raises(StoreUnavailable, match="did not answer") as caught:
        store_runs(session, a_run(2, by="run 2 is here"))
    proxy.recover()

    assert caught.value.maybe_stored
    until_it_works(lambda: fetch(session, 2))
    assert [run.id for run in fetch(session, 1, 2)] == [1, 2]


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_silent_from_the_start_is_unavailable(place: Place, clock: FrozenClock):
    with Proxy(place.url) as proxy:
        proxy.fall_silent()
        store = PostgresStore(proxy.url, clock=clock)
        with pytest.raises(StoreUnavailable):
            store.open(create=True)
        store.close()


def test_nobody_listening_is_unavailable(clock: FrozenClock):
    store = PostgresStore("postgresql://postgres:hidden@127.0.0.1:1/jobs", clock=clock)
    with pytest.raises(StoreUnavailable, match="cannot be reached") as caught:
        store.open(create=True)

    assert "hidden" not in str(caught.value)


# ── locks ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_transaction_waits_for_the_one_before_and_sees_what_it_wrote(postgres: PostgresStore):
    one, two = postgres.session(), postgres.session()
    entered, found = threading.Event(), []

    def second() -> None:
        entered.set()
        with two.begin() as tx:
            found.extend(run.id for run in tx.runs([1]))

    with one.begin() as tx:
        waiter = threading.Thread(target=second)
        waiter.start()
        entered.wait(FOREVER_S)
        tx.write(Change(runs=(a_run(1),)), new={1})
    waiter.join(FOREVER_S)

    assert found == [1]


def test_a_lock_that_is_not_let_go_of_is_no_wait_without_end(
    postgres: PostgresStore, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
):
    session = postgres.session()
    settings = connection.SETTINGS.text.replace(b"'4000'", b"'50'")
    monkeypatch.setattr(connection.SETTINGS, "text", settings)
    schema = postgres._address.schema
    with psycopg.connect(cluster.url) as other:
        other.execute(sql.SQL("SELECT 1 FROM {} FOR UPDATE").format(sql.Identifier(schema, "meta")))
        with pytest.raises(StoreUnavailable, match="is blocked"):
            store_runs(session, a_run(1))

    store_runs(session, a_run(1))
    assert [run.id for run in fetch(session, 1)] == [1]


def test_the_server_frees_the_lock_of_a_node_that_stands_still(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
):
    """A frozen process can do nothing about it: the server ends its transaction, and its writes with it."""
    settings = connection.SETTINGS.text.replace(b"'5000'", b"'50'")
    monkeypatch.setattr(connection.SETTINGS, "text", settings)
    frozen, other = postgres.session(), postgres.session()

    def stand_still() -> None:
        with frozen.begin() as tx:
            tx.write(Change(runs=(a_run(1, key="k"),)), new={1})
            store_runs(other, a_run(2, key="k"))

    with pytest.raises(StoreUnavailable):
        stand_still()
    assert [run.id for run in fetch(other, 1, 2)] == [2]


# ── the server has restarted, or is another ──────────────────────────────────────────────────────────────────────


def test_a_restart_of_the_server_needs_none_of_ours(clock: FrozenClock):
    with a_cluster() as cluster:
        store = PostgresStore(cluster.url, clock=clock)
        store.open(create=True)
        session = store.session()
        store_runs(session, a_run(1))
        cluster.stop()
        with pytest.raises(StoreUnavailable):
            store_runs(session, a_run(2))
        cluster.start()
        until_it_works(lambda: store_runs(session, a_run(2)))

        assert [run.id for run in fetch(session, 1, 2)] == [1, 2]
        store.close()


def test_what_can_only_be_read_is_refused_as_a_standby_is(postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch):
    session = postgres.session()
    begin = Database.begin

    def reads_only(self: Database, *calls: connection.BoundStatement) -> object:
        return begin(self, (connection.Statement("SET TRANSACTION READ ONLY"), ()), *calls)[1:]

    monkeypatch.setattr(Database, "begin", reads_only)
    with pytest.raises(StoreReadOnly, match="standby"):
        write(session, nodes=(a_node(),))
