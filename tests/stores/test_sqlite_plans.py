"""No question of the cycle gets slower because a lot is waiting or has been: counted in steps, not in time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest
from store_values import FrozenClock, a_run, ended, started, write

from shiftboss.ports.faces import HistoryFilter
from shiftboss.stores.sqlite import history, prune, reads, writes
from shiftboss.stores.sqlite.sealing import question
from shiftboss.stores.sqlite.store import SqliteStore

NAMES = json.dumps(["w1", "w2", "w3"])
LONG_AGO, FAR = 0, 1 << 60

# Question and parameters; all of them probe.
QUESTIONS: dict[str, tuple[str, Sequence[Any]]] = {
    "lanes": (reads.LANES, (NAMES, 5)),
    "changed lanes": (reads.CHANGED_LANES, (0, 5)),
    "claims": (reads.CLAIMS, (0,)),
    "waiting": (reads.WAITING, ()),
    "expiring": (reads.EXPIRING, (LONG_AGO, 5)),
    "next give up": (reads.NEXT_GIVE_UP, (LONG_AGO,)),
    "keyed": (reads.KEYED, (json.dumps([["w1", "k"], ["w2", "k7"]]),)),
    "live runs": (reads.LIVE_RUNS, ("[1,2,3]",)),
    "finished runs": (reads.FINISHED_RUNS, ("[1,2,3]",)),
    "changed workers": (reads.CHANGED_WORKERS, (0,)),
    "fired before": (writes.FIRED_BEFORE, (json.dumps([["w1", 5]]),)),
    "counts": (history.WAITING_COUNTS, (1001, FAR)),
    "running counts": (history.RUNNING_COUNTS, ()),
    "prunable runs": (prune.PRUNABLE_RUNS, (LONG_AGO, 5)),
    "first page": (history.HISTORY.format(where=""), (5,)),
    "page of a worker": (history.HISTORY.format(where=" WHERE worker = ? AND id < ?"), ("w1", FAR, 5)),
    "page of failures": (history.HISTORY.format(where=" WHERE status IN (?) AND status <> 2"), (3, 5)),
    "page of a key": (history.HISTORY.format(where=" WHERE key = ?"), ("k7", 5)),
    "page of an error": (history.HISTORY.format(where=" WHERE error_type = ?"), ("KeyError", 5)),
    "page of what runs": (history.LIVE.format(where=" WHERE queue IS NULL AND worker = ?"), ("w1", 5)),
}
PROBES: dict[str, tuple[str, Sequence[Any]]] = {
    **{name: (question(text).plain, values) for name, (text, values) in QUESTIONS.items()},
    **{f"{name}, carefully": (question(text).careful, values) for name, (text, values) in QUESTIONS.items()},
}
MAY_SORT = {
    "running counts",  # claims are few
    "page of a key",  # so are runs of one key
}

FILL_RUNS = """
WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 999 + ?1)
INSERT INTO run (id, worker, queue, due_at, occurs_at, origin, key, give_up_at, data)
SELECT i, 'w' || (i % 5), i % 4, 1000000 + i, 1000000 + i, 3, NULL, 9000000 + i, (SELECT data FROM run LIMIT 1) FROM n
"""
FILL_HISTORY = """
WITH RECURSIVE n(i) AS (SELECT 10000000 UNION ALL SELECT i + 1 FROM n WHERE i < 9999999 + ?1)
INSERT INTO history (id, worker, status, finished_at, key, fired_at, data)
SELECT i, 'w' || (i % 5), 2, 1000000 + i, 'h' || i, 2000000 + i, (SELECT data FROM history LIMIT 1) FROM n
"""


def a_store(path: Path, backlog: int) -> apsw.Connection:
    store = SqliteStore(path, clock=FrozenClock())
    store.open(create=True)
    over = ended(started(a_run(1, "w1")))
    write(store.session(), runs=(over, started(a_run(2, "w1")), a_run(3, "w2")), new={1, 2, 3})
    store.close()
    connection = apsw.Connection(str(path))
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)  # as on the store's own
    connection.execute("PRAGMA synchronous = OFF; BEGIN")
    connection.execute(FILL_RUNS, (backlog,))
    connection.execute(FILL_HISTORY, (backlog,))
    connection.execute("COMMIT")
    return connection


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[apsw.Connection]]:
    """One with 24,000 runs waiting and 24,000 finished, one with 240,000 of each."""
    folder = tmp_path_factory.mktemp("plans")
    connections = [a_store(folder / f"{size}.db", size) for size in (24_000, 240_000)]
    yield connections
    for connection in connections:
        connection.close()


def steps(connection: apsw.Connection, statement: str, values: Sequence[Any]) -> int:
    """How many instructions of its machine SQLite executes."""
    count = 0

    def step() -> bool:
        nonlocal count
        count += 1
        return False

    connection.set_progress_handler(step, 1)
    connection.execute(statement, values).fetchall()
    connection.set_progress_handler(None)
    return count


@pytest.mark.parametrize("name", PROBES)
def test_ten_times_the_backlog_takes_no_more_steps(stores: list[apsw.Connection], name: str):
    statement, values = PROBES[name]
    small, large = (steps(connection, statement, values) for connection in stores)

    assert large <= small * 1.05 + 10


@pytest.mark.parametrize("name", PROBES)
def test_no_question_walks_a_table_or_sorts(stores: list[apsw.Connection], name: str):
    statement, values = PROBES[name]
    plan = [str(row[3]) for row in stores[1].execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    walks = [line for line in plan if line.startswith("SCAN") and line.endswith((" run", " history", " worker"))]
    sorts = [line for line in plan if "TEMP B-TREE" in line]

    assert walks == ([] if not name.startswith("first page") else ["SCAN history"])  # along the ids, as far as the page
    assert sorts == [] or name.removesuffix(", carefully") in MAY_SORT


@pytest.mark.parametrize(
    "where",
    [" WHERE queue IS NOT NULL AND worker = ?", " INDEXED BY history_finished WHERE finished_at >= ?"],
    ids=["page of a backlog", "page since"],
)
def test_lists_that_must_sort_read_ids_from_an_index_alone(stores: list[apsw.Connection], where: str):
    statement = question((history.LIVE if "queue" in where else history.HISTORY).format(where=where)).plain
    plan = [str(row[3]) for row in stores[1].execute(f"EXPLAIN QUERY PLAN {statement}", ("w1", 5))]

    assert [line for line in plan if "COVERING INDEX" in line]
    assert not [line for line in plan if line.startswith(("SCAN run", "SCAN history"))]


def test_no_statement_is_planned_anew_for_the_values_that_are_bound(sqlite: SqliteStore):
    """SQLite does so where a plan may depend on a value; for the question about lanes it took most of the time."""
    planned = 0

    def asked(*_: object) -> int:  # SQLite asks for each table and column while it makes a plan, and at no other time
        nonlocal planned
        planned += 1
        return apsw.SQLITE_OK

    def cycle(number: int) -> None:
        write(other, runs=(a_run(10 * number),), new={10 * number})
        with session.read() as reader:
            reader.changes(lanes=number)
            reader.next_give_up()
            reader.lanes(["mail"], limit=number)
            reader.history(HistoryFilter(limit=number))
        run = started(a_run(number))
        write(session, runs=(run,), new={number})
        write(session, runs=(ended(run),))

    session, other = sqlite.session(), sqlite.session()
    session._db._connection.set_authorizer(asked)
    cycle(1)
    cycle(2)
    before = planned
    cycle(3)

    assert before
    assert planned == before


def test_the_number_of_statements_does_not_grow_with_the_batch(tmp_path: Path):
    def statements(batch: int) -> int:
        store = SqliteStore(tmp_path / f"{batch}.db", clock=FrozenClock())
        store.open(create=True)
        session = store.session()
        write(session)
        count = 0

        def traced(*_: object) -> bool:
            nonlocal count
            count += 1
            return True

        session._db._connection.set_exec_trace(traced)
        runs = [started(a_run(n, f"w{n % 100}", payload=b"x")) for n in range(1, batch + 1)]
        write(session, runs=tuple(runs), new={run.id for run in runs})
        write(session, runs=tuple(ended(run) for run in runs))
        with session.read() as reader:
            reader.runs([run.id for run in runs])
            reader.lanes([f"w{n}" for n in range(100)], limit=5)
        session._db._connection.set_exec_trace(None)
        store.close()
        return count

    assert statements(256) == statements(5)
