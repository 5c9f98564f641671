"""Bodies that raise what no handler expects, break their pool, change the process, or are functions of an odd make."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import strange_bodies as bodies
from programs import run_program

from shiftboss import Context, Orchestrator
from shiftboss.core.model import Status
from shiftboss.errors import ConfigurationError

WITHIN_S = 60

request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="none")


@pytest.fixture
def boss(tmp_path: Path) -> Orchestrator:
    return Orchestrator(f"sqlite:///{tmp_path / 'jobs.db'}", shutdown_timeout=5)


async def test_whatever_a_body_raises_its_run_is_dead_by_that_name_and_the_node_lives(boss, tmp_path):
    """In a thread and on the loop; afterwards the command can print all of it."""
    options: dict[str, Any] = {"max_retries": 0, "max_consecutive_failures": None}
    boss.register("thread", bodies.raises, **options)
    boss.register("loop", bodies.raises_on_the_loop, **options)
    boss.register("fine", lambda: "alive")
    ends, wanted = {}, {}
    async with boss:
        for worker in ("thread", "loop"):
            for kind in bodies.ERRORS:
                run = await (await boss.trigger(worker, {"kind": kind})).wait(timeout=WITHIN_S)
                ends[worker, kind] = (run.status, run.error is not None and run.error.type.rpartition(".")[2])
                wanted[worker, kind] = (Status.DEAD, name_of(kind, worker))
        assert await (await boss.trigger("fine")).result(timeout=WITHIN_S) == "alive"
    assert ends == wanted

    dead = subprocess.run(
        [sys.executable, "-m", "shiftboss", "dead", "-s", "jobs.db"],
        cwd=tmp_path, capture_output=True, timeout=WITHIN_S, check=False,
    )  # fmt: skip
    assert (dead.returncode in (0, 3), b"Traceback" in dead.stderr) == (True, False), dead
    assert b"\x1b[31m" not in dead.stdout


def name_of(kind: str, worker: str) -> str:
    if worker == "loop" and kind in ("StopIteration", "StopAsyncIteration"):
        return "RuntimeError" if kind == "StopIteration" else kind  # PEP 479
    return type(bodies.ERRORS[kind]()).__name__


@pytest.mark.cases
async def test_a_pool_that_an_exception_broke_runs_what_comes_after(boss):
    """One that cannot be unpickled, and a child that exits."""
    context = get_context("forkserver" if sys.platform != "win32" else "spawn")
    boss.register(
        "pooled", bodies.in_a_pool, pool=lambda: ProcessPoolExecutor(2, mp_context=context), max_retries=0,
        max_consecutive_failures=None,
    )  # fmt: skip
    ends = []
    async with boss:
        for number in (5, 0, 6, 1, 7):
            run = await (await boss.trigger("pooled", {"number": number})).wait(timeout=WITHIN_S)
            ends.append((number, run.status))
    dead, good = Status.DEAD, Status.SUCCEEDED
    assert ends == [(5, good), (0, dead), (6, good), (1, dead), (7, good)]


async def test_context_variables_of_one_attempt_are_not_those_of_the_next(boss):
    """In threads that are used again and on the loop; what a body starts itself sees the body's own."""
    seen: dict[str, list[str]] = {"thread": [], "loop": [], "child": []}

    @boss.worker(concurrency=1)
    def thread(number: int) -> None:
        seen["thread"].append(request.get())
        request.set(f"of run {number}")

    @boss.worker(concurrency=1)
    async def loop(number: int) -> None:
        seen["loop"].append(request.get())
        request.set(f"of run {number}")
        await asyncio.to_thread(lambda: seen["child"].append(request.get()))

    async with boss:
        request.set("of the caller")  # after the start: no body is to see it
        for number in range(3):
            for worker in (thread, loop):
                await (await worker.trigger(number)).result(timeout=WITHIN_S)
    assert seen == {"thread": ["none"] * 3, "loop": ["none"] * 3, "child": [f"of run {n}" for n in range(3)]}


def test_a_body_that_changes_the_folder_takes_no_store_along(tmp_path: Path):
    """A relative path is that of the start: for triggers, status, children and the synchronous face."""
    (tmp_path / "elsewhere").mkdir()
    done = run_program(
        tmp_path,
        """
import asyncio, os
from shiftboss import Orchestrator

boss = Orchestrator("sqlite:///jobs.db")

def where() -> str:
    return os.getcwd()

child = boss.register("child", where, executor="process", max_retries=0)

@boss.worker()
def moves() -> None:
    os.chdir("elsewhere")

async def main():
    async with boss:
        await (await moves.trigger()).result(timeout=30)
        assert os.path.basename(os.getcwd()) == "elsewhere"
        print(sorted(worker.name for worker in (await boss.status()).workers))
        await (await child.trigger()).result(timeout=30)
        run = await asyncio.to_thread(boss.sync.trigger, "child")
        await asyncio.to_thread(boss.sync.result, run.id, timeout=30)
        print(sorted(run.worker for run in await boss.runs()))

if __name__ == "__main__":
    asyncio.run(main())
""",
    )
    assert (done.returncode, done.stdout.splitlines()) == (0, ["['child', 'moves']", "['child', 'child', 'moves']"]), (
        done.stderr
    )
    assert list((tmp_path / "elsewhere").iterdir()) == []


# ── functions of every make ──────────────────────────────────────────────────────────────────────────────────────────

calls: list[str] = []


def timed(fn):
    @functools.wraps(fn)
    def inner(*args, **kwargs):
        calls.append(fn.__name__)
        return fn(*args, **kwargs)

    return inner


def timed_async(fn):
    @functools.wraps(fn)
    async def inner(*args, **kwargs):
        calls.append(fn.__name__)
        return await fn(*args, **kwargs)

    return inner


class Mailer:
    def __init__(self, host: str) -> None:
        self.host = host

    def send(self, to: str) -> str:
        return f"{self.host}:{to}"

    @classmethod
    def of_the_class(cls, to: str) -> str:
        return f"{cls.__name__}:{to}"

    @staticmethod
    def of_nobody(to: str) -> str:
        return to

    def __call__(self, to: str) -> str:
        return f"called:{to}"


@timed
def decorated(ctx: Context, to: str) -> str:
    return f"{to}/{ctx.attempt}"


@timed_async
async def decorated_async(to: str) -> str:
    return to


async def test_functions_of_every_make_run_with_their_arguments(boss):
    makes = {
        "decorated": (decorated, "z/1"),
        "decorated-async": (decorated_async, "z"),
        "bound": (Mailer("host").send, "host:z"),
        "of-the-class": (Mailer.of_the_class, "Mailer:z"),
        "of-nobody": (Mailer.of_nobody, "z"),
        "object": (Mailer("host"), "called:z"),
        "partial": (functools.partial(Mailer("host").send), "host:z"),
        "partly-filled": (functools.partial(lambda first, to: first + to, "x"), "xz"),
        "lambda": (lambda to: to, "z"),
        "cached": (functools.lru_cache(lambda to: to), "z"),
    }
    for name, (fn, _) in makes.items():
        boss.register(name, fn)
    calls.clear()
    async with boss:
        for name, (_, result) in makes.items():
            run = await boss.trigger(name, {"to": "z"})
            assert await run.result(timeout=WITHIN_S) == result, name
    assert calls == ["decorated", "decorated_async"]


@pytest.mark.parametrize(
    "fn", [Mailer.send, print, lambda *args, **options: None], ids=["no object", "builtin", "stars"]
)
def test_what_can_be_no_body_is_refused_by_its_workers_name(boss, fn):
    with pytest.raises(ConfigurationError, match="'odd'"):
        boss.register("odd", fn)


def test_a_lambda_without_a_name_is_asked_for_one(boss):
    with pytest.raises(ConfigurationError, match="name"):
        boss.worker()(lambda: None)
