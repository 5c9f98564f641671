"""The dashboard's files: served where they were built, and a page that says so where they were not."""

from __future__ import annotations

import httpx
import pytest

from shiftboss.web import site
from shiftboss.web.access import Mounted
from shiftboss.web.application import Application

from .conftest import BASE, a_shop, open_authenticator


@pytest.fixture
def built(tmp_path, monkeypatch):
    """What the dashboard's build leaves."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text('<script type="module" src="./assets/main-1a2b.js"></script>')
    (tmp_path / "assets/main-1a2b.js").write_text("export {}")
    (tmp_path / "secret").write_text("not for anybody")
    monkeypatch.setattr(site.DashboardFiles.__init__, "__defaults__", (tmp_path,))
    return tmp_path


def a_browser(authenticator) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(Application(a_shop("memory:"), authenticator)), base_url=BASE
    )


async def test_the_page_is_asked_for_anew_and_its_assets_are_kept(built):
    async with a_browser(open_authenticator()) as browser:
        page = await browser.get("/")
        asset = await browser.get("/assets/main-1a2b.js")

    assert (page.status_code, page.headers["cache-control"]) == (200, "no-cache")
    assert (asset.status_code, asset.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
    assert "javascript" in asset.headers["content-type"]


@pytest.mark.parametrize("path", ["../secret", "%2e%2e/secret", "%2e%2e%2fsecret", "x/../../secret", "//secret", ""])
async def test_nothing_outside_of_its_assets_is_served(built, path):
    async with a_browser(open_authenticator()) as browser:
        assert (await browser.get(f"/assets/{path}")).status_code == 404


async def test_a_stranger_sees_no_page(built):
    async with a_browser(Mounted(lambda request: None)) as browser:
        assert (await browser.get("/")).status_code == 403
        assert (await browser.get("/assets/main-1a2b.js")).status_code == 403


async def test_where_it_is_not_built_a_page_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(site.DashboardFiles.__init__, "__defaults__", (tmp_path,))
    async with a_browser(open_authenticator()) as browser:
        page = await browser.get("/")

    assert page.status_code == 200
    assert "not built" in page.text
