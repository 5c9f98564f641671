"""A1, A8: who did what, and what `audit verify` says of a real file that somebody has changed by SQL."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest

STORE = "boss.db"


@pytest.fixture
def desk(cli, tmp_path, monkeypatch):
    """A store with a worker, and a key, in which four things were done and sealed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHIFTBOSS_STORE", f"sqlite:///{tmp_path / STORE}")
    Path("app.py").write_text(
        "from shiftboss import Orchestrator\n"
        "boss = Orchestrator()\n"
        "@boss.worker\n"
        "def mail(to: str = '') -> None: ...\n"
        "@boss.worker\n"
        "def post() -> None: ...\n"
    )
    assert cli("run", "app.py", "--burst").code == 0
    for name in ("mail", "post"):
        assert cli("disable", name, "--reason", f"no {name} today").code == 0
    assert cli("enable", "mail").code == 0
    assert cli("trigger", "mail", "to=bob").code == 0
    return tmp_path


def sql(statement: str, *values: object, store: str = STORE) -> list[tuple]:
    """As a stranger with access to the file does it; no process of ours has it open."""
    with sqlite3.connect(store) as connection:
        found = connection.execute(statement, values).fetchall()
    connection.close()
    return found


def ids(store: str = STORE) -> list[int]:
    return [row for (row,) in sql("SELECT id FROM audit ORDER BY id", store=store)]


def forget_what_this_machine_remembers() -> None:
    Path(f"{STORE}.audit-head").unlink()


# ── the list ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_list_says_who_did_what(cli, desk):
    """A1: triggers of people as well."""
    found = cli("audit", "--json").lines

    assert [(act["by"], act["action"], act["worker"], act["before"], act["after"]) for act in found] == [
        ("ada", "trigger", "mail", "", ""),
        ("ada", "enable", "mail", "disabled by ada: no mail today", "enabled"),
        ("ada", "disable", "post", "enabled", "disabled: no post today"),
        ("ada", "disable", "mail", "enabled", "disabled: no mail today"),
    ]
    assert all(act["sealed"] for act in found)
    assert cli("audit").out.splitlines()[0].split() == ["WHEN", "WHO", "WHAT", "ABOUT", "MORE"]


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (("--worker", "mail"), 3),
        (("--action", "disable"), 2),
        (("--by", "ada"), 4),
        (("--by", "ad"), 0),
        (("--since", "1h"), 4),
        (("--since", "2999-01-01T00:00"), 0),
        (("-n", "1"), 1),
        (("-n", "1", "--all"), 4),
        (("list", "--worker", "mail", "--action", "enable"), 1),
    ],
)
def test_the_list_is_filtered(cli, desk, filters, count):
    assert len(cli("audit", *filters, "--json").lines) == count


def test_a_forced_trigger_says_what_it_passed_over(cli, desk):
    cli("trigger", "post", "--force")
    act = cli("audit", "-n", "1", "--json").json

    assert (act["action"], act["before"], act["after"]) == ("trigger", "disabled by ada: no post today", "forced")


def test_pruning_and_exports_are_acts(cli, desk):
    assert cli("prune", "--older-than", "1s", "--yes").code == 0
    cli("dead", "export", "--worker", "mail")
    found = cli("audit", "-n", "2", "--json").lines

    assert [(act["by"], act["action"], act["worker"]) for act in found] == [
        ("ada", "export dead letters", "mail"),
        ("ada", "prune", ""),
    ]
    assert len(cli("audit", "--all", "--json").lines) == 6  # pruning took none of them


def test_a_secret_in_a_reason_is_masked(cli, desk):
    cli("disable", "mail", "--reason", "password=hunter2 was rotated")

    assert "hunter2" not in Path(STORE).read_bytes().decode("latin-1")
    assert "hunter2" not in cli("audit", "--json").out


def test_the_key_lies_outside_the_store_for_its_owner_alone(cli, desk):
    """A8."""
    for name in ("audit-key", "audit-head"):
        assert stat.S_IMODE(os.stat(f"{STORE}.{name}").st_mode) == 0o600
    assert Path(f"{STORE}.audit-key").read_text().strip() not in Path(STORE).read_bytes().decode("latin-1")


# ── forging ──────────────────────────────────────────────────────────────────────────────────────────────────────


def verified(cli, *args: str, code: int) -> dict:
    found = cli("audit", "verify", "--json", *args)
    assert found.code == code, found
    return found.json


def test_what_nobody_touched_is_proven(cli, desk):
    verdict = verified(cli, code=0)

    assert (verdict["rows"], verdict["proven"], verdict["unsealed"], verdict["doubts"]) == (4, 4, 0, [])
    assert cli("audit", "verify").out.startswith("4 rows; 4 proven")


FORGERIES = {
    "edited": "UPDATE audit SET data = replace(data, 'ada', 'eve') WHERE id = {2}",
    "instant edited": "UPDATE audit SET at = at - 1000000 WHERE id = {2}",
    "deleted": "DELETE FROM audit WHERE id = {2}",
    "inserted": "INSERT INTO audit SELECT {1} + 1, at, data FROM audit WHERE id = {2}",
    "reordered": "UPDATE audit SET data = CASE id WHEN {1} THEN (SELECT data FROM audit WHERE id = {2}) "
    "ELSE (SELECT data FROM audit WHERE id = {1}) END WHERE id IN ({1}, {2})",
}


@pytest.mark.parametrize("how", FORGERIES)
def test_a_forged_row_is_found(cli, desk, how):
    """A8."""
    places = ids()
    if how == "inserted" and places[1] + 1 in places:
        pytest.fail("there is no room between these rows")
    sql(FORGERIES[how].format(*places))
    verdict = verified(cli, code=3)

    assert {doubt["what"] for doubt in verdict["doubts"]} == {"rows"}
    assert verdict["doubts"][0]["first"] > places[0]
    assert verdict["doubts"][-1]["last"] <= places[2]
    said = cli("audit", "verify")
    assert said.code == 3
    assert "are not those that were sealed" in said.err


def test_a_tail_that_was_cut_is_found_by_what_the_machine_remembers(cli, desk):
    """A8: rows, seals and all."""
    third = ids()[2]
    head = cli("audit", "head").out
    sql("DELETE FROM audit WHERE id > ?", third)
    sql("DELETE FROM audit_seal WHERE id > ?", third)
    verdict = verified(cli, code=3)

    assert [doubt["what"] for doubt in verdict["doubts"]] == ["head"]
    assert f"{STORE}.audit-head" in cli("audit", "verify").err
    forget_what_this_machine_remembers()
    alone = verified(cli, code=0)
    assert "cannot be seen in the store" in alone["limits"][0]
    Path("heads").write_text(head)
    assert [doubt["what"] for doubt in verified(cli, "--head", "heads", code=3)["doubts"]] == ["head"]
    assert verified(cli, "--head", json.loads(head)["digest"], code=3)["doubts"]


def test_a_tail_that_was_cut_is_not_forgotten_when_work_goes_on(cli, desk):
    """A8: the next one who seals says it, and whoever verifies later is told."""
    third = ids()[2]
    sql("DELETE FROM audit WHERE id > ?", third)
    sql("DELETE FROM audit_seal WHERE id > ?", third)
    for _ in range(3):
        cli("enable", "post")
        cli("disable", "post")

    assert [doubt["what"] for doubt in verified(cli, code=3)["doubts"]] == ["head"]


def test_that_everything_was_unsealed_and_sealed_anew_is_found(cli, desk):
    """A8: a store as it was before there were seals."""
    sql("UPDATE audit SET data = replace(data, 'ada', 'eve')")
    sql("DELETE FROM audit_seal")
    assert verified(cli, code=3)["unsealed"] == 4
    cli("enable", "post")

    verdict = verified(cli, code=3)
    assert verdict["unsealed"] == 0
    assert [doubt["what"] for doubt in verdict["doubts"]] == ["head"]


def test_an_older_backup_is_told_from_the_store(cli, desk):
    """A8: it proves itself, and the machine knows of more; who did that on purpose says so."""
    shutil.copy(STORE, "backup.db")
    cli("enable", "post")
    for suffix in ("", "-wal", "-shm"):
        Path(STORE + suffix).unlink(missing_ok=True)
    shutil.copy("backup.db", STORE)

    assert [doubt["what"] for doubt in verified(cli, code=3)["doubts"]] == ["head"]
    forget_what_this_machine_remembers()
    assert verified(cli, code=0)["proven"] == 4


def test_a_seal_that_was_forged_is_found(cli, desk):
    sql("UPDATE audit_seal SET data = replace(data, '\"rows\":4', '\"rows\":3')")

    assert "seal" in {doubt["what"] for doubt in verified(cli, code=3)["doubts"]}


def test_a_seal_that_nobody_can_read_vouches_for_nothing(cli, desk):
    sql("UPDATE audit_seal SET data = '{' WHERE id = (SELECT max(id) FROM audit_seal)")

    assert verified(cli, code=3)["proven"] < 4


def test_a_lost_key_proves_nothing(cli, desk):
    Path(f"{STORE}.audit-key").unlink()
    verdict = verified(cli, code=1)

    assert (verdict["doubts"], verdict["proven"]) == ([], 0)
    assert "which is not here" in verdict["limits"][0]
    assert "SHIFTBOSS_AUDIT_KEY_FILE" in cli("audit", "verify").err
    sql("DELETE FROM audit WHERE id = ?", ids()[1])
    assert verified(cli, code=3)["doubts"]


def test_a_replaced_key_seals_on_and_the_former_one_can_be_named_beside_it(cli, desk):
    """A8: its seals vouch for what stood there when it began."""
    key = Path(f"{STORE}.audit-key")
    former = key.read_text()
    key.write_text("0123456789abcdef" * 4 + "\n")
    assert verified(cli, code=1)["proven"] == 0
    cli("enable", "post")
    assert verified(cli, code=0)["proven"] == 5

    sql("DELETE FROM audit WHERE id = ?", ids()[-1])
    sql("DELETE FROM audit_seal WHERE id > ?", ids()[-1])
    forget_what_this_machine_remembers()
    assert verified(cli, code=1)["proven"] == 0
    key.write_text("0123456789abcdef" * 4 + "\n" + former)
    assert verified(cli, code=0)["proven"] == 4


def test_a_key_of_the_environment_goes_before_the_file(cli, desk, monkeypatch):
    monkeypatch.setenv("SHIFTBOSS_AUDIT_KEY", "too short")
    assert cli("audit", "verify").code == 2
    monkeypatch.setenv("SHIFTBOSS_AUDIT_KEY", "another key, long enough")
    assert verified(cli, code=1)["proven"] == 0
    cli("enable", "post")
    assert verified(cli, code=0)["proven"] == 5
    monkeypatch.delenv("SHIFTBOSS_AUDIT_KEY")
    monkeypatch.setenv("SHIFTBOSS_AUDIT_KEY_FILE", "nowhere")
    assert cli("audit", "verify").code == 2


def test_a_head_that_is_none_is_refused(cli, desk):
    Path("empty").write_text("")
    Path("other").write_text("[]\n")

    for wrong in ("nowhere", "empty", "other", "abc"):
        assert cli("audit", "verify", "--head", wrong).code == 2
    assert verified(cli, "--head", "0" * 64, code=3)["doubts"]
