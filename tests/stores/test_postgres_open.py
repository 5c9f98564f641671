"""First starts, versions, rights, addresses: each is safe, or refused before anything is written."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from store_values import FrozenClock, a_run, fetch, store_runs

from postgres_server import GUARDED, SECRET, Cluster, Place
from shiftboss.clock import SystemClock
from shiftboss.errors import (
    ConfigurationError,
    ShiftbossError,
    StoreDamaged,
    StoreMissing,
    StoreReadOnly,
    StoreTooNew,
    StoreUnavailable,
)
from shiftboss.stores.postgres import history, schema
from shiftboss.stores.postgres.deadline import Deadlines, WatchedSocket
from shiftboss.stores.postgres.store import PostgresStore
from shiftboss.stores.urls import open_store

CHILD = """
import sys
from shiftboss.clock import SystemClock
from shiftboss.core.snapshot import Change
from shiftboss.stores.postgres.store import PostgresStore
sys.path.insert(0, sys.argv[2])
from store_values import a_run
print("ready", flush=True)
sys.stdin.readline()
store = PostgresStore(sys.argv[1], clock=SystemClock())
store.open(create=True)
with store.session().begin() as tx:
    run_id = next(tx.ids())
    tx.write(Change(runs=(a_run(run_id),)), new={run_id})
print(run_id, store.clock.boot, flush=True)
store.close()
"""


def opened(url: str, *, create: bool = True) -> PostgresStore:
    store = PostgresStore(url, clock=FrozenClock())
    store.open(create=create)
    return store


# ── first starts ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("count", [8, pytest.param(20, marks=pytest.mark.chaos)])
def test_processes_that_start_at_once_make_one_store(place: Place, count: int):
    command = [sys.executable, "-c", CHILD, place.url, str(Path(__file__).parent)]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    said = [child.communicate()[0].split() for child in children]

    assert sorted(int(run_id) for run_id, _ in said) == list(range(1, count + 1))
    assert len({boot for _, boot in said}) == 1


def test_a_row_that_somebody_holds_keeps_nobody_from_opening(place: Place):
    """A transaction that was forgotten holds up writes; who looks, and who names that transaction, needs none."""
    opened(place.url).close()
    with psycopg.connect(place.cluster.url) as other:
        other.execute(sql.SQL("SELECT FROM {}.meta FOR UPDATE").format(sql.Identifier(place.schema)))
        store = opened(place.url, create=False)
        other.rollback()
    store.close()


def test_a_store_that_is_there_is_opened_without_writing(place: Place):
    opened(place.url).close()
    before = place.execute("SELECT xmin::text, ctid::text FROM meta")
    opened(place.url).close()
    opened(place.url, create=False).close()

    assert place.execute("SELECT xmin::text, ctid::text FROM meta") == before


def test_who_only_reads_never_creates(place: Place, cluster: Cluster):
    with pytest.raises(StoreMissing, match="start an application on it first"):
        opened(place.url, create=False)
    assert cluster.execute(sql.SQL("SELECT to_regnamespace({})").format(place.schema)) == [(None,)]


def test_an_empty_schema_made_by_an_administrator_will_do(place: Place):
    place.cluster.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(place.schema)))
    store = opened(place.url)
    session = store.session()
    store_runs(session, a_run(1))

    assert [run.id for run in fetch(session, 1)] == [1]
    store.close()


def test_two_schemas_of_one_database_are_two_stores(place: Place, cluster: Cluster):
    one, two = opened(place.url), opened(f"{cluster.url}?schema={place.schema}_b")
    store_runs(one.session(), a_run(1))

    assert fetch(two.session(), 1) == []
    one.close()
    two.close()
    Place(cluster, f"{place.schema}_b").drop()


# ── versions ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_store_of_a_newer_schema_is_refused_also_while_it_is_in_use(place: Place):
    store = opened(place.url)
    session = store.session()
    store_runs(session, a_run(1))
    place.execute("UPDATE meta SET schema = schema + 1")
    with pytest.raises(StoreTooNew, match="upgrade this process"):
        opened(place.url)
    with pytest.raises(StoreTooNew, match="upgrade this process"):
        store_runs(session, a_run(2))

    assert fetch(session, 2) == []
    store.close()


def test_tables_of_another_program_are_left_alone(place: Place):
    place.cluster.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(place.schema)))
    place.execute("CREATE TABLE meta (id integer, version text)")
    with pytest.raises(StoreDamaged, match="another program"):
        opened(place.url)


def test_a_store_whose_tables_went_away_says_so(place: Place):
    store = opened(place.url)
    session = store.session()
    store_runs(session, a_run(1))
    place.drop()
    with pytest.raises(StoreMissing, match="are gone"):
        store_runs(session, a_run(2))
    store.close()


# ── rights ───────────────────────────────────────────────────────────────────────────────────────────────────────


def as_guarded(place: Place, password: str = SECRET) -> str:
    return place.url.replace("postgres@", f"{GUARDED}:{password.replace(' ', '%20')}@")


def test_a_role_that_may_not_create_is_told_what_to_run(place: Place):
    place.cluster.execute("REVOKE CREATE ON DATABASE postgres FROM PUBLIC")
    with pytest.raises(StoreReadOnly, match=f'CREATE SCHEMA {place.schema} AUTHORIZATION "{GUARDED}"'):
        opened(as_guarded(place))


def test_what_it_is_told_to_run_helps(place: Place):
    place.cluster.execute(f'CREATE SCHEMA {place.schema} AUTHORIZATION "{GUARDED}"')
    store = opened(as_guarded(place))
    session = store.session()
    store_runs(session, a_run(1))

    assert [run.id for run in fetch(session, 1)] == [1]
    store.close()


def test_a_role_without_rights_on_the_tables_is_told_which(place: Place):
    opened(place.url).close()
    with pytest.raises(StoreReadOnly, match="GRANT"):
        opened(as_guarded(place))


def test_a_wrong_password_is_said_and_never_shown(place: Place):
    with pytest.raises(StoreUnavailable, match="user and password") as caught:
        opened(as_guarded(place, "s3cr3t pass"))

    assert "s3cr3t" not in "".join(map(str, chain_of(caught.value)))


def test_a_database_that_is_not_there_is_named(cluster: Cluster):
    with pytest.raises(StoreMissing, match="nowhere"):
        opened(f"{cluster.server}/nowhere")


def test_too_many_connections_are_waited_for_like_any_outage(place: Place):
    opened(place.url).close()
    place.cluster.execute(f'GRANT USAGE ON SCHEMA {place.schema} TO "{GUARDED}"')
    place.cluster.execute(f"ALTER ROLE {GUARDED} CONNECTION LIMIT 0")
    try:
        with pytest.raises(StoreUnavailable, match="retrying"):
            opened(as_guarded(place))
    finally:
        place.cluster.execute(f"ALTER ROLE {GUARDED} CONNECTION LIMIT -1")


def chain_of(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *chain_of(error.__cause__)]


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:secret@db.example/jobs", "postgresql://ada@db.example/jobs"),
        ("postgres://ada:secret@db.example:6432/jobs?schema=a", "postgresql://ada@db.example:6432/jobs?schema=a"),
        ("postgresql://db.example/jobs?user=ada&password=secret", "postgresql://db.example/jobs?user=ada"),
        ("postgresql://ada:secret@one,two:5433/jobs", "postgresql://ada@one,two:5433/jobs"),
        ("postgresql:///jobs?host=/run/postgresql", "postgresql:///jobs?host=%2Frun%2Fpostgresql"),
    ],
)
def test_the_address_is_shown_without_its_password(url: str, shown: str):
    assert open_store(url).url == shown


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://ada:sec@ret@db/jobs", "%40"),
        ("postgresql://ada:secret@db:port/jobs", "must be a number"),
        ("postgresql://ada:secret@db/jobs?schema=My-Schema", "cannot be used"),
        ("postgresql://ada:secret@db/jobs?prepare=maybe", "auto, on or off"),
        ("postgresql://ada:secret@db/jobs?colour=red", "'colour' is unknown"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused_without_its_password(url: str, says: str):
    with pytest.raises(ConfigurationError, match=says) as caught:
        open_store(url)

    assert "sec" not in "".join(map(str, chain_of(caught.value)))


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.startswith("shiftboss.stores.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'shiftboss\[postgres\]'"):
        open_store("postgresql://db/jobs", SystemClock())


def test_nothing_of_the_driver_is_imported_for_another_store():
    code = "import sys, shiftboss.stores.urls as u; u.open_store('memory:'); sys.exit('psycopg' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_error_of_opening_is_one_of_ours(place: Place, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object, **__: object) -> None:
        raise psycopg.errors.InternalError_("XX000")

    monkeypatch.setattr(schema, "_look", broken)
    with pytest.raises(ShiftbossError):
        opened(place.url)


# ── facts ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("failures", "says"), [(0, "ok"), (2, "2 pages failed their checksum"), (None, "not checked")], ids=repr
)
def test_integrity_is_what_the_server_found_and_says_when_nobody_looked(failures: int | None, says: str):
    assert history._integrity(failures).startswith(says)


# ── what an opening leaves behind ────────────────────────────────────────────────────────────────────────────────


def test_an_opening_that_is_refused_leaves_no_thread(place: Place):
    """A client that waits for the first node tries it again and again."""
    with pytest.raises(StoreMissing):
        opened(place.url, create=False)

    assert "shiftboss-deadlines" not in {each.name for each in threading.enumerate()}


def test_a_call_is_cut_in_time_although_the_thread_for_it_could_not_be_started_before():
    def refused(self) -> None:
        raise RuntimeError("can't start new thread")

    deadlines = Deadlines()
    here, there = socket.socketpair()
    with here, there:
        line = WatchedSocket(here.fileno())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(threading.Thread, "start", refused)
            with pytest.raises(RuntimeError), deadlines.limit(line, 600.0):
                pass
        there.settimeout(60)
        with deadlines.limit(line, 0.0):
            was_cut = there.recv(1) == b""
        line.close()
        deadlines.close()

    assert was_cut
