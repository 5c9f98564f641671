"""The dashboard in real Chromium, over the real server and a real SQLite file.

Rules of this file
- Every page is watched: an error in its console, a breach of its policy, a request to another host fails the test.
- Nothing sleeps: `expect` waits for what should be there.
- Where there is no Chromium (tools/chromium.py brings one nearly everywhere) these are skipped, and the end of the
  run says so; where CI is set the run fails for it (tests/conftest.py).  One test wants Firefox: where that is not
  installed it is skipped, said as loudly, and CI does not fail for it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, expect, sync_playwright

from .world import World, living

ROOT = Path(__file__).resolve().parents[2]
PROBE = Path(__file__).with_name("probe.js")
FIREFOX_NAMES = ("firefox", "firefox-esr")
OPTIONS = (
    "--disable-gpu",
    "--in-process-gpu",  # a new page costs a fifth less
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 15_000  # for a busy machine; nothing waits that long when all is well
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 900}

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session", autouse=True)
def dashboard() -> ModuleType:
    """Built from what is in the tree."""
    tool = _tool("dashboard")
    tool.build()
    return tool


@pytest.fixture(scope="session")
def chromium() -> str:
    path = _tool("chromium").find()
    if path is None:
        pytest.skip("there is no Chromium")
    return str(path)


@pytest.fixture(scope="session")
def firefox(dashboard: ModuleType) -> tuple[str, str]:
    """Node, and the Firefox that it drives.  Puppeteer, for the BiDi of Playwright has no use for an installed one."""
    named = os.environ.get("SHIFTBOSS_FIREFOX")
    program = shutil.which(named) if named else next(filter(None, map(shutil.which, FIREFOX_NAMES)), None)
    if program is None:
        pytest.skip("there is no Firefox")
    try:
        node = dashboard.install_modules(PROBE.parent)
    except dashboard.CannotBuild as error:
        pytest.skip(f"there is no Firefox that can be driven: {error}")
    return node, program


@pytest.fixture(scope="session", autouse=True)
def playwright_node(dashboard: ModuleType) -> None:
    """Playwright's driver runs on the Node that built the dashboard: its own needs libatomic, which not all have."""
    found = dashboard.find_node()
    if found is not None:
        os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", found[0])


def _tool(name: str) -> ModuleType:
    """A script of tools/, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as play:  # per module: its loop must not be there when others want theirs
        found = play.chromium.launch(executable_path=chromium, args=OPTIONS, chromium_sandbox=False)
        yield found
        found.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with living(tmp_path_factory.mktemp("shop") / "shop.db") as world:
        world.serve()
        yield world


class Watched:
    """Opens pages, and remembers what none of them may do."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._hosts: set[str] = set()
        self.forgiven: list[str] = []  # parts of what the test itself provokes
        self.wrong: list[str] = []

    def page(
        self, url: str, *, token: str | None = None, theme: str = "light", size: dict[str, int] | None = None
    ) -> Page:
        """A new browser's first page, which has read what it shows; logged in before, where *token* is given."""
        context = self._browser.new_context(
            viewport=size or DESK, color_scheme=theme, reduced_motion="reduce", service_workers="block"
        )
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(path=PROBE)
        self._contexts.append(context)
        self._hosts.add(url.split("/")[2])
        if token is not None:
            headers = {"sec-fetch-site": "same-origin"}
            entered = context.request.post(f"{url.split('#')[0]}api/v1/session", data={"token": token}, headers=headers)
            assert entered.status == 204, entered.text()
        page = context.new_page()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.wrong.append(f"uncaught: {error}"))
        page.on("request", lambda request: self._asked(request.url))
        page.on("dialog", self._asked_by_script)
        page.goto(url)
        read(page)
        return page

    def _asked_by_script(self, dialog: Dialog) -> None:
        self.wrong.append(f"{dialog.type}: {dialog.message}")
        dialog.dismiss()

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def _asked(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        if scheme not in ("data", "blob") and rest.split("/")[0] not in self._hosts:
            self.wrong.append(f"a request to {url}")

    def leave(self, page: Page) -> None:
        """Before the server goes."""
        page.context.close()
        self._contexts.remove(page.context)

    def close(self) -> None:
        for context in self._contexts:
            context.close()
        self.check()

    def check(self) -> None:
        """Nothing that may not happen has happened."""
        assert [each for each in self.wrong if not any(part in each for part in self.forgiven)] == []


def read(page: Page) -> None:
    """It has connected, and nothing is still being read."""
    expect(page.locator("main:not(.start) h1")).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


GO = """place => location.hash === place ? null : new Promise(drawn => {
    addEventListener("hashchange", () => requestAnimationFrame(drawn), { once: true });
    location.hash = place;
})"""


def follow(page: Page, place: str) -> None:
    """Go to *place* as a link does, without loading the page again, until what stands there is read."""
    page.evaluate(GO, place)
    read(page)


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    found = Watched(browser)
    yield found
    found.close()


@pytest.fixture
def open_page(watched: Watched, world: World) -> Callable[..., Page]:
    """`open_page("#/runs", theme="dark")`"""
    return lambda place="", **more: watched.page(f"{world.url}{place}", token=world.token, **more)
