"""A8: what the audit costs, counted in statements: nothing for a normal run, and the same for one act or many."""

from __future__ import annotations

import pytest
from store_values import NOON, FrozenClock, a_run, at, ended, started, store_runs, write

from shiftboss.core.audit import Head, Key
from shiftboss.core.events import Audit, DeadLettered
from shiftboss.engine.sealing import AT_ONCE, Sealing
from shiftboss.stores.postgres.store import PostgresStore
from shiftboss.stores.sqlite.store import SqliteStore


class Memory:
    key = Key(b"a key of this test")
    head: Head | None = None

    def remember(self, head: Head) -> None:
        self.head = head

    def lose(self, head: Head) -> None:
        raise AssertionError("nothing was lost")


def an_act(number: int) -> Audit:
    return Audit(at=at(number), worker="mail", by="ada", action="disable", after=f"number {number}")


class Sqlite:
    def __init__(self, store: SqliteStore) -> None:
        self.session = store.session()
        self.statements: list[str] = []
        self.session._db._connection.exec_trace = self._note

    def _note(self, cursor: object, statement: str, bindings: object) -> bool:
        self.statements.append(statement)
        return True


class Postgres:
    def __init__(self, store: PostgresStore) -> None:
        self.session = store.session()
        self.statements: list[str] = []
        db = self.session._db
        inner = db._send

        def noted(link, calls, **options):
            self.statements += [statement.text.decode() for statement, _ in calls]
            return inner(link, calls, **options)

        db._send = noted


@pytest.fixture(params=["sqlite", "postgres"])
def traced(request: pytest.FixtureRequest) -> Sqlite | Postgres:
    store = request.getfixturevalue(request.param)
    return Sqlite(store) if request.param == "sqlite" else Postgres(store)


def test_a_run_that_starts_and_ends_asks_nothing_of_the_audit(traced):
    """A8: nor does an event that nobody did."""
    store_runs(traced.session, a_run(1))
    write(traced.session, runs=(started(a_run(1)),))
    write(traced.session, runs=(ended(started(a_run(1))),), events=(DeadLettered(at=NOON, worker="mail", run=1),))

    assert traced.statements
    assert [each for each in traced.statements if "audit" in each] == []


def test_an_act_is_kept_by_one_statement_of_its_commit_at_most(traced):
    write(traced.session, events=(DeadLettered(at=NOON, worker="mail"),))
    without = len(traced.statements)
    traced.statements.clear()
    write(traced.session, events=tuple(an_act(number) for number in range(50)))

    assert len([each for each in traced.statements if "audit" in each]) == 1
    assert len(traced.statements) <= without + 1


def test_sealing_many_acts_costs_what_sealing_one_costs(traced):
    """A8: reading what is sealed and what is not, writing the seal, and seeing that nothing is left."""
    sealing = Sealing(traced.session, FrozenClock(), Memory(), keep_s=1.0)
    counts = []
    for acts in (1, AT_ONCE):
        for number in range(acts):
            write(traced.session, events=(an_act(number),))
        traced.statements.clear()
        sealing.seal()
        counts.append(len([each for each in traced.statements if "audit" in each]))

    assert counts == [5, 5]
    with traced.session.read() as reader:
        assert [seal.rows for seal in reader.seals(after=0, limit=9)] == [1, 1 + AT_ONCE]


def test_a_seal_locks_nothing_that_a_commit_waits_for(postgres):
    """A8: on PostgreSQL a node commits while another one is in the middle of its seal."""
    session, neighbour = postgres.session(), postgres.session()
    write(session, events=(an_act(1),))
    memory = Memory()
    sealing = Sealing(session, FrozenClock(), memory, keep_s=1.0)
    inner = sealing._made

    def made(reader, keyring):
        seal = inner(reader, keyring)
        if seal is not None and seal.id == 1:
            write(neighbour, events=(an_act(2),))  # would wait for ever, were the view or the seal a lock
        return seal

    sealing._made = made
    sealing.seal()

    with session.read() as reader:
        assert [seal.id for seal in reader.seals(after=0, limit=9)] == [1, 2]
