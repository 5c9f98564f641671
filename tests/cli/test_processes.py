"""What only real processes show: signals, pipes, waiting, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from .conftest import COMMAND, clean_environment, process
from .running import Running

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


@pytest.fixture
def start(shop):
    """Start a command in the shop; whatever still runs at the end is killed."""
    running = []

    def start_(*args, **env):
        command = Running(*args, cwd=shop, **env)
        running.append(command)
        return command.__enter__()

    yield start_
    for command in running:
        command.__exit__()


# ── run ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_ends_gracefully_on_a_signal_and_a_deploy_is_no_failure(cli, start, shop, number):
    node = start("run", "--shutdown-timeout", "1s")
    cli("trigger", "pick")
    node.says("pick run")

    assert node.ends(number) == 0

    node.says("interrupted 1 (requeued)")
    [pick] = [run for run in cli("runs", "--worker", "pick", "--json").lines if run["interruptions"]]
    assert (pick["status"], pick["attempt"]) == ("pending", 0)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_forces_run_out_and_the_code_says_which(cli, start, shop, number, code):
    node = start("run", "--shutdown-timeout", "60s")
    cli("trigger", "pick")
    node.says("pick run")
    node.process.send_signal(number)
    node.says("stopping")

    assert node.ends(number) == code


def test_a_node_that_is_drained_from_elsewhere_starts_nothing_more_and_says_so(cli, start, shop):
    node = start("run", "--shutdown-timeout", "1s")
    cli("trigger", "pick")
    node.says("pick run")
    (name,) = [each["name"] for each in cli("nodes", "--json").json["nodes"] if each["live"]]

    drained = cli("drain", name)
    run = cli("trigger", "send-mail", "to=ada").out.strip()

    assert (drained.code, f"{name} is draining" in drained.err) == (0, True)
    assert [each["mode"] for each in cli("nodes", "--json").json["nodes"]] == ["draining"]
    assert process("trigger", "send-mail", "to=bea", "--wait", "--timeout", "1s", cwd=shop).code == 124
    assert cli("show", run, "--json").json["run"]["status"] == "pending"
    assert node.ends(signal.SIGTERM) == 0


def test_a_node_for_some_workers_of_an_app_may_be_the_first_of_a_store(cli, empty, tmp_path):
    (empty / "app.py").write_text(
        "from shiftboss import Orchestrator\nboss = Orchestrator()\n@boss.worker()\ndef prune(): ...\n"
        "@boss.worker(blocks=[prune])\ndef backup(): ...\n"
    )

    found = process("run", "--only", "backup", "--for", "0.2s", cwd=empty)

    assert found.code == 0
    assert sorted(each["name"] for each in cli("status", "--json").json["workers"]) == [
        "backup",
        "prune",
    ]


def test_run_ends_by_itself_after_a_while(shop):
    assert process("run", "--for", "0.2s", "--shutdown-timeout", "1s", cwd=shop).code == 0


def test_burst_works_off_what_is_due_and_ends(cli, shop):
    run = cli("trigger", "send-mail", "to=ada").out.strip()

    found = process("run", "--burst", cwd=shop)

    assert found.code == 0
    assert f"send-mail run {run} succeeded" in found.err
    assert cli("show", run, "--json").json["run"]["status"] == "succeeded"


def test_burst_does_not_wait_for_what_only_a_person_can_release(cli, shop):
    cli("disable", "send-mail")
    run = cli("trigger", "send-mail", "to=ada", "--force").out.strip()
    cli("trigger", "report", "--force")

    assert process("run", "--burst", cwd=shop).code == 0
    assert cli("show", run, "--json").json["run"]["status"] == "succeeded"


def test_run_can_be_told_which_workers_to_run(cli, shop):
    mail = cli("trigger", "send-mail", "to=ada").out.strip()

    process("run", "--burst", "--except", "send-*", cwd=shop)
    assert cli("show", mail, "--json").json["run"]["status"] == "pending"

    process("run", "--burst", "--only", "send-*", cwd=shop)
    assert cli("show", mail, "--json").json["run"]["status"] == "succeeded"


@pytest.mark.parametrize("args", [("--only", "mail"), ("--only", "pick", "--except", "pick"), ("-j", "0")])
def test_a_choice_that_leaves_nothing_to_run_is_a_usage_error(shop, args):
    assert process("run", *args, cwd=shop).code == 2


def test_off_a_terminal_every_event_is_a_line_without_colour_on_stderr(cli, shop):
    cli("trigger", "send-mail", "to=ada")

    found = process("run", "--burst", cwd=shop)

    assert found.out == ""
    assert found.err.splitlines()[0] == "using app.py:boss"
    assert "\x1b" not in found.err
    assert any(" INFO send-mail run " in line and line.endswith("started") for line in found.err.splitlines())


def test_events_can_be_json_with_worker_and_run(cli, shop):
    run = int(cli("trigger", "send-mail", "to=ada").out)

    found = process("run", "app.py", "--burst", "--log-format", "json", cwd=shop)

    lines = [json.loads(line) for line in found.err.splitlines()]
    started = next(line for line in lines if line["message"].endswith(f"run {run} started"))
    assert (started["worker"], started["run"], started["level"]) == ("send-mail", run, "info")


def test_the_level_of_what_is_said_can_be_raised(cli, shop):
    cli("trigger", "send-mail", "to=ada")

    assert process("run", "app.py", "--burst", "--log-level", "warning", cwd=shop).err == ""


def test_logging_that_the_app_has_set_up_is_left_alone(shop):
    with (shop / "app.py").open("a") as app:
        app.write("\nimport logging\nlogging.basicConfig(format='MINE %(message)s', level='INFO')\n")

    found = process("run", "app.py", "--burst", cwd=shop)

    assert all(line.startswith("MINE ") for line in found.err.splitlines())


def test_a_store_that_cannot_be_opened_ends_run_with_its_own_code(shop):
    (shop / "shiftboss.db").write_text("not a store" * 100)

    found = process("run", cwd=shop)

    assert found.code == 78
    assert "Traceback" not in found.err


# ── trigger --wait ───────────────────────────────────────────────────────────────────────────────────────────────


def test_waiting_prints_the_result_and_nothing_else_on_stdout(start, shop):
    start("run")

    found = process("trigger", "send-mail", "to=ada", "--wait", cwd=shop)

    assert found.code == 0
    assert json.loads(found.out) == {"to": "ada", "copies": 1}
    assert "send-mail run " in found.err  # the shop is a copied file: that may be said before (C9)


def test_waiting_for_a_run_that_dies_fails_and_says_why(start, shop):
    start("run")

    found = process("trigger", "send-mail", "to=nobody", "--wait", cwd=shop)

    assert (found.code, found.out) == (1, "")
    assert "is dead (fatal): Fatal: nobody has no address" in found.err.splitlines()[-1]


def test_waiting_ends_after_the_timeout_and_the_run_goes_on(shop):
    found = process("trigger", "send-mail", "to=ada", "--wait", "--timeout", "0.1s", cwd=shop)

    assert found.code == 124
    assert "no live node runs this worker" in found.err
    assert "it goes on" in found.err


def test_ctrl_c_ends_the_waiting_and_not_the_run(cli, start, shop):
    waiting = start("trigger", "send-mail", "to=ada", "--wait")
    run = waiting.says("send-mail run ").split()[-1]
    waiting.says("pending")

    assert waiting.ends(signal.SIGINT) == 130
    assert cli("show", run, "--json").json["run"]["status"] == "pending"


def test_progress_is_said_while_one_waits(start, shop):
    start("run", "--shutdown-timeout", "1s")
    waiting = start("trigger", "pick", "--wait")

    assert "33 % first parcel" in waiting.says("first parcel")


# ── status --watch ───────────────────────────────────────────────────────────────────────────────────────────────


def test_watching_off_a_terminal_is_a_line_for_each_worker_and_then_for_each_change(cli, start, shop):
    watching = start("status", "--watch", "send-mail")
    watching.says(" send-mail ")

    cli("disable", "send-mail", "--reason", "no paper")

    assert "disabled by ada" in watching.says("no paper")
    assert watching.ends(signal.SIGINT) == 0


def test_watching_ends_on_term_with_its_code(start):
    watching = start("status", "--watch", "--json")
    json.loads(watching.says("send-mail"))

    assert watching.ends(signal.SIGTERM) == 143


# ── pipes and errors ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_reader_that_leaves_is_no_error_to_talk_about(shop):
    reader, writer = os.pipe()
    os.close(reader)
    found = subprocess.run(
        [*COMMAND, "runs", "--json"], cwd=shop, env=clean_environment(), stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)

    assert found.stderr == b""
    assert found.returncode == 141


def test_an_error_has_a_traceback_only_when_it_is_asked_for(shop):
    plain = process("why", "nobody", cwd=shop)
    debug = process("why", "nobody", "--debug", cwd=shop)
    by_environment = process("why", "nobody", cwd=shop, SHIFTBOSS_DEBUG="1")

    assert (plain.code, debug.code, by_environment.code) == (4, 4, 4)
    assert len(plain.err.splitlines()) == 1
    assert "Traceback" in debug.err
    assert "Traceback" in by_environment.err


def test_an_encoding_that_lacks_our_symbols_gets_others(shop):
    found = process("status", cwd=shop, PYTHONIOENCODING="ascii", PYTHONUTF8="0")

    assert found.code == 3
    assert "\\u" not in found.out
    assert "ok " in found.out


def test_the_module_is_the_command(shop):
    assert process("--version", cwd=shop).out.startswith("shiftboss ")
