"""Rows that cannot be read: each command goes on beside them and says which; doctor names them and sets them aside."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from .conftest import dead_runs

sys.path.insert(0, str(Path(__file__).parents[1] / "stores"))  # for damage.py

from damage import OtherProcess

SPOIL = (
    "UPDATE run SET data = json_set(data, '$.key', 4711) WHERE worker = 'pick'",
    "UPDATE history SET data = '[' WHERE worker = 'send-mail'",
    "UPDATE dead_letter SET data = '7'",
    "UPDATE event SET data = '{\"type\": 5}'",
    "UPDATE worker SET state = json_set(state, '$.disabled.reason', 7) WHERE name = 'report'",
    "UPDATE worker SET record = CAST(x'7bff7d' AS TEXT) WHERE name = 'send-mail'",
)


@pytest.fixture
def spoiled(cli, shop):
    """The ids of a dead run and of one that waits; both in rows that cannot be read."""
    dead = dead_runs(cli)["ValueError"]
    (waits,) = [line["id"] for line in cli("runs", "--worker", "pick", "--status", "pending", "--json").lines]
    process = OtherProcess()
    process(shop / "shiftboss.db", *((statement, ()) for statement in SPOIL))
    process.close()
    return dead, waits


def test_every_question_is_answered(cli, spoiled):
    """W8"""
    dead, waits = spoiled
    for words in (
        ("status",),
        ("status", "--json"),
        ("why", "pick"),
        ("why", str(waits)),
        ("why", "report"),
        ("show", str(waits)),
        ("show", str(dead)),
        ("show", "report"),
        ("show", "send-mail"),
        ("runs",),
        ("runs", "--json"),
        ("runs", "--status", "dead"),
        ("dead",),
        ("dead", "list", "--json"),
        ("dead", "show", str(dead)),
        ("dead", "export"),
        ("logs", str(dead)),
        ("nodes",),
        ("graph",),
    ):
        found = cli(*words)
        assert found.code == 0 or (words[0] in ("status", "why") and found.code == 3), (words, found.err)

    assert f"run {waits} of pick cannot be read" in cli("why", str(waits)).out
    assert "cannot be read" in cli("show", str(waits)).out
    assert "cannot be read" in cli("status").out
    assert "cannot be read" in cli("runs", "--worker", "pick").out
    assert "cannot be read" in cli("dead", "show", str(dead)).out
    for refused in (
        ("cancel", str(waits)),
        ("dead", "resolve", str(dead)),
        ("enable", "report"),
        ("trigger", "report"),
    ):
        found = cli(*refused)
        assert (refused, found.code) == (refused, 5)
        assert "doctor --set-aside" in found.err


def test_doctor_names_them_and_sets_them_aside(cli, spoiled):
    """A5"""
    _, waits = spoiled
    before = cli("doctor", "--json")
    told = [each["text"] for each in before.json["findings"] if each["about"] == "unreadable"]
    untouched = cli("doctor", "--json").json["problems"] == before.json["problems"]
    moved = cli("doctor", "--set-aside", "--note", "a ticket", "--json").json["set_aside"]
    after = cli("doctor", "--json")
    again = cli("doctor", "--set-aside")

    assert before.code == 3
    assert untouched
    assert f"run {waits} of pick cannot be read (Expected `str | null`, got `int` - at `$.key`)" in told
    assert {row["table"] for row in moved} == {"run", "history", "dead_letter", "event", "worker", "record"}
    assert [each for each in after.json["findings"] if each["about"] == "unreadable"] == []
    assert [each["text"] for each in after.json["findings"] if each["about"] == "set aside"] == [
        f"{len(moved)} rows in the table set_aside, the last moved there by ada"
    ]
    assert "nothing was set aside" in again.err
    assert json.dumps(moved)
    assert cli("doctor", "--note", "x").code == 2


def test_a_damaged_file_is_still_a_damaged_store(cli, shop):
    """W3: that is no row's affair."""
    path = shop / "shiftboss.db"
    cli("status")
    raw = bytearray(path.read_bytes())
    raw[4096:8192] = bytes(4096)
    for log in shop.glob("shiftboss.db-*"):
        log.unlink()
    path.write_bytes(raw)
    found = cli("status")

    assert found.code == 78
    assert "is damaged" in found.err
