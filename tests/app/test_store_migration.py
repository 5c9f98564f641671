"""Everything in one store is carried into another and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from postgres_server import Cluster, a_place
from shiftboss import Context, Orchestrator
from shiftboss.app.store_migration import Stage, move
from shiftboss.app.within import insert
from shiftboss.clock import SystemClock
from shiftboss.core.control import Request
from shiftboss.core.events import WorkerForgotten
from shiftboss.core.model import LogLine
from shiftboss.core.policy import RetryPolicy
from shiftboss.core.snapshot import Change
from shiftboss.errors import NotAllowed, StoreDamaged
from shiftboss.ports.faces import HistoryFilter, LetterFilter
from shiftboss.ports.store import Store
from shiftboss.stores.postgres import connection as postgres_connection
from shiftboss.stores.postgres.wire import NUMBER, TEXT, Statement
from shiftboss.stores.postgres.writes import PostgresTransaction
from shiftboss.stores.sql.writes import Writes
from shiftboss.stores.sqlite.writes import SqliteTransaction
from shiftboss.stores.urls import open_store

URL = Callable[[str], str]


@pytest.fixture
def address(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[URL]:
    """Where a new store of that kind can be made."""
    with ExitStack() as stack:
        made: list[str] = []

        def new(kind: str) -> str:
            if kind == "postgres":
                made.append(stack.enter_context(a_place(request.getfixturevalue("cluster"))).url)
            else:
                made.append(f"sqlite:///{tmp_path / f'{len(made)}.db'}")
            return made[-1]

        yield new


WAYS = ("sqlite to sqlite", "sqlite to postgres", "postgres to sqlite", "postgres to postgres")


@pytest.fixture(params=WAYS)
def houses(request: pytest.FixtureRequest, address: URL) -> tuple[str, str]:
    """The addresses of an old store and of a new one."""
    old, _, new = request.param.split()
    return address(old), address(new)


def declared(url: str) -> Orchestrator:
    """A shop with one of everything: finished, dead, waiting and delayed runs, log lines, a breaker, a resource."""
    boss = Orchestrator(url, resources={"warehouse": 2})

    @boss.worker(uses={"warehouse": 1})
    async def send(ctx: Context, to: str) -> dict[str, str]:
        ctx.log.warning("sending to %s", to)
        return {"sent": to}

    @boss.worker(max_retries=0, breaker="mailer")
    async def broken(page: int = 1) -> None:
        raise ValueError("on purpose")

    @boss.worker(max_retries=5, retry=RetryPolicy(max_retries=5, first_s=3600.0, cap_s=3600.0))
    async def later() -> None:
        raise ValueError("not yet")

    @boss.worker(cron="0 3 * * *")
    async def nightly() -> None: ...

    return boss


async def filled(url: str) -> str:
    boss = declared(url)
    async with boss:
        runs = [await boss.trigger("send", {"to": f"ü{number}"}, key=f"k{number}") for number in range(5)]
        runs.append(await boss.trigger("broken"))
        for run in runs:
            await run.wait(timeout=20)
        await boss.trigger("send", {"to": "tomorrow"}, delay="1d")
        await boss.trigger("later")
        await boss.disable("nightly", reason="holidays")
    return url


def opened(url: str, *, create: bool) -> Store:
    store = open_store(url, SystemClock())
    store.open(create=create)
    return store


async def test_all_of_a_store_is_moved_and_work_goes_on_there(houses):
    old_url, new_url = houses
    source, target = opened(await filled(old_url), create=False), opened(new_url, create=True)
    seen: list[tuple[Stage, int]] = []
    with closing(source), closing(target):
        moved = move(source, target, on_progress=lambda *progress: seen.append(progress))
        there, here = source.session(), target.session()
        with there.read() as old, here.read() as new:
            ids = [run.id for run in old.history(HistoryFilter(limit=100))]
            assert new.runs(ids) == old.runs(ids)
            assert new.letters(LetterFilter(state=None)) == old.letters(LetterFilter(state=None))
            assert [new.lines(each) for each in ids] == [old.lines(each) for each in ids]
            assert new.past() >= old.past()

    counts = {name: part.count for name, part in moved.parts.items()}
    assert (counts["workers"], counts["runs"], counts["letters"], counts["lines"]) == (4, 9, 1, 5)
    assert seen[-1] == (Stage.COMPARED, 9)
    assert (Stage.MOVED, 9) in seen

    boss = declared(new_url)
    async with boss:
        again = await boss.trigger("send", {"to": "ü1"}, key="k1")
        fresh = await boss.trigger("send", {"to": "you"})
        assert await again.result(timeout=20) == {"sent": "ü1"}
        assert await fresh.result(timeout=20) == {"sent": "you"}
        status = await boss.status()
    assert fresh.id > max(ids)
    assert {each.name: each.enabled for each in status.workers}["nightly"] is False


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_store_in_which_a_node_lives_is_not_moved(address, kind):
    url = address(kind)
    async with declared(url):
        source = opened(url, create=False)
        target = opened("memory:", create=True)
        with closing(source), pytest.raises(NotAllowed, match=r"is in use by .*; stop these nodes"):
            move(source, target)


async def test_nothing_is_moved_into_a_store_that_holds_something_or_into_itself(houses):
    source, target = [opened(await filled(url), create=False) for url in houses]
    with closing(source), closing(target):
        with pytest.raises(NotAllowed, match="is not empty; move into a new store"):
            move(source, target)
        with pytest.raises(NotAllowed, match="cannot be moved into itself"):
            move(source, source)


async def test_a_copy_that_differs_is_said_and_by_what(houses, monkeypatch):
    source, target = opened(await filled(houses[0]), create=False), opened(houses[1], create=True)
    real = Writes.write

    def forgetful(tx: object, change: Change, **options: object) -> None:
        real(tx, Change(runs=change.runs, workers=change.workers, records=change.records), **options)

    monkeypatch.setattr(Writes, "write", forgetful)
    with closing(source), closing(target), pytest.raises(StoreDamaged, match="letters: 1 became 0"):
        move(source, target)


async def test_a_move_that_is_broken_off_leaves_the_target_empty(houses):
    source, target = opened(await filled(houses[0]), create=False), opened(houses[1], create=True)

    def pull_the_plug(stage: Stage, runs: int) -> None:
        raise KeyboardInterrupt

    with closing(source), closing(target):
        with pytest.raises(KeyboardInterrupt):
            move(source, target, on_progress=pull_the_plug)
        with closing(target.session()) as here, here.read() as reader:
            assert reader.info()["commits"] == 0
            assert reader.history(HistoryFilter()) == []
        assert move(source, target).parts["runs"].count == 9


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_events_keep_their_order(address, kind):
    source, target = opened("memory:", create=True), opened(address(kind), create=True)
    now = SystemClock().now()
    with closing(target):
        with closing(source.session()) as there, there.begin() as tx:
            tx.write(Change(events=tuple(WorkerForgotten(at=now, worker=f"w{n}") for n in range(1200))), new=())
        move(source, target)
        with closing(target.session()) as here, here.read() as reader:
            assert [event.worker for _, event in reader.events(after=1190, limit=10)] == [
                f"w{n}" for n in range(1190, 1200)
            ]


async def test_lines_of_all_attempts_are_moved_however_many_there_are(houses):
    source, target = opened(await filled(houses[0]), create=False), opened(houses[1], create=True)
    with closing(source), closing(target):
        with closing(source.session()) as there, there.begin() as tx:
            (run,) = tx.history(HistoryFilter(worker="broken"))
            tx.write(Change(lines=tuple(a_line(run.id, fence, n) for fence in (1, 2, 3) for n in range(700))), new=())
        moved = move(source, target)

    assert moved.parts["lines"].count == 5 + 3 * 700


def a_line(run: int, fence: int, number: int) -> LogLine:
    at = SystemClock().now()
    return LogLine(run=run, fence=fence, number=number, attempt=fence, at=at, level="info", text="x")


@pytest.mark.parametrize(
    "houses",
    [
        "sqlite to postgres",
        *(pytest.param(way, marks=pytest.mark.chaos) for way in WAYS if way != "sqlite to postgres"),
    ],
    indirect=True,
)
async def test_payloads_of_the_largest_size_and_texts_of_any_kind_are_moved(houses):
    source, target = opened(houses[0], create=True), opened(houses[1], create=True)
    boss = Orchestrator(houses[0])

    @boss.worker(concurrency=1)
    async def keep(text: str) -> str:
        return text[:3]

    async with boss:
        strange = await boss.trigger("keep", {"text": "\0\u2028ü"}, key="a\u2028ü")
        await strange.wait(timeout=20)
        for _ in range(60):
            await boss.trigger("keep", {"text": "x" * 1_000_000}, delay="1d")
    with closing(source), closing(target):
        assert move(source, target).parts["runs"].count == 61


async def test_what_ends_a_slow_transaction_or_call_elsewhere_does_not_end_a_move(houses, monkeypatch):
    await filled(houses[0])
    source, target = opened(houses[0], create=False), opened(houses[1], create=True)
    hasty = postgres_connection.SETTINGS.text.decode().replace("'4500'", "'1'").replace("'5000'", "'1'")
    monkeypatch.setattr(postgres_connection, "SETTINGS", Statement(hasty, TEXT))
    monkeypatch.setattr(postgres_connection, "CALL_S", 0.0)
    with closing(source), closing(target):
        assert move(source, target).parts["runs"].count == 9


async def test_what_callers_transactions_have_left_is_not_left_behind(address, cluster: Cluster, tmp_path):
    source = opened(await filled(address("postgres")), create=False)
    arrival = source.arrival(Request(worker="send"))
    with psycopg.connect(cluster.url) as connection:
        insert(connection, arrival)
    target = opened(address("sqlite"), create=True)
    with closing(source), closing(target), pytest.raises(NotAllowed, match="start a node for a moment, then move"):
        move(source, target)


async def test_the_version_of_a_schema_is_known_before_and_after_it_is_made(houses):
    url = houses[0]
    before = open_store(url, SystemClock()).schema()
    opened(url, create=True).close()
    after = open_store(url, SystemClock()).schema()

    assert (before.version, after.version, before.newest) == (None, after.newest, after.newest)


async def test_rows_that_cannot_be_read_are_named_and_what_was_set_aside_is_moved(houses: tuple[str, str]):
    """W8, A5: nothing stays behind without a word."""
    old_url, new_url = houses
    await filled(old_url)
    with closing(opened(old_url, create=False)) as source, closing(opened(new_url, create=True)) as target:
        session = source.session()
        with session.read() as reader:
            (letter, *_) = reader.letters(LetterFilter())
        with session.begin() as tx:
            spoil(tx, letter.run)
        with pytest.raises(NotAllowed, match=rf"dead letter {letter.run} of broken cannot be read.*--set-aside"):
            move(source, target)
    async with Orchestrator(old_url).client() as client:
        await client.set_aside(note="before the move")
        aside = await client.ask(lambda views: views.set_aside())
    with closing(opened(old_url, create=False)) as source, closing(opened(new_url, create=False)) as target:
        moved = move(source, target)
        with target.session().read() as reader:
            found = reader.set_aside(after=0, limit=10)

    assert moved.parts["set_aside"].count == 1
    assert [row for _, row in found] == [row for _, row in aside]


def spoil(tx: Any, run: int) -> None:
    """Make the row of a dead letter one that cannot be read, through the store's own connection."""
    if isinstance(tx, SqliteTransaction):
        tx._db.run("UPDATE dead_letter SET data = '{' WHERE run = ?", (run,))
    elif isinstance(tx, PostgresTransaction):
        tx._db.do(Statement("UPDATE dead_letter SET data = '{' WHERE run = $1", NUMBER), (run,))
    tx.has_written = True
