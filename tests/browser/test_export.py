"""The button that exports dead letters: a file as it is promised, and an act in the audit (A1)."""

from __future__ import annotations

import json

from playwright.sync_api import expect

from shiftboss.ports.faces import AuditFilter


def test_dead_letters_are_exported_into_a_file_as_one_act(watched, world):
    page = watched.page(f"{world.url}#/dead", token=world.token)
    page.get_by_role("button", name="Export…").click()
    with page.expect_download() as saved:
        page.get_by_role("dialog").get_by_role("button", name="Export").click()
    lines = [json.loads(line) for line in saved.value.path().read_text().splitlines()]
    expect(page.get_by_text(f"Exported {len(lines)} dead letter")).to_be_visible()
    (act,) = world.boss.sync.audit(AuditFilter(action="export dead letters"))

    assert {line["run"]["id"] for line in lines} == {letter.run for letter in world.boss.sync.dead_letters()}
    assert act.after == f"{len(lines)} by the API"
