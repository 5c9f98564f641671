"""Behind PgBouncer in transaction mode, where connections change hands at every commit: the same rules.

Marked chaos, because a machine may lack pgbouncer (apt-get install pgbouncer); where it is asked for it must be there.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from store_values import FrozenClock, a_node, a_run, fetch, store_runs, write

from postgres_server import Cluster, Place, free_port, unprivileged
from shiftboss.core.snapshot import Change
from shiftboss.stores.postgres.keeper import POOLED
from shiftboss.stores.postgres.store import PostgresStore

FOREVER_S = 600.0  # a test that waits this long has failed
CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 100
"""

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def pooler(cluster: Cluster) -> Iterator[int]:
    """The port of a PgBouncer in front of the server, with fewer connections than we have sessions."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        pytest.fail("pgbouncer is not installed: apt-get install pgbouncer", pytrace=False)
    port = free_port()
    place: Path = cluster.folder / "pgbouncer.ini"
    users = "[databases]\n* = host=127.0.0.1 port={server} user=postgres\n"
    place.write_text(
        CONFIGURATION.replace("[databases]\n* = host=127.0.0.1 port={server}\n", users).format(
            server=cluster.port, port=port
        )
    )
    process = subprocess.Popen([program, place], user=unprivileged(), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "process up" in line:
            break
    drain = threading.Thread(target=process.stderr.read)
    drain.start()
    yield port
    process.send_signal(signal.SIGTERM)
    process.wait(FOREVER_S)
    drain.join()
    process.stderr.close()


@pytest.fixture
def behind(pooler: int, place: Place) -> str:
    return f"postgresql://postgres@127.0.0.1:{pooler}/postgres?schema={place.schema}"


def test_it_is_recognised_and_nothing_is_prepared(behind: str):
    store = PostgresStore(behind, clock=FrozenClock())
    store.open(create=True)
    session = store.session()
    store_runs(session, a_run(1))

    assert not session._db.is_direct
    assert not session._db._connected().wire.prepares
    store.close()


def test_ten_sessions_over_three_connections_are_serialised(behind: str):
    store = PostgresStore(behind, clock=FrozenClock())
    store.open(create=True)
    fences: list[int] = []

    def work(worker: str) -> None:
        session = store.session()
        for _ in range(20):
            with session.begin() as tx:
                run_id = next(tx.ids())
                fences.append(tx.number)
                tx.write(Change(runs=(a_run(run_id, worker),)), new={run_id})
        session.close()

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(fences) == list(range(1, 201))
    assert len(fetch(store.session(), *range(1, 201))) == 200
    store.close()


def test_nothing_of_ours_is_left_in_the_servers_sessions(behind: str, cluster: Cluster, pooler: int):
    store = PostgresStore(behind, clock=FrozenClock())
    store.open(create=True)
    store_runs(store.session(), a_run(1))
    store.close()
    with psycopg.connect(f"postgresql://postgres@127.0.0.1:{pooler}/postgres", autocommit=True) as other:
        found = [
            other.execute(f"SHOW {name}").fetchone()  # type: ignore[arg-type]
            for name in ("search_path", "enable_seqscan", "lock_timeout", "idle_in_transaction_session_timeout")
        ]

    assert found == [('"$user", public',), ("on",), ("0",), ("0",)]


def test_a_keeper_gives_up_for_what_a_session_holds_there_is_nobodys(behind: str, cluster: Cluster):
    """C4: nobody can tell then, and the lease alone decides."""
    store = PostgresStore(behind, clock=FrozenClock())
    store.open(create=True)
    with store.hold("n1"):
        store.show_life("n1")
        keeper = store._keepers._keepers["n1"]._process
        assert keeper is not None
        ended = keeper.wait(FOREVER_S)
        store.show_life("n1")
        again = store._keepers._keepers["n1"]._process
        kept = store.is_frozen("n1")
        held = cluster.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    store.close()

    assert (ended, again is keeper, kept, held) == (POOLED, True, False, [(0,)])


def test_another_nodes_commit_is_found_by_looking(behind: str):
    here, there = (PostgresStore(behind, clock=FrozenClock()) for _ in range(2))
    for store in (here, there):
        store.open(create=True)
    session = here.session()
    fetch(session, 1)
    waiter = threading.Thread(target=session.wait, args=(FOREVER_S,))
    waiter.start()
    write(there.session(), nodes=(a_node(),))
    waiter.join(FOREVER_S)

    assert not waiter.is_alive()
    for store in (here, there):
        store.close()
