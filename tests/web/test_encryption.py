"""The API and its stream beside what cannot be decoded: answered, and said as such (E3)."""

from __future__ import annotations

from typing import Any

import pytest

from shiftboss.codec import AesGcmCodec, new_key
from shiftboss.web.table import OPERATIONS

from .conftest import Sse, a_shop, serving, started

KEY = new_key()
CANARY = "canary-3f9a1c77"
WHY = "encrypted with key 'k1', but this process has no codec"


@pytest.fixture(params=["sqlite", "postgres"])
async def vault(request: pytest.FixtureRequest, tmp_path: Any) -> tuple[str, int, int, int]:
    """A shop that has stopped; the ids of a dead run, a finished one and one that waits."""
    url = f"sqlite:///{tmp_path / 'shop.db'}" if request.param == "sqlite" else request.getfixturevalue("place").url
    boss = a_shop(url, codec=AesGcmCodec({"k1": KEY}))

    @boss.worker(max_retries=0)
    async def lose(text: str) -> str:
        raise ValueError(f"lost {text}")

    async with boss:
        dead = await boss.trigger("lose", {"text": CANARY})
        await dead.wait(timeout=30)
        done = await boss.trigger("send", {"to": CANARY})
        await done.wait(timeout=30)
    async with boss.client():
        waits = await boss.trigger("send", {"to": CANARY})
    return url, dead.id, done.id, waits.id


def paths(dead: int, done: int, waits: int):
    for operation in OPERATIONS:
        if operation.method != "GET" or operation.path in ("/events", "/session"):
            continue
        for run in (dead, done, waits) if "{run}" in operation.path and "letters" not in operation.path else (dead,):
            for worker in ("send", "lose") if "{worker}" in operation.path else ("send",):
                yield operation.path.format(run=run, worker=worker)


async def test_every_question_is_answered_and_nothing_is_told(vault: tuple[str, int, int, int]):
    """E3"""
    url, *ids = vault
    async with started(a_shop(url)) as api:
        for path in paths(*ids):
            found = await api.http.get(f"/api/v1{path}")
            assert (path, found.status_code) == (path, 200), found.text
            assert CANARY not in found.text
        dead, done, waits = [await api.get(f"/runs/{run}") for run in ids]

    sealed = {"$encrypted": {"key": "k1", "reason": WHY}}
    assert (dead["run"]["undecodable"], dead["run"]["payload"]) == (WHY, sealed)
    assert dead["run"]["error"] == {"type": "ValueError", "message": f"({WHY})", "traceback": f"({WHY})"}
    assert done["run"]["result"] == sealed
    assert done["log"][0]["text"] == f"({WHY})"
    assert [hold["gate"] for hold in waits["why"]["holds"]] == ["codec"]


async def test_with_the_codec_they_read_as_without_one(vault: tuple[str, int, int, int]):
    """E1"""
    url, dead, done, _ = vault
    async with started(a_shop(url, codec=AesGcmCodec({"k2": new_key(), "k1": KEY}))) as api:
        failed, sent = await api.get(f"/runs/{dead}"), await api.get(f"/runs/{done}")

    assert failed["run"]["error"]["message"] == f"lost {CANARY}"
    assert failed["run"]["payload"] == {"text": CANARY}
    assert failed["run"]["undecodable"] == ""
    assert sent["run"]["result"]["to"] == CANARY


def test_the_stream_goes_on_beside_them(vault: tuple[str, int, int, int]):
    """E3"""
    url, *_ = vault
    boss = a_shop(url)
    with serving(boss) as address, Sse(address) as stream:
        stream.until("hello")
        status = stream.until("status", lambda status: status["workers"] != [])
        boss.sync.disable("send", reason="seen")
        told = stream.until("event", lambda event: event["type"] == "audit")

    assert told["after"] == "disabled: seen"
    assert CANARY not in f"{told}{status}"


async def test_payloads_cannot_be_searched(vault: tuple[str, int, int, int]):
    """E1: nor can they without a codec; who tries is told."""
    url, *_ = vault
    async with started(a_shop(url, codec=AesGcmCodec({"k1": KEY}))) as api:
        for name in ("payload", "text", "q"):
            refused = await api.get("/runs", 400, **{name: CANARY})
            assert name in str(refused)
