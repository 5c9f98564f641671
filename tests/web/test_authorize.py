"""Whatever the host's `authorize` does: who has no role gets 403, in time, and the log says whose mistake it was."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading

import httpx
import pytest
from starlette.exceptions import HTTPException

from shiftboss.testing.clock import VirtualClock
from shiftboss.web import authorize
from shiftboss.web.access import Mounted
from shiftboss.web.application import Application

from .conftest import BASE, SAME_ORIGIN, a_shop

STATUS, LIVEZ, READYZ, HEALTHZ = "/api/v1/status", "/livez", "/readyz", "/healthz"
KIND = "urn:shiftboss:problem:"


class Unprintable:
    """Like a user that is fetched from a database when it is shown."""

    def __str__(self) -> str:
        raise LookupError("no database here")


class Asked:
    """A callable object, as a host may have for its settings."""

    def __init__(self, answer) -> None:
        self.answer = answer

    async def __call__(self, request):
        return self.answer()


def raising(error: BaseException):
    def answer(request=None):
        raise error

    return answer


def as_coroutine(function):
    async def answer(request):
        return function(request)

    return answer


WAYS = {
    "plain": lambda function: function,
    "coroutine": as_coroutine,
    "partial": lambda function: functools.partial(as_coroutine(function)),
    "callable": lambda function: Asked(lambda: function(None)),
    "lambda around a coroutine": lambda function: lambda request: as_coroutine(function)(request),
}
ERRORS = [ValueError("x"), HTTPException(401), StopIteration(), asyncio.CancelledError(), SystemExit(1), TimeoutError()]
NONSENSE = ["root", 1, True, ("admin",), ("admin", "ada", 3), [], b"admin", Unprintable(), ("admin", Unprintable()), {}]


@pytest.fixture
async def boss():
    async with (boss := a_shop("memory:")):
        yield boss


def a_client(boss, function) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(Application(boss, Mounted(function)), client=("192.0.2.7", 5))
    return httpx.AsyncClient(transport=transport, base_url=BASE, headers=SAME_ORIGIN)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_what_authorize_raises_is_the_hosts_and_nobodys_access(boss, caplog, error, way):
    async with a_client(boss, WAYS[way](raising(error))) as client:
        found = await client.get(STATUS)
        page = await client.get("/")
        alive = [(await client.get(path)).status_code for path in (LIVEZ, READYZ, HEALTHZ)]

    assert (found.status_code, found.json()["type"]) == (403, f"{KIND}authorize-failed")
    assert page.status_code == 403
    assert alive == [200, 200, 200]
    (line,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    raised = line.exc_info[1]
    assert error in (raised, raised.__cause__)  # Python makes a RuntimeError of a coroutine's StopIteration
    assert line.getMessage() == f"the host's authorize= raised {type(raised).__name__}; the request is refused"
    assert "bug in shiftboss" not in caplog.text


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("answer", NONSENSE, ids=lambda answer: type(answer).__name__)
async def test_what_is_no_role_lets_nobody_in(boss, caplog, answer, way):
    async with a_client(boss, WAYS[way](lambda request: answer)) as client:
        found = await client.get(STATUS)

    assert found.status_code == 403
    assert found.json()["type"] in (f"{KIND}wrong-authorize", f"{KIND}authorize-failed")
    assert sum(each.levelno == logging.ERROR for each in caplog.records) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("answer", "code"), [("viewer", 200), (("admin", "ada"), 200), (None, 403), (False, 403)])
async def test_a_role_is_one_however_authorize_is_written(boss, way, answer, code):
    async with a_client(boss, WAYS[way](lambda request: answer)) as client:
        assert (await client.get(STATUS)).status_code == code


async def test_an_authorize_that_always_fails_does_not_fill_the_log(boss, caplog):
    async with a_client(boss, raising(ValueError("x"))) as client:
        for _ in range(100):
            assert (await client.get(STATUS)).status_code == 403

    assert len(caplog.records) == 2  # one of the host's mistake, one of the refusal


async def test_the_lines_that_were_left_out_are_counted(boss, caplog):
    clock = VirtualClock("2026-03-01")
    authenticator = Mounted(raising(ValueError("x")))
    authenticator._host._throttle._clock = clock
    transport = httpx.ASGITransport(Application(boss, authenticator))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        for _ in range(3):
            await client.get(STATUS)
        clock.advance(61)
        await client.get(STATUS)

    assert [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR] == [
        "the host's authorize= raised ValueError; the request is refused",
        "the host's authorize= raised ValueError; the request is refused; 2 more like this since the last line",
    ]


# ── in time ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(authorize, "AUTHORIZE_WITHIN_S", 0.05)


async def never(request):
    await asyncio.Event().wait()


@pytest.mark.parametrize("function", [never, lambda request: never(request)], ids=["coroutine", "lambda"])
async def test_a_coroutine_that_hangs_is_ended_and_refused(boss, caplog, hurried, function):
    async with a_client(boss, function) as client:
        found = await client.get(STATUS)

    assert (found.status_code, found.json()["type"]) == (403, f"{KIND}authorize-timeout")
    assert "the host's authorize= did not answer within 0.05 s" in caplog.text
    await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if task.get_name() == "shiftboss authorize"] == []


async def test_threads_that_hang_have_a_bound_and_the_next_request_its_answer(boss, hurried, monkeypatch):
    monkeypatch.setattr(authorize, "MAX_THREADS", 3)
    go_on, begun = threading.Event(), []

    def hangs(request):
        begun.append(1)
        go_on.wait(30)
        return "viewer"

    async with a_client(boss, hangs) as client:
        codes = [each.status_code for each in await asyncio.gather(*(client.get(STATUS) for _ in range(20)))]
        during = len(begun)
        alive = [(await client.get(path)).status_code for path in (LIVEZ, READYZ, HEALTHZ)]
        go_on.set()
        monkeypatch.setattr(authorize, "AUTHORIZE_WITHIN_S", 30.0)
        after = (await client.get(STATUS)).status_code

    assert (codes, during, alive, after) == ([403] * 20, 3, [200, 200, 200], 200)


async def test_who_gives_up_first_leaves_nothing_behind(boss):
    """A probe waits for a fifth of a second; the coroutine is ended with it."""
    ended = asyncio.Event()

    async def hangs(request):
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with a_client(boss, hangs) as client:
        code = (await client.get(READYZ)).status_code
        await asyncio.wait_for(ended.wait(), 30)

    assert code == 200
