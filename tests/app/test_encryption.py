"""With a codec nothing that bodies and people say lies in the store as it was said, and everything runs as without."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from postgres_server import Cluster, Place
from shiftboss import (
    ConfigurationError,
    Context,
    DuplicateKey,
    Fatal,
    HistoryFilter,
    LetterFilter,
    Orchestrator,
    Run,
    Status,
    WrongResult,
    command,
)
from shiftboss.app import triggering
from shiftboss.app.store_migration import move
from shiftboss.codec import AesGcmCodec, new_key
from shiftboss.core.holds import IsEncoded
from shiftboss.core.opaque import OpaqueBytes
from shiftboss.errors import StoreRejected
from shiftboss.ports.cycle import CycleReader
from shiftboss.ports.faces import FacesReader
from shiftboss.ports.store import Reader
from shiftboss.stores import encryption
from shiftboss.stores.urls import open_store

CANARY = "canary-3f9a1c77-zoë"
WAIT_S = 60
OLD, NEW, OTHER = new_key(), new_key(), new_key()


class Somewhere:
    """A store, and everything that lies in it as raw bytes."""

    def __init__(self, url: str, dump: Callable[[], bytes]) -> None:
        self.url = url
        self.dump = dump


@pytest.fixture(params=["sqlite", "postgres"])
def at(request: pytest.FixtureRequest, tmp_path: Path) -> Somewhere:
    if request.param == "sqlite":
        return Somewhere(f"sqlite:///{tmp_path / 'boss.db'}", lambda: files(tmp_path))
    place: Place = request.getfixturevalue("place")
    cluster: Cluster = request.getfixturevalue("cluster")
    return Somewhere(place.url, lambda: dumped(cluster, place))


def files(folder: Path) -> bytes:
    """The file, its log and whatever else lies there."""
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def dumped(cluster: Cluster, place: Place) -> bytes:
    """What pg_dump writes; bytes there are hexadecimal, so these are added as they are."""
    text = cluster.run(
        "pg_dump", "-h", "127.0.0.1", "-p", cluster.port, "-U", "postgres", "-n", place.schema, "postgres"
    )
    raw = [bytes.fromhex(word[3:]) for word in text.split() if word.startswith("\\\\x")]
    return text.encode() + b"".join(raw)


def spellings(secret: str) -> Iterator[bytes]:
    """As people might find it: plain, escaped as JSON does, in base64 at each of the three offsets, hexadecimal."""
    plain = secret.encode()
    yield plain
    yield secret.encode("ascii", "backslashreplace")
    yield plain.hex().encode()
    for offset in range(3):
        yield base64.b64encode(b"x" * offset + plain)[offset and 4 : -4]


def occurs(secret: str, data: bytes) -> bool:
    return any(spelling in data for spelling in spellings(secret))


def declared(url: str, codec: Any, ran: list[Any] | None = None, **options: Any) -> Orchestrator:
    boss = Orchestrator(url, codec=codec, shutdown_timeout=5, **options)
    seen: list[Any] = [] if ran is None else ran

    @boss.worker(max_retries=0, max_consecutive_failures=1, fatal_counts=True)
    async def fails(ctx: Context, text: str) -> None:
        ctx.log.warning("logged %s", text)
        ctx.progress(1, 2, f"progress {text}")
        raise Fatal(f"error {text}")

    @boss.worker
    async def echo(ctx: Context, text: str = "") -> str:
        ctx.log.warning("logged %s", text)
        ctx.progress(1, 2, f"progress {text}")
        seen.append(text)
        return text

    return boss


async def ended(boss: Orchestrator, worker: str, *args: Any, **options: Any) -> Run:
    return await (await boss.trigger(worker, *args, **options)).wait(timeout=WAIT_S)


# ── at rest ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def everything_is_said(boss: Orchestrator) -> None:
    """By bodies and by people, in every place that takes their words."""
    await ended(boss, "fails", {"text": CANARY})
    await boss.enable("fails")
    await ended(boss, "echo", {"text": CANARY}, key="k")
    waits = await boss.trigger("echo", {"text": CANARY}, delay="1h")
    await boss.cancel(waits.id, reason=f"cancelled for {CANARY}")
    await boss.trigger("echo", {"text": CANARY}, delay="1h")
    await boss.disable("echo", reason=f"disabled for {CANARY}")
    await boss.enable("echo")
    letter, *_ = await boss.dead_letters(LetterFilter())
    await boss.resolve(letter.run, note=f"resolved for {CANARY}")


async def test_what_was_said_stands_nowhere_in_the_store(at: Somewhere):
    """E1: payload, result, error, traceback, log line, progress, reason, note, event, audit."""
    boss = declared(at.url, AesGcmCodec({"k1": OLD}))
    async with boss:
        await everything_is_said(boss)
        while_it_runs = at.dump()
    afterwards = at.dump()

    assert b"$sb1$k1$" in afterwards
    assert not occurs(CANARY, while_it_runs)
    assert not occurs(CANARY, afterwards)


async def test_the_search_finds_it_where_there_is_no_codec(at: Somewhere):
    """E1: or the test above would say nothing."""
    boss = declared(at.url, None)
    async with boss:
        await everything_is_said(boss)

        assert occurs(CANARY, at.dump())


async def test_everything_reads_as_without_a_codec(at: Somewhere):
    """E1."""
    boss = declared(at.url, AesGcmCodec({"k1": OLD}))
    async with boss:
        failed = await ended(boss, "fails", {"text": CANARY})
        status = (await boss.status()).worker("fails")
        letter, *_ = await boss.dead_letters(LetterFilter())
        handle = await boss.trigger("echo", {"text": CANARY})
        result = await handle.result(timeout=WAIT_S)
        info = await handle.info()
        lines = await boss.lines(handle.id)
        events = boss.opened().read(lambda views: views.events(after=0, limit=100))

    assert failed.error is not None
    assert failed.error.message == f"error {CANARY}"
    assert CANARY in failed.error.traceback
    assert CANARY.encode() in (failed.payload or b"")
    assert failed.attempts[0].error == failed.error
    assert status.disabled is not None
    assert status.disabled.error is not None
    assert status.disabled.error.message == f"error {CANARY}"
    assert status.last_error is not None
    assert status.last_error.message == f"error {CANARY}"
    assert (letter.run, letter.has_payload) == (failed.id, True)
    assert result == CANARY
    assert info.progress is not None
    assert info.progress.message == f"progress {CANARY}"
    assert [line.text for line in lines] == [f"logged {CANARY}"]
    assert any(CANARY in str(event) for _, event in events)


PASSES_THROUGH = {
    "fired": "instants",
    "clock_mark": "the clock",
    "next_give_up": "an instant",
    "counts": "numbers",
    "letter_counts": "numbers",
    "last_event": "a number",
    "unreadable": "ids, and what is wrong with a row",
    "past": "numbers",
    "has_arrivals": "a flag",
    "info": "facts about the store",
    "audit": "rows as they lie there, to be verified without a key of the codec",
    "seals": "digests of those",
    "last_seal": "likewise",
}


def test_each_way_to_read_decodes_or_brings_no_text():
    """E1: a method that is new fails here until somebody has decided."""
    asked = {name for part in (CycleReader, FacesReader, Reader) for name in vars(part) if not name.startswith("_")}
    decodes = {name for name in vars(encryption.EncodedReader) if not name.startswith("_")}

    assert asked - decodes == PASSES_THROUGH.keys()


async def test_the_audit_is_verified_with_and_without_the_codec(at: Somewhere):
    """A8, E1: what is sealed is what lies there; what it says is read with the key alone."""
    boss = declared(at.url, AesGcmCodec({"k1": OLD}))
    async with boss:
        await boss.disable("echo", reason=f"for {CANARY}")
        await boss.enable("echo")
    verdicts, told = [], []
    for codec in (AesGcmCodec({"k1": OLD}), None):
        boss = declared(at.url, codec)
        async with boss.client():
            verdicts.append(await boss.verify_audit())
            told.append(str(await boss.audit()))

    assert verdicts[0] == verdicts[1]
    assert [CANARY in each for each in told] == [True, False]
    assert not occurs(CANARY, at.dump())


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_keys_rotate_and_plain_rows_stay_readable(at: Somewhere):
    """E2: the newest key encodes, each decodes; what was stored before there was a codec is read as it is."""
    ran: list[str] = []
    ids = []
    for codec in (None, AesGcmCodec({"k1": OLD}), AesGcmCodec({"k2": NEW, "k1": OLD})):
        boss = declared(at.url, codec, ran)
        async with boss:
            ids.append((await ended(boss, "echo", {"text": "before"})).id)
            ids.append((await boss.trigger("echo", {"text": "later"}, delay="1h")).id)
    boss = declared(at.url, AesGcmCodec({"k2": NEW, "k1": OLD}))
    async with boss:
        runs = [await boss.run_info(run_id) for run_id in ids]

    assert [run.encoded_by for run in runs] == ["", "", "k1", "k1", "k2", "k2"]
    assert [run.payload for run in runs] == [b'{"text":"before"}', b'{"text":"later"}'] * 3
    assert [run.result for run in runs[::2]] == [b'"before"'] * 3


async def test_a_key_means_the_same_payload_whatever_key_encoded_it(at: Somewhere):
    """O5, E4: the digest is a keyed one; by an older key, and from before there was a codec, it is known as well."""
    runs = []
    for codec in (None, AesGcmCodec({"k1": OLD}), AesGcmCodec({"k2": NEW, "k1": OLD})):
        boss = declared(at.url, codec)
        async with boss:
            for key in ("a", "b")[: 1 + len(runs)]:
                runs.append(await ended(boss, "echo", {"text": "same"}, key=key))
            with pytest.raises(DuplicateKey):
                await boss.trigger("echo", {"text": "other"}, key="a")

    a0, a1, b1, a2, b2 = runs
    assert a0.id == a1.id == a2.id
    assert b1.id == b2.id
    assert (a0.digest or "").startswith("hmac-sha256:") is False
    assert (b1.digest or "").startswith("hmac-sha256:")


async def test_a_replay_keeps_the_plain_bytes_and_is_encoded_with_the_newest_key(at: Somewhere):
    """Q3, E4: also what was stored plain, whose digest would tell it to whoever guesses."""
    for key, codec in (("", None), ("k1", AesGcmCodec({"k1": OLD}))):
        boss = declared(at.url, codec)
        async with boss:
            dead = await ended(boss, "fails", {"text": CANARY})
        assert (dead.status, dead.encoded_by) == (Status.DEAD, key)

        boss = declared(at.url, AesGcmCodec({"k2": NEW, "k1": OLD}))
        async with boss:
            await boss.enable("fails")
            again = await (await boss.replay(dead.id)).wait(timeout=WAIT_S)
            await boss.enable("fails")

        assert again.payload == dead.payload
        assert again.encoded_by == "k2"
        assert (again.digest or "").startswith("hmac-sha256:")


# ── what cannot be read ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "lacking", [None, AesGcmCodec({"k9": OTHER}), AesGcmCodec({"k1": OTHER})], ids=["none", "another", "wrong"]
)
async def test_a_run_whose_payload_cannot_be_decoded_is_held_and_runs_where_it_can_be(at: Somewhere, lacking: Any):
    """E3: nothing is lost, the hold says why, and others of its worker go on."""
    ran: list[str] = []
    boss = declared(at.url, AesGcmCodec({"k1": OLD}))
    async with boss.client(create=True):
        held = await boss.trigger("echo", {"text": CANARY})

    boss = declared(at.url, lacking, ran)
    async with boss:
        why = await when(boss, held.id, lambda why: any(isinstance(hold, IsEncoded) for hold in why.holds))
        others = await ended(boss, "echo", {"text": "plain"})
        shown = await boss.run_info(held.id)

    assert {hold.gate for hold in why.holds} == {"codec"}
    assert "k1" in str(why.holds[0])
    assert (others.status, ran) == (Status.SUCCEEDED, ["plain"])
    assert (shown.status, shown.attempt) == (Status.PENDING, 0)
    assert isinstance(shown.payload, OpaqueBytes)

    boss = declared(at.url, AesGcmCodec({"k2": NEW, "k1": OLD}), ran)
    async with boss:
        done = await boss.wait_for(held.id, timeout=WAIT_S)

    assert (done.status, done.attempt) == (Status.SUCCEEDED, 1)
    assert ran == ["plain", CANARY]


async def when(boss: Orchestrator, run_id: int, is_so: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(WAIT_S):
        while not is_so(why := await boss.why_run(run_id)):
            await asyncio.sleep(0.05)
    return why


async def test_many_runs_that_cannot_be_decoded_do_not_starve_those_behind_them(at: Somewhere):
    """E3: not even more than a node reads of a lane at once."""
    boss = declared(at.url, AesGcmCodec({"k1": OLD}))
    async with boss.client(create=True):
        await asyncio.gather(*(boss.trigger("echo", {"text": "held"}) for _ in range(600)))

    ran: list[str] = []
    boss = declared(at.url, AesGcmCodec({"k9": OTHER}), ran)
    async with boss:
        assert (await ended(boss, "echo", {"text": "behind"})).status is Status.SUCCEEDED

    boss = declared(at.url, AesGcmCodec({"k9": OTHER, "k1": OLD}), ran)
    async with boss, asyncio.timeout(WAIT_S):
        while await boss.runs(HistoryFilter(status=[Status.PENDING])):
            await asyncio.sleep(0.05)

    assert (ran[0], ran.count("held")) == ("behind", 600)


async def test_texts_that_cannot_be_decoded_say_so_and_survive(at: Somewhere):
    """E3: a node without the key changes rows around them, and gives them back as they lay there."""
    boss = declared(at.url, AesGcmCodec({"k1": OLD}))
    async with boss:
        failed = await ended(boss, "fails", {"text": CANARY})

    for codec in (None, AesGcmCodec({"k9": OTHER})):
        boss = declared(at.url, codec)
        async with boss:
            shown = await boss.run_info(failed.id)
            await boss.disable("fails", reason="looked at")
            letters = await boss.dead_letters(LetterFilter(state=None))
            history = await boss.runs(HistoryFilter())
            lines = await boss.lines(failed.id)
            status = (await boss.status()).worker("fails")
        assert shown.error is not None
        assert shown.error.type == "shiftboss.context.Fatal"
        assert shown.error.message.startswith("(encrypted with key 'k1'")
        assert isinstance(shown.payload, OpaqueBytes)
        assert lines[0].text.startswith("(encrypted with key 'k1'")
        assert status.last_error is not None
        assert status.last_error.message.startswith("(encrypted with key 'k1'")
        assert [letter.run for letter in letters] == [failed.id]
        assert [run.id for run in history] == [failed.id]

    boss = declared(at.url, AesGcmCodec({"k2": NEW, "k1": OLD}))
    async with boss:
        assert await boss.run_info(failed.id) == failed
        assert (await boss.lines(failed.id))[0].text == f"logged {CANARY}"


async def test_a_result_that_cannot_be_decoded_is_no_result(at: Somewhere):
    """E3, W6."""
    boss = declared(at.url, AesGcmCodec({"k1": OLD}))
    async with boss:
        done = await ended(boss, "echo", {"text": CANARY})

    boss = declared(at.url, AesGcmCodec({"k9": OTHER}))
    async with boss:
        handle = await boss.trigger("echo", {"text": "x"})
        handle.id = done.id
        with pytest.raises(WrongResult, match="encrypted with key 'k1'"):
            await handle.result(timeout=WAIT_S)


# ── codecs that fail ─────────────────────────────────────────────────────────────────────────────────────────────


class Faulty:
    """Works until it is told what to do instead."""

    key_ids = ("f1",)
    digest_keys = (b"sixteen bytes or more",)

    def __init__(self) -> None:
        self.instead: Callable[[bytes], Any] | None = None

    def encode(self, data: bytes) -> Any:
        return bytes(255 - each for each in data) if self.instead is None else self.instead(data)

    def decode(self, data: bytes) -> bytes:
        return bytes(255 - each for each in data)


def raises(data: bytes) -> bytes:
    raise OSError(f"no key for {data!r}")


FAULTS = {"raises": raises, "text": lambda data: data.decode(), "same": lambda data: data, "none": lambda data: None}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_codec_that_fails_stores_nothing_plain(at: Somewhere, fault: Callable[[bytes], Any]):
    """E5: a payload is refused; what a body says is left out, and what became of its run is not."""
    codec = Faulty()
    boss = declared(at.url, codec)
    async with boss:
        codec.instead = fault
        with pytest.raises(StoreRejected, match="codec's encode") as refused:
            await boss.trigger("echo", {"text": CANARY})
        codec.instead = None
        dead = await boss.trigger("fails", {"text": CANARY}, delay=0.3)
        codec.instead = fault
        dead_run = await dead.wait(timeout=WAIT_S)
        lines = await boss.lines(dead.id)
        stored = at.dump()

    assert CANARY not in str(refused.value)
    assert not occurs(CANARY, stored)
    assert dead_run.status is Status.DEAD
    assert dead_run.error is not None
    assert dead_run.error.type == "shiftboss.context.Fatal"
    assert dead_run.error.message.startswith("(not stored: the codec's encode")
    assert lines[0].text.startswith("(not stored: the codec's encode")


async def test_a_result_that_cannot_be_encoded_is_a_success_without_one(at: Somewhere):
    """E5, W6."""
    codec = Faulty()
    boss = declared(at.url, codec)
    async with boss:
        handle = await boss.trigger("echo", {"text": CANARY}, delay=0.3)
        codec.instead = raises
        done = await handle.wait(timeout=WAIT_S)
        codec.instead = None
        with pytest.raises(WrongResult, match=r"\(not stored: the codec's encode raised OSError\)"):
            await handle.result(timeout=WAIT_S)

    assert (done.status, done.result) == (Status.SUCCEEDED, None)


@pytest.mark.parametrize(
    ("codec", "why"),
    [
        (object(), "is not a codec"),
        (AesGcmCodec, "is not a codec"),
        ("k1", "is not a codec"),
        (type("NoIds", (Faulty,), {"key_ids": ()})(), "key_ids must be"),
        (type("OneId", (Faulty,), {"key_ids": "k1"})(), "key_ids must be"),
        (type("BadId", (Faulty,), {"key_ids": ("a b",)})(), "key_ids must be"),
        (type("NoKeys", (Faulty,), {"digest_keys": ()})(), "digest_keys must be"),
        (type("Short", (Faulty,), {"digest_keys": (b"short",)})(), "digest_keys must be"),
        (type("Raises", (Faulty,), {"encode": lambda self, data: raises(b"")})(), "raised OSError in a test call"),
        (type("Same", (Faulty,), {"encode": lambda self, data: data})(), "its encode left the text readable"),
        (type("Text", (Faulty,), {"encode": lambda self, data: "text"})(), "its encode returned no bytes"),
        (
            type("Loses", (Faulty,), {"decode": lambda self, data: b""})(),
            "its decode did not return what its encode was given",
        ),
    ],
)
def test_a_codec_that_cannot_work_is_refused_before_anything_is_stored(codec: Any, why: str):
    """E5."""
    with pytest.raises(ConfigurationError, match=why):
        Orchestrator("memory:", codec=codec)


# ── what stays as it is ──────────────────────────────────────────────────────────────────────────────────────────


async def test_max_payload_is_about_the_plain_bytes(tmp_path: Path):
    """E1: 1,000 bytes are 1,000, whatever a codec makes of them."""
    boss = Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}", codec=AesGcmCodec({"k1": OLD}))

    @boss.worker(max_payload=1000)
    async def echo(text: str) -> str:
        return text

    async with boss:
        assert await (await echo.trigger("x" * (1000 - len('{"text":""}')))).result(timeout=WAIT_S)
        with pytest.raises(ValueError, match="has 1,001 bytes, the limit is 1,000"):
            await echo.trigger("x" * (1001 - len('{"text":""}')))


def test_the_file_is_one_of_sqlite_all_the_same(tmp_path: Path):
    """E1: names, keys and instants are plain: they are what lists and indexes are about."""
    boss = declared(f"sqlite:///{tmp_path / 'boss.db'}", AesGcmCodec({"k1": OLD}))
    boss.sync.start()
    boss.sync.trigger("echo", {"text": CANARY}, key="order-7", delay="1h")
    boss.sync.stop()

    with sqlite3.connect(tmp_path / "boss.db") as db:
        ((worker, key),) = db.execute("SELECT worker, key FROM run WHERE key IS NOT NULL")
    db.close()
    assert (worker, key) == ("echo", "order-7")


# ── the ways in and out ──────────────────────────────────────────────────────────────────────────────────────────


def in_child(text: str) -> str:
    print(f"printed {text}", file=sys.stderr)
    if text.startswith("dies"):
        raise ValueError(f"child {text}")
    return f"child {text}"


async def test_children_threads_and_programs_get_the_plain_payload(at: Somewhere):
    """E1: over the wire to a child, and to a program, goes what goes without a codec; none of it lies in the store."""
    boss = Orchestrator(at.url, codec=AesGcmCodec({"k1": OLD}), shutdown_timeout=5)
    boss.register("child", in_child, executor="process", max_retries=0)
    boss.register("thread", in_child, executor="thread", max_retries=0)
    boss.register("program", command(["sh", "-c", "cat >&2; exit 3"]), max_retries=0)
    async with boss:
        handles = [await boss.trigger(name, {"text": CANARY}) for name in ("child", "thread")]
        results = [await handle.result(timeout=WAIT_S) for handle in handles]
        dead = [await ended(boss, name, {"text": f"dies {CANARY}"}) for name in ("child", "thread", "program")]
        stored = at.dump()

    assert results == [f"child {CANARY}"] * 2
    assert all("canary-3f9a1c77" in f"{run.error}" for run in dead)
    assert not occurs(CANARY, stored)


async def test_a_trigger_within_a_transaction_is_encoded_before_it_leaves(place: Place, cluster: Cluster):
    """E1, E4: the row of the caller's transaction holds neither the payload nor a digest that takes no key."""
    boss = declared(place.url, AesGcmCodec({"k1": OLD}))
    async with boss.client(create=True):
        async with await psycopg.AsyncConnection.connect(cluster.url) as connection:
            promised = await boss.trigger("echo", {"text": CANARY}, within=connection)
        stored = dumped(cluster, place)
    assert b"$sb1$k1$" in stored
    assert not occurs(CANARY, stored)
    assert hashlib.sha256(f'{{"text":"{CANARY}"}}'.encode()).hexdigest().encode() not in stored

    boss = declared(place.url, AesGcmCodec({"k2": NEW, "k1": OLD}))
    async with boss:
        run = await triggering.promised(boss, promised.promise, timeout_s=WAIT_S)
        done = await boss.wait_for(run.id, timeout=WAIT_S)

    assert (done.status, done.encoded_by) == (Status.SUCCEEDED, "k2")
    assert done.result == f'"{CANARY}"'.encode()


async def test_a_store_moves_as_it_is(tmp_path: Path):
    """E1: from one store to another without a key, and is read there with it."""
    old, new = (f"sqlite:///{tmp_path / name}.db" for name in ("old", "new"))
    boss = declared(old, AesGcmCodec({"k1": OLD}))
    async with boss:
        failed = await ended(boss, "fails", {"text": CANARY})
    source, target = open_store(old), open_store(new)
    try:
        source.open(create=False)
        target.open(create=True)
        await asyncio.to_thread(move, source, target)
    finally:
        source.close()
        target.close()

    assert not occurs(CANARY, files(tmp_path))
    boss = declared(new, AesGcmCodec({"k1": OLD}))
    async with boss.client():
        assert await boss.run_info(failed.id) == failed


async def test_a_secret_is_masked_before_anything_is_encoded(at: Somewhere):
    """E1: who has the key does not read it either."""
    boss = declared(at.url, AesGcmCodec({"k1": OLD}))

    @boss.worker(max_retries=0)
    async def pay(password: str) -> None:
        raise ValueError(f"refused {password}")

    async with boss:
        run = await ended(boss, "pay", {"password": CANARY})

    assert run.error is not None
    assert run.error.message == "refused [redacted]"


async def test_a_client_without_the_codec_is_understood(at: Somewhere):
    """E2: what it triggers lies there plain and runs; what it asks for is answered, as far as it can be."""
    codec = AesGcmCodec({"k1": OLD})
    boss, client = declared(at.url, codec), declared(at.url, None)
    async with boss, client.client():
        plain = await client.trigger("echo", {"text": "plain"})
        done = await plain.wait(timeout=WAIT_S)
        with pytest.raises(WrongResult, match="encrypted with key 'k1', but this process has no codec"):
            await plain.result(timeout=WAIT_S)
        here = await boss.run_info(plain.id)

    assert (done.status, done.encoded_by) == (Status.SUCCEEDED, "")
    assert isinstance(done.result, OpaqueBytes)
    assert (here.payload, here.result) == (b'{"text":"plain"}', b'"plain"')


async def test_a_replay_by_who_lacks_the_key_keeps_the_bytes_and_the_key(at: Somewhere):
    """Q3, E3: the operator needs no key for it."""
    boss = declared(at.url, AesGcmCodec({"k1": OLD}))
    async with boss:
        dead = await ended(boss, "fails", {"text": CANARY})
        await boss.enable("fails")
    client = declared(at.url, None)
    async with client.client():
        again = await client.replay(dead.id)

    boss = declared(at.url, AesGcmCodec({"k2": NEW, "k1": OLD}))
    async with boss:
        done = await boss.wait_for(again.id, timeout=WAIT_S)

    assert done.payload == dead.payload
    assert (done.status, done.encoded_by) == (Status.DEAD, "k1")


async def test_a_damaged_payload_is_held_and_can_be_cancelled(tmp_path: Path):
    """E3: one byte of it was changed: the hold says so, nobody's body sees it, an operator ends it."""
    boss = declared(f"sqlite:///{tmp_path / 'boss.db'}", AesGcmCodec({"k1": OLD}))
    async with boss.client(create=True):
        held = await boss.trigger("echo", {"text": CANARY})
    with sqlite3.connect(tmp_path / "boss.db") as db:
        ((payload,),) = db.execute("SELECT bytes FROM payload")
        db.execute("UPDATE payload SET bytes = ?", (payload[:-1] + bytes([payload[-1] ^ 1]),))
    db.close()

    ran: list[str] = []
    boss = declared(f"sqlite:///{tmp_path / 'boss.db'}", AesGcmCodec({"k1": OLD}), ran)
    async with boss:
        why = await when(boss, held.id, lambda why: bool(why.holds))
        cancelled = await boss.cancel(held.id, reason="damaged")

    assert [hold.gate for hold in why.holds] == ["codec"]
    assert "encrypted with key 'k1' and damaged" in str(why.holds[0])
    assert (cancelled.status, ran) == (Status.CANCELLED, [])


async def test_a_slow_codec_is_named_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: Any):
    """E5: it is called while the store is locked."""
    monkeypatch.setattr(encryption, "SLOW_S", 0.0)
    boss = declared(f"sqlite:///{tmp_path / 'boss.db'}", AesGcmCodec({"k1": OLD}))
    async with boss:
        await ended(boss, "echo", {"text": "x"})

    assert "the codec's encode took" in caplog.text
