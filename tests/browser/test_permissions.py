"""What the host refuses to this user is not offered: no button of a page is one that would fail with 403."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from .test_doors import ACTIONS, mounted
from .world import living

QUESTION = "/api/v1/session/may"
LIVE = "Updates: live"
HOSTILE = '<img src=x onerror="x">&worker=a,b%00\'__proto__\u202e😀'


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with living(tmp_path_factory.mktemp("shop") / "shop.db") as world:
        yield world


def names(page) -> set[str]:
    """Of the buttons that act."""
    return {each.get_attribute("aria-label") or each.inner_text() for each in page.locator("main [data-action]").all()}


def test_no_button_is_offered_that_the_host_refuses(watched, shop):
    asked = []

    def may(action, worker):
        asked.append((action, worker))
        if worker == "charge-card":
            return action in ("resolve", "resolve_many", "disable")
        return worker == HOSTILE or (action not in ("drain", "cancel") and worker != "send-mail")

    with mounted(shop, "/jobs", "admin", may) as url:
        page = watched.page(f"{url}#/workers/charge-card")
        expect(page.get_by_role("button", name="Disable charge-card")).to_be_visible()
        assert names(page) == {"Disable charge-card"}

        page.goto(f"{url}#/workers/fetch-orders")
        expect(page.get_by_role("button", name="Trigger fetch-orders")).to_be_visible()

        page.goto(f"{url}#/dead?worker=charge-card")
        expect(page.get_by_role("button", name="Resolve run").first).to_be_visible()
        assert {re.sub(r"\d+", "N", each) for each in names(page)} == {"Resolve…", "Resolve run N"}

        page.goto(f"{url}#/dead")  # of two workers, and all that fit are touched by one refusal
        expect(page.get_by_role("button", name="Resolve charge-card")).to_be_visible()
        assert {each for each in names(page) if each.startswith(("Replay", "Discard", "Export", "Resolve…"))} == set()

        for place, what in (("#/runs", "import-catalog"), ("#/fleet", "Nodes")):
            page.goto(f"{url}{place}")
            expect(page.locator("main")).to_contain_text(what)
            expect(page.locator("[aria-busy=true]")).to_have_count(0)
            expect(page.get_by_role("button", name=re.compile("^(Cancel|Drain)"))).to_have_count(0)

        page.goto(f"{url}#/runs?worker={quote(HOSTILE)}")
        expect(page.get_by_role("button", name="Cancel all matching…")).to_be_visible()
        page.goto(f"{url}#/runs?worker={quote(HOSTILE[:-1])}")  # another one, and refused
        expect(page.get_by_role("button", name="Cancel all matching…")).to_have_count(0)
        watched.leave(page)
    assert {("drain", None), ("cancel", "import-catalog"), ("cancel", HOSTILE), ("cancel", HOSTILE[:-1])} <= set(asked)
    assert {worker for action, worker in asked if action in ("trigger", "replay", "disable")}.isdisjoint({None, ""})


def test_what_is_refused_after_all_is_said_and_offered_no_more(watched, shop):
    """The host has changed its mind since the page was read."""
    watched.forgiven.append("403 (Forbidden)")  # Chromium says so of what was pressed
    allowed = [True]
    with mounted(shop, "/jobs", "operator", lambda action, worker: allowed[0]) as url:
        page = watched.page(f"{url}#/workers/price-feed")
        expect(page.get_by_role("button", name=LIVE)).to_be_visible()
        page.get_by_role("button", name="Disable price-feed").click()
        allowed[0] = False
        page.get_by_role("dialog").get_by_role("button", name="Disable").click()

        expect(page.get_by_role("alert")).to_contain_text(
            "The host application does not permit this: disable price-feed."
        )
        page.get_by_role("dialog").get_by_role("button", name="Back").click()
        expect(page.get_by_role("button", name=ACTIONS)).to_have_count(0)
        watched.leave(page)


def test_nothing_is_asked_where_the_host_refuses_no_single_actions(watched, shop):
    with mounted(shop, "/jobs", "admin") as url:
        page = watched.page(url)
        sent = []
        page.on("request", lambda request: sent.append(request.url))
        for place in ("#/workers/charge-card", "#/dead", "#/runs", "#/fleet", "#/"):
            page.goto(f"{url}{place}")
            expect(page.locator("[aria-busy=true]")).to_have_count(0)
        page.goto(f"{url}#/workers/charge-card")
        expect(page.get_by_role("button", name="Trigger charge-card")).to_be_visible()
        watched.leave(page)

    assert [each for each in sent if QUESTION in each] == []
    assert any("/api/v1/" in each for each in sent)
