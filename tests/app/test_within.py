"""A trigger within a transaction of the caller's: the run exists if and only if that is committed."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy
from django.conf import settings
from django.db import connections
from django.db import transaction as django_transaction
from django.utils.functional import empty
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from postgres_server import Cluster, Place
from shiftboss import (
    ConfigurationError,
    DuplicateKey,
    Orchestrator,
    TriggerItem,
    TriggersRefused,
    UnknownWorker,
    WaitTimeout,
    WorkerDisabled,
    WrongPayload,
)
from shiftboss.app import fan_out
from shiftboss.app.handle import PromisedRun
from shiftboss.app.triggering import request_of
from shiftboss.app.within import insert
from shiftboss.core.events import ArrivalRefused, Event, RunEnded
from shiftboss.core.model import Run
from shiftboss.engine import cycle
from shiftboss.errors import NotAllowed
from shiftboss.ports.faces import HistoryFilter

TO = {"to": "Zoë"}
ENCODED = '{"to":"Zoë"}'.encode()
PATIENCE_S = 60.0
# Django's applications are set up by whoever serves them; a connection needs none.
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the database during app initialization:RuntimeWarning")


class RollBack(Exception):
    """Raised by the caller in the middle of a transaction."""


class Told:
    """The events that were told, to be waited for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # protects `events`
        self.events: list[Event] = []

    def __call__(self, events: Sequence[Event]) -> None:
        with self._changed:
            self.events += events
            self._changed.notify_all()

    async def first(self, kind: type[Event], **facts: object) -> Any:
        """The first one of that kind with these facts."""

        def found() -> Event | None:
            fitting = (event for event in self.events if isinstance(event, kind))
            return next((e for e in fitting if all(getattr(e, name) == value for name, value in facts.items())), None)

        def wait() -> Event | None:
            with self._changed:
                return self._changed.wait_for(found, PATIENCE_S)

        event = await asyncio.to_thread(wait)
        assert event is not None, f"no {kind.__name__} with {facts} came; there were {self.events}"
        return event


@pytest.fixture
def told() -> Told:
    return Told()


def declared(url: str, told: Told | None = None) -> Orchestrator:
    boss = Orchestrator(url, shutdown_timeout=5)

    @boss.worker()
    async def mail(to: str) -> str:
        return f"to {to}"

    @boss.worker(max_retries=0, key_ttl="1h")
    async def broken(to: str) -> None:
        raise ValueError("on purpose")

    if told is not None:
        boss.on_events(told)
    return boss


@pytest.fixture
def boss(place: Place, told: Told) -> Orchestrator:
    return declared(place.url, told)


# ── callers, each with a transaction that is committed at its end, unless something was raised ─────────────────────


@contextmanager
def by_psycopg(cluster: Cluster) -> Iterator[psycopg.Connection]:
    with psycopg.connect(cluster.url) as connection:
        yield connection


@contextmanager
def by_psycopg_raw(cluster: Cluster) -> Iterator[psycopg.Connection]:
    with psycopg.connect(cluster.url, cursor_factory=psycopg.RawCursor) as connection:
        yield connection


@asynccontextmanager
async def by_psycopg_async(cluster: Cluster) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(cluster.url) as connection:
        yield connection


@asynccontextmanager
async def by_asyncpg(cluster: Cluster) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(cluster.url)
    try:
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def by_asyncpg_pool(cluster: Cluster) -> AsyncIterator[Any]:
    async with (
        asyncpg.create_pool(cluster.url, min_size=1, max_size=1) as pool,
        pool.acquire() as connection,
        connection.transaction(),
    ):
        yield connection


def engine_url(cluster: Cluster, driver: str) -> str:
    return cluster.url.replace("postgresql:", f"postgresql+{driver}:")


@contextmanager
def engine(cluster: Cluster) -> Iterator[sqlalchemy.Engine]:
    made = sqlalchemy.create_engine(engine_url(cluster, "psycopg"))
    try:
        yield made
    finally:
        made.dispose()


@contextmanager
def by_sqlalchemy(cluster: Cluster) -> Iterator[sqlalchemy.Connection]:
    with engine(cluster) as made, made.begin() as connection:
        yield connection


@contextmanager
def by_session(cluster: Cluster) -> Iterator[Session]:
    with engine(cluster) as made, Session(made) as session, session.begin():
        yield session


def by_async_session(driver: str) -> Callable[[Cluster], AbstractAsyncContextManager[AsyncSession]]:
    @asynccontextmanager
    async def opened(cluster: Cluster) -> AsyncIterator[AsyncSession]:
        made = create_async_engine(engine_url(cluster, driver))
        try:
            async with AsyncSession(made) as session, session.begin():
                yield session
        finally:
            await made.dispose()

    return opened


@contextmanager
def django_with(**databases: dict[str, str]) -> Iterator[None]:
    """Django as if these were its databases.  Its settings are one for the process, and other tests have theirs."""
    known = settings._wrapped, connections._settings, connections.__dict__.pop("settings", None)
    settings._wrapped, connections._settings = empty, None
    settings.configure(DATABASES={"default": {}} | databases, USE_TZ=True)
    try:
        yield
    finally:
        for alias in databases:
            connections[alias].close()
            del connections[alias]
        settings._wrapped, connections._settings, cached = known
        connections.__dict__.pop("settings", None)
        if cached is not None:
            connections.__dict__["settings"] = cached


@contextmanager
def by_django(cluster: Cluster) -> Iterator[Any]:
    shop = {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "postgres", "HOST": "127.0.0.1"}
    with django_with(shop=shop | {"PORT": str(cluster.port)}), django_transaction.atomic(using="shop"):
        yield connections["shop"]


BLOCKING = {
    "psycopg": by_psycopg,
    "psycopg, raw": by_psycopg_raw,
    "sqlalchemy connection": by_sqlalchemy,
    "sqlalchemy session": by_session,
    "django": by_django,
}
AWAITED = {
    "psycopg async": by_psycopg_async,
    "asyncpg": by_asyncpg,
    "asyncpg, pooled": by_asyncpg_pool,
    "sqlalchemy async session on psycopg": by_async_session("psycopg"),
    "sqlalchemy async session on asyncpg": by_async_session("asyncpg"),
}
every_caller = pytest.mark.parametrize("caller", [*BLOCKING, *AWAITED])


async def triggered(
    boss: Orchestrator, cluster: Cluster, caller: str, *, roll_back: bool = False, **options: Any
) -> str:
    """Trigger within a transaction of that caller; the key of the run."""

    def blocking() -> str:
        with BLOCKING[caller](cluster) as within:
            key = boss.sync.trigger_within(within, "mail", TO, **options)
            if roll_back:
                raise RollBack
        return key

    if caller in BLOCKING:
        return await asyncio.to_thread(blocking)
    async with AWAITED[caller](cluster) as within:
        handle = await boss.trigger("mail", TO, within=within, **options)
        if roll_back:
            raise RollBack
    assert isinstance(handle, PromisedRun)
    assert await handle.result(timeout=PATIENCE_S) == "to Zoë"
    return handle.key


async def found(boss: Orchestrator) -> list[Run]:
    return await boss.runs(HistoryFilter(worker="mail"))


# ── if and only if ─────────────────────────────────────────────────────────────────────────────────────────────────


@every_caller
async def test_what_is_committed_is_there_once_and_is_run_with_its_very_bytes(boss, told, cluster, caller):
    async with boss:
        key = await triggered(boss, cluster, caller)
        ended = await told.first(RunEnded, worker="mail")
        (listed,) = await found(boss)
        run = await boss.run_info(ended.run)

    assert (listed.id, run.key, run.payload, run.result) == (run.id, key, ENCODED, '"to Zoë"'.encode())


@every_caller
async def test_what_is_rolled_back_never_comes_to_be(boss, told, cluster, place, caller):
    async with boss:
        with pytest.raises(RollBack):
            await triggered(boss, cluster, caller, roll_back=True)
        await triggered(boss, cluster, "asyncpg", key="the next")

        assert [run.key for run in await found(boss)] == ["the next"]
    assert place.execute("SELECT id FROM arrival") == []


@every_caller
@pytest.mark.parametrize("roll_back", [False, True])
async def test_many_exist_if_and_only_if_they_are_committed(boss, cluster, place, caller, roll_back, monkeypatch):
    """O6: each has its own payload and key, and their order is that of the call."""
    monkeypatch.setattr(fan_out, "MAX_ROWS", 2)
    many, keys = [TO, {"to": "ada"}, {"to": "eve"}], ["k0", None, "k2"]

    def blocking() -> list[str]:
        with BLOCKING[caller](cluster) as within:
            known = boss.sync.trigger_many_within(within, "mail", many, keys=keys)
            if roll_back:
                raise RollBack
        return known

    async def awaited() -> list[str]:
        async with AWAITED[caller](cluster) as within:
            handles = await boss.trigger_many("mail", many, keys=keys, within=within)
            if roll_back:
                raise RollBack
        assert [await each.result(timeout=PATIENCE_S) for each in handles] == ["to Zoë", "to ada", "to eve"]
        return [each.key for each in handles if isinstance(each, PromisedRun)]

    async with boss:
        try:
            known = await (asyncio.to_thread(blocking) if caller in BLOCKING else awaited())
        except RollBack:
            known = []
        await triggered(boss, cluster, "asyncpg", key="the next")  # picked up after those before it
        runs = sorted(await found(boss), key=lambda run: run.id)

    assert [run.key for run in runs] == [*known, "the next"]
    assert known == [] if roll_back else (known[0], known[1][:7], known[2]) == ("k0", "within-", "k2")
    assert place.execute("SELECT id FROM arrival") == []


async def test_if_one_of_many_is_refused_nothing_is_inserted(boss, cluster, place):
    """O6: what is known before the insert."""
    async with boss, by_asyncpg(cluster) as within:
        with pytest.raises(TriggersRefused, match=r"at 1: .*'mial'"):
            await boss.trigger_many([TriggerItem("mail", TO), TriggerItem("mial", TO)], within=within)
        with pytest.raises(TriggersRefused, match="at 0: "):
            await boss.trigger_many("mail", [{}], within=within)
        assert await boss.trigger_many("mail", [], within=within) == []
        assert place.execute("SELECT id FROM arrival") == []


def test_an_asynchronous_connection_must_be_awaited_for_many_too(place, cluster):
    boss = declared(place.url)

    async def with_one() -> None:
        async with by_asyncpg(cluster) as within:
            with pytest.raises(ConfigurationError, match=r"await boss.trigger_many\(…, within=…\)"):
                await asyncio.to_thread(boss.sync.trigger_many_within, within, "mail", [TO])

    boss.sync.open(create=True)
    with boss.sync:
        asyncio.run(with_one())


async def test_it_is_not_there_before_the_commit(boss, cluster):
    async with boss, by_asyncpg(cluster) as within:
        handle = await boss.trigger("mail", TO, within=within)
        await (await boss.trigger("mail", TO)).result(timeout=PATIENCE_S)

        with pytest.raises(WaitTimeout, match="its transaction is not committed, or no node has picked it up"):
            await handle.find(timeout=0)
        with pytest.raises(WaitTimeout):
            await handle.status()


async def test_a_worker_s_own_options_take_a_connection_too(place, cluster):
    boss = Orchestrator(place.url, shutdown_timeout=5)

    @boss.worker()
    async def mail(to: str) -> str:
        return f"to {to}"

    async with boss:
        async with by_asyncpg(cluster) as within:
            handle = await mail.options(within=within, key="k").trigger("ada")

        assert await handle.result(timeout=PATIENCE_S) == "to ada"
        assert handle.id == (await found(boss))[0].id


async def test_a_payload_that_is_none_stays_none(place, cluster, told):
    boss = Orchestrator(place.url, shutdown_timeout=5)
    boss.on_events(told)

    @boss.worker()
    async def plain() -> int:
        return 7

    async with boss:
        for caller in AWAITED:
            async with AWAITED[caller](cluster) as within:
                handle = await boss.trigger("plain", within=within)
            assert await handle.result(timeout=PATIENCE_S) == 7
            assert (await handle.info()).payload is None


# ── keys ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_key_gives_the_same_run_whichever_way_it_is_triggered(boss, cluster, is_first):
    async with boss:
        if is_first:
            run = await boss.trigger("mail", TO, key="k")
        async with by_asyncpg(cluster) as within:
            promised = await boss.trigger("mail", TO, key="k", within=within)
        await promised.wait(timeout=PATIENCE_S)
        if not is_first:
            run = await boss.trigger("mail", TO, key="k")

        assert (promised.id, len(await found(boss))) == (run.id, 1)


async def test_a_key_that_is_free_again_promises_the_new_run_and_not_the_dead_one(boss, cluster):
    async with boss:
        dead = await boss.trigger("broken", TO, key="k")
        await dead.wait(timeout=PATIENCE_S)
        async with by_asyncpg(cluster) as within:
            promised = await boss.trigger("broken", TO, key="k", within=within)
        again = await promised.wait(timeout=PATIENCE_S)

    assert again.id > dead.id


async def test_a_key_with_another_payload_is_refused_at_the_call_where_that_is_known(boss, cluster):
    async with boss:
        await boss.trigger("mail", {"to": "eve"}, key="k")
        async with by_asyncpg(cluster) as within:
            with pytest.raises(DuplicateKey):
                await boss.trigger("mail", TO, key="k", within=within)
            assert await within.fetchval("SELECT 1") == 1


# ── what is known only at the pick-up ──────────────────────────────────────────────────────────────────────────────


async def test_a_key_that_is_taken_meanwhile_becomes_an_event_and_the_others_run(boss, told, cluster):
    async with boss:
        async with by_asyncpg(cluster) as within:
            late = await boss.trigger("mail", TO, key="k", within=within)
            other = await boss.trigger("mail", TO, within=within)
            await boss.trigger("mail", {"to": "eve"}, key="k")
        refused = await told.first(ArrivalRefused)

        assert (refused.worker, refused.key) == ("mail", "k")
        assert "belongs to run" in refused.reason
        with pytest.raises(NotAllowed, match="was refused: key 'k' of worker 'mail' belongs to run"):
            await late.result(timeout=PATIENCE_S)
        assert await other.result(timeout=PATIENCE_S) == "to Zoë"


async def test_a_worker_that_is_disabled_meanwhile_becomes_an_event_unless_it_was_forced(boss, told, cluster, caplog):
    async with boss:
        async with by_asyncpg(cluster) as within:
            late = await boss.trigger("mail", TO, within=within)
            forced = await boss.trigger("mail", TO, within=within, force=True)
            await boss.disable("mail", reason="holidays")
        refused = await told.first(ArrivalRefused)

        assert (refused.key, "is disabled by" in refused.reason, "holidays" in refused.reason) == (late.key, True, True)
        with pytest.raises(NotAllowed, match="holidays"):
            await late.wait(timeout=PATIENCE_S)
        assert f"mail refused a trigger with key {late.key} that a transaction had committed" in caplog.text
        assert await forced.result(timeout=PATIENCE_S) == "to Zoë"


async def test_a_refusal_of_yesterday_is_not_taken_for_that_of_today(boss, told, cluster):
    async with boss:
        async with by_asyncpg(cluster) as within:
            await boss.trigger("mail", TO, key="k", within=within)
            await boss.disable("mail")
        await told.first(ArrivalRefused)
        await boss.enable("mail")
        async with by_asyncpg(cluster) as within:
            again = await boss.trigger("mail", TO, key="k", within=within)

        assert await again.result(timeout=PATIENCE_S) == "to Zoë"


# ── what is refused at the call ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("worker", "payload", "error"),
    [("nobody", None, UnknownWorker), ("mail", {"too": 1}, WrongPayload), ("broken", TO, WorkerDisabled)],
)
async def test_what_is_refused_at_the_call_leaves_the_transaction_usable(boss, cluster, worker, payload, error):
    async with boss:
        await boss.disable("broken")
        async with by_asyncpg(cluster) as within:
            with pytest.raises(error):
                await boss.trigger(worker, payload, within=within)
            handle = await boss.trigger("mail", TO, within=within)

        assert await handle.result(timeout=PATIENCE_S) == "to Zoë"


async def test_what_was_enabled_just_now_elsewhere_is_not_refused_by_what_was_known_before(boss, cluster, place):
    async with boss, declared(place.url).client() as elsewhere:
        await elsewhere.disable("mail")
        await elsewhere.enable("mail")
        async with by_asyncpg(cluster) as within:
            handle = await boss.trigger("mail", TO, within=within)

        assert await handle.result(timeout=PATIENCE_S) == "to Zoë"


async def test_a_connection_of_another_kind_is_named_and_what_would_do(boss, cluster):
    async with boss, asyncpg.create_pool(cluster.url, min_size=1, max_size=1) as pool:
        with closing(sqlite3.connect(":memory:")) as other, pytest.raises(ConfigurationError) as refused:
            await boss.trigger("mail", TO, within=other)
        with pytest.raises(ConfigurationError, match=r"asyncpg\.pool\.Pool is not understood"):
            await boss.trigger("mail", TO, within=pool)
        with engine(cluster) as made, pytest.raises(ConfigurationError, match=r"Engine is not understood"):
            await boss.trigger("mail", TO, within=made)

    assert str(refused.value) == (
        "within=sqlite3.Connection is not understood; give the open connection of psycopg, asyncpg, SQLAlchemy (its "
        "connections and sessions) or Django"
    )


async def test_a_connection_to_another_kind_of_database_is_refused(boss, cluster):
    def by_another_django() -> None:
        with django_with(other={"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}):
            boss.sync.trigger_within(connections["other"], "mail", TO)

    async with boss:
        other = sqlalchemy.create_engine("sqlite://")
        with other.begin() as within, pytest.raises(ConfigurationError, match="is a connection to sqlite"):
            await boss.trigger("mail", TO, within=within)
        with Session(other) as session, pytest.raises(ConfigurationError, match="is a connection to sqlite"):
            await boss.trigger("mail", TO, within=session)
        other.dispose()
        with pytest.raises(ConfigurationError, match="is a connection to sqlite"):
            await asyncio.to_thread(by_another_django)


@pytest.mark.parametrize("url", ["memory:", "sqlite:///{}/boss.db"])
async def test_a_store_that_is_no_server_says_which_one_it_takes(tmp_path, cluster, url):
    async with declared(url.format(tmp_path)) as boss, by_asyncpg(cluster) as within:
        with pytest.raises(ConfigurationError, match="within= needs a store in the database of your transaction"):
            await boss.trigger("mail", TO, within=within)


@pytest.mark.parametrize("caller", AWAITED)
@pytest.mark.filterwarnings("error")
async def test_an_asynchronous_connection_is_refused_by_code_without_a_loop(boss, cluster, caller):
    async with boss, AWAITED[caller](cluster) as within:
        with pytest.raises(ConfigurationError, match=r"is asynchronous; await boss\.trigger"):
            boss.sync.trigger_within(within, "mail", TO)
        handle = await boss.trigger("mail", TO, within=within)
        assert handle.id == 0


async def test_a_trigger_without_a_loop_says_how_it_is_called_within_a_transaction(boss, cluster):
    async with boss:
        with by_psycopg(cluster) as within, pytest.raises(ConfigurationError, match="call trigger_within"):
            boss.sync.trigger("mail", TO, within=within)


# ── many, and nobody ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_arrives_while_no_node_lives_waits_and_keeps_its_order(place, cluster):
    async with declared(place.url):
        pass
    order: list[str] = []
    async with declared(place.url).client() as client:
        for batch in range(3):
            async with by_asyncpg(cluster) as within:
                for number in range(4):
                    await client.trigger("mail", {"to": f"{batch}{number}"}, within=within)
        assert await found(client) == []
    boss = Orchestrator(place.url, shutdown_timeout=5)
    last = asyncio.Event()

    @boss.worker(concurrency=1)
    async def mail(to: str) -> None:
        order.append(to)
        if len(order) == 12:
            last.set()

    async with boss:
        await asyncio.wait_for(last.wait(), PATIENCE_S)

    assert order == [f"{batch}{number}" for batch in range(3) for number in range(4)]


def ten_thousand(boss: Orchestrator, place: Place) -> None:
    """What 10,000 calls insert, in one transaction."""
    request = request_of(boss.opened(), "mail", ENCODED, {})
    with psycopg.connect(place.cluster.url) as connection:
        insert(connection, boss.store.arrival(request))
    place.execute("INSERT INTO arrival (data, payload) SELECT data, payload FROM arrival, generate_series(1, 9999)")


async def test_ten_thousand_at_once_are_all_picked_up(boss, cluster, place):
    async with boss:
        pass
    async with declared(place.url).client() as client:
        ten_thousand(client, place)
    async with boss:
        async with by_asyncpg(cluster) as within:
            last = await boss.trigger("mail", TO, within=within)
        await last.find(timeout=PATIENCE_S)
        counted = place.execute("SELECT (SELECT count(*) FROM run) + (SELECT count(*) FROM history)")

    assert counted == [(10_001,)]
    assert place.execute("SELECT id FROM arrival") == []


async def test_large_payloads_are_picked_up_a_few_at_a_time(place, told, cluster, monkeypatch):
    taken: list[int] = []
    real = cycle.pick_up

    def counted(request, refusal=None):
        taken.append(len(request.payload))
        return real(request, refusal)

    boss = Orchestrator(place.url, shutdown_timeout=5)

    @boss.worker()
    async def store(text: str) -> int:
        return len(text)

    async with boss:
        monkeypatch.setattr(cycle, "pick_up", counted)
        async with by_asyncpg(cluster) as within:
            handles = [await boss.trigger("store", {"text": "x" * 1_000_000}, within=within) for _ in range(40)]
        results = [await handle.result(timeout=PATIENCE_S) for handle in handles]

    assert (results, len(taken)) == ([1_000_000] * 40, 40)


async def test_one_that_no_store_can_keep_is_refused_and_the_others_are_not(boss, told, cluster, monkeypatch):
    """What the database refuses of a batch is halved down to the one to blame."""
    from shiftboss.errors import StoreRejected
    from shiftboss.stores.postgres.writes import PostgresTransaction

    real = PostgresTransaction.write

    def write(tx, change, **options):
        if any(run.key == "poison" for run in change.runs):
            tx.failure = StoreRejected("poison")
            raise tx.failure
        real(tx, change, **options)

    monkeypatch.setattr(PostgresTransaction, "write", write)
    async with boss:
        async with by_asyncpg(cluster) as within:
            before = await boss.trigger("mail", TO, within=within)
            bad = await boss.trigger("mail", TO, within=within, key="poison")
            after = await boss.trigger("mail", TO, within=within)
        refused = await told.first(ArrivalRefused)

        assert (refused.key, refused.reason) == ("poison", "poison")
        with pytest.raises(NotAllowed, match="poison"):
            await bad.wait(timeout=PATIENCE_S)
        assert [await run.result(timeout=PATIENCE_S) for run in (before, after)] == ["to Zoë"] * 2


async def test_when_a_pick_up_fails_work_goes_on_and_it_is_tried_again(boss, told, cluster, monkeypatch, caplog):
    from shiftboss.errors import StoreFull
    from shiftboss.stores.postgres.writes import PostgresTransaction

    real = PostgresTransaction.arrivals
    failures = [StoreFull("the disk of the server is full")]

    def arrivals(tx, *, limit):
        if failures:
            raise failures.pop()
        return real(tx, limit=limit)

    monkeypatch.setattr(PostgresTransaction, "arrivals", arrivals)
    async with boss:
        async with by_asyncpg(cluster) as within:
            handle = await boss.trigger("mail", TO, within=within)

        assert await (await boss.trigger("mail", {"to": "ada"})).result(timeout=PATIENCE_S) == "to ada"
        assert await handle.result(timeout=PATIENCE_S) == "to Zoë"
    assert "cannot be picked up: the disk of the server is full; retrying in 1 s" in caplog.text
