"""`enable`, `disable`, `forget`, `cancel`, `migrate`, `prune`, `doctor`, `check`, `demo`."""

import os

import pytest

from shiftboss.cli.commands import migrate
from shiftboss.stores.postgres.schema import latest
from shiftboss.stores.sqlite.notifier import NotWatched, Watch


def test_a_pause_is_said_and_holds_until_it_is_resumed(cli, shop):
    """K7"""
    assert "pick is paused by ada until 2" in cli("pause", "pick", "--until", "2h", "--reason", "stocktaking").err
    assert "report is paused by ada" in cli("pause", "report").err

    cli("trigger", "pick")
    assert "paused by ada, resumes in" in cli("show", "pick").out
    assert "paused by ada, resumes in" in cli("status").out
    assert [hold["gate"] for hold in cli("why", "pick", "--json").json["holds"]][:1] == ["paused"]
    rows = {row["name"]: row for row in cli("status", "--json").json["workers"]}
    assert rows["pick"]["paused"]["reason"] == "stocktaking"
    assert "paused" not in [reason["fact"] for row in rows.values() for reason in row["reasons"]]

    assert "pick is not paused" in cli("resume", "pick").err
    rows = {row["name"]: row for row in cli("status", "--json").json["workers"]}
    assert rows["pick"]["paused"] is None


def test_a_pause_that_cannot_be_is_refused(cli, shop):
    """K7, W9"""
    for until in ("2020-01-01", "soon", "0s", "-5m", "25:00"):
        found = cli("pause", "pick", "--until", until)
        assert found.code == 2, until
        assert "until=" in found.err
    assert cli("pause", "nobody").code == 4


def test_disable_and_enable_are_said_and_hold(cli, shop):
    assert "pick is disabled: stocktaking" in cli("disable", "pick", "send-mail", "--reason", "stocktaking").err
    assert cli("status", "send-mail", "--json").json["enabled"] is False

    found = cli("enable", "pick", "send-mail")

    assert (found.code, found.out) == (0, "")
    assert cli("status", "send-mail", "--json").json["enabled"] is True


def test_disabling_twice_keeps_the_first_reason(cli, shop):
    assert "report is disabled: moving house" in cli("disable", "report", "--reason", "another").err


def test_an_unknown_worker_can_be_neither_switched_nor_forgotten(cli, shop):
    assert cli("enable", "nobody").code == 4
    assert cli("disable", "nobody").code == 4
    assert cli("forget", "nobody", "--yes").code == 4


def test_forget_needs_a_yes_where_nobody_can_be_asked(cli, shop):
    refused = cli("forget", "pick")

    assert refused.code == 2
    assert "Forget worker 'pick' and cancel 1 pending run?" in refused.err
    assert "--yes" in refused.err
    assert cli("forget", "pick", "--yes").code == 0
    assert cli("status", "pick").code == 4


def test_several_workers_are_forgotten_and_an_unknown_one_ends_the_command(cli, shop):
    forgotten = cli("forget", "pick", "nobody", "report", "--yes")

    assert (forgotten.code, "pick was removed" in forgotten.err) == (4, True)
    assert cli("status", "pick").code == 4
    assert "report" in cli("status", "report").out


def test_a_waiting_run_is_cancelled_at_once(cli, shop):
    run = cli("runs", "--worker", "pick", "--json").lines[0]["id"]

    assert "is cancelled" in cli("cancel", str(run), "--reason", "wrong").err
    assert cli("show", str(run), "--json").json["run"]["cancel"]["reason"] == "wrong"


def test_a_finished_run_cannot_be_cancelled(cli, shop):
    run = cli("runs", "--worker", "fetch-data", "--status", "succeeded", "--json").lines[0]["id"]

    found = cli("cancel", str(run))

    assert found.code == 5
    assert "only unfinished runs can be cancelled" in found.err


def test_many_runs_need_a_yes_and_what_cannot_be_cancelled_spoils_no_other(cli, shop):
    waiting = cli("runs", "--worker", "pick", "--json").lines[0]["id"]

    assert cli("cancel", "1", str(waiting)).code == 2
    found = cli("cancel", "999999", str(waiting), "--yes")

    assert found.code == 4
    assert "no run 999999" in found.err
    assert f"pick run {waiting} is cancelled" in found.err


@pytest.mark.parametrize("text", ["x", "1.5", "-1", "9" * 25])
def test_what_is_no_run_id_is_no_such_thing(cli, shop, text):
    assert cli("cancel", "--", text).code == 4


# ── care ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_migrate_makes_a_store_and_then_has_nothing_to_do(cli, empty):
    first, again = cli("migrate"), cli("migrate")

    assert (first.code, again.code) == (0, 0)
    assert "created sqlite:///" in first.err
    assert "already has the newest schema" in again.err
    found = cli("migrate", "--json").json
    assert found["from"] == found["to"]


def test_migrate_leaves_alone_what_is_no_store(cli, empty):
    (empty / "shiftboss.db").write_bytes(b"")

    assert cli("migrate").code == 78
    assert (empty / "shiftboss.db").read_bytes() == b""


def test_migrate_moves_a_store_and_says_what_it_moved(cli, shop):
    moved = cli("migrate", "--from", "sqlite:///shiftboss.db", "--to", "sqlite:///new.db")

    assert moved.code == 0
    assert "runs" in moved.out
    assert "now has everything of sqlite:///" in moved.err
    assert cli("runs", "--store", "new.db", "--json").out == cli("runs", "--json").out


def test_migrate_says_how_far_a_long_move_is(cli, shop, monkeypatch):
    monkeypatch.setattr(migrate, "LINE_RUNS", 1)
    moved = cli("migrate", "--from", "sqlite:///shiftboss.db", "--to", "sqlite:///new.db")

    assert "runs moved\n" in moved.err
    assert "runs compared\n" in moved.err


def test_migrate_knows_the_schema_of_a_store_on_postgresql(cli, empty, place):
    first, again = cli("migrate", "--store", place.url), cli("migrate", "--store", place.url)
    found = cli("migrate", "--store", place.url, "--json").json

    assert f"with schema {latest()}" in first.err
    assert "already has the newest schema" in again.err
    assert (found["from"], found["to"]) == (latest(), latest())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--from", "a.db"], 2, "a move takes --from URL and --to URL"),
        (["--from", "./none.db", "--to", "./new.db"], 4, "there is no store"),
        (["--from", "./shiftboss.db", "--to", "./shiftboss.db"], 5, "cannot be moved into itself"),
    ],
)
def test_a_move_that_cannot_be_is_refused(cli, shop, arguments, code, message):
    refused = cli("migrate", *arguments)

    assert refused.code == code
    assert message in refused.err


def test_preferring_what_is_not_there_is_refused(cli, shop):
    refused = cli("prefer", "web-2:1", "report")

    assert refused.code == 4
    assert "there is no node 'web-2:1'; known: none" in refused.err


def test_draining_an_unknown_node_is_no_such_thing(cli, shop):
    refused = cli("drain", "web-2:1")

    assert refused.code == 4
    assert "there is no node 'web-2:1'; known: none" in refused.err


def test_prune_needs_a_yes_and_says_how_much_went(cli, shop):
    assert cli("prune").code == 2

    assert cli("prune", "--yes").err == "0 rows deleted\n"
    assert cli("prune", "--older-than", "0s", "--yes").err != "0 rows deleted\n"
    left = {run["status"] for run in cli("runs", "--json").lines}
    assert left <= {"pending", "dead"}, "unresolved dead letters and what waits stay"


def test_doctor_finds_what_is_wrong_with_its_remedy(cli, shop):
    found = cli("doctor")

    assert found.code == 3
    assert "report: disabled by ada" in found.out
    assert "→ fix the cause, then: shiftboss enable report" in found.out
    assert "1 problem" in found.err


def test_doctor_as_json_has_every_finding(cli, shop):
    found = cli("doctor", "--json").json

    assert found["problems"] == 1
    about = {each["about"]: each["severity"] for each in found["findings"]}
    assert about["integrity"] == about["graph"] == about["store"] == "good"
    assert about["notifications"] == "good"
    assert about["dead letters"] == "warning"
    assert all(each["remedy"] for each in found["findings"] if each["severity"] != "good")


def test_doctor_says_why_processes_look_for_commits_instead_of_being_notified(cli, shop, monkeypatch):
    """W1"""

    def refuse(self: Watch) -> None:
        raise NotWatched("this user has no inotify instance left", "raise fs.inotify.max_user_instances (sysctl)")

    monkeypatch.setattr(Watch, "open", refuse)
    (found,) = [each for each in cli("doctor", "--json").json["findings"] if each["about"] == "notifications"]

    assert found["severity"] == "warning"
    assert found["text"] == (
        "this user has no inotify instance left: processes look for each other's commits every 20 ms"
    )
    assert found["remedy"] == "raise fs.inotify.max_user_instances (sysctl)"


def test_doctor_examines_the_machine_also_without_a_store(cli, empty):
    found = cli("doctor")

    assert found.code == 3
    assert "there is no store at" in found.out
    assert "versions" in found.out


def test_doctor_names_a_network_file_system():
    from pathlib import Path

    from shiftboss.cli import doctor

    mounts = "1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:9 / /mnt/a\\040b rw - nfs4 srv:/x rw\n"

    assert doctor.file_system(Path("/mnt/a b/jobs"), mounts) == "nfs4"
    assert doctor.file_system(Path("/mnt/other"), mounts) == "ext4"
    assert doctor.file_system(Path("/srv"), "") == ""


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_doctor_warns_of_a_store_that_everybody_may_write(cli, shop):
    (shop / "shiftboss.db").chmod(0o666)

    assert "chmod o-w" in cli("doctor").out


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_doctor_says_who_may_read_a_store_and_warns_when_that_is_everybody(cli, shop):
    file = shop / "shiftboss.db"
    for mode, says, warns in ((0o600, "for its owner", False), (0o660, "and the group", False), (0o644, "", True)):
        file.chmod(mode)
        found = cli("doctor")

        assert says in found.out
        assert ("every user of this machine can read" in found.out) is warns
        assert (f"chmod o-rwx {file}" in found.out) is warns
    file.chmod(0o600)
    key = shop / "shiftboss.db.audit-key"
    key.chmod(0o604)
    assert f"chmod o-rwx {key}" in cli("doctor").out


def test_check_lets_a_good_app_pass(cli, shop):
    found = cli("check", "app.py")

    assert found.code == 0
    assert "app.py:boss: 6 workers" in found.err


def test_check_refuses_what_could_not_start(cli, empty):
    (empty / "app.py").write_text(
        "from shiftboss import Orchestrator\nboss = Orchestrator()\n"
        "@boss.worker(every=60, depends_on=['b'])\ndef a(): ...\n"
        "@boss.worker(every=60, depends_on=['a'])\ndef b(): ...\n"
    )

    found = cli("check")

    assert found.code == 2
    assert "cycle" in found.err


def test_check_warns_of_what_would_never_run(cli, empty):
    (empty / "app.py").write_text(
        "from shiftboss import Orchestrator\nboss = Orchestrator()\n"
        "@boss.worker()\ndef manual(): ...\n"
        "@boss.worker(every=60, depends_on=[manual])\ndef waits(): ...\n"
    )

    found = cli("check")

    assert found.code == 3
    assert "waits" in found.out
    assert "→" in found.out
    assert cli("check", "--json").json["warnings"] == 1


def test_check_warns_of_what_an_executor_cannot_give(cli, empty):
    """T2: each line names the worker, the fact and the remedy."""
    (empty / "app.py").write_text(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from shiftboss import Context, Orchestrator, command\nboss = Orchestrator(command_slots=1)\n"
        "@boss.worker(timeout='30s')\ndef deaf(): ...\n"
        "@boss.worker(timeout='30s')\ndef heedful(ctx: Context): ...\n"
        "@boss.worker(timeout='30s', executor='process')\ndef stoppable(): ...\n"
        "@boss.worker(heartbeat_timeout='5s')\nasync def dumb(): ...\n"
        "def pooled(): ...\n"
        "boss.register('pooled', pooled, pool=lambda: ThreadPoolExecutor(2), timeout='30s')\n"
        "boss.register('dump', command(['true']), every='1m', timeout='1h', expected_duration='61s')\n"
    )

    found = cli("check")

    assert found.code == 3
    warnings = {line.split()[1]: line for line in found.out.splitlines() if line.startswith("!")}
    assert warnings.keys() == {"deaf", "dumb", "pooled", "dump", "scheduled"}
    assert "timeout of 30 s cannot be enforced" in warnings["deaf"]
    assert "→ use executor='process'" in warnings["deaf"]
    assert "timeout of 30 s cannot be enforced" in warnings["pooled"]
    assert "takes no ctx, so it cannot send one" in warnings["dumb"]
    assert "scheduled and continuous workers keep 1.0 command slots busy on average" in warnings["scheduled"]
    [note] = [line for line in found.out.splitlines() if line.startswith("·")]
    assert "the function of heedful keeps its slot" in note


def test_the_demo_says_what_is_missing(cli, empty, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "psutil", None)

    found = cli("demo")

    assert found.code == 2
    assert "pip install 'shiftboss[demo]'" in found.err
