"""Fifty browsers with one question are one question; and nobody is told less than was true when they asked."""

from __future__ import annotations

import asyncio

import pytest

from shiftboss.web.single_flight import SingleFlight

from .conftest import started


class Oven:
    """Makes answers, each when it is let."""

    def __init__(self) -> None:
        self.begun = 0
        self.gate = asyncio.Event()

    async def bake(self) -> bytes:
        self.begun += 1
        number = self.begun
        await self.gate.wait()
        return b"%d" % number


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_asks_while_an_answer_is_under_way_shares_the_next_one():
    oven, single_flight = Oven(), SingleFlight()
    first = asyncio.create_task(single_flight.answer("a", oven.bake))
    await settled()
    others = [asyncio.create_task(single_flight.answer("a", oven.bake)) for _ in range(49)]
    await settled()
    begun_meanwhile = oven.begun
    oven.gate.set()

    assert await first == b"1"
    assert set(await asyncio.gather(*others)) == {b"2"}
    assert (begun_meanwhile, oven.begun) == (1, 2)


async def test_other_questions_do_not_wait():
    oven, single_flight = Oven(), SingleFlight()
    tasks = [asyncio.create_task(single_flight.answer(name, oven.bake)) for name in "abc"]
    await settled()
    begun_meanwhile = oven.begun
    oven.gate.set()

    assert sorted(await asyncio.gather(*tasks)) == [b"1", b"2", b"3"]
    assert begun_meanwhile == 3


async def test_who_leaves_takes_nothing_from_the_others():
    oven, single_flight = Oven(), SingleFlight()
    leaving, staying = (asyncio.create_task(single_flight.answer("a", oven.bake)) for _ in range(2))
    await settled()
    leaving.cancel()
    oven.gate.set()

    assert await staying == b"1"


async def test_a_failure_is_everybodys_and_the_next_question_is_asked_anew():
    single_flight = SingleFlight()

    async def burn() -> bytes:
        raise ValueError("burnt")

    tasks = [asyncio.create_task(single_flight.answer("a", burn)) for _ in range(2)]
    for task in tasks:
        with pytest.raises(ValueError, match="burnt"):
            await task
    oven = Oven()
    oven.gate.set()

    assert await single_flight.answer("a", oven.bake) == b"1"


@pytest.mark.parametrize("page", ["/timeline", "/graph", "/workers/send", "/dead-letters/groups", "/minutes", "/runs"])
async def test_fifty_browsers_on_a_page_ask_the_store_twice_at_most(shop, page, monkeypatch):
    asked = 0
    async with started(shop) as api:
        ask = shop.ask

        async def counted(question):
            nonlocal asked
            asked += 1
            return await ask(question)

        monkeypatch.setattr(shop, "ask", counted)
        answers = await asyncio.gather(*(api.get(page) for _ in range(50)))

    assert len(answers) == 50
    assert 0 < asked <= 2


async def test_what_was_done_is_seen_by_whoever_asks_afterwards(file_shop):
    async with started(file_shop) as api:
        for number in range(20):
            early = asyncio.create_task(api.get("/workers/send"))
            await api.post("/workers/send/disable" if number % 2 == 0 else "/workers/send/enable")
            seen = await api.get("/workers/send")
            await early

            assert seen["worker"]["enabled"] is (number % 2 == 1)
