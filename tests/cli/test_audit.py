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
    assert "the store alone cannot show" in alone["limits"][0]
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
    assert "which this process does not have" in verdict["limits"][0]
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


# ── moved, examined, and who may come in ─────────────────────────────────────────────────────────────────────────


@pytest.fixture
def old(desk, monkeypatch):
    """The desk's store, to be moved by name."""
    monkeypatch.delenv("SHIFTBOSS_STORE")
    return desk


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_store_that_moves_takes_its_key_along(cli, old, kind, request):
    """A8: what was sealed there is proven here, and what is done here is sealed with the same key."""
    target = f"sqlite:///{old / 'new' / 'moved.db'}" if kind == "sqlite" else request.getfixturevalue("place").url
    (old / "new").mkdir()
    moved = cli("migrate", "--from", f"sqlite:///{old / STORE}", "--to", target)
    before = cli("audit", "verify", "--store", target, "--json")
    assert cli("run", "app.py", "--store", target, "--burst").code == 0
    assert cli("disable", "mail", "--store", target).code == 0
    after = cli("audit", "verify", "--store", target, "--json")

    assert moved.code == 0
    assert "the audit key was copied to" in moved.err
    assert ("SHIFTBOSS_AUDIT_KEY_FILE" in moved.err) is (kind == "postgres")
    assert (before.code, before.json["proven"], before.json["rows"]) == (0, 4, 4)
    assert (after.code, after.json["proven"], after.json["doubts"]) == (0, after.json["rows"], [])
    if kind == "sqlite":
        key = old / "new" / "moved.db.audit-key"
        assert key.read_bytes() == (old / f"{STORE}.audit-key").read_bytes()
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_tail_that_was_cut_before_a_move_is_found_behind_it(cli, old):
    """A8: what this machine remembers goes along."""
    sql("DELETE FROM audit WHERE id = (SELECT max(id) FROM audit)")
    sql("DELETE FROM audit_seal WHERE id = (SELECT max(id) FROM audit_seal)")
    target = f"sqlite:///{old / 'moved.db'}"
    assert cli("migrate", "--from", f"sqlite:///{old / STORE}", "--to", target).code == 0

    assert cli("audit", "verify", "--store", target).code == 3


def test_a_key_that_is_there_already_stays_the_first(cli, old):
    target = old / "moved.db"
    (old / "moved.db.audit-key").write_text("a-key-of-the-targets-own\n")
    (old / "moved.db.audit-key").chmod(0o600)
    assert cli("migrate", "--from", f"sqlite:///{old / STORE}", "--to", f"sqlite:///{target}").code == 0

    lines = (old / "moved.db.audit-key").read_text().splitlines()
    assert lines == ["a-key-of-the-targets-own", (old / f"{STORE}.audit-key").read_text().strip()]
    assert cli("audit", "verify", "--store", f"sqlite:///{target}").code == 0


def test_a_move_says_whose_the_key_is_where_a_variable_names_it(cli, old, monkeypatch):
    monkeypatch.setenv("SHIFTBOSS_AUDIT_KEY_FILE", str(old / f"{STORE}.audit-key"))
    moved = cli("migrate", "--from", f"sqlite:///{old / STORE}", "--to", f"sqlite:///{old / 'moved.db'}")

    assert "the audit key comes from SHIFTBOSS_AUDIT_KEY_FILE" in moved.err
    assert not (old / "moved.db.audit-key").exists()


def about_the_audit(cli) -> list[tuple[str, str]]:
    return [
        (each["severity"], each["text"])
        for each in cli("doctor", "--json").json["findings"]
        if each["about"] == "audit"
    ]


def test_doctor_verifies_the_seals_and_says_what_cannot_be_verified(cli, desk):
    """A8"""
    good = about_the_audit(cli)
    key = Path(f"{STORE}.audit-key").rename("elsewhere")
    without = about_the_audit(cli)
    key.rename(f"{STORE}.audit-key")
    sql("UPDATE audit SET data = json_set(data, '$.by', 'bob') WHERE id = (SELECT min(id) FROM audit)")
    changed = about_the_audit(cli)

    assert good == [("good", "4 rows verified: 4 proven")]
    ((severity, text),) = without
    assert severity == "warning"
    assert text.startswith("of 4 rows 0 can be verified, because this machine does not have its key: rows up to")
    assert [severity for severity, _ in changed] == ["problem"]
    assert "are not those that were sealed" in changed[0][1]


def test_doctor_looks_at_the_newest_rows_alone_where_there_are_many(cli, desk, monkeypatch):
    """Bounded; what it left out it says, and it is no doubt of its own."""
    newest = ids()[-1] - ids()[-2]
    monkeypatch.setattr("shiftboss.cli.doctor.MAX_ACTS", newest)
    found = about_the_audit(cli)
    sql("UPDATE audit SET data = json_set(data, '$.by', 'bob') WHERE id = (SELECT min(id) FROM audit)")

    assert found == [("good", "the newest 1 row verified: 1 proven")]
    assert about_the_audit(cli) == found
    assert cli("audit", "verify").code == 3


def test_who_gives_and_takes_tokens_stands_in_the_audit(cli, desk):
    """A1"""
    assert cli("token", "new", "ci", "--role", "operator").code == 0
    assert cli("token", "remove", "ci").code == 0
    found = [(act["by"], act["action"], act["after"]) for act in cli("audit", "--json").lines[:2]]

    assert found == [("ada", "token remove", "ci"), ("ada", "token new", "ci operator")]
