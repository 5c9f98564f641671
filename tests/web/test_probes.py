"""Probes answer at once and truly: whatever the store, another reader or the host's authorize= are doing (G1, H3)."""

from __future__ import annotations

import asyncio
import threading

import httpx
import pytest
from postgres_proxy import Proxy
from prometheus_client.parser import text_string_to_metric_families

from shiftboss import Orchestrator, WorkerFilter
from shiftboss.app.views import Views
from shiftboss.engine import contact
from shiftboss.web import health_check, probes
from shiftboss.web.access import Mounted
from shiftboss.web.application import Application

from .conftest import BASE, PATIENCE_S, a_shop, open_authenticator


def a_client(app) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE)


async def until(fits) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not fits():
            await asyncio.sleep(0.01)


async def test_livez_asks_neither_the_store_nor_authorize():
    asked = []
    boss = a_shop("memory:")
    async with a_client(Application(boss, Mounted(asked.append))) as client:
        before = await client.get("/livez")
        async with boss:
            during = await client.get("/livez")

    assert [(each.status_code, each.json()) for each in (before, during)] == [
        (200, {"status": "alive", "reasons": []})
    ] * 2
    assert asked == []


async def test_an_authorize_that_hangs_or_fails_keeps_no_probe_waiting(monkeypatch):
    monkeypatch.setattr(probes, "ADMITTED_WITHIN_S", 0.05)
    never = asyncio.Event()

    async def hangs(request) -> str:
        await never.wait()
        return "viewer"

    def fails(request) -> str:
        raise ConnectionError("the database of the host is away")

    answers = []
    async with a_shop("memory:") as boss:
        for authorize in (hangs, fails):
            async with a_client(Application(boss, Mounted(authorize))) as client:
                answers += [await client.get(path) for path in ("/livez", "/readyz", "/healthz")]

    assert [each.status_code for each in answers] == [200] * 6
    assert {str(each.json()["reasons"]) for each in answers} == {"[]"}


async def test_health_does_not_wait_for_another_reader():
    """An export or a chart that reads for long has the library's own reader."""
    async with a_shop("memory:") as boss, a_client(Application(boss, open_authenticator())) as client:
        reading, go_on = threading.Event(), threading.Event()

        def for_long(views) -> None:
            reading.set()
            go_on.wait(PATIENCE_S)

        reader = asyncio.create_task(boss.ask(for_long))
        await asyncio.to_thread(reading.wait, PATIENCE_S)
        answers = [await client.get(path) for path in ("/readyz", "/healthz")]
        was_busy = not reader.done()
        go_on.set()
        await reader

    assert was_busy
    assert [each.status_code for each in answers] == [200, 200]
    assert all(each.json()["last_contact_age_s"] < PATIENCE_S for each in answers)


async def test_health_that_nobody_can_judge_in_time_is_the_last_one_while_that_is_young(monkeypatch):
    monkeypatch.setattr(probes, "JUDGED_WITHIN_S", 0.05)
    async with a_shop("memory:") as boss:
        app = Application(boss, open_authenticator())
        async with a_client(app) as client:
            await until_ok(client)
            with boss.store.lock:  # nobody reads the store
                asked = await asyncio.wait_for(client.get("/healthz"), PATIENCE_S)
    assert asked.status_code == 200


async def test_health_is_judged_although_the_thread_for_it_could_not_be_started_before():
    def refused(self) -> None:
        raise RuntimeError("can't start new thread")

    async with a_shop("memory:") as boss:
        check = health_check.HealthCheck(boss)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(threading.Thread, "start", refused)
            with pytest.raises(RuntimeError):
                await check.health(PATIENCE_S)

        assert (await check.health(PATIENCE_S)).status == "healthy"


async def until_ok(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await client.get("/healthz")).status_code != 200:
            await asyncio.sleep(0.01)


async def test_healthz_names_the_worst_workers_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(health_check, "WORST", WorkerFilter(limit=1))
    async with (
        a_shop(f"sqlite:///{tmp_path / 'shop.db'}") as boss,
        a_client(Application(boss, open_authenticator())) as client,
    ):
        await until_ok(client)
        reasons = (await client.get("/healthz")).json()["reasons"]
        others = len(boss.definitions) - 1

    assert reasons[-1] == f"{others} more workers are not named here: GET /api/v1/health lists them"


async def test_healthz_asks_the_store_so_often_and_no_oftener_whoever_asks(monkeypatch, tmp_path):
    """H3: it is for everybody; back to back, beside each other, and after what it was told is a question too many."""
    monkeypatch.setattr(health_check, "EVERY_S", 3600.0)
    monkeypatch.setattr(probes, "JUDGED_WITHIN_S", 0.01)
    asked = []
    health = Views.health
    monkeypatch.setattr(Views, "health", lambda views, wanted: asked.append(1) or health(views, wanted))
    async with (
        a_shop(f"sqlite:///{tmp_path / 'shop.db'}") as boss,
        a_client(Application(boss, open_authenticator())) as client,
    ):
        await until_ok(client)
        answers = [await client.get("/healthz") for _ in range(20)]
        answers += await asyncio.gather(*(client.get("/healthz") for _ in range(20)))

    assert [each.status_code for each in answers] == [200] * 40
    assert len(asked) == 1


@pytest.fixture
def far(request, tmp_path, monkeypatch):
    """A shop on PostgreSQL behind a proxy that can fall silent."""
    monkeypatch.setattr(contact, "WRITE_EVERY_S", 0.1)
    monkeypatch.setattr(contact, "SLOW_S", 0.3)
    place = request.getfixturevalue("place")
    with Proxy(place.url + "&connect_timeout=2") as proxy:
        yield proxy


async def test_a_silent_server_is_red_at_once_while_the_engine_waits_for_it(far):
    """C3, H3, H5: nobody asks the server; the metrics of this process are there all the same."""
    boss = Orchestrator(far.url, shutdown_timeout=3)
    boss.register("tick", lambda: None, every="1h", start="next")
    async with boss, a_client(Application(boss, open_authenticator())) as client:
        green = [(await client.get(path)).status_code for path in ("/readyz", "/healthz")]
        far.fall_silent()
        await until(lambda: boss.trouble is not None)
        red = [await client.get(path) for path in ("/readyz", "/healthz")]
        alive = await client.get("/livez")
        metrics = (await client.get("/metrics")).text
        far.recover()
        far.cut()
        await until(lambda: boss.trouble is None)
        await until_ok(client)

    assert green == [200, 200]
    assert [each.status_code for each in red] == [503, 503]
    assert [each.json()["reasons"] for each in red] == [
        ["the store does not answer: a transaction has taken longer than 0.3 s"]
    ] * 2
    assert red[0].json()["last_contact_age_s"] >= 0.3
    assert alive.status_code == 200
    told = {family.name: family.samples for family in text_string_to_metric_families(metrics)}
    assert told["shiftboss_store_up"][0].value == 0
    assert "shiftboss_store_errors" in told
    assert "shiftboss_worker_health" not in told
