"""No question of the cycle walks a table or sorts a backlog, whatever the planner believes: asked of the plans.

The tables have 200,000 rows waiting and as many finished, and no statistics: just like those of a store that fills
within a minute of its start, which is when PostgreSQL plans by guessing.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from store_values import FrozenClock, a_run, ended, started, write

from postgres_server import Cluster, a_place
from shiftboss.stores.postgres import connection as postgres_connection
from shiftboss.stores.postgres import epoch, history, prune, reads, writes
from shiftboss.stores.postgres.connection import SETTINGS
from shiftboss.stores.postgres.store import PostgresStore
from shiftboss.stores.postgres.wire import Rows, Statement
from shiftboss.stores.sql.statements import Question

FILL = """
INSERT INTO run (id, worker, queue, due_at, occurs_at, origin, give_up_at, data)
SELECT i, 'w' || (i % 5), i % 4, 1000000 + i, 1000000 + i, 3, 9000000 + i, '{}'
FROM generate_series(1000, 200999) AS i;
INSERT INTO history (id, worker, status, finished_at, key, fired_at, data)
SELECT i, 'w' || (i % 5), 2, 1000000 + i, 'k', 2000000 + i, '{}' FROM generate_series(10000000, 10199999) AS i;
"""
QUESTIONS: dict[str, Question[Statement] | Statement | Rows] = {
    "lanes": reads.LANES,
    "changed lanes": reads.CHANGED_LANES,
    "changed lanes of them": reads.CHANGED_LANES_OF_THEM,
    "claims": reads.CLAIMS,
    "claims of them": reads.CLAIMS_OF_THEM,
    "waiting": reads.WAITING,
    "expiring": reads.EXPIRING,
    "next give up": reads.NEXT_GIVE_UP,
    "keyed": reads.KEYED,
    "live runs": reads.LIVE_RUNS,
    "finished runs": reads.FINISHED_RUNS,
    "payloads": reads.PAYLOADS,
    "changed workers": reads.CHANGED_WORKERS,
    "changed of them": reads.CHANGED_OF_THEM,
    "opening": epoch.OPEN,
    "seen": postgres_connection.NUMBER_SEEN,
    "counts": history.WAITING_COUNTS,
    "running counts": history.RUNNING_COUNTS,
    "prunable runs": prune.PRUNABLE_RUNS,
    "fired before": writes.MUST_NOT_HAVE_FIRED,
    "changed": writes.UPDATE_RUNS,
    "ended": writes.DELETE_FINISHED,
}
PROBES: dict[str, Statement | Rows] = {
    **{name: each.plain if isinstance(each, Question) else each for name, each in QUESTIONS.items()},
    **{f"{name}, carefully": each.careful for name, each in QUESTIONS.items() if isinstance(each, Question)},
}
MAY_SORT = {
    "running counts",  # claims are few
    "claims of them",
    "fired before",  # so are occurrences of one commit
    "keyed",  # and runs of one key
}


@pytest.fixture(scope="module")
def full(cluster: Cluster) -> Iterator[psycopg.Connection]:
    """A transaction in the store, set up as the store's own are."""
    with a_place(cluster) as place:
        store = PostgresStore(place.url, clock=FrozenClock())
        store.open(create=True)
        over = ended(started(a_run(1, "w1")))
        write(store.session(), runs=(over, started(a_run(2, "w1")), a_run(3, "w2")), new={1, 2, 3})
        store.close()
        with psycopg.connect(cluster.url, prepare_threshold=None) as connection:
            connection.execute(SETTINGS.text.replace(b"$1", f"'{place.schema}'".encode()))
            connection.execute("SET LOCAL statement_timeout = 0")  # filling is nothing that the store does
            connection.execute(FILL)
            yield connection
            connection.rollback()


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (history.FINISHED_WRONG.plain, "NULL, NULL, NULL, 50, NULL, NULL, 5"),
        (history.FINISHED_WRONG.plain, "NULL, NULL, 10150000, 50, NULL, 1000000, 5"),
        (history.FINISHED_KEYED.plain, "NULL, 'no such key', NULL, 50, NULL, NULL, NULL"),
    ],
    ids=["skipped ones", "a page of skipped ones", "a key"],
)
def test_a_page_of_what_is_rare_does_not_walk_what_succeeded(full: psycopg.Connection, statement, values):
    kinds = ", ".join(full.execute("SELECT %s::regtype::text", [oid]).fetchone()[0] for oid in statement.oids)
    full.execute("SAVEPOINT before; SET LOCAL plan_cache_mode = force_custom_plan")
    full.execute(f"PREPARE page ({kinds}) AS ".encode() + statement.text)
    plan = [line for (line,) in full.execute(f"EXPLAIN EXECUTE page ({values})".encode())]
    full.execute("DEALLOCATE page; ROLLBACK TO before")

    assert [line for line in plan if "history_status" in line or "history_key" in line]
    assert not [line for line in plan if "history_pkey" in line or "Seq Scan" in line]


@pytest.mark.parametrize("name", PROBES)
def test_no_question_walks_a_table_or_sorts_a_backlog(full: psycopg.Connection, name: str):
    probe = PROBES[name]
    statement = probe._statement if isinstance(probe, Rows) else probe
    kinds = ", ".join(full.execute("SELECT %s::regtype::text", [oid]).fetchone()[0] for oid in statement.oids)
    full.execute(f"PREPARE probe {f'({kinds})' if kinds else ''} AS ".encode() + statement.text)
    nothing = f"({', '.join(['NULL'] * len(statement.oids))})" if kinds else ""
    plan = [line for (line,) in full.execute(f"EXPLAIN EXECUTE probe {nothing}".encode())]
    full.execute("DEALLOCATE probe")

    walks = [line for line in plan if "Seq Scan" in line or "Bitmap" in line]
    assert walks == []
    assert [line for line in plan if "Sort" in line] == [] or name.removesuffix(", carefully") in MAY_SORT
