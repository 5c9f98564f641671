"""What happens while somebody looks: it shows, and moves nothing under the hand."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .world import PATIENCE_S


def live_through(world, changes):
    """So many runs, each of them stored, started and ended."""
    runs = [world.trigger("count", {"number": number}) for number in range(changes)]
    for run in runs:
        world.boss.sync.wait_for(run, timeout=PATIENCE_S)
    return runs


def mark(locator):
    """To know the very element again."""
    locator.evaluate("(element) => { element.known = true }")


def top(locator):
    return locator.evaluate("(element) => element.getBoundingClientRect().top")


@pytest.mark.parametrize("changes", [200, pytest.param(1000, marks=pytest.mark.chaos)])
def test_selection_focus_and_open_rows_survive_all_that_changes(open_page, world, changes):
    page = open_page("#/dead")
    group = page.get_by_role("listitem").filter(has_text="charge-card")
    group.get_by_role("button", expanded=False).click()
    boxes = group.get_by_role("checkbox", name="Select run")
    expect(boxes.nth(1)).to_be_visible()
    before = boxes.count()
    boxes.nth(1).check()
    boxes.nth(1).focus()
    mark(boxes.nth(1))
    name = boxes.nth(1).get_attribute("aria-label")
    live_through(world, changes)
    world.ended("charge-card", {"order": 11})
    expect(group.get_by_role("button", expanded=True)).to_contain_text(str(before + 1))  # all of it has arrived

    expect(page.get_by_role("checkbox", name=name)).to_be_checked()
    expect(page.get_by_role("checkbox", name=name)).to_be_focused()
    assert page.evaluate("document.activeElement.known") is True
    expect(page.get_by_role("region", name="Selection")).to_contain_text("1 selected")


def test_rows_stay_where_they_are_while_one_of_them_has_the_focus(open_page, world):
    live_through(world, 5)
    page = open_page("#/runs?worker=count")
    link = page.get_by_role("link", name="Run").nth(2)
    link.focus()
    mark(link)
    rows = page.locator("tbody tr")
    before = [row.get_attribute("data-row") for row in rows.all()]
    newest = live_through(world, 100)[-1]
    waiting = page.get_by_role("button", name="100 new runs")  # all of them have arrived
    expect(waiting).to_be_visible()

    assert [row.get_attribute("data-row") for row in rows.all()] == before
    assert page.evaluate("document.activeElement.known") is True
    waiting.click()
    expect(rows.first).to_have_attribute("data-row", str(newest))


def test_a_hold_is_the_servers_sentence_with_its_worker_and_its_run_as_links(open_page, world):
    """A3"""
    world.trigger("tidy-warehouse")
    holds = (
        open_page("#/workers/tidy-warehouse").get_by_role("listitem").filter(has_text="blocked by import-catalog (run")
    )
    (said,) = [str(hold) for hold in world.boss.sync.why("tidy-warehouse").holds]

    expect(holds).to_contain_text(said)
    expect(holds.get_by_role("link", name="import-catalog")).to_have_attribute("href", "#/workers/import-catalog")
    expect(holds.get_by_role("link", name=f"Run {world.importing}")).to_have_attribute(
        "href", f"#/runs/{world.importing}"
    )


def test_the_graph_lives_and_nothing_of_it_moves(open_page, world):
    page = open_page("#/graph")
    drawing = page.get_by_role("group", name="Graph of the workers")
    node = drawing.get_by_role("link", name="tidy-warehouse")
    node.focus()
    mark(node)
    place = top(node)
    world.boss.sync.disable("tidy-warehouse", reason="spring")
    expect(drawing.get_by_role("link", name="tidy-warehouse, disabled")).to_be_visible()

    assert top(node) == place
    assert page.evaluate("document.activeElement.known") is True
    world.boss.sync.enable("tidy-warehouse")
    page.get_by_text("As text").click()
    expect(page.get_by_text("never runs with import-catalog")).to_be_visible()
    node.press("Enter")
    expect(page.get_by_role("heading", name="tidy-warehouse", level=1)).to_be_visible()


def test_the_timeline_shows_a_run_as_it_comes_and_tells_of_it(open_page, world):
    page = open_page("#/timeline?window=15m")
    run = world.ended("send-receipts")
    bar = page.get_by_role("link", name=f"Run {run}: succeeded")
    expect(bar).to_be_visible()
    bar.focus()
    expect(page.locator(".timeline-tip")).to_contain_text(f"send-receipts #{run}")
    page.get_by_role("button", name="As table").click()

    expect(
        page.get_by_role("region", name="Runs in this window").get_by_role("link", name=f"Run {run}")
    ).to_be_visible()
    assert "as=table" in page.url


def test_the_stream_survives_a_restart_of_the_server(watched, world):
    watched.forgiven += ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET"]
    page = watched.page(f"{world.url}#/runs?worker=count", token=world.token)
    expect(page.get_by_role("button", name="Updates: live")).to_be_visible()
    world.stop_serving()
    expect(page.get_by_role("button", name="Updates: reconnecting")).to_be_visible()
    missed = world.ended("count", {"number": 5})
    world.serve()
    expect(page.get_by_role("button", name="Updates: live")).to_be_visible()

    expect(page.get_by_role("link", name=f"Run {missed}", exact=True)).to_be_visible()
    after = world.ended("count", {"number": 6})
    expect(page.get_by_role("link", name=f"Run {after}", exact=True)).to_be_visible()
