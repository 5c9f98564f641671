"""What an operator does: each act by its button, seen in the store."""

from __future__ import annotations

from playwright.sync_api import expect

from shiftboss import Orchestrator

from .world import PATIENCE_S


def test_a_worker_is_triggered_by_the_form_of_its_payload(open_page, world):
    page = open_page("#/workers/count")
    page.get_by_role("button", name="Trigger count").click()
    page.get_by_role("button", name="Trigger", exact=True).click()
    expect(page.get_by_text("Required.")).to_be_visible()
    expect(page.get_by_label("number required")).to_be_focused()
    page.get_by_label("number required").fill("12.5")
    page.get_by_role("button", name="Trigger", exact=True).click()
    expect(page.get_by_text("This must be a whole number.")).to_be_visible()
    page.get_by_label("number required").fill("12")
    page.get_by_text("Key, delay, priority").click()
    page.get_by_label("Key", exact=True).fill("order-12")
    page.get_by_role("button", name="Trigger", exact=True).click()
    expect(page.get_by_role("status").get_by_text("Triggered count")).to_be_visible()
    run = int(page.get_by_role("status").get_by_role("link", name="Run").get_attribute("href").rpartition("/")[2])

    assert world.boss.sync.result(run, timeout=PATIENCE_S) == 12
    assert world.boss.sync.run_info(run).key == "order-12"


def test_numbers_are_sent_as_they_were_typed_and_shown_as_they_were_sent(open_page, world):
    """Q2: a browser reads 12345678901234567890 as 12345678901234567000, and 1.10 as 1.1."""
    page = open_page("#/workers/count")
    page.get_by_role("button", name="Trigger count").click()
    page.get_by_label("number required").fill("12345678901234567890")
    page.get_by_role("button", name="As JSON").click()
    expect(page.get_by_label("Payload")).to_have_value('{\n  "number": 12345678901234567890\n}')
    page.get_by_role("button", name="Trigger", exact=True).click()
    expect(page.get_by_role("status").get_by_text("Triggered count")).to_be_visible()
    run = int(page.get_by_role("status").get_by_role("link", name="Run").get_attribute("href").rpartition("/")[2])
    world.boss.sync.wait_for(run, timeout=PATIENCE_S)
    page = open_page(f"#/runs/{run}")

    expect(page.get_by_text("12345678901234567890", exact=True)).to_have_count(2)  # what went in, and what came out
    assert world.boss.sync.run_info(run).payload == b'{\n  "number": 12345678901234567890\n}'


def test_what_a_node_of_older_code_declares_is_chosen_on_the_page_of_the_worker(open_page, world):
    """M7: the newest declaration is in force until a person prefers another one."""
    newer = Orchestrator(world.store, code_version="2")
    newer.register("tidy-warehouse", lambda: None, timeout="7m")
    newer.sync.start()
    try:
        page = open_page("#/workers/tidy-warehouse")
        other = page.locator("dd", has_text="by node")
        expect(other).not_to_contain_text("code 2")
        other.get_by_role("button").click()
        page.get_by_role("button", name="Prefer", exact=True).click()
        expect(page.get_by_role("status").get_by_text("applies from now on")).to_be_visible()

        expect(other).to_contain_text("code 2")
    finally:
        newer.sync.stop()


def test_a_run_that_runs_is_cancelled(open_page, world):
    run = world.importing
    page = open_page(f"#/runs/{run}")
    page.get_by_role("button", name=f"Cancel run {run}").click()
    page.get_by_label("Reason").fill("the catalogue is wrong")
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.get_by_role("status").get_by_text("Cancellation of run")).to_be_visible()

    expect(page.get_by_role("heading", level=1)).to_contain_text("cancelled")
    expect(page.get_by_role("button", name=f"Cancel run {run}")).to_have_count(0)
    assert world.boss.sync.run_info(run).cancel.reason == "the catalogue is wrong"


def test_a_run_that_waits_is_cancelled_from_its_row(open_page, world):
    run = world.trigger("count", {"number": 1}, delay="1h")
    page = open_page("#/runs?worker=count&status=pending")
    page.get_by_role("button", name=f"Cancel run {run}").click()
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.get_by_role("status").get_by_text("is cancelled")).to_be_visible()

    assert world.boss.sync.run_info(run).status == "cancelled"


def test_a_worker_is_disabled_with_a_reason_and_enabled_again(open_page, world):
    """A2, K6"""
    page = open_page("#/workers/fetch-orders")
    page.get_by_role("button", name="Disable fetch-orders").click()
    page.get_by_label("Reason").fill("the shop is closed")
    page.get_by_role("button", name="Disable", exact=True).click()
    expect(page.get_by_role("button", name="Enable fetch-orders")).to_be_visible()
    expect(page.get_by_text("the shop is closed").first).to_be_visible()
    [row] = [each for each in world.boss.sync.status().workers if each.name == "fetch-orders"]
    page.get_by_role("button", name="Enable fetch-orders").click()
    page.get_by_role("button", name="Enable", exact=True).click()

    expect(page.get_by_role("button", name="Disable fetch-orders")).to_be_visible()
    assert row.disabled.reason == "the shop is closed"
    assert all(each.enabled for each in world.boss.sync.status().workers if each.name == "fetch-orders")


def test_dead_letters_are_replayed_by_filter_after_their_number_was_shown(open_page, watched, world):
    watched.forgiven.append("409 (Conflict)")  # Chromium says so of the refusal
    before = {letter.run for letter in world.boss.sync.dead_letters() if letter.worker == "charge-card"}
    page = open_page("#/dead?worker=charge-card")
    page.get_by_role("button", name="Replay…", exact=True).click()
    expect(page.get_by_role("dialog", name=f"Replay {len(before)} dead letters?")).to_be_visible()
    world.ended("charge-card", {"order": 7})  # one more than was shown
    page.get_by_role("button", name=f"Replay {len(before)}", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    after_refusal = {letter.run for letter in world.boss.sync.dead_letters() if letter.worker == "charge-card"}
    page.get_by_label("Rate").fill("1/h")
    page.get_by_role("button", name=f"Replay {len(before) + 1}", exact=True).click()
    expect(page.get_by_role("status").get_by_text(f"{len(before) + 1} dead letters replayed")).to_be_visible()

    assert before < after_refusal
    assert not after_refusal & {letter.run for letter in world.boss.sync.dead_letters()}


def test_one_dead_letter_is_resolved_with_a_note(open_page, world):
    run = world.ended("charge-card", {"order": 9})
    page = open_page(f"#/runs/{run}")
    page.get_by_role("button", name=f"Resolve run {run}").click()
    page.get_by_label("Note").fill("paid by hand")
    page.get_by_role("button", name="Resolve", exact=True).click()
    expect(page.get_by_role("status").get_by_text("is resolved")).to_be_visible()

    expect(page.get_by_text("paid by hand")).to_be_visible()


def test_what_was_done_stands_in_the_activity(open_page, world):
    world.boss.sync.disable("export-ledger", reason="the auditors come")
    page = open_page("#/activity?worker=export-ledger")
    rows = page.get_by_role("row").filter(has_text="export-ledger")
    expect(rows.filter(has_text="the auditors come; triggers are refused").first).to_contain_text("disabled by")
    world.boss.sync.enable("export-ledger")

    expect(rows.filter(has_text="enabled by").first).to_be_visible()


def test_the_activity_shows_what_people_did_alone_or_what_came_of_itself(open_page, world):
    """A1, A8: of people it is the audit, which is kept for longer."""
    world.boss.sync.disable("count", reason="counted enough")
    world.boss.sync.enable("count")
    page = open_page("#/activity?worker=count")
    expect(page.get_by_role("row").filter(has_text="triggers are refused").first).to_be_visible()
    page.get_by_label("Source").select_option("people")
    expect(page.get_by_text("kept for a year")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="disabled: counted enough").first).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="triggers are refused")).to_have_count(0)
    page.get_by_label("Source").select_option("system")
    expect(page.get_by_role("row").filter(has_text="triggers are refused").first).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="disabled: counted enough")).to_have_count(0)
