"""What a body says or masks: no secret of it is stored, whatever cuts it and wherever the body runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import secret_bodies
from secret_bodies import CANARY

from shiftboss import Orchestrator, RetryPolicy, command
from shiftboss.app.pages import page_of_run
from shiftboss.codec import AesGcmCodec, new_key

LIMITS = [300, 500, 2_000, 4_000, 12_000, 16_000, 16_384, 32_768]


@pytest.fixture
def boss(tmp_path):
    return Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}")


def what_is_stored(tmp_path) -> bytes:
    return b"".join(file.read_bytes() for file in tmp_path.glob("boss.db*") if file.is_file())


def pieces_in(data: bytes) -> set[bytes]:
    """Five characters of the canary in a row."""
    return {CANARY[at : at + 5].encode() for at in range(len(CANARY) - 4) if CANARY[at : at + 5].encode() in data}


async def test_no_limit_cuts_a_secret_before_it_is_masked(boss, tmp_path):
    """A12: masked first, cut after."""
    words = [sys.executable, str(Path(secret_bodies.__file__))]
    options = {"max_retries": 0, "max_consecutive_failures": None}
    boss.register("thread", secret_bodies.says_and_raises, **options)
    boss.register("process", secret_bodies.says_and_raises, executor="process", **options)
    boss.register("program", command(words, stdin="payload"), **options)
    runs = []
    async with boss:
        for limit in LIMITS:
            for name in ("thread", "process", "program"):
                runs.append(await (await boss.trigger(name, {"limit": limit})).wait(timeout=60))
        logged = [line.text for run in runs for line in await boss.lines(run.id)]

    said = [text for run in runs if run.error for text in (run.error.message, run.error.traceback)]
    assert any("[redacted]" in text for text in said)
    assert any("[redacted]" in text for text in logged)
    assert max(map(len, logged)) <= 2_000
    assert pieces_in(what_is_stored(tmp_path)) == set()


@pytest.mark.parametrize(
    ("body", "options"),
    [
        (secret_bodies.fetches_on_the_loop, {}),
        (secret_bodies.fetches, {}),
        (secret_bodies.fetches, {"executor": "process"}),
    ],
)
@pytest.mark.parametrize("store", ["postgres", "postgres, encrypted", "sqlite, encrypted"])
async def test_what_a_body_masks_is_masked_on_every_store_and_beneath_a_codec(body, options, store, tmp_path, request):
    """A12, E1: places are remembered there as well, the next attempt is given it whole, and a page masks it."""
    url = request.getfixturevalue("place").url if "postgres" in store else f"sqlite:///{tmp_path / 'boss.db'}"
    boss = Orchestrator(url, codec=AesGcmCodec({"k1": new_key()}) if "encrypted" in store else None)
    boss.register("fetches", body, max_retries=1, retry=RetryPolicy(first_s=0.01), **options)
    payload = {"inner": {"a": ["ada", CANARY], "x": []}, "plain": f"before {CANARY}"}
    async with boss:
        run = await (await boss.trigger("fetches", payload)).wait(timeout=60)
        page = await boss.ask(lambda views: page_of_run(views, run.id))

    assert json.loads(run.result) == {"fetched": "[redacted]", "given": "[redacted]"}
    assert [line.text for line in page.log] == ["got [redacted] and {'a': ['ada', '[redacted]'], 'x': []}"]
    assert page.run.payload == b'{"inner":{"a":["ada","[redacted]"],"x":[]},"plain":"[redacted]"}'
    assert json.loads(run.payload) == payload
    assert CANARY not in f"{run.error} {run.attempts} {run.masked} {page.log}"


@pytest.mark.parametrize(
    ("body", "options"),
    [
        (secret_bodies.fetches_on_the_loop, {}),
        (secret_bodies.fetches, {}),
        (secret_bodies.fetches, {"executor": "process"}),
    ],
)
async def test_what_a_body_masks_is_masked_from_then_on(body, options, boss, tmp_path):
    """A12: its value nowhere, its places in the payload for pages and the next attempt."""
    boss.register("fetches", body, max_retries=1, retry=RetryPolicy(first_s=0.01), **options)
    payload = {"inner": {"a": ["ada", CANARY], "x": []}, "plain": f"before {CANARY}"}
    async with boss:
        run = await (await boss.trigger("fetches", payload)).wait(timeout=60)
        page = await boss.ask(lambda views: page_of_run(views, run.id))

    assert json.loads(run.result) == {"fetched": "[redacted]", "given": "[redacted]"}
    assert [each.error.message for each in run.attempts if each.error] == [
        "no luck with [redacted] and {'a': ['ada', '[redacted]'], 'x': []}"
    ]
    assert [line.text for line in page.log] == ["got [redacted] and {'a': ['ada', '[redacted]'], 'x': []}"]
    assert page.run.payload == b'{"inner":{"a":["ada","[redacted]"],"x":[]},"plain":"[redacted]"}'
    assert json.loads(run.payload) == payload  # stored as it was: the next attempt needs it
    stored = what_is_stored(tmp_path)
    assert CANARY[::-1].encode() not in stored
    assert stored.replace(run.payload, b"").count(CANARY.encode()) == 0
