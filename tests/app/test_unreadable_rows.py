"""Rows that an older version left and nobody can read: a node starts beside them, and runs what it may (W8)."""
# ruff: noqa: S608  # statements are put together from the constants and ids of the tests

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from postgres_server import Cluster, Place
from shiftboss import Breaker, Orchestrator, Status
from shiftboss.core.events import Audit
from shiftboss.errors import NotAllowed
from shiftboss.ports.faces import HistoryFilter, LetterFilter

sys.path.insert(0, str(Path(__file__).parents[1] / "stores"))  # for damage.py

from damage import OtherProcess, in_postgres

Sql = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def in_file() -> Iterator[OtherProcess]:
    process = OtherProcess()
    yield process
    process.close()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path, in_file: OtherProcess) -> tuple[str, Sql]:
    """The address of a store, and a way to its rows past it."""
    if request.param == "sqlite":
        path = tmp_path / "boss.db"
        return f"sqlite:///{path}", lambda *statements: in_file(path, *statements)
    place: Place = request.getfixturevalue("place")
    cluster: Cluster = request.getfixturevalue("cluster")
    return place.url, lambda *statements: in_postgres(cluster.url, place.schema, *statements)


def rewrite(sql: Sql, table: str, where: str, change: Callable[[dict[str, Any]], None], column: str = "data") -> None:
    """Change the JSON of a row as another version might have written it."""
    ((text,),) = sql((f"SELECT {column} FROM {table} WHERE {where}", ()))
    value = json.loads(text)
    change(value)
    sql((f"UPDATE {table} SET {column} = ? WHERE {where}", (json.dumps(value),)))


class App:
    """The application, as it is started again and again."""

    def __init__(self, url: str) -> None:
        self.boss = boss = Orchestrator(url, shutdown_timeout=3)
        self.mail = boss.register("mail", echo)
        self.one = boss.register("one", echo, concurrency=1)
        self.after_one = boss.register("after-one", nothing, depends_on=["one"])
        self.other = boss.register("other", echo)
        self.guarded = boss.register("guarded", echo, breaker=Breaker(failures=3), tags=["t"])

    async def __aenter__(self) -> App:
        await self.boss.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.boss.stop()


async def echo(n: int = 0) -> int:
    return n


async def nothing() -> None:
    pass


@asynccontextmanager
async def running(url: str) -> AsyncIterator[App]:
    async with App(url) as app:
        yield app


async def held(app: App, run_id: int) -> list[str]:
    """The gates that hold a run, once it was looked at."""
    for _ in range(3):  # what is triggered after it is decided after it
        await (await app.other.trigger(1)).result(timeout=20)
    return [hold.gate for hold in (await app.boss.why_run(run_id)).holds]


async def test_a_key_that_was_stored_as_a_number(store: tuple[str, Sql]):
    """W8, A5: the row harms itself, and those who could meet it wait until it is set aside."""
    url, sql = store
    async with running(url) as app:
        free = await app.mail.options(delay="1h").trigger(1)
        bad = await app.one.options(delay="1h").trigger(1)
    for run in (free, bad):
        rewrite(sql, "run", f"id = {run.id}", lambda value: value.update(key=4711))
    async with running(url) as app:
        boss = app.boss
        assert await (await app.mail.trigger(5)).result(timeout=20) == 5
        waiting, dependent = await app.one.trigger(6), await app.after_one.trigger()
        assert await held(app, waiting.id) == ["unreadable"]
        assert (await held(app, dependent.id))[0] == "unreadable"
        shown = {run.id: run.unreadable for run in await boss.runs()}
        status = await boss.status()
        with pytest.raises(NotAllowed, match=f"run {bad.id} of one cannot be read"):
            await boss.cancel(bad.id)
        named = await boss.unreadable()
        moved = await boss.set_aside(named[1:], note="a ticket") + await boss.set_aside(note="the rest")
        assert await boss.set_aside() == []
        assert await waiting.result(timeout=20) == 6
        await dependent.result(timeout=20)
        aside = await boss.ask(lambda views: views.set_aside())
        audits = [event for _, event in await boss.ask(lambda views: views.events(after=0, limit=500))]

    assert [run_id for run_id, row in shown.items() if row is not None] == [bad.id, free.id]
    assert [(row.table, row.id, row.worker) for row in named] == [
        ("run", str(free.id), "mail"),
        ("run", str(bad.id), "one"),
    ]
    assert "$.key" in named[0].reason
    assert {reason.worker for reason in status.reasons if reason.fact == "unreadable"} == {"mail", "one"}
    assert {row.place for row in moved} == {row.place for row in named}
    assert [(row.id, row.note) for _, row in aside] == [(str(bad.id), "a ticket"), (str(free.id), "the rest")]
    assert json.loads(json.loads(aside[0][1].data)["data"])["key"] == 4711
    assert [event.run for event in audits if isinstance(event, Audit) and event.action == "set aside"] == [
        bad.id,
        free.id,
    ]


DECLARED = {
    "concurrency": 2.0,
    "retry": {"max_retries": 2.0},
    "max_consecutive_failures": 2.5,
    "at_most_once": 1,
    "uses": {"r": True},
    "max_payload_bytes": "1MB",
    "misfire_limit": 1.5,
    "tags": "mail",
    "priority": "urgent",
    "timeout_s": "60",
    "health": {"degraded_rate": "0.1"},
    "depends_on": None,
    "key_ttl_s": 1e400,
}


async def test_a_mended_application_replaces_a_declaration_that_cannot_be_read(store: tuple[str, Sql]):
    """W8, M7: for every option that an older version took as it was given."""
    url, sql = store
    async with running(url) as app:
        pass
    for option, value in list(DECLARED.items())[: None if url.startswith("sqlite") else 2]:  # the reading is the same

        def wrong(stored: dict[str, Any], option: str = option, value: Any = value) -> None:
            stored["definition"][option] = value

        rewrite(sql, "worker", "name = 'mail'", wrong, column="state")
        async with Orchestrator(url).client() as client:
            (row,) = await client.unreadable()
            (mail,) = [worker for worker in (await client.status()).workers if worker.name == "mail"]
            with pytest.raises(NotAllowed, match="worker mail cannot be read"):
                await client.trigger("mail")
        async with running(url) as app:
            assert (option, await (await app.mail.trigger(5)).result(timeout=20)) == (option, 5)
            assert await app.boss.unreadable() == []
        assert row.place == ("worker", "mail")
        assert [each.id for each in mail.unreadable] == ["mail"]


async def test_who_was_disabled_with_a_number_for_a_reason_stays_it(store: tuple[str, Sql]):
    """W8, K5"""
    url, sql = store
    async with running(url) as app:
        await app.boss.disable("mail", reason="7")

    def wrong(stored: dict[str, Any]) -> None:
        stored["disabled"]["reason"] = 7

    rewrite(sql, "worker", "name = 'mail'", wrong, column="state")
    async with running(url) as app:
        status = (await app.boss.status()).worker("mail")

    assert status.disabled is not None
    assert status.disabled.reason == "7"


async def test_a_breaker_whose_numbers_cannot_be_read_is_declared_anew(store: tuple[str, Sql]):
    """W8, K1"""
    url, sql = store
    async with running(url) as app:
        pass
    rewrite(sql, "breaker", "name = 'guarded'", lambda value: value.update(policy={"failures": 5.0}))
    async with running(url) as app:
        assert await (await app.guarded.trigger(5)).result(timeout=20) == 5
        assert await app.boss.unreadable() == []


async def test_a_breaker_whose_state_cannot_be_read_holds_until_it_is_set_aside(store: tuple[str, Sql]):
    """W8, A5"""
    url, sql = store
    async with running(url) as app:
        pass
    rewrite(sql, "breaker", "name = 'guarded'", lambda value: value.update(mode="ajar"))
    async with running(url) as app:
        run = await app.guarded.trigger(5)
        assert await held(app, run.id) == ["unreadable"]
        await app.boss.set_aside()
        assert await run.result(timeout=20) == 5


async def test_a_running_node_goes_on_when_a_row_becomes_unreadable_under_it(store: tuple[str, Sql]):
    """W8: rows of every kind, all at once; a worker that has none of them runs on."""
    url, sql = store
    async with running(url) as app:
        boss = app.boss
        one = await app.one.trigger(1)
        await one.result(timeout=20)
        later = await app.mail.options(delay="1h").trigger(2)
        node = (await boss.nodes())[0].id
        sql(
            ("UPDATE worker SET state = '{}', number = number + 1000000 WHERE name = 'one'", ()),
            ("UPDATE worker SET record = '[', number = number + 1000000 WHERE name = 'guarded'", ()),
            ("UPDATE breaker SET data = '7', number = number + 1000000", ()),
            (f"UPDATE run SET data = 'x' WHERE id = {later.id}", ()),
            (f"UPDATE history SET data = '}}' WHERE id = {one.id}", ()),
            ("UPDATE event SET data = '' WHERE id = 1", ()),
        )
        assert await (await app.other.trigger(3)).result(timeout=20) == 3
        status = await boss.status()
        runs = await boss.runs(HistoryFilter(limit=1000))
        letters = await boss.dead_letters(LetterFilter())
        named = await boss.unreadable()
        assert await (await app.other.trigger(4)).result(timeout=20) == 4
        assert await boss.set_aside() == named
        assert await boss.unreadable() == []
    async with running(url) as app:
        assert await (await app.one.trigger(6)).result(timeout=20) == 6
        assert await (await app.guarded.trigger(7)).result(timeout=20) == 7

    assert {run.id for run in runs} >= {one.id, later.id}
    assert letters == []
    assert {worker.name for worker in status.workers} >= {"one", "guarded", "other"}
    assert node
    assert {row.place for row in named} == {
        ("worker", "one"),
        ("record", "guarded"),
        ("breaker", "guarded"),
        ("run", str(later.id)),
        ("history", str(one.id)),
        ("event", "1"),
    }


async def test_a_nodes_own_row_is_written_anew_with_its_next_renewal(store: tuple[str, Sql]):
    """W8, C2: nobody stops, neither it nor its neighbour."""
    url, sql = store
    async with running(url) as app, running(url) as neighbour:
        sql(("UPDATE node SET data = '{\"id\": 3}'", ()))
        assert await (await app.mail.trigger(1)).result(timeout=20) == 1
        assert await (await neighbour.mail.trigger(2)).result(timeout=20) == 2
        for each in (app, neighbour):
            engine = each.boss.opened().engine
            engine._lease.renewed(engine._clock.elapsed_s() - 11)  # the 10 s between two renewals are over
            await (await each.mail.trigger(3)).result(timeout=20)
        async with asyncio.timeout(30):
            while await app.boss.unreadable():
                await asyncio.sleep(0.1)
        nodes = await app.boss.nodes()

    assert [(node.live, node.unreadable) for node in nodes] == [(True, ""), (True, "")]


async def test_a_waiting_run_that_gives_up_and_cannot_be_read_keeps_nobody_busy(store: tuple[str, Sql]):
    """W8, T1: its instant has come, and nobody can end it."""
    url, sql = store
    async with running(url) as app:
        bad = await app.mail.options(delay="1h").trigger(1)
    sql((f"UPDATE run SET data = '{{}}', give_up_at = 5, due_at = 5 WHERE id = {bad.id}", ()))
    async with running(url) as app:
        cycle = app.boss.opened().engine._cycle
        for n in range(5):
            await (await app.other.trigger(n)).result(timeout=20)
        assert cycle.cache.next_give_up_at is None
        assert await bad_status(app, bad.id) is Status.PENDING


async def bad_status(app: App, run_id: int) -> Status:
    return (await app.boss.run_info(run_id)).status
