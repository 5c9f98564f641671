"""Who comes in, and where it is mounted."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.routing import Mount

from shiftboss.web.server import ListenAddress, Server

from .axe import findings
from .conftest import follow, read
from .world import living

TOKEN = "a token of the tests only"
ACTIONS = re.compile("Trigger|Run now|Enable|Disable|Forget|Cancel|Replay|Resolve|Discard|Drain")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with living(tmp_path_factory.mktemp("shop") / "shop.db") as world:
        yield world


@pytest.fixture
def guarded(shop, monkeypatch) -> Iterator[str]:
    """Served with a token."""
    monkeypatch.setenv("SHIFTBOSS_AUTH_TOKEN", TOKEN)
    shop.serve()
    yield shop.url
    shop.stop_serving()


@contextmanager
def mounted(shop, prefix, role, *may) -> Iterator[str]:
    """In a host of its own, below *prefix*; *may* is the host's word on single actions."""
    app = Starlette(routes=[Mount(prefix, shop.boss.asgi(lambda request: (role, "ada", *may)))])
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    )
    listening = server.config.bind_socket()
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}{prefix}/"
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()


def test_who_has_no_token_is_asked_for_it(watched, guarded):
    watched.forgiven.append("401 (Unauthorized)")  # Chromium says so of the wrong guess
    page = watched.page(guarded)
    expect(page.get_by_role("navigation")).to_have_count(0)
    assert findings(page) == []
    page.get_by_label("Token").fill("a wrong one, long enough")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("This token is wrong")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="Updates: live")).to_be_visible()
    page.reload()
    expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    page.get_by_role("button", name="Log out").click()

    expect(page.get_by_label("Token")).to_be_visible()


def test_over_plain_http_away_from_loopback_one_logs_in_acts_and_logs_out(watched, shop, monkeypatch):
    """No browser says Sec-Fetch-Site there: the address is none that it trusts."""
    monkeypatch.setenv("SHIFTBOSS_AUTH_TOKEN", TOKEN)
    watched.forgiven.append("Cross-Origin-Opener-Policy header has been ignored")  # Chromium says so of plain http
    server = Server(shop.boss, ListenAddress(address_of_this_machine(), 0))
    server.start()
    sent = []
    try:
        page = watched.page(server.address.url)
        page.on("request", lambda request: sent.append(request) if request.method != "GET" else None)
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("button", name="Updates: live")).to_be_visible()
        page.goto(f"{server.address.url}#/workers/send-mail")
        page.get_by_role("button", name="Run now").or_(page.get_by_role("button", name="Trigger")).first.wait_for()
        done = page.evaluate(
            "async () => (await fetch('api/v1/workers/sync-prices/disable', {method: 'POST', headers: "
            "{'content-type': 'application/json'}, body: '{}'})).status"
        )
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Token")).to_be_visible()
    finally:
        server.stop()
    said = [request.all_headers() for request in sent]

    assert done == 200
    assert [request.method for request in sent] == ["POST", "POST", "DELETE"]
    assert ["sec-fetch-site" in headers for headers in said] == [False, False, False]
    assert {headers["origin"] for headers in said} == {server.address.url.rstrip("/")}


def address_of_this_machine() -> str:
    """One that is not loopback; nothing is sent to find it out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return one.getsockname()[0]


def test_a_link_logs_in_once_and_leaves_no_code_in_the_address(watched, shop):
    watched.forgiven.append("401 (Unauthorized)")  # Chromium says so of the used link
    shop.serve()
    link = shop.link
    page = watched.page(link)
    expect(page.get_by_role("button", name="Updates: live")).to_be_visible()
    assert "code" not in page.url
    again = watched.page(link)
    expect(again.get_by_role("alert")).to_contain_text("This link was already used")
    again.evaluate(f"location.hash = {shop.link.partition('#')[2]!r}")  # a fresh one, pasted into the open page

    expect(again.get_by_role("button", name="Updates: live")).to_be_visible()
    assert "code" not in again.url
    again.go_back()
    assert "code" not in again.url
    for each in (page, again):
        watched.leave(each)
    shop.stop_serving()


def test_a_viewer_sees_and_has_no_button_that_acts(watched, shop):
    with mounted(shop, "/jobs", "viewer") as url:
        page = watched.page(url)
        for place in (
            "",
            "#/workers/charge-card",
            "#/runs",
            "#/dead",
            "#/fleet",
            "#/activity",
            "#/graph",
            "#/timeline",
        ):
            follow(page, place)
            expect(page.locator(".who")).to_contain_text("viewer")

            assert (place, page.get_by_role("button", name=ACTIONS).all()) == (place, [])
        watched.leave(page)


def test_below_a_path_of_another_application_all_of_it_works(watched, shop):
    with mounted(shop, "/admin/background/jobs", "operator") as url:
        page = watched.page(url)
        expect(page.get_by_role("button", name="Updates: live")).to_be_visible()
        page.get_by_role("navigation", name="Pages").get_by_role("link", name="Workers").click()
        page.get_by_role("link", name="charge-card", exact=True).click()
        page.get_by_role("button", name="Trigger charge-card").click()
        page.get_by_label("order required").fill("8")
        page.get_by_role("button", name="Trigger", exact=True).click()
        page.get_by_role("status").get_by_role("link", name="Run").click()

        expect(page.get_by_text("paid 8")).to_be_visible()
        assert page.url.startswith(f"{url}#/runs/")
        page.reload()
        read(page)
        expect(page.get_by_text("paid 8")).to_be_visible()
        watched.leave(page)
