# ruff: noqa: S608  # statements are put together from the constants here
"""W8: a row that cannot be read harms itself alone, whatever is wrong with it and wherever it lies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from damage import EVERYWHERE, IN_A_FILE, damaged
from store_values import NODE, NOON, a_run, a_worker, at, ended, started, write

from conformance.candidates import WITH_ROWS, Candidate, Ground, Sql
from shiftboss.core.events import Audit, UnreadableEvent
from shiftboss.core.model import BreakerState, Cause, ClockMark, DeadLetter, LogLine, Node, Record, Status
from shiftboss.core.retention import Cutoffs
from shiftboss.core.shift import Shift
from shiftboss.core.snapshot import Change
from shiftboss.core.unreadable import SetAside
from shiftboss.core.value import replace
from shiftboss.errors import StoreRejected
from shiftboss.ports.faces import HistoryFilter, LetterFilter
from shiftboss.ports.store import Reader, Session, Store

# Table, column, condition, id: one of two rows of each kind.
ROWS = {
    "run": ("run", "data", "id = 1", "1"),
    "a running run": ("run", "data", "id = 3", "3"),
    "history": ("history", "data", "id = 5", "5"),
    "dead_letter": ("dead_letter", "data", "run = 5", "5"),
    "worker": ("worker", "state", "name = 'mail'", "mail"),
    "record": ("worker", "record", "name = 'mail'", "mail"),
    "breaker": ("breaker", "data", "name = 'door'", "door"),
    "node": ("node", "data", "id = 'node-1'", "node-1"),
    "event": ("event", "data", "id = 1", "1"),
    "log": ("log", "data", "run = 3 AND number = 1", "3-1-1"),
}


def table_of(kind: str) -> str:
    return "run" if kind == "a running run" else kind


@pytest.fixture(params=WITH_ROWS, ids=str)
def candidate(request: pytest.FixtureRequest) -> Candidate:
    return request.param


@pytest.fixture
def filled(store: Store, candidate: Candidate, ground: Ground) -> tuple[Store, Sql]:
    """A store with two rows of each kind, and a way to its rows past it."""
    assert candidate.rows is not None
    dead = ended(started(a_run(5)), Status.DEAD)
    other = ended(started(a_run(6, "post")), Status.DEAD)
    write(
        store.session(),
        workers=(a_worker("mail"), a_worker("post")),
        records=(("mail", Record(streak=1)), ("post", Record(streak=2))),
        breakers=(BreakerState(name="door"), BreakerState(name="gate")),
        resources=(("lane", 2),),
        nodes=tuple(
            Node(id=each, name=each, boot="boot-1", lease_until_s=30.0, started_at=NOON) for each in (NODE, "node-2")
        ),
        runs=(a_run(1), a_run(2, "post"), started(a_run(3)), started(a_run(4, "post")), dead, other),
        letters=tuple(
            DeadLetter(
                run=run.id, worker=run.worker, cause=Cause.ERROR, error_type="E", entered_at=at(1), has_payload=False
            )
            for run in (dead, other)
        ),
        lines=tuple(
            LogLine(run=3, fence=1, number=n, attempt=1, at=NOON, level="INFO", text=f"line {n}") for n in (1, 2)
        ),
        events=(
            Audit(at=NOON, worker="mail", by="ada", action="a"),
            Audit(at=NOON, worker="post", by="ada", action="b"),
        ),
        new={1, 2, 3, 4, 5, 6},
    )
    return store, candidate.rows(ground, store)


def plant(sql: Sql, kind: str, how: str) -> bytes:
    """Make the row unreadable; what it is now."""
    table, column, where, _ = ROWS[kind]
    ((text,),) = sql((f"SELECT {column} FROM {table} WHERE {where}", ()))
    value = damaged(text, how)
    cast = "CAST(? AS TEXT)" if how in IN_A_FILE and how not in EVERYWHERE else "?"
    sql((f"UPDATE {table} SET {column} = {cast} WHERE {where}", (value if cast != "?" else value.decode(),)))
    return value


def seen(reader: Reader) -> dict[str, list[Any]]:
    """Everything that a face or a node reads, and of each row whether it can be read."""
    delta = reader.changes(lanes=5)
    lanes = reader.lanes(["mail", "post"], limit=5)
    return {
        "worker": [(state.name, state.unreadable is not None) for state, _ in delta.workers],
        "record": [(state.name, record.unreadable is not None) for state, record in delta.workers],
        "breaker": sorted((breaker.name, breaker.unreadable is not None) for breaker in delta.breakers),
        "node": [(node.id, node.unreadable is not None) for node in delta.nodes or ()],
        "running": [(run.id, run.unreadable is not None) for run in delta.running],
        "waiting": [
            (run.id, run.unreadable is not None) for lane in lanes.values() for run in (*lane, *lane.sealed.values())
        ],
        "runs": [(run.id, run.unreadable is not None) for run in reader.history(HistoryFilter())],
        "by id": [(run.id, run.unreadable is not None) for run in reader.runs([1, 2, 3, 4, 5, 6])],
        "dead_letter": [(letter.run, letter.unreadable is not None) for letter in reader.letters(LetterFilter())],
        "event": [(number, isinstance(event, UnreadableEvent)) for number, event in reader.events(after=0, limit=5)],
        "log": [(line.number, "cannot be read" in line.text) for line in reader.lines(3)],
    }


def expected(kind: str) -> dict[str, list[Any]]:
    """All rows are there, and only those of that kind are marked."""
    everywhere: dict[str, list[Any]] = {
        "worker": ["mail", "post"],
        "record": ["mail", "post"],
        "breaker": ["door", "gate"],
        "node": ["node-1", "node-2"],
        "running": [3, 4],
        "waiting": [1, 2],
        "runs": [6, 5, 4, 3, 2, 1],
        "by id": [1, 2, 3, 4, 5, 6],
        "dead_letter": [6, 5],
        "event": [1, 2],
        "log": [1, 2],
    }
    marked = {
        "run": {"waiting": 1, "runs": 1, "by id": 1},
        "a running run": {"running": 3, "runs": 3, "by id": 3},
        "history": {"runs": 5, "by id": 5},
        "worker": {"worker": "mail"},
        "record": {"record": "mail"},
        "breaker": {"breaker": "door"},
        "node": {"node": "node-1"},
        "log": {"log": 1},
        "event": {"event": 1},
        "dead_letter": {"dead_letter": 5},
    }[kind]
    return {face: [(each, marked.get(face) == each) for each in ids] for face, ids in everywhere.items()}


def ways(candidate: Candidate, kind: str) -> Iterator[str]:
    for how in candidate.damages:
        if (kind, how) != ("record", "missing"):  # a record has nothing that must be there
            yield how


@pytest.mark.parametrize("kind", ROWS)
def test_it_is_shown_as_such_and_every_other_row_as_it_is(filled: tuple[Store, Sql], candidate: Candidate, kind: str):
    """W8."""
    store, sql = filled
    table, column, where, row_id = ROWS[kind]
    ((before,),) = sql((f"SELECT {column} FROM {table} WHERE {where}", ()))
    for how in ways(candidate, kind):
        plant(sql, kind, how)
        with store.session().read() as reader:
            found, named = seen(reader), reader.unreadable()
        sql((f"UPDATE {table} SET {column} = ? WHERE {where}", (before,)))

        assert (how, found) == (how, expected(kind))
        assert [(row.table, row.id) for row in named] == [(table_of(kind), row_id)]
        assert named[0].reason


@pytest.mark.parametrize("kind", ROWS)
def test_it_is_set_aside_whole_and_then_everything_can_be_read(
    filled: tuple[Store, Sql], candidate: Candidate, kind: str
):
    """A5: the row lies in `set_aside` as it was, byte for byte."""
    store, sql = filled
    value = plant(sql, kind, list(ways(candidate, kind))[-1])
    session, neighbour = store.session(), store.session()
    with neighbour.read() as reader:
        reader.changes()
        (row,) = reader.unreadable()
    write(session, set_aside=(SetAside.of(row, at=NOON, by="ada", note="old"),))
    with neighbour.read() as reader:
        rest, aside = reader.unreadable(), reader.set_aside(after=0, limit=5)
        delta = reader.changes()

    assert rest == []
    ((_, kept),) = aside
    assert (kept.table, kept.id, kept.by, kept.note, kept.at) == (row.table, row.id, "ada", "old", NOON)
    assert kept.reason == row.reason
    column = ROWS[kind][1]
    told = msgspec.json.decode(kept.data)[column]
    assert (bytes.fromhex(told["hex"]) if isinstance(told, dict) else told.encode()) == value
    assert delta.everything is False
    if kind == "worker":
        assert delta.forgotten == ["mail"]


def test_a_row_that_can_be_read_or_is_not_there_is_not_named(filled: tuple[Store, Sql]):
    store, sql = filled
    plant(sql, "run", "cut")
    with store.session().read() as reader:
        named = reader.unreadable(
            {("run", "1"), ("run", "2"), ("run", "99"), ("run", "x"), ("nothing", "1"), ("log", "3-1-1")}
        )

    assert [row.place for row in named] == [("run", "1")]


@pytest.mark.parametrize("kind", ["run", "worker", "breaker", "dead_letter", "node"])
def test_what_could_be_told_of_it_is_never_written(filled: tuple[Store, Sql], kind: str):
    """W8: the row stays as it is; nothing takes its place by accident."""
    store, sql = filled
    value = plant(sql, kind, "wrong type")
    session = store.session()
    with session.read() as reader:
        delta = reader.changes()
        lane = reader.lanes(["mail"], limit=5)["mail"]
        letters = reader.letters(LetterFilter())
    changes = {
        "run": {"runs": tuple(replace(run, attempt=1) for run in lane.sealed.values())},
        "worker": {"workers": tuple(state for state, _ in delta.workers if state.unreadable)},
        "breaker": {"breakers": tuple(each for each in delta.breakers if each.unreadable)},
        "dead_letter": {"letters": tuple(each for each in letters if each.unreadable)},
        "node": {"nodes": tuple(each for each in delta.nodes or () if each.unreadable)},
    }[kind]
    with pytest.raises(StoreRejected, match="cannot be read"):
        write(session, **changes)
    table, column, where, _ = ROWS[kind]

    ((text,),) = sql((f"SELECT {column} FROM {table} WHERE {where}", ()))

    assert text == value.decode()


def test_behind_many_that_cannot_be_read_the_next_one_is_found(filled: tuple[Store, Sql]):
    store, sql = filled
    write(store.session(), runs=tuple(a_run(n, due_at=at(n)) for n in range(100, 131)), new=set(range(100, 131)))
    sql(("UPDATE run SET data = '{}', give_up_at = 5 WHERE id < 130 AND worker = 'mail' AND queue IS NOT NULL", ()))
    sql(("UPDATE run SET give_up_at = 6 WHERE id = 130", ()))
    with store.session().read() as reader:
        lane = reader.lanes(["mail"], limit=2)["mail"]
        late = reader.expiring(NOON, limit=2)

    assert [run.id for run in lane] == [130]
    assert [run.id for run in late] == [130]


def test_an_instant_beyond_the_calendar_is_its_end(filled: tuple[Store, Sql]):
    store, sql = filled
    sql((f"UPDATE run SET due_at = {1 << 62} WHERE id = 1", ()))
    sql((f"UPDATE run SET due_at = {-(1 << 62)} WHERE id = 2", ()))
    with store.session().read() as reader:
        waiting = reader.changes().waiting

    assert [waiting["mail"].year, waiting["post"].year] == [9999, 1]


def test_a_letter_about_a_run_that_cannot_be_read_is_closed(filled: tuple[Store, Sql]):
    """What is kept beside a letter is read from the row of its run."""
    store, sql = filled
    plant(sql, "history", "not json")
    session = store.session()
    with session.read() as reader:
        (letter,) = reader.letters(LetterFilter(ids=[5]))
    write(session, letters=(replace(letter, state="superseded"),))
    with session.read() as reader:
        assert [each.state for each in reader.letters(LetterFilter(ids=[5], state=None))] == ["superseded"]


def test_a_clock_that_was_set_moves_what_waits_beside_them(filled: tuple[Store, Sql], candidate: Candidate):
    """O4, W8"""
    store, sql = filled
    ((before,),) = sql(("SELECT data FROM run WHERE id = 1", ()))
    for how in ways(candidate, "run"):
        plant(sql, "run", how)
        write(store.session(), shift=Shift(step_us=3_600_000_000, now=at(3600)))
        sql(("UPDATE run SET data = ? WHERE id = 1", (before,)))
    with store.session().read() as reader:
        (other,) = reader.lanes(["post"], limit=5)["post"]

    assert other.due_at == at(3600 * len(list(ways(candidate, "run"))))


def test_retention_goes_on_beside_them(filled: tuple[Store, Sql]):
    store, sql = filled
    for kind in ROWS:
        plant(sql, kind, "not json")
    session: Session = store.session()

    assert session.prune(Cutoffs(letters=at(1e6), runs=at(1e6), events=at(1e6)), limit=100) == 2  # events


def test_a_change_with_nothing_set_aside_is_as_before(filled: tuple[Store, Sql]):
    store, _ = filled
    with store.session().read() as reader:
        assert reader.set_aside(after=0, limit=5) == []
    assert Change().set_aside == ()


@pytest.mark.parametrize("how", IN_A_FILE)
def test_a_clock_that_is_set_moves_what_can_be_read(filled: tuple[Store, Sql], candidate: Candidate, how: str):
    """O4, W8"""
    if how not in candidate.damages:
        pytest.skip("this database cannot hold it")
    store, sql = filled
    plant(sql, "run", how)
    session = store.session()
    write(session, Change(clock=ClockMark("boot", 0, 60_000_000), shift=Shift(60_000_000, at(60))))
    with session.read() as reader:
        found = {run.id: run for run in reader.runs([1, 2])}

    assert found[2].due_at == at(60)
    assert found[1].unreadable is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"deadline_at": "2026-13-45T99:00:00Z"},
        {"deadline_at": "2026-02-30T00:00:00Z"},
        {"deadline_at": "0000-00-00T00:00:00Z"},
        {"deadline_at": "soon"},
        {"deadline_at": 5},
        {"due_at": 5},
        {"due_at": "2026-02-30T00:00:00Z"},
        {"deadline_at": "2026-01-01T00:00:00Z", "key": 5},
    ],
    ids=str,
)
def test_a_clock_that_is_set_leaves_a_row_that_cannot_be_read_as_it_is(
    filled: tuple[Store, Sql], wrong: dict[str, Any]
):
    """O4, W8: nor does an instant that is none keep it from moving the others."""
    store, sql = filled
    ((text,),) = sql(("SELECT data FROM run WHERE id = 1", ()))
    sql(
        (
            "UPDATE run SET data = ? WHERE id = 1",
            (msgspec.json.encode({**msgspec.json.decode(text), **wrong}).decode(),),
        )
    )
    before = sql(("SELECT due_at, data FROM run WHERE id = 1", ()))
    write(store.session(), Change(clock=ClockMark("boot", 0, 60_000_000), shift=Shift(60_000_000, at(60))))
    with store.session().read() as reader:
        found = {run.id: run for run in reader.runs([1, 2])}

    assert sql(("SELECT due_at, data FROM run WHERE id = 1", ())) == before
    assert found[1].unreadable is not None
    assert found[2].due_at == at(60)
