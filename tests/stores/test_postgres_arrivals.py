"""A trigger within a transaction of its caller: there if and only if that one commits, and taken once."""

from __future__ import annotations

import msgspec
import psycopg
from store_values import NOON, a_run, abandon, write

from postgres_server import Cluster
from shiftboss.core.control import Request
from shiftboss.core.snapshot import Change
from shiftboss.core.unreadable import SetAside
from shiftboss.ports.store import Arrival, Session
from shiftboss.stores.postgres.store import PostgresStore

ASKED = Request(worker="mail", payload=b"\x00{}", digest="d", key="k", by="ada")


def insert(connection: psycopg.Connection, arrival: Arrival) -> None:
    statement = f"INSERT INTO {arrival.table} (data, payload) VALUES (%s, %s)"  # noqa: S608  # quoted by the store
    connection.execute(statement.encode(), (arrival.data, arrival.payload))


def taken(session: Session, limit: int = 10) -> list[Request]:
    with session.begin() as tx:
        return tx.arrivals(limit=limit)


def test_what_was_committed_arrives_once_and_byte_for_byte(postgres: PostgresStore, cluster: Cluster):
    session = postgres.session()
    session.changed_elsewhere()
    with psycopg.connect(cluster.url) as connection:
        insert(connection, postgres.arrival(ASKED))
        before = taken(session)
    with session.read() as reader:
        reader.changes()
        seen = reader.has_arrivals

    assert (before, seen, session.changed_elsewhere()) == ([], True, True)
    assert taken(session) == [ASKED]
    assert taken(session) == []


def test_what_was_rolled_back_never_arrives(postgres: PostgresStore, cluster: Cluster):
    with psycopg.connect(cluster.url) as connection:
        insert(connection, postgres.arrival(ASKED))
        connection.rollback()

    assert taken(postgres.session()) == []


def test_they_are_taken_in_order_and_a_transaction_says_whether_there_are_more(
    postgres: PostgresStore, cluster: Cluster
):
    session = postgres.session()
    with psycopg.connect(cluster.url) as connection:
        for n in range(5):
            insert(connection, postgres.arrival(Request(worker=f"w{n}")))
    with session.begin() as tx:
        first = [request.worker for request in tx.arrivals(limit=3)]
        more = tx.has_arrivals
        rest = [request.worker for request in tx.arrivals(limit=3)]

    assert (first, more, rest, tx.has_arrivals) == (["w0", "w1", "w2"], True, ["w3", "w4"], False)


def test_a_transaction_that_fails_has_taken_nothing(postgres: PostgresStore, cluster: Cluster):
    session = postgres.session()
    with psycopg.connect(cluster.url) as connection:
        insert(connection, postgres.arrival(ASKED))
    abandon(session, Change(runs=(a_run(1),)), new={1})

    assert taken(session) == [ASKED]


def test_of_large_payloads_few_are_taken_at_a_time_and_one_always_is(postgres: PostgresStore, cluster: Cluster):
    session = postgres.session()
    with psycopg.connect(cluster.url) as connection:
        for mib in (1, 20, 9, 9):
            insert(connection, postgres.arrival(Request(worker="mail", payload=bytes(mib * 1024 * 1024))))
        insert(connection, postgres.arrival(Request(worker="mail")))

    assert [len(taken(session)) for _ in range(4)] == [2, 2, 1, 0]


BAD = ("{", '{"worker": 5}', "null", '{"payload": null}')


def test_those_that_cannot_be_read_hold_back_nobody_and_are_set_aside(postgres: PostgresStore, cluster: Cluster):
    """W8, A5: they are passed by once, named, and moved when somebody says so."""
    session, neighbour = postgres.session(), postgres.session()
    with psycopg.connect(cluster.url) as connection:
        for data in BAD:
            insert(connection, postgres.arrival(ASKED)._replace(data=data))
        insert(connection, postgres.arrival(ASKED))
    with session.begin() as tx:
        first = tx.arrivals(limit=3)
        more = tx.has_arrivals
        then = tx.arrivals(limit=3)
        rest = tx.has_arrivals
    with neighbour.read() as reader:
        reader.changes()
        named, waits = reader.unreadable(), reader.has_arrivals
    write(session, set_aside=tuple(SetAside.of(row, at=NOON, by="ada") for row in named))
    with neighbour.read() as reader:
        left, aside = reader.unreadable(), reader.set_aside(after=0, limit=10)

    assert (first, more, then, rest, waits) == ([], True, [ASKED], False, False)
    assert [row.table for row in named] == ["arrival"] * len(BAD)
    assert left == []
    assert [msgspec.json.decode(row.data)["data"] for _, row in aside] == list(BAD)
    assert [msgspec.json.decode(row.data)["payload"] for _, row in aside] == ["\\x007b7d"] * len(BAD)
