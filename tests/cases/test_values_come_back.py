"""What is given to a worker and what comes of it, through every executor and door (W5, W6)."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

import pytest
import value_bodies as bodies
from value_bodies import INVOICE, KEYED, Invoice

from shiftboss import Idle, Orchestrator, Status, WrongPayload, WrongResult, command
from shiftboss.cli.payload import read_payload
from shiftboss.errors import CallerError
from shiftboss.executors.parameters import plain_payload

CANARY = "canary-3f9a1c77"


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'boss.db'}"


@pytest.fixture
def boss(url):
    return Orchestrator(url, shutdown_timeout=5)


async def test_through_every_executor_values_keep_their_types(boss):
    """W5, W6."""
    pool = ThreadPoolExecutor(1)
    workers = [
        boss.register("coroutine", bodies.on_a_loop),
        boss.register("thread", bodies.plain),
        boss.register("process", bodies.plain, executor="process"),
        boss.register("process-loop", bodies.on_a_loop, executor="process"),
        boss.register("pool", bodies.plain, pool=pool),
    ]
    async with boss:
        runs = [await worker.trigger(INVOICE, keyed=KEYED) for worker in workers]
        results = [await run.result(timeout=30) for run in runs]
        by_name = await boss.trigger("thread", {"invoice": INVOICE, "keyed": KEYED})
        from_sync = await asyncio.to_thread(boss.sync.result, by_name.id, timeout=30)
    pool.shutdown()

    assert [*results, from_sync] == [(INVOICE, KEYED)] * 6
    assert {type(result[0]) for result in results} == {Invoice}


async def test_where_the_worker_is_not_declared_a_result_is_json_and_a_payload_must_be(boss, url):
    """W5, W6."""
    boss.register("thread", bodies.plain)
    async with boss:
        run = await boss.trigger("thread", {"invoice": INVOICE, "keyed": KEYED})
        await run.wait(timeout=10)
        async with Orchestrator(url).client() as elsewhere:
            result = await asyncio.to_thread(elsewhere.sync.result, run.id, timeout=10)
            with pytest.raises(
                WrongPayload, match=r"JSON would change .*Invoice at `\$\.invoice` to dict; register the worker"
            ):
                await elsewhere.trigger("thread", {"invoice": INVOICE})
            spelled = await elsewhere.trigger("thread", json.loads(run_payload(await run.info())))
            await spelled.wait(timeout=10)
        again = await asyncio.to_thread(boss.sync.result, spelled.id, timeout=10)

    assert result[0]["total"] == "1.10"
    assert again == (INVOICE, KEYED)


def run_payload(run):
    return run.payload.decode()


@pytest.mark.parametrize(
    ("body", "reason", "kept"),
    [
        (bodies.says_nothing, "to dict; annotate its return type", True),
        (bodies.breaks_its_word, "it does not fit -> int: Expected `int`, got `str`", True),
        (bodies.forgets, "it is None, but the function says -> Invoice", False),
        (bodies.large, "it has more than 65,536 bytes; nothing of it was kept", False),
    ],
)
@pytest.mark.parametrize("executor", ["thread", "process"])
async def test_what_cannot_be_given_back_is_a_success_whose_result_raises(boss, body, reason, kept, executor):
    """W6."""
    worker = boss.register("worker", body, executor=executor)
    async with boss:
        run = await worker.trigger()
        with pytest.raises(WrongResult) as raised:
            await run.result(timeout=30)
        info = await run.info()
        with pytest.raises(WrongResult):
            await asyncio.to_thread(boss.sync.result, run.id, timeout=10)

    assert isinstance(raised.value, CallerError)
    assert str(raised.value).startswith(f"run {run.id} of 'worker' succeeded, but its result cannot be returned: ")
    assert reason in str(raised.value)
    assert info.status is Status.SUCCEEDED
    assert (info.result is not None) == kept


async def test_a_result_that_a_mask_made_unfit_raises_and_says_so(boss):
    """W6: the run has succeeded."""

    @boss.worker()
    def fits() -> dict[str, str]:
        return {"token": CANARY}

    @boss.worker()
    def does_not() -> dict[str, int]:
        return {"token": 12345678}

    async with boss:
        assert await (await fits.trigger()).result(timeout=10) == {"token": "[redacted]"}
        run = await does_not.trigger()
        with pytest.raises(WrongResult, match=r"a secret in it was masked before it was stored \(\[redacted\]\)"):
            await run.result(timeout=10)
        assert await run.status() is Status.SUCCEEDED


async def test_a_reason_gives_no_secret_away(boss):
    @boss.worker()
    def breaks(token: str) -> datetime:
        return f"valid until token={token}"  # type: ignore[return-value]  # what is tested

    async with boss:
        run = await breaks.trigger(CANARY)
        with pytest.raises(WrongResult) as raised:
            await run.result(timeout=10)

    assert CANARY not in str(raised.value)


async def test_results_of_continuous_bodies_of_fallbacks_and_of_commands(boss):
    """W6, M5, K3."""
    iterations = asyncio.Event()

    @boss.worker(continuous=True)
    async def drains() -> int | Idle:
        iterations.set()
        return Idle("1h")

    said = boss.register("says", command(["sh", "-c", "cat"], stdin="payload"))
    async with boss:
        await asyncio.wait_for(iterations.wait(), 10)
        run = await said.trigger(at="2026-01-01", n=[1, {"a": None}])
        result = await run.result(timeout=10)
        with pytest.raises(
            WrongPayload, match=r"JSON would change datetime\.datetime at `\$\.at` to str; a command reads JSON"
        ):
            await said.trigger(at=datetime(2026, 1, 1, tzinfo=UTC))
        with pytest.raises(WrongPayload, match="JSON has no nan"):
            await said.trigger(n=[{"a": float("nan")}])

    assert json.loads(result["stdout"]) == {"at": "2026-01-01", "n": [1, {"a": None}]}


async def test_a_model_of_pydantic_goes_in_and_comes_out(boss):
    """W5, W6."""
    pydantic = pytest.importorskip("pydantic")
    Order = pydantic.create_model("Order", number=(int, ...), at=(datetime, ...))

    def ship(order):
        return [order, order]

    ship.__annotations__ = {"order": Order, "return": list[Order]}
    ship = boss.register("ship", ship)

    async with boss:
        order = Order(number=7, at=datetime(2026, 1, 1, tzinfo=UTC))
        assert await (await ship.trigger(order)).result(timeout=10) == [order, order]
        assert (
            await (await boss.trigger("ship", {"order": order.model_dump(mode="json")})).result(timeout=10)
            == [order] * 2
        )


async def test_a_number_keeps_its_digits_until_a_hint_reads_it(boss, url):
    """W5: as it came over HTTP or from the command, declared here or not."""

    @boss.worker()
    def pay(price: Decimal, share: float, note) -> list[str]:
        return [repr(price), repr(share), repr(note)]

    given = '{"price": 0.12345678901234567890, "share": 0.12345678901234567890, "note": [1.10]}'
    kept = ["Decimal('0.12345678901234567890')", "0.12345678901234568", "[1.1]"]
    async with boss:
        here = await boss.trigger("pay", read_payload((given,)))
        assert await here.result(timeout=10) == kept
        async with Orchestrator(url).client() as elsewhere:
            there = await elsewhere.trigger("pay", read_payload((given,)))
        assert await asyncio.to_thread(boss.sync.result, there.id, timeout=10) == kept
        for number in ("1e400", "-1e400"):
            with pytest.raises(WrongPayload, match=r"parameter 'note': JSON has no -?inf"):
                await boss.trigger("pay", read_payload(("price=1", "share=1", f"note={number}")))
            with pytest.raises(WrongPayload, match="Number out of range"):
                plain_payload("pay", bytes(read_payload((f"note={number}",))), "why")


async def test_postgresql_keeps_values_and_reasons_alike(place):
    """W5, W6."""
    boss = Orchestrator(place.url, shutdown_timeout=5)
    whole = boss.register("whole", bodies.plain)

    @boss.worker()
    def breaks() -> Literal["a"]:
        return "a\0"  # type: ignore[return-value]  # what is tested

    async with boss:
        run = await whole.trigger(INVOICE, keyed=KEYED)
        assert await run.result(timeout=30) == (INVOICE, KEYED)
        run = await breaks.trigger()
        with pytest.raises(WrongResult, match="it does not fit -> Literal"):
            await run.result(timeout=30)


async def test_the_command_says_when_what_it_prints_is_not_what_was_returned(boss, url):
    """W6."""
    boss.register("pair", lambda: (1, "a"))
    async with boss:
        done = await asyncio.to_thread(shiftboss, "trigger", "pair", "--wait", "--timeout", "30s", "--store", url)
        shown = await asyncio.to_thread(shiftboss, "show", "1", "--store", url)

    assert (done.stdout, done.returncode) == ('[1,"a"]\n', 0)
    assert "the return value could not be stored as it was: JSON would change tuple to list" in done.stderr
    assert "its result cannot be returned: JSON would change tuple to list" in shown.stderr


def shiftboss(*words):
    words = [sys.executable, "-m", "shiftboss", *words]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
