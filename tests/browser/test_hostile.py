"""Every page in a world of hostile texts, in Chromium and in Firefox: shown as text, and as nothing else."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import expect

from shiftboss.core.printable import UNSEEN
from shiftboss.ports.faces import HistoryFilter, LetterFilter
from shiftboss.web.security_middleware import CSP

from .axe import findings
from .conftest import DESK, PHONE, Watched, follow
from .hostile import EVALUATED, HOSTILE, UNBROKEN, hostile
from .pages import PAGES, places
from .screen import too_wide

SCRIPT = Path(__file__).with_name("firefox.mjs")
NO_HARM = {"ran": [], "breaches": [], "elements": [], "evaluated": False}
NOTHING_SAID = {"console": [], "errors": [], "dialogs": [], "requests": []}
WITHOUT_TEXTS = {"nowhere", "timeline", "timeline as a table", "graph around", "fleet"}  # by themselves


UNSEEN_TEXTS = """unseen => {
    const found = [], pattern = new RegExp(unseen.replace(/\\\\U000([0-9a-f]{5})/g, "\\\\u{$1}"), "u");
    const texts = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
    const look = text => { if (pattern.test((text ?? "").replace(/[\\n\\t]/g, ""))) found.push(text.slice(0, 80)); };
    while (texts.nextNode()) look(texts.currentNode.data);
    for (const each of document.querySelectorAll("*")) ["title", "aria-label"].forEach(a => look(each.getAttribute(a)));
    return found;
}"""


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    with hostile(tmp_path_factory.mktemp("evil") / "evil.db") as world:
        world.serve()
        yield world


@pytest.fixture(scope="module")
def tour(browser, evil):
    """One browser's page for all places: each is followed to, not loaded anew."""
    watched = Watched(browser)
    yield watched, watched.page(evil.url, token=evil.token)
    watched.close()


@pytest.mark.parametrize("name", PAGES)
def test_chromium_shows_hostile_texts_as_texts(tour, evil, name):
    watched, page = tour
    page.set_viewport_size(DESK)
    follow(page, places(evil)[name])
    if name not in WITHOUT_TEXTS:
        page.wait_for_function("() => harm('').shown > 0")  # what explains a row may come after the row
    harm = page.evaluate("sum => harm(sum)", EVALUATED)
    del harm["shown"]

    assert harm == NO_HARM
    assert page.evaluate(UNSEEN_TEXTS, UNSEEN.pattern.encode("unicode_escape").decode()) == []
    assert findings(page) == []

    page.set_viewport_size(PHONE)

    assert too_wide(page) == []
    watched.check()


def test_the_longest_reason_without_a_break_is_no_wider_than_a_phone(watched, evil):
    """The page of who was cancelled or resolved with it, and each list that shows it."""
    runs = evil.boss.sync.runs(HistoryFilter(worker="evil", limit=100))
    cancelled = next(run.id for run in runs if run.cancel is not None and run.cancel.reason == UNBROKEN)
    resolved = next(
        letter.run for letter in evil.boss.sync.dead_letters(LetterFilter(state=None)) if letter.note == UNBROKEN
    )
    page = watched.page(evil.url, token=evil.token, size=PHONE)
    pages = ("#/workers/stopped", "#/workers?q=stopped", "#/", "#/dead?state=resolved", "#/activity")
    for place in (f"#/runs/{cancelled}", f"#/runs/{resolved}", *pages):
        page.goto(f"{evil.url}{place}")
        expect(page.get_by_text(UNBROKEN[:50]).first).to_be_attached()

        assert (place, too_wide(page)) == (place, [])


def test_what_is_not_to_be_seen_is_shown_escaped_and_writing_from_right_to_left_stays_where_it_is(watched, evil):
    """A7"""
    page = watched.page(f"{evil.url}#/runs/{evil.boss.sync.dead_letters()[0].run}", token=evil.token)

    expect(page.get_by_text(r"\u202eplanted\u2066\u200b\ufeff").first).to_be_visible()
    expect(page.get_by_text(r"\x1b[2J\x1b]0;planted\x07").first).to_be_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('main span')).unicodeBidi") == "isolate"


@pytest.mark.chaos  # a second browser; what it shows, Chromium shows above
def test_firefox_shows_hostile_texts_as_texts(drive_firefox, evil):
    pages = drive_firefox(evil.url, places(evil), enter=evil.link, without_texts=WITHOUT_TEXTS)

    assert list(pages) == list(PAGES)
    for name, seen in pages.items():
        del seen["shown"]
        assert seen == {**NOTHING_SAID, **NO_HARM}, name


# ── whoever looks must be able to see it ─────────────────────────────────────────────────────────────────────────


@contextmanager
def careless(headers: dict[str, str]) -> Iterator[str]:
    """A server whose page takes hostile texts for markup."""
    page = f"<!doctype html><nav></nav><main><h1>Runs</h1>{HOSTILE['image']}{HOSTILE['other host']}</main>{EVALUATED}"

    class Careless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in {"content-type": "text/html", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Careless)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_chromium_would_see_what_a_careless_page_does(browser):
    with careless({"content-security-policy": CSP}) as url:
        looker = Watched(browser)
        guarded = looker.page(url).evaluate("sum => harm(sum)", EVALUATED)
        with pytest.raises(AssertionError, match="Content Security Policy"):
            looker.close()
    with careless({}) as url:
        looker = Watched(browser)
        page = looker.page(url)
        page.wait_for_function("() => harm('').ran.length > 0")
        with pytest.raises(AssertionError, match=r"a request to http://planted\.invalid/x"):
            looker.close()

    assert len(guarded["elements"]) == 3
    assert len(guarded["breaches"]) >= 2
    assert guarded["ran"] == []
    assert guarded["evaluated"] is True


@pytest.mark.chaos
def test_firefox_would_see_what_a_careless_page_does(drive_firefox):
    with careless({"content-security-policy": CSP}) as url:
        guarded = drive_firefox(url, {"page": ""}, without_texts={"page"})["page"]
    with careless({}) as url:
        open_ = drive_firefox(url, {"page": ""}, without_texts={"page"})["page"]

    assert len(guarded["elements"]) == 3
    assert len(guarded["breaches"]) >= 2
    assert (guarded["ran"], guarded["requests"], guarded["evaluated"]) == ([], [], True)
    assert open_["requests"] == ["http://planted.invalid/x"]
    assert open_["breaches"] == []


@pytest.fixture
def drive_firefox(firefox, tmp_path):
    """`drive_firefox(url, {"runs": "#/runs"})`: what firefox.mjs reports of each page."""
    node, program = firefox

    def drive(
        url: str, pages: dict[str, str], *, enter: str = "", without_texts: Collection[str]
    ) -> dict[str, dict[str, object]]:
        order = {"firefox": program, "enter": enter, "base": url, "evaluated": EVALUATED, "pages": pages}
        order["withoutTexts"] = [*without_texts]
        driven = subprocess.run(
            [node, SCRIPT], input=json.dumps(order), capture_output=True, text=True, check=False, timeout=600
        )
        assert driven.returncode == 0, driven.stderr
        return json.loads(driven.stdout)["pages"]

    return drive
