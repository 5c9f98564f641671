"""Whether a node's process lives: its keeper holds a lock on the server, and was heard of lately (C4)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from postgres_server import GUARDED, SECRET, Cluster, Place
from process_table import gone
from shiftboss.stores.postgres import keepers as postgres_keepers
from shiftboss.stores.postgres import store as postgres_store
from shiftboss.stores.postgres.address import address_of
from shiftboss.stores.postgres.deadline import Deadlines
from shiftboss.stores.postgres.keepers import Keepers, lock_of
from shiftboss.stores.postgres.store import PostgresStore

NODE = "4f2a"
PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def no_answer_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_keepers, "OLD_S", 0.0)


@contextmanager
def holding(url: str, schema: str, node: str) -> Iterator[psycopg.Connection]:
    """A session that holds what a keeper of *node* does."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock_shared(%s::int4, %s::int4)", lock_of(schema, node))
        yield connection


def until(holds: Callable[[], object], what: str) -> None:
    began_s, pause = time.monotonic(), threading.Event()
    while not holds():
        assert time.monotonic() - began_s < PATIENCE_S, f"still not: {what}"
        pause.wait(0.02)


def test_a_node_is_kept_while_somebody_holds_its_lock(postgres: PostgresStore, place: Place):
    """C4: its own, in its own store, and not for long after the session has said its last word."""
    told = [postgres.is_frozen(NODE)]
    with holding(place.cluster.url, place.schema, "another"), holding(place.cluster.url, "another", NODE):
        told.append(postgres.is_frozen(NODE))
    with holding(place.cluster.url, place.schema, NODE) as first, holding(place.cluster.url, place.schema, NODE):
        told.append(postgres.is_frozen(NODE))
        first.close()
        told.append(postgres.is_frozen(NODE))
    until(lambda: not postgres.is_frozen(NODE), "the lock ends with its session")

    assert told == [False, False, True, True]


def test_a_node_that_is_never_let_go_of_ends_with_its_process_and_not_when_it_is_collected(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
):
    """C4: while the interpreter ends, nothing of a module is there any more."""
    held = postgres.hold(NODE)
    held.__enter__()

    with monkeypatch.context() as at_the_end:
        at_the_end.setattr(postgres_store, "os", None)
        held.gen.close()  # as its collection does


def test_who_has_said_nothing_lately_keeps_nobody(
    postgres: PostgresStore, place: Place, monkeypatch: pytest.MonkeyPatch
):
    """C4: a machine that was cut off holds its locks for as long as TCP takes."""
    monkeypatch.setattr(postgres_keepers, "FRESH_S", 0.5)
    with holding(place.cluster.url, place.schema, NODE) as connection:
        until(lambda: not postgres.is_frozen(NODE), "it was silent for too long")
        monkeypatch.setattr(postgres_keepers, "FRESH_S", 60.0)
        connection.execute("SELECT 1")
        heard = postgres.is_frozen(NODE)

    assert heard


def test_of_another_role_nobody_can_tell(postgres: PostgresStore, place: Place, cluster: Cluster):
    """C4: the server does not show when its sessions have spoken."""
    place.execute(f"GRANT USAGE ON SCHEMA {place.schema} TO {GUARDED}")
    place.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {place.schema} TO {GUARDED}")
    address = f"postgresql://{GUARDED}:{SECRET.replace(' ', '%20')}@127.0.0.1:{cluster.port}/postgres"
    deadlines = Deadlines()
    asking = Keepers(address_of(f"{address}?schema={place.schema}"), deadlines)
    try:
        with holding(cluster.url, place.schema, NODE):
            of_another = asking.kept(NODE)
        with holding(address, place.schema, NODE):
            of_the_same = asking.kept(NODE)
    finally:
        asking.close()
        deadlines.close()
        place.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA {place.schema} FROM {GUARDED}")
        place.execute(f"REVOKE ALL ON SCHEMA {place.schema} FROM {GUARDED}")

    assert (of_another, of_the_same) == (False, True)


def test_a_keeper_ends_with_the_engine_of_its_node(postgres: PostgresStore):
    """C4: the process may live on, and its node is not frozen then."""
    with postgres.hold(NODE):
        postgres.show_life(NODE)
        keeper = postgres._keepers._keepers[NODE]._process
        assert keeper is not None
        until(lambda: postgres.is_frozen(NODE), "it is kept")
        postgres.engine_ended(NODE)
        assert gone([keeper.pid])
        until(lambda: not postgres.is_frozen(NODE), "nobody keeps it")


def test_a_keeper_waits_for_a_server_that_is_away_and_is_started_again_when_it_dies(
    postgres: PostgresStore, place: Place, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(postgres_keepers, "MIN_BACK_OFF_S", 0.0)
    with postgres.hold(NODE):
        postgres.show_life(NODE)
        until(lambda: postgres.is_frozen(NODE), "it is kept")
        keepers = postgres._keepers._keepers
        first = keepers[NODE]._process
        assert first is not None
        killed = place.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        until(lambda: postgres.is_frozen(NODE), "it is kept again, on another connection")
        same = first.poll() is None
        first.kill()

        def is_another() -> bool:
            postgres.show_life(NODE)
            return keepers[NODE]._process is not first and postgres.is_frozen(NODE)

        until(is_another, "another keeper has it")

    assert killed == [(True,)]
    assert same
