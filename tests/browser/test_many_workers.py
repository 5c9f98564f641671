"""The pages of a store with thousands of workers: paged, searched and filtered by the server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from shiftboss import Orchestrator
from shiftboss.web.server import ListenAddress, Server

from .conftest import PHONE, Watched, follow
from .screen import too_wide

MANY = 2_500
CHAIN = 250  # of them, one after the other: more than the graph shows at once


def nothing() -> None: ...


@contextmanager
def many_workers(folder: Path) -> Iterator[Server]:
    """A page of many workers whose processes are gone, one of them disabled."""
    url = f"sqlite:///{folder / 'boss.db'}"
    boss = Orchestrator(url)
    for number in range(MANY):
        options = {"after": [f"worker-{number - 1:05}"]} if 0 < number < CHAIN else {}
        boss.worker(name=f"worker-{number:05}", **options)(nothing)
    boss.sync.start()
    boss.sync.stop()
    with (client := Orchestrator(url)).sync:
        client.sync.disable("worker-02000", reason="moving house")
        server = Server(client, ListenAddress("127.0.0.1", 0))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with many_workers(tmp_path_factory.mktemp("many")) as server:
        yield server


@pytest.fixture
def open_many(watched: Watched, server: Server) -> Callable[..., Page]:
    assert server.token_file is not None
    token = server.token_file.read_text().strip()
    return lambda place, **more: watched.page(f"{server.address.url}{place}", token=token, **more)


def test_the_list_is_paged_searched_filtered_and_left_and_found_again(open_many):
    page = open_many("#/workers")
    rows = page.locator("tr[data-row]")
    expect(page.get_by_text("2,500 workers", exact=True)).to_be_visible()
    expect(rows).to_have_count(200)
    expect(rows.first).to_have_attribute("data-row", "worker-02000")  # it is disabled (K6)

    page.get_by_role("button", name="Show 200 more of 2,300").click()
    expect(rows).to_have_count(400)

    page.get_by_label("Search workers by name").fill("worker-0012")
    expect(rows).to_have_count(10)
    expect(page.get_by_text("10 of 2,500 workers")).to_be_visible()
    expect(page).to_have_url(re.compile("q=worker-0012"))

    page.get_by_role("link", name="worker-00125").click()
    expect(page.get_by_role("heading", name="worker-00125", level=1)).to_be_visible()
    page.go_back()
    expect(rows).to_have_count(10)
    expect(page.get_by_label("Search workers by name")).to_have_value("worker-0012")

    page.get_by_label("Search workers by name").fill("")
    page.get_by_role("group", name="Health").get_by_role("button", name="disabled").click()
    expect(rows).to_have_count(1)
    expect(page.get_by_text("1 of 2,500 workers")).to_be_visible()


def test_the_graph_says_what_it_leaves_out_and_goes_to_any_worker(open_many):
    page = open_many("#/graph")
    expect(page.get_by_text("200 of 2,500 workers are shown; 2,250 have no relations.")).to_be_visible()

    page.get_by_label("Worker", exact=True).fill("worker-00100")
    page.get_by_role("button", name="Show around it").click()
    drawing = page.get_by_role("group", name="Graph of the workers")
    expect(drawing.get_by_role("link", name="worker-00101")).to_be_visible()
    expect(page).to_have_url(re.compile("around=worker-00100"))

    page.get_by_label("Related workers").select_option("worker-00000")
    expect(drawing.get_by_role("link", name="worker-00001")).to_be_visible()


@pytest.mark.parametrize("place", ["#/", "#/workers", "#/graph", "#/graph?around=worker-00100"])
def test_nothing_reaches_beyond_a_phone(open_many, place):
    page = open_many("#/")
    page.set_viewport_size(PHONE)
    follow(page, place)

    assert too_wide(page) == []
