"""Every page of the API answers beside rows that cannot be read, and shows them with id and remedy (W8)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from postgres_server import Cluster, Place
from shiftboss import Orchestrator
from shiftboss.web.table import OPERATIONS

from .conftest import Sse, a_shop, serving, started

sys.path.insert(0, str(Path(__file__).parents[1] / "stores"))  # for damage.py

from damage import OtherProcess, in_postgres

SPOIL = (
    "UPDATE run SET data = '{}' WHERE worker = 'send' AND queue IS NOT NULL",
    "UPDATE history SET data = '[' WHERE worker = 'send'",
    "UPDATE dead_letter SET data = '7'",
    "UPDATE log SET data = 'no'",
    "UPDATE event SET data = '{\"type\": 5}' WHERE worker = 'send'",
    "UPDATE worker SET state = '{}' WHERE name = 'tidy'",
    "UPDATE worker SET record = '{\"streak\": []}' WHERE name = 'fetch'",
    "UPDATE breaker SET data = 'null'",
)


@pytest.fixture(params=["sqlite", "postgres"])
async def spoiled(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A shop that has stopped, with rows of each kind spoiled; the ids of a dead run and of one that waits."""
    url = f"sqlite:///{tmp_path / 'shop.db'}" if request.param == "sqlite" else request.getfixturevalue("place").url
    boss = a_shop(url)
    async with boss:
        dead = await boss.trigger("send", {"to": "broken"})
        await dead.wait(timeout=30)
        await (await boss.trigger("send", {"to": "ada"})).wait(timeout=30)
        waits = await boss.trigger("send", {"to": "ada"}, delay="1h", key="k")
        await boss.disable("send", reason="moving")
        await boss.enable("send")
    statements = [(statement, ()) for statement in SPOIL]
    if request.param == "sqlite":
        process = OtherProcess()
        process(tmp_path / "shop.db", *statements)
        process.close()
    else:
        place: Place = request.getfixturevalue("place")
        cluster: Cluster = request.getfixturevalue("cluster")
        in_postgres(cluster.url, place.schema, *statements)
    return url, dead.id, waits.id


def paths(dead: int, waits: int) -> Iterator[str]:
    for operation in OPERATIONS:
        if operation.method != "GET" or operation.path in ("/events", "/session"):
            continue
        for run in (dead, waits) if "{run}" in operation.path and "letters" not in operation.path else (dead,):
            for worker in ("send", "tidy", "fetch") if "{worker}" in operation.path else ("send",):
                yield operation.path.format(run=run, worker=worker)


async def test_every_question_is_answered(spoiled: tuple[str, int, int]):
    url, dead, waits = spoiled
    async with started(Orchestrator(url)) as api:
        for path in paths(dead, waits):
            found = await api.http.get(f"/api/v1{path}")
            assert (path, found.status_code) == (path, 200), found.text
        for asked in (
            {"status": "dead"},
            {"worker": "send"},
            {"key": "k"},
            {"since": "2020-01-01T00:00:00Z"},
            {"error": "E"},
        ):
            assert "runs" in await api.get("/runs", **asked)
        metrics = await api.http.get("/metrics")
        rows = (await api.get("/unreadable"))["rows"]
        run, status = await api.get(f"/runs/{waits}"), await api.get("/status")
        refused = await api.post(f"/runs/{waits}/cancel", 409)
        replayed = await api.post(f"/dead-letters/{dead}/replay", 409)
        taken = await api.post("/workers/send/trigger", 409, payload={"to": "ada"}, key="k")

    assert text_string_to_metric_families(metrics.text) is not None
    assert ("run", str(waits)) in {(row["table"], row["id"]) for row in rows}
    assert {row["table"] for row in rows} == {
        *("run", "history", "dead_letter", "log", "event", "worker", "record", "breaker"),
    }
    assert "cannot be read" in next(row["text"] for row in rows if row["table"] == "worker")
    assert run["run"]["unreadable"]["id"] == str(waits)
    assert run["why"]["holds"][0]["gate"] == "unreadable"
    assert {reason["worker"] for reason in status["reasons"] if reason["fact"] == "unreadable"} >= {
        "tidy",
        "fetch",
        "send",
    }
    for answer in (refused, replayed, taken):
        assert "doctor --set-aside" in answer["detail"]


async def test_they_are_set_aside_over_http(spoiled: tuple[str, int, int]):
    """A5"""
    url, _, waits = spoiled
    async with started(Orchestrator(url)) as api:
        first = await api.post("/unreadable/set-aside", rows=[f"run/{waits}", "run/99", "nothing/1"], note="by hand")
        rest = await api.post("/unreadable/set-aside")
        left = (await api.get("/unreadable"))["rows"]
        again = await api.post("/unreadable/set-aside", rows=[f"run/{waits}"])

    assert [(row["table"], row["id"]) for row in first["rows"]] == [("run", str(waits))]
    assert len(rest["rows"]) >= 7
    assert (left, again["rows"]) == ([], [])


async def test_the_stream_goes_on(spoiled: tuple[str, int, int]):
    import asyncio

    url, _, waits = spoiled

    def look() -> tuple[Any, Any]:
        boss = a_shop(url)
        with serving(boss) as address, Sse(address, "status,event,run") as sse:
            status = sse.until("status")
            boss.sync.set_aside(note="seen")
            told = sse.until("event", lambda event: event["type"] == "audit" and event["action"] == "set aside")
        return status, told

    status, told = await asyncio.to_thread(look)

    assert {worker["name"] for worker in status["workers"]} >= {"send", "fetch", "tidy"}
    assert told["after"] == "seen"
    assert waits
