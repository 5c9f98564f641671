"""A payload that came as JSON is what was sent, byte for byte, wherever it goes (Q2); what is unclear is refused."""

from __future__ import annotations

import asyncio
import base64
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from click.testing import CliRunner

from shiftboss import DuplicateKey, Orchestrator, WrongPayload, command
from shiftboss.cli.root import root
from shiftboss.codec import AesGcmCodec, new_key
from shiftboss.core import json_text
from shiftboss.web.access import Mounted
from shiftboss.web.application import Application

PATIENCE_S = 30.0
SENT = (
    b'{ "price": 1.10,\n  "share": 0.12345678901234567890, "id": 123456789012345678901234567890, "far": -0.0E+7,'
    b' "z": "\\u00e9\\/", "a": {} }'
)
TWICE = b'{"to": {"name": "ada", "x": 1, "name": "eve"}}'
LEVELS = 200_000
DEEP = b'{"to": ' + b"[" * LEVELS + b"]" * LEVELS + b"}"
SAME_ORIGIN = {"sec-fetch-site": "same-origin", "content-type": "application/json"}


def a_boss(url: str, **options: Any) -> Orchestrator:
    boss = Orchestrator(url, shutdown_timeout=5, **options)

    @boss.worker(max_retries=0, max_consecutive_failures=None)
    def pay(
        price: Decimal = Decimal(0),
        share: Decimal = Decimal(0),
        id: int = 0,
        far: float = 0.0,
        z: str = "",
        a: Any = None,
    ) -> str:
        if z == "dead":
            raise ValueError("no")
        return f"{price} {share} {id}"

    @boss.worker
    def free(to: Any = None, data: Any = None) -> str:
        return repr(to)

    boss.register("cat", command(["cat"]))
    return boss


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'boss.db'}"


def by_http(boss: Orchestrator) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=Application(boss, Mounted(lambda scope: "admin")))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8420")


async def post(boss: Orchestrator, worker: str, sent: bytes, **more: str) -> httpx.Response:
    beside = b"".join(b',"%s":"%s"' % (name.encode(), value.encode()) for name, value in more.items())
    async with by_http(boss) as http:
        body = b'{"payload":%s%s}' % (sent, beside)
        return await http.post(f"/api/v1/workers/{worker}/trigger", content=body, headers=SAME_ORIGIN)


def typed(url: str, worker: str, *words: str, stdin: bytes = b""):
    return command_line(url, "trigger", worker, *words, stdin=stdin)


def command_line(url: str, *words: str, stdin: bytes = b""):
    return CliRunner().invoke(root, words, input=stdin, env={"SHIFTBOSS_STORE": url}, prog_name="shiftboss")


# ── what is sent is what is stored ───────────────────────────────────────────────────────────────────────────────


async def test_through_every_door_it_is_stored_as_it_was_sent(url, tmp_path):
    file = tmp_path / "payload.json"
    file.write_bytes(SENT)
    boss = a_boss(url)
    async with boss:
        runs = [
            (await boss.trigger("pay", msgspec.Raw(SENT))).id,
            (await asyncio.to_thread(boss.sync.trigger, "pay", msgspec.Raw(SENT))).id,
            (await post(boss, "pay", SENT)).json()["run"],
            *[
                int((await asyncio.to_thread(typed, url, "pay", word, stdin=SENT)).stdout)
                for word in (SENT.decode(), f"@{file}", "-")
            ],
        ]
        async with Orchestrator(url).client() as elsewhere:  # which knows no hints
            runs.append((await elsewhere.trigger("pay", msgspec.Raw(SENT))).id)
        results = [await boss.wait_for(run, timeout=PATIENCE_S) for run in runs]

    assert [run.payload for run in results] == [SENT] * 7
    assert {run.result for run in results} == {b'"1.10 0.12345678901234567890 123456789012345678901234567890"'}


async def test_pairs_keep_what_was_typed(url):
    boss = a_boss(url)
    async with boss:
        done = await asyncio.to_thread(typed, url, "free", "to=1.10", 'data={"b": 1.50, "a":[ ]}')
        text = await asyncio.to_thread(typed, url, "free", 'to="x', "data=007")
        payloads = [(await boss.run_info(int(each.stdout))).payload for each in (done, text)]
        refused = await asyncio.to_thread(typed, url, "free", "to=1", "to=2")
        inner = await asyncio.to_thread(typed, url, "free", 'to={"a":1,"a":2}')

    assert payloads == [b'{"to":1.10,"data":{"b": 1.50, "a":[ ]}}', b'{"to":"\\"x","data":"007"}']
    assert (refused.exit_code, "has the name 'to' twice" in refused.output) == (2, True)
    assert (inner.exit_code, "the value of 'to' has the name 'a' twice" in inner.output) == (2, True)


async def test_a_program_reads_it_byte_for_byte(url):
    boss = a_boss(url)
    async with boss:
        run = await (await boss.trigger("cat", msgspec.Raw(SENT))).wait(timeout=PATIENCE_S)
        result = await boss.run_info(run.id)

    assert json.loads(result.result)["stdout"].encode() == SENT if b"stdout" in result.result else SENT in result.result


async def test_a_replay_and_an_export_have_it_too(url):
    sent = b'{"z": "dead", "price": 1.10}'
    boss = a_boss(url)
    async with boss:
        run = await (await boss.trigger("pay", msgspec.Raw(sent))).wait(timeout=PATIENCE_S)
        again = await (await boss.replay(run.id)).wait(timeout=PATIENCE_S)
        exported = await asyncio.to_thread(command_line, url, "dead", "export")

    assert again.payload == sent
    [line] = [json.loads(line) for line in exported.stdout.splitlines()]
    assert base64.b64decode(line["payload_base64"]) == sent


async def test_with_a_codec_the_plain_bytes_are_what_was_sent(url):
    """E4"""
    boss = a_boss(url, codec=AesGcmCodec({"2026": new_key()}))
    async with boss:
        run = await boss.trigger("pay", msgspec.Raw(SENT), key="order-7")
        other = await boss.trigger("pay", msgspec.Raw(SENT.replace(b"1.10", b"11e-1")), key="order-7")
        stored = (await run.wait(timeout=PATIENCE_S)).payload

    assert stored == SENT
    assert other.id == run.id


# ── what it says decides whether it is another one ───────────────────────────────────────────────────────────────


async def test_a_key_knows_a_payload_by_its_values(url):
    """O5: order of names, blanks, digits of a number make no other payload; another value does."""
    boss = a_boss(url)
    async with boss:
        first = await boss.trigger("free", msgspec.Raw(b'{"to": 1.10, "data": "\\u00e9"}'), key="k")
        same = [
            await boss.trigger("free", msgspec.Raw(b'{"data":"\xc3\xa9","to":1.1}'), key="k"),
            await boss.trigger("free", {"to": 1.1, "data": "é"}, key="k"),
        ]
        over_http = await post(boss, "free", b'{"to": 11E-1, "data": "\xc3\xa9"}', key="k")
        with pytest.raises(DuplicateKey):
            await boss.trigger("free", msgspec.Raw(b'{"data":"\xc3\xa9","to":1.11}'), key="k")
        with pytest.raises(DuplicateKey):
            await boss.trigger("free", msgspec.Raw(b'{"data":"\xc3\xa9","to":"1.1"}'), key="k")
        stored = (await boss.run_info(first.id)).payload

    assert {run.id for run in same} | {over_http.json()["run"]} == {first.id}
    assert stored == b'{"to": 1.10, "data": "\\u00e9"}'


async def test_a_key_of_an_older_version_still_knows_its_payload(url, monkeypatch):
    """O5: digests were of the names in order and of the digits as they came."""
    sent = msgspec.Raw(b'{"to": 1.10, "data": 2.0}')
    boss = a_boss(url)
    async with boss:
        with monkeypatch.context() as before:
            before.setattr(json_text, "in_one_form", json_text.as_stored_before)
            run = await boss.trigger("free", sent, key="k")
        again = await boss.trigger("free", sent, key="k")

    assert again.id == run.id


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("worker", ["free", "cat", "pay"])
async def test_a_name_that_stands_twice_is_refused_at_every_door(url, worker, tmp_path):
    said = "has the name 'name' twice at `$.to`"
    boss = a_boss(url)
    async with boss:
        with pytest.raises(WrongPayload, match=r"has the name 'name' twice at `\$\.to`"):
            await boss.trigger(worker, msgspec.Raw(TWICE))
        answer = await post(boss, worker, TWICE)
        shown = await asyncio.to_thread(typed, url, worker, TWICE.decode())
        runs = await boss.runs()

    assert (answer.status_code, "has the name 'name' twice at `$.payload.to`" in answer.json()["detail"]) == (400, True)
    assert (shown.exit_code, said in shown.output) == (2, True)
    assert runs == []


async def test_a_field_of_the_request_that_stands_twice_is_refused(url):
    boss = a_boss(url)
    async with boss:
        answer = await post(boss, "free", b"{}", payload="twice")

    assert answer.status_code == 400
    assert "has the name 'payload' twice" in answer.json()["detail"]


@pytest.mark.parametrize("worker", ["free", "cat", "pay"])
async def test_nesting_without_end_is_the_callers_mistake_at_every_door(url, worker, tmp_path):
    file = tmp_path / "deep.json"
    file.write_bytes(DEEP)
    value: Any = []
    for _ in range(LEVELS):
        value = [value]
    boss = a_boss(url)
    async with boss:
        with pytest.raises(WrongPayload):
            await boss.trigger(worker, {"to": value})
        with pytest.raises(WrongPayload, match="nested deeper than 256 levels"):
            await boss.trigger(worker, msgspec.Raw(DEEP))
        with pytest.raises(WrongPayload):
            await asyncio.to_thread(boss.sync.trigger, worker, {"to": value})
        answer = await post(boss, worker, DEEP)
        shown = [await asyncio.to_thread(typed, url, worker, word, stdin=DEEP) for word in (f"@{file}", "-")]
        pair = await asyncio.to_thread(typed, url, worker, f"to={DEEP[7:-1].decode()}")
        async with Orchestrator(url).client() as elsewhere:
            with pytest.raises(WrongPayload):
                await elsewhere.trigger(worker, {"to": value})
        runs = await boss.runs()
    while value:  # or its end would be as deep
        value = value[0]

    assert (answer.status_code, "nested deeper than 256 levels" in answer.json()["detail"]) == (400, True)
    assert [(done.exit_code, "nested deeper than 256 levels" in done.output) for done in (*shown, pair)] == [
        (2, True)
    ] * 3
    assert runs == []


@pytest.mark.parametrize("levels", [257, 400, 900])
async def test_depth_is_refused_alike_as_text_and_as_a_value(url, levels):
    value: Any = 1
    for _ in range(levels):
        value = [value]
    boss = a_boss(url)
    async with boss:
        with pytest.raises(WrongPayload):
            await boss.trigger("free", {"to": value})
        with pytest.raises(WrongPayload):
            await boss.trigger("free", msgspec.Raw(b'{"to":' + b"[" * levels + b"1" + b"]" * levels + b"}"))


async def test_a_number_that_json_can_write_and_nobody_can_keep_is_refused(url):
    boss = a_boss(url)
    sent = b'{"to": 1e400}'
    async with boss:
        for worker, said in (("free", "JSON has no inf"), ("cat", "out of range")):
            with pytest.raises(WrongPayload, match=said):
                await boss.trigger(worker, msgspec.Raw(sent))
            assert (await post(boss, worker, sent)).status_code == 422
        assert await boss.runs() == []


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"[1, 2]", "a list"),
        (b'"text"', "a string"),
        (b"7", "a number"),
        (b"", "is empty"),
        (b'\xef\xbb\xbf{"to": 1}', "byte order mark"),
        ('{"to": 1}'.encode("utf-16"), "UTF-16"),
        (b'{"to": NaN}', "not valid JSON"),
        (b'{"to": 1} {}', "not valid JSON"),
        (b'{"to": "\\ud800"}', "not valid JSON"),
    ],
)
async def test_what_is_no_object_of_json_is_refused(url, sent, said):
    boss = a_boss(url)
    async with boss:
        for worker in ("free", "cat"):
            with pytest.raises(WrongPayload) as caught:
                await boss.trigger(worker, msgspec.Raw(sent))
            assert said in str(caught.value)
            answer = await post(boss, worker, sent)
            assert answer.status_code == 400
        with pytest.raises(WrongPayload):
            await boss.trigger("free", {"to": "\ud800"})
        runs = await boss.runs()

    assert runs == []


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_page_shows_every_digit_also_beside_a_mask(url):
    """A12"""
    sent = b'{"to": {"password": "hunter22", "id": 12345678901234567890, "price": 1.10, "far": 1E5}, "data": 0.10}'
    boss = a_boss(url)
    async with boss:
        run = await boss.trigger("free", msgspec.Raw(sent))
        await run.wait(timeout=PATIENCE_S)
        async with by_http(boss) as http:
            page = (await http.get(f"/api/v1/runs/{run.id}", headers=SAME_ORIGIN)).content
        shown = await asyncio.to_thread(command_line, url, "show", str(run.id))

    for digits in (b"12345678901234567890", b"1.10", b"1E5", b"0.10"):
        assert digits in page
        assert digits.decode() in shown.output
    assert b"hunter22" not in page
