"""Bodies that use Django's ORM give their connections back, and go on after the server has ended them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from programs import run_program

from postgres_server import Cluster

APP = """
import asyncio, threading, time
from concurrent.futures import ThreadPoolExecutor
import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {**DATABASE, "OPTIONS": {"application_name": NAME}}}, INSTALLED_APPS=[], USE_TZ=True
)
django.setup()
from django.db import connection, transaction
from asgiref.sync import sync_to_async
import psycopg
from shiftboss import Orchestrator

boss = Orchestrator("sqlite:///jobs.db", max_concurrency=20)
together = threading.Barrier(10)

def asks(sql="SELECT pg_backend_pid()"):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]

COUNT = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"

def open_now(expected=0):
    # a backend ends a moment after its client
    until_s = time.monotonic() + 20
    with psycopg.connect(URL, autocommit=True) as own:
        while True:
            (count,) = own.execute(COUNT, [NAME]).fetchone()
            if count == expected or time.monotonic() > until_s:
                return count
            own.execute("SELECT pg_sleep(0.05)")

def end(pid):
    with psycopg.connect(URL, autocommit=True) as own:
        own.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

@boss.worker(max_retries=0, max_consecutive_failures=None)
def beside_nine() -> int:
    found = asks()
    together.wait(30)
    return found

@boss.worker(max_retries=0, max_consecutive_failures=None)
def alone() -> int:
    return asks()

@boss.worker(max_retries=0, max_consecutive_failures=None)
def fails() -> None:
    asks()
    raise ValueError("after the question")

@boss.worker(max_retries=0, max_consecutive_failures=None)
async def on_the_loop() -> int:
    return await sync_to_async(asks)()

@boss.worker(max_retries=0, executor="process", max_consecutive_failures=None)
def in_a_child() -> int:
    return asks()

two = lambda: ThreadPoolExecutor(2)
in_a_pool = boss.register("in-a-pool", asks, pool=two, max_retries=0, max_consecutive_failures=None)

async def run(worker):
    return await (await worker.trigger()).wait(timeout=40)

async def main():
    async with boss:
        left = await test() or 0
    print("AFTER", open_now(left))

# here

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.fixture
def django(cluster: Cluster, tmp_path: Path) -> Any:
    """Runs the app with a test in it, on the real server; what it printed."""
    address = urlsplit(cluster.server)
    database = {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": address.username}
    database |= {"HOST": address.hostname, "PORT": address.port}

    def run(test: str, **more: Any) -> list[str]:
        text = f"DATABASE = {database | more!r}\nURL = {cluster.server + '/postgres'!r}\nNAME = 'shop'\n{APP}"
        done = run_program(tmp_path, text.replace("# here", test))
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def test_ten_bodies_in_threads_leave_no_connection_open(django):
    said = django("""
async def test():
    runs = [await beside_nine.trigger() for _ in range(10)]
    print("PIDS", len({await run.result(timeout=40) for run in runs}))
    await run(fails)
    print("OPEN", open_now())
""")

    assert said == ["PIDS 10", "OPEN 0", "AFTER 0"]


@pytest.mark.parametrize("worker", ["alone", "in_a_child", "in_a_pool"])
def test_a_body_goes_on_after_the_server_has_ended_its_connection(django, worker):
    said = django(f"""
async def test():
    end(int((await run({worker})).result))
    for _ in range(3):
        print((await run({worker})).status)
""")

    assert said == ["succeeded", "succeeded", "succeeded", "AFTER 0"]


def test_what_the_host_asks_to_authorize_a_request_gives_its_connection_back_as_well(django):
    """The dashboard is mounted beside Django: no request of Django's tidies up there."""
    said = django("""
from starlette.requests import Request
from shiftboss.web.access import Mounted

def of_the_request(request):
    return "viewer" if asks() else None

async def of_a_coroutine(request):
    return "viewer" if await sync_to_async(asks)() else None

async def test():
    request = Request({"type": "http", "headers": []})
    print((await Mounted(of_the_request).access(request)).role.name, open_now())
    end(await sync_to_async(asks)())
    for _ in range(2):
        try:
            print((await Mounted(of_a_coroutine).access(request)).role.name)
        except Exception as error:
            print(type(error).__name__)
    return 1
""")

    assert said == ["VIEWER 0", "Problem", "VIEWER", "AFTER 1"]


def test_a_connection_that_may_live_longer_is_used_again_until_its_thread_ends(django):
    """`CONN_MAX_AGE` is Django's word; one that broke is replaced after one failure, or before with health checks."""
    said = django(
        """
async def test():
    first, second = [int((await run(alone)).result) for _ in range(2)]
    print(first == second, open_now(1))
    end(first)
    print((await run(alone)).status, (await run(alone)).status)
""",
        CONN_MAX_AGE=600,
    )

    assert said == ["True 1", "dead succeeded", "AFTER 0"]


def test_an_async_body_fails_once_and_goes_on_after_the_server_has_ended_its_connection(django):
    said = django("""
async def test():
    end(int((await run(on_the_loop)).result))
    for _ in range(3):
        print((await run(on_the_loop)).status)
    return 1  # in the thread of asgiref, which lives as long as the process
""")

    assert said == ["dead", "succeeded", "succeeded", "AFTER 1"]


def test_without_django_nothing_is_looked_for(tmp_path):
    done = run_program(
        tmp_path,
        """
import asyncio, sys
from shiftboss import Orchestrator
boss = Orchestrator("memory:")

@boss.worker
def works() -> bool:
    return any(name.partition(".")[0] in ("django", "asgiref") for name in sys.modules)

async def main():
    async with boss:
        print(await (await works.trigger()).result(timeout=30))

asyncio.run(main())
""",
    )

    assert done.stdout == "False\n"
