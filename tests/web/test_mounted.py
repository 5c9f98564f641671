"""Mounted in real hosts under a prefix, with roles from the host's own session."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from shiftboss.web.server import ListenAddress

from .conftest import BASE, SAME_ORIGIN, Sse, a_shop

PREFIX = "/admin/jobs"


def role_of(request):
    return request.session.get("role")


async def log_in(request: Request):
    request.session["role"] = request.path_params["role"]
    return PlainTextResponse("in")


def in_starlette(boss, prefix=PREFIX):
    return Starlette(
        routes=[Route("/login/{role}", log_in), Mount(prefix, boss.asgi(role_of))],
        middleware=[Middleware(SessionMiddleware, secret_key="x" * 32)],
        lifespan=boss.lifespan,
    )


def in_fastapi(boss, prefix=PREFIX):
    app = FastAPI(lifespan=boss.lifespan)
    app.add_middleware(SessionMiddleware, secret_key="x" * 32)
    app.add_api_route("/login/{role}", log_in)
    app.mount(prefix, boss.asgi(role_of))
    return app


@contextlib.asynccontextmanager
async def living(app):
    """*app* between the two ends of its lifespan, and a browser."""
    to, said = asyncio.Queue(), asyncio.Queue()
    task = asyncio.ensure_future(app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, to.get, said.put))
    await to.put({"type": "lifespan.startup"})
    assert (await said.get())["type"] == "lifespan.startup.complete"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE, headers=SAME_ORIGIN) as browser:
        yield browser
    await to.put({"type": "lifespan.shutdown"})
    assert (await said.get())["type"] == "lifespan.shutdown.complete"
    await task


@pytest.mark.parametrize("host", [in_starlette, in_fastapi])
async def test_roles_come_from_the_session_of_the_host(host):
    boss = a_shop("memory:")
    async with living(host(boss)) as browser:
        stranger = await browser.get(f"{PREFIX}/api/v1/status")
        await browser.get("/login/viewer")
        seen = await browser.get(f"{PREFIX}/api/v1/status")
        refused = await browser.post(f"{PREFIX}/api/v1/workers/pick/disable")
        await browser.get("/login/operator")
        done = await browser.post(f"{PREFIX}/api/v1/workers/pick/disable")
        page = await browser.get(f"{PREFIX}/")

    assert [each.status_code for each in (stranger, seen, refused, done, page)] == [403, 200, 403, 200, 200]
    assert not boss.is_started


@pytest.mark.parametrize("host", [in_starlette, in_fastapi])
@pytest.mark.parametrize("prefix", ["/x", "/a/b/c", "/shiftboss"])
async def test_any_prefix_will_do_and_links_are_relative(host, prefix):
    async with living(host(a_shop("memory:"), prefix)) as browser:
        await browser.get("/login/viewer")
        bare = await browser.get(prefix, follow_redirects=True)
        status = await browser.get(f"{prefix}/api/v1/status")
        document = (await browser.get(f"{prefix}/api/v1/openapi.json")).json()

    assert bare.url.path == f"{prefix}/"
    assert status.status_code == 200
    assert document["servers"] == [{"url": "."}]
    assert 'href="/' not in bare.text


async def test_alone_behind_a_server_it_lives_by_its_lifespan():
    boss = a_shop("memory:")
    async with living(boss.asgi(lambda request: "viewer")) as browser:
        during = await browser.get("/readyz")

    assert during.status_code == 200
    assert not boss.is_started


# ── Django ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def django_application(tmp_path_factory):
    """A Django project in one function: sessions, users, a view that logs in."""
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            SECRET_KEY="x" * 50,
            ROOT_URLCONF=__name__,
            ALLOWED_HOSTS=["127.0.0.1"],
            INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
            MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
            SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
            DATABASES={
                "default": {
                    "ENGINE": "django.db.backends.sqlite3",
                    "NAME": str(tmp_path_factory.mktemp("django") / "site.sqlite3"),
                }
            },
            USE_TZ=True,
        )
        django.setup()
    from django.contrib.auth.models import User
    from django.core.asgi import get_asgi_application
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    User.objects.create_user("ada", password="x", is_staff=True)
    User.objects.create_user("bob", password="x")
    return get_asgi_application()


def django_log_in(request, name):
    from django.contrib.auth import login
    from django.contrib.auth.models import User
    from django.http import HttpResponse

    login(request, User.objects.get(username=name), backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse("in")


def __getattr__(name):
    """`urlpatterns` of this module as Django's URL configuration, made once Django is there."""
    if name != "urlpatterns":
        raise AttributeError(name)
    from django.urls import path

    return [path("login/<str:name>", django_log_in)]


def staff(request):
    """Whoever Django's session says: as docs/how-to/http.md has it."""
    from io import BytesIO

    from django.contrib.auth import get_user
    from django.contrib.sessions.middleware import SessionMiddleware
    from django.core.handlers.asgi import ASGIRequest

    asked = ASGIRequest(request.scope, BytesIO())
    SessionMiddleware(lambda _: None).process_request(asked)
    user = get_user(asked)
    return ("operator", user.get_username()) if user.is_staff else None


async def test_django_is_a_host_too_with_its_users(django_application):
    boss = a_shop("memory:")
    app = Starlette(
        routes=[Mount("/jobs", boss.asgi(staff)), Mount("/", django_application)],
        lifespan=boss.lifespan,
    )
    async with living(app) as browser:
        stranger = await browser.get("/jobs/api/v1/status")
        await browser.get("/login/bob")
        no_staff = await browser.get("/jobs/api/v1/status")
        await browser.get("/login/ada")
        done = await browser.post("/jobs/api/v1/workers/pick/disable")
        audit = (await browser.get("/jobs/api/v1/activity?limit=1")).json()["events"][0]["event"]

    assert [each.status_code for each in (stranger, no_staff, done)] == [403, 403, 200]
    assert audit["by"] == "ada"


# ── a server that somebody else started ──────────────────────────────────────────────────────────────────────────


def test_an_open_stream_does_not_keep_the_hosts_server_from_ending(tmp_path, monkeypatch):
    """uvicorn waits for open answers before it ends the lifespan, and tells no application: streams notice."""
    import signal

    boss = a_shop(f"sqlite:///{tmp_path / 'shop.db'}")
    app = Starlette(routes=[Mount("/jobs", boss.asgi(lambda request: "viewer"))], lifespan=boss.lifespan)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    started = threading.Event()
    startup = server.startup

    async def noted(sockets=None):
        await startup(sockets)
        started.set()

    server.startup = noted
    handler = signal.getsignal

    def of_the_server(number):  # uvicorn installs its own in a main thread
        return server.handle_exit if number == signal.SIGTERM else handler(number)

    monkeypatch.setattr(signal, "getsignal", of_the_server)
    thread = threading.Thread(target=server.run)
    thread.start()
    started.wait(30)
    port = server.servers[0].sockets[0].getsockname()[1]
    with Sse(ListenAddress("127.0.0.1", port), path="/jobs/api/v1/events") as sse:
        sse.until("status")
        server.should_exit = True
        thread.join(30)

    assert not thread.is_alive()
    assert not boss.is_started


def test_who_takes_no_answer_is_cut_off_under_a_hosts_server_too(tmp_path, monkeypatch):
    """uvicorn waits for ever for a client that does not read."""
    from shiftboss.web import site, stream

    (tmp_path / "index.html").write_bytes(b"x" * (8 << 20))
    monkeypatch.setattr(site.DashboardFiles.__init__, "__defaults__", (tmp_path,))
    monkeypatch.setattr(stream, "SEND_WITHIN_S", 0.2)
    app = Starlette(routes=[Mount("/jobs", a_shop("memory:").asgi(lambda request: "viewer"))])
    ended = threading.Event()

    async def noted(scope, receive, send):
        await app(scope, receive, send)
        ended.set()

    server = uvicorn.Server(uvicorn.Config(noted, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    listening = server.config.bind_socket()
    listening.listen()
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        with socket.create_connection(("127.0.0.1", listening.getsockname()[1])) as deaf:
            deaf.sendall(b"GET /jobs/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert ended.wait(30)
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
