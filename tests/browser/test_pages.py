"""Every page, in both themes and on a phone: nothing that axe objects to, nothing wider than its screen."""

from __future__ import annotations

import re
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from . import pages
from .axe import OF_COLOURS, findings
from .conftest import PHONE, Watched, follow, read
from .pages import PAGES
from .screen import too_wide


@pytest.fixture(scope="module")
def places(world):
    return pages.places(world)


@contextmanager
def a_tour(browser, world, **look):
    """One browser's page for all places: each is followed to, not loaded anew."""
    watched = Watched(browser)
    yield watched, watched.page(world.url, token=world.token, **look)
    watched.close()


@pytest.fixture(scope="module")
def light(browser, world):
    with a_tour(browser, world) as tour:
        yield tour


@pytest.fixture(scope="module")
def dark(browser, world):
    with a_tour(browser, world, theme="dark") as tour:
        yield tour


@pytest.fixture(scope="module")
def phone(browser, world):
    with a_tour(browser, world, size=PHONE) as tour:
        yield tour


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(light, places, name):
    watched, page = light
    follow(page, places[name])

    assert findings(page) == []
    watched.check()


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_in_the_colours_of_the_dark(dark, places, name):
    watched, page = dark
    follow(page, places[name])

    assert findings(page, rules=OF_COLOURS) == []
    watched.check()


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_shows_all_of_it(phone, places, name):
    watched, page = phone
    follow(page, places[name])

    assert too_wide(page) == []
    assert findings(page) == []
    watched.check()


def test_the_theme_is_what_the_viewer_chose(open_page):
    page = open_page(theme="dark")
    background = "getComputedStyle(document.documentElement).getPropertyValue('--bg')"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Theme: system").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    light = page.evaluate(background)
    page.reload()
    read(page)

    assert light != dark
    assert page.evaluate(background) == light


def test_dialogs_are_dialogs(open_page):
    page = open_page("#/workers/send-mail")
    page.get_by_role("button", name="Trigger send-mail").click()
    expect(page.get_by_role("dialog", name="Trigger send-mail")).to_be_visible()
    expect(page.get_by_label("to required")).to_be_visible()

    assert findings(page) == []

    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Trigger send-mail")).to_be_focused()


def test_all_that_can_be_done_can_be_reached_by_the_keyboard(open_page):
    page = open_page()
    heading = page.get_by_role("heading", name="Workers", level=1)
    for _ in range(20):  # on a busy machine the second key may come too late
        page.keyboard.press("g")
        page.keyboard.press("w")
        if heading.count():
            break
    expect(heading).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()

    assert findings(page) == []


def test_the_graph_as_text_has_its_relations(open_page):
    page = open_page("#/graph")
    page.get_by_text("As text").click()
    entry = page.locator(".graph-outline > ul > li").filter(has_text=re.compile("^fetch-orders"))
    expect(entry).to_contain_text("required by export-ledger")
    expect(entry).to_contain_text("triggers send-receipts")

    assert findings(page) == []


def test_a_browser_without_a_proper_language_shows_the_page(open_page):
    """Chromium calls its language "en-US@posix" where there is no locale; no number can be formatted by that."""
    page = open_page("#/")
    page.add_init_script("Object.defineProperty(navigator, 'language', { value: 'en-US@posix', configurable: true })")
    page.reload()

    expect(page.locator("main h1")).to_be_visible()
    assert page.evaluate("navigator.language") == "en"


@pytest.mark.parametrize("name", ["run", "timeline as a table", "overview", "workers", "fleet", "activity"])
def test_a_wide_value_in_a_table_moves_the_table_and_not_the_page(phone, places, name):
    """How long ago is as wide as it happens to be."""
    watched, page = phone
    follow(page, places[name])
    page.evaluate("document.querySelectorAll('.table td').forEach(cell => { cell.style.minWidth = '9rem' })")

    assert page.locator(".table td").count() > 0
    assert too_wide(page) == []
    assert findings(page) == []
    watched.check()
