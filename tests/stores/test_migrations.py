"""A store that an earlier version made is brought up to date by the first node, with everything that was in it."""

from __future__ import annotations

from pathlib import Path

import apsw
import psycopg
import pytest
from store_values import FrozenClock, a_run, a_worker, at, change_runs, ended, started

from postgres_server import Place
from shiftboss.core.declarations import Declarations
from shiftboss.core.model import Run
from shiftboss.errors import StoreTooOld
from shiftboss.ports.store import Store
from shiftboss.stores.postgres.store import PostgresStore
from shiftboss.stores.sql import codec, migrations
from shiftboss.stores.sqlite import schema
from shiftboss.stores.sqlite.store import SqliteStore

WAITING, RUNNING = a_run(1, due_at=at(5)), started(a_run(2))
MAIL = codec.text_of(a_worker("mail"))


def row_of_version_1(run: Run, queue: int | None) -> tuple[object, ...]:
    return run.id, run.worker, queue, codec.micros(run.due_at), codec.micros(run.occurs_at), 3, codec.text_of_run(run)


UNREADABLE = (9, "mail", 1, 5, 5, 3, "{")
ROWS = [row_of_version_1(WAITING, 1), row_of_version_1(RUNNING, None), UNREADABLE]


def check(store: Store) -> None:
    with pytest.raises(StoreTooOld):
        store.open(create=False)
    store.open(create=True)
    session, neighbour = store.session(), store.session()
    with neighbour.read() as reader:
        delta = reader.changes()
        lane = reader.lanes(["mail"], limit=5)["mail"]
        unreadable = [row.place for row in reader.unreadable()]
    change_runs(session, ended(RUNNING), started(WAITING))
    with neighbour.read() as reader:
        after = reader.changes()
    store.close()

    assert (delta.claimed, delta.running, list(lane)) == ([2], [RUNNING], [WAITING])
    assert unreadable == [("run", "9")]
    assert (delta.resources, delta.size_declarations) == ({"press": 2}, {})
    [(mail, _)] = delta.workers
    assert (mail, mail.declarations) == (a_worker("mail"), Declarations())
    assert (after.claimed, after.running) == ([1], [started(WAITING)])


def test_a_file_of_version_1(tmp_path: Path):
    path = tmp_path / "old.db"
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.execute(migrations.scripts("sqlite")[1].read_text())
    connection.execute("INSERT INTO worker (name, number, state) VALUES ('mail', 1, ?)", (MAIL,))
    connection.execute("INSERT INTO resource (name, size) VALUES ('press', 2)")
    connection.executemany(
        "INSERT INTO run (id, worker, queue, due_at, occurs_at, origin, data) VALUES (?, ?, ?, ?, ?, ?, ?)", ROWS
    )
    connection.execute("UPDATE meta SET number = 1, next_run = 3")
    connection.pragma("application_id", schema.APPLICATION_ID)
    connection.pragma("user_version", 1)
    connection.close()

    check(SqliteStore(path, clock=FrozenClock()))


def test_a_schema_of_version_1(place: Place):
    with psycopg.connect(place.cluster.url, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{place.schema}"; SET search_path = "{place.schema}"'.encode())
        connection.execute(migrations.scripts("postgres")[1].read_bytes())
        connection.execute("INSERT INTO worker (name, number, state) VALUES ('mail', 1, %s)", (MAIL,))
        connection.execute("INSERT INTO resource (name, size) VALUES ('press', 2)")
        connection.cursor().executemany(
            "INSERT INTO run (id, worker, queue, due_at, occurs_at, origin, data) VALUES (%s, %s, %s, %s, %s, %s, %s)",
            ROWS,
        )
        connection.execute("UPDATE meta SET schema = 1, number = 1, next_run = 3")

    check(PostgresStore(place.url, clock=FrozenClock()))
