"""Who waits hears of commits on other nodes, by NOTIFY or by looking; and nothing wakes for nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from store_values import FrozenClock, a_node, a_run, fetch, store_runs, write

from postgres_server import Cluster, Place
from shiftboss.stores.postgres import notifier
from shiftboss.stores.postgres.connection import Database
from shiftboss.stores.postgres.session import PostgresSession
from shiftboss.stores.postgres.store import PostgresStore

FOREVER_S = 600.0  # a test that waits this long has failed


@pytest.fixture
def elsewhere(postgres: PostgresStore, place: Place) -> Iterator[PostgresStore]:
    """Another node's store on the same tables."""
    store = PostgresStore(place.url, clock=FrozenClock())
    store.open(create=False)
    yield store
    store.close()


def see_all(session: PostgresSession) -> None:
    with session.read() as reader:
        reader.changes()


def heard_after_a_commit(here: PostgresStore, there: PostgresStore) -> bool:
    session = here.session()
    fetch(session, 1)
    waiter = threading.Thread(target=session.wait, args=(FOREVER_S,))
    waiter.start()
    write(there.session(), nodes=(a_node(),))
    waiter.join(FOREVER_S)
    return not waiter.is_alive()


def test_a_commit_on_another_node_is_heard_of(
    postgres: PostgresStore, elsewhere: PostgresStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(notifier, "LOOK_S", FOREVER_S)

    assert heard_after_a_commit(postgres, elsewhere)


def test_several_commits_in_a_row_are_each_announced_at_once(
    postgres: PostgresStore, elsewhere: PostgresStore, monkeypatch: pytest.MonkeyPatch
):
    for name in ("LOOK_S", "GAP_S"):
        monkeypatch.setattr(notifier, name, FOREVER_S)

    assert all(heard_after_a_commit(postgres, elsewhere) for _ in range(5))


def test_who_has_heard_of_a_commit_does_not_ask_the_server_whether_there_is_one(
    postgres: PostgresStore, elsewhere: PostgresStore, monkeypatch: pytest.MonkeyPatch
):
    session = postgres.session()
    see_all(session)
    before = session.changed_elsewhere()
    waiter = threading.Thread(target=session.wait, args=(FOREVER_S,))
    waiter.start()
    write(elsewhere.session(), nodes=(a_node(),))
    waiter.join(FOREVER_S)
    with monkeypatch.context() as patched:
        patched.setattr(Database, "exchange", lambda *_: pytest.fail("it asked the server"))
        after = session.changed_elsewhere()
    see_all(session)

    assert (before, after, session.changed_elsewhere()) == (False, True, False)


def test_it_is_heard_of_also_where_nothing_is_ever_notified(
    postgres: PostgresStore, elsewhere: PostgresStore, monkeypatch: pytest.MonkeyPatch
):
    for name in ("announcement", "announce"):
        monkeypatch.setattr(notifier.Notifier, name, lambda *_: None)
    monkeypatch.setattr(notifier, "LOOK_S", 0.01)

    assert heard_after_a_commit(postgres, elsewhere)


def test_a_notifier_whose_connection_was_killed_hears_again(
    postgres: PostgresStore, elsewhere: PostgresStore, cluster: Cluster
):
    assert heard_after_a_commit(postgres, elsewhere)
    cluster.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE query LIKE 'LISTEN%' OR (application_name = 'shiftboss' AND pid <> pg_backend_pid())"
    )

    assert heard_after_a_commit(postgres, elsewhere)


def test_a_process_that_writes_once_and_goes_is_heard_of(
    postgres: PostgresStore, place: Place, monkeypatch: pytest.MonkeyPatch
):
    """What the command does: close tells what was not told yet."""
    monkeypatch.setattr(notifier, "LOOK_S", FOREVER_S)
    session = postgres.session()
    fetch(session, 1)
    waiter = threading.Thread(target=session.wait, args=(FOREVER_S,))
    waiter.start()
    postgres.notifier().is_listening.wait(FOREVER_S)
    once = PostgresStore(place.url, clock=FrozenClock())
    once.open(create=False)
    store_runs(once.session(), a_run(1))
    once.close()
    waiter.join(FOREVER_S)

    assert not waiter.is_alive()


def test_who_only_reads_or_writes_opens_one_connection_and_who_waits_two(place: Place, cluster: Cluster):
    def connections() -> int:
        found = cluster.execute("SELECT count(*)::int FROM pg_stat_activity WHERE application_name = 'shiftboss'")
        return int(str(found[0][0]))

    before = connections()
    store = PostgresStore(place.url, clock=FrozenClock())
    store.open(create=True)
    session = store.session()
    fetch(session, 1)
    reading = connections() - before
    store_runs(session, a_run(1))
    writing = connections() - before
    session.wait(0.0)
    store.notifier().is_listening.wait(FOREVER_S)

    assert (reading, writing, connections() - before) == (1, 1, 2)
    store.close()
