"""Programs that others made: servers with many processes, event loops of other makes, greenlets, test clients."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import defaultdict
from pathlib import Path

import pytest
from ends import Node
from programs import run_program
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from shiftboss import Orchestrator

WITHIN_S = 30


def test_greenlets_trigger_and_wait_and_schedules_go_on(tmp_path: Path):
    """gevent, with everything patched: the hub is not blocked by a wait, and the program ends."""
    done = run_program(
        tmp_path,
        """
from gevent import monkey; monkey.patch_all()
import gevent
from shiftboss import Orchestrator

boss = Orchestrator("sqlite:///jobs.db")

@boss.worker(every="100ms")
def tick() -> None: ...

@boss.worker()
async def after_all(number: int) -> int:
    import asyncio, pathlib
    while not pathlib.Path("release").exists():
        await asyncio.sleep(0.02)
    return number

waiting = []

def request(number):
    run = boss.sync.trigger("after-all", {"number": number})
    waiting.append(number)
    return boss.sync.result(run.id, timeout=40)

def release():  # it runs only if those that wait leave the hub to others
    while len(waiting) < 10:
        gevent.sleep(0.02)
    open("release", "w").close()

boss.sync.start()
jobs = [gevent.spawn(request, number) for number in range(10)]
gevent.spawn(release)
gevent.joinall(jobs, timeout=50)
print(sorted(job.value for job in jobs))
while sum(run.worker == "tick" and run.status == "succeeded" for run in boss.sync.runs()) < 5:
    gevent.sleep(0.05)
boss.sync.stop()
print("stopped")
""",
    )
    assert (done.returncode, done.stdout.splitlines()) == (0, [str(list(range(10))), "stopped"]), done.stderr


@pytest.mark.cases
@pytest.mark.skipif(os.name != "posix", reason="gunicorn forks")
def test_processes_of_one_server_share_a_schedule_also_when_one_is_killed(tmp_path: Path):
    """C1, O1: three workers of gunicorn; each instant is of one run, and what is left of them goes on."""
    text = """
import os
from contextlib import asynccontextmanager
from shiftboss import Context, Orchestrator
from starlette.applications import Starlette

boss = Orchestrator("sqlite:///jobs.db", shutdown_timeout=5)

@boss.worker(cron="* * * * * *")
def tick(ctx: Context) -> None:
    with open("ledger", "a") as ledger:
        ledger.write(f"{ctx.occurs_at.timestamp():.0f} {ctx.run_id} {os.getpid()}\\n")

@asynccontextmanager
async def lifespan(app):
    async with boss.lifespan(app):
        open(f"up-{os.getpid()}", "w").close()
        yield

app = Starlette(lifespan=lifespan)
"""
    command = ["-m", "gunicorn", "-k", "uvicorn.workers.UvicornWorker", "-w", "3", "-b", "127.0.0.1:0", "app:app"]
    ledger = tmp_path / "ledger"

    def lines() -> list[list[str]]:
        return [line.split() for line in ledger.read_text().splitlines()] if ledger.exists() else []

    with Node(tmp_path, text, sys.executable, *command) as server:
        server.until(lambda: len(list(tmp_path.glob("up-*"))) >= 3, "its processes are not up")
        server.until(lambda: len(lines()) >= 3, "nothing runs")
        os.kill(int(lines()[-1][2]), signal.SIGKILL)
        so_far = len(lines())
        server.until(lambda: len(lines()) >= so_far + 4, "it does not go on")
        server.process.send_signal(signal.SIGTERM)
        assert server.ends() == 0
    runs = defaultdict(set)
    for instant, run, _ in lines():
        runs[instant].add(run)
    assert {len(each) for each in runs.values()} == {1}


def test_one_orchestrator_is_used_on_one_loop_after_another(tmp_path: Path):
    """`asyncio.run` twice, uvloop in between, and asyncio's own again."""
    text = """
import asyncio, uvloop
from shiftboss import Orchestrator

boss = Orchestrator("sqlite:///jobs.db")

@boss.worker()
async def loop_of(number: int) -> str:
    await asyncio.sleep(0)
    return f"{number} {type(asyncio.get_running_loop()).__module__.partition('.')[0]}"

async def main(number):
    async with boss:
        return await (await loop_of.trigger(number)).result(timeout=30)

for number, run in enumerate((asyncio.run, asyncio.run, uvloop.run, asyncio.run)):
    print(run(main(number)))
"""
    done = run_program(tmp_path, text)

    assert done.stdout.splitlines() == ["0 asyncio", "1 asyncio", "2 uvloop", "3 asyncio"], done.stderr
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.filterwarnings("ignore:Using `httpx`")  # of Starlette, on import
def test_a_lifespan_is_entered_and_left_by_one_test_client_after_another():
    """Each has a loop of its own in a thread of its own; none leaves a thread of ours."""
    from starlette.testclient import TestClient

    boss = Orchestrator("memory:")

    @boss.worker()
    async def on_the_loop(number: int) -> int:
        return number * 2

    @boss.worker()
    def in_a_thread(number: int) -> int:
        return number * 3

    async def asks(request: Request) -> JSONResponse:
        runs = [await worker.trigger(1) for worker in (on_the_loop, in_a_thread)]
        return JSONResponse([await run.result(timeout=WITHIN_S) for run in runs])

    def asks_in_a_thread(request: Request) -> JSONResponse:
        run = boss.sync.trigger("on-the-loop", {"number": 4})
        return JSONResponse(boss.sync.result(run.id, timeout=WITHIN_S))

    app = Starlette(lifespan=boss.lifespan, routes=[Route("/", asks), Route("/thread", asks_in_a_thread)])
    answers = []
    before = set(threading.enumerate())  # one of a whole process (deadlines of PostgreSQL's calls) may be there already
    for _ in range(5):
        with TestClient(app) as client:
            answers.append((client.get("/").json(), client.get("/thread").json()))

    assert answers == [([2, 3], 8)] * 5
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("shiftboss"):
            thread.join(WITHIN_S)
            assert not thread.is_alive(), thread.name
