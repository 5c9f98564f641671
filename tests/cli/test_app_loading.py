"""From what is typed to an app."""

import contextlib

import apsw
import pytest

ONE = "from shiftboss import Orchestrator\nboss = Orchestrator()\n\n@boss.worker(every=60)\ndef tick(): ...\n"
TWO = ONE + "other = Orchestrator()\n"
NAMES = "'workers': ['tick']"


def write(folder, name, text):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize("spec", ["jobs.py", "jobs.py:boss", "jobs:boss", "jobs"])
def test_an_app_is_named_as_a_file_or_a_module_with_or_without_its_attribute(cli, empty, spec):
    write(empty, "jobs.py", ONE)

    found = cli("graph", spec, "--json")

    assert (found.code, found.err) == (0, "")
    assert list(found.json["workers"]) == ["tick"]


def test_a_file_within_a_package_is_imported_as_part_of_it(cli, empty):
    write(empty, "store/__init__.py", "")
    write(empty, "store/names.py", "NAME = 'nightly'\n")
    write(empty, "store/jobs.py", ONE + "from .names import NAME\nboss.register(NAME, tick)\n")

    assert list(cli("graph", "store/jobs.py", "--json").json["workers"]) == ["nightly", "tick"]


def test_a_file_whose_name_a_module_of_python_has_is_itself(cli, empty):
    write(empty, "queue.py", ONE)

    assert list(cli("graph", "queue.py", "--json").json["workers"]) == ["tick"]


@pytest.mark.parametrize("name", ["app.py", "main.py", "workers.py"])
def test_without_a_name_the_conventional_file_is_taken_and_said(cli, empty, name):
    write(empty, name, ONE)

    found = cli("check")

    assert f"{name}:boss" in found.err
    assert found.code in (0, 3)


def test_a_conventional_file_without_an_orchestrator_is_passed_over(cli, empty):
    write(empty, "app.py", "x = 1\n")
    write(empty, "workers.py", ONE)

    assert "workers.py:boss" in cli("check").err


def test_without_any_app_the_ways_to_name_one_are_said(cli, empty):
    found = cli("run")

    assert found.code == 2
    assert "module:attr, file.py or file.py:attr" in found.err


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("jbos.py", "there is no file jbos.py; did you mean 'jobs.py'?"),
        ("jbos:boss", "there is no module 'jbos'"),
        ("jobs.py:bos", "jobs.py has no 'bos'; it has boss, other"),
        ("jobs.py:", "ends in a colon"),
        ("jobs.py", "has 2 orchestrators (boss, other); say which, like jobs.py:boss"),
        ("jobs.py:Orchestrator", "is a type, not an Orchestrator"),
        ("none.py", "none.py has no Orchestrator"),
    ],
)
def test_what_cannot_be_found_is_said_with_what_is_there(cli, empty, spec, said):
    write(empty, "jobs.py", TWO)
    write(empty, "none.py", "x = 1\n")

    found = cli("check", spec)

    assert found.code == 2
    assert said in found.err
    assert "Traceback" not in found.err


def test_an_error_in_user_code_is_shown_with_their_traceback_and_no_frame_of_ours(cli, empty):
    write(empty, "bad.py", "def setting():\n    raise KeyError('DATABASE')\n\nsetting()\n")

    found = cli("run", "bad.py")

    assert found.code == 2
    assert 'bad.py", line 2, in setting' in found.err
    assert "error: bad.py cannot be imported: KeyError: 'DATABASE'" in found.err
    assert "shiftboss/cli" not in found.err
    assert "importlib" not in found.err


def test_a_declaration_that_cannot_work_is_one_line(cli, empty):
    write(empty, "bad.py", ONE + "boss.register('late', print, evry='1m')\n")

    found = cli("check", "bad.py")

    assert found.code == 2
    assert "did you mean 'every'?" in found.err
    assert "Traceback" not in found.err


def test_an_app_that_ends_the_process_at_import_does_not_end_the_command_silently(cli, empty):
    write(empty, "bad.py", "import sys\nsys.exit(0)\n")

    assert cli("check", "bad.py").code == 2


# ── which store ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_reading_never_creates_a_store(cli, empty):
    for command in ("status", "health", "nodes", "runs", "dead", "graph"):
        found = cli(command)
        assert found.code == 4, command
        assert "there is no store at" in found.err

    assert list(empty.iterdir()) == []


def test_operating_never_creates_a_store(cli, empty):
    assert cli("trigger", "send-mail").code == 4
    assert list(empty.iterdir()) == []


def test_what_is_typed_goes_before_the_environment_and_both_before_the_app(cli, shop):
    write(shop, "elsewhere.py", ONE.replace("Orchestrator()", "Orchestrator('sqlite:///app.db')", 1))

    assert "typed.db" in cli("status", "-s", "typed.db", "-a", "elsewhere.py", SHIFTBOSS_STORE="env.db").err
    assert "env.db" in cli("status", "-a", "elsewhere.py", SHIFTBOSS_STORE="env.db").err
    assert "app.db" in cli("status", "-a", "elsewhere.py").err
    assert cli("status", "--json").json["store"].endswith("/shiftboss.db")


HOSTILE = """# shiftboss
from pathlib import Path
Path(__file__).with_name("ran").touch()
from shiftboss import Orchestrator
boss = Orchestrator("sqlite:///jobs.db")
"""
LOOKING = (
    ("status",), ("status", "--json"), ("why", "tick"), ("show", "tick"), ("runs",), ("logs", "tick"), ("next", "tick"),
    ("graph",), ("health",), ("probe",), ("nodes",), ("trigger", "tick"), ("cancel", "1"), ("enable", "tick"),
    ("disable", "tick"), ("forget", "tick", "--yes"), ("dead",), ("dead", "replay", "1"), ("doctor",), ("migrate",),
    ("prune", "--yes"), ("audit",), ("token", "list"), ("--help",), ("--version",), ("status", "--help"),
    ("completion", "bash"),
)  # fmt: skip


@pytest.mark.parametrize("name", ["app.py", "main.py", "workers.py"])
def test_nobody_runs_what_lies_in_a_folder_by_merely_standing_there(cli, empty, name):
    """A11: looking, acting and completing import no app that nobody named."""
    write(empty, name, HOSTILE)

    for words in LOOKING:
        cli(*words)
        assert not (empty / "ran").exists(), words
        (empty / "shiftboss.db").unlink(missing_ok=True)


@pytest.mark.parametrize("settings", ["", "[tool.shiftboss]\napp = 'app.py'\n"])
@pytest.mark.parametrize(
    "typed", ["why ", "why t", "trigger ", "status -s x.db ", "show --app app.py ", "run ", "check ", "dead -"]
)
def test_a_shell_that_completes_runs_nothing_whatever_the_folder_says(cli, empty, typed, settings):
    """A11: also no app that its settings name."""
    write(empty, "app.py", HOSTILE)
    write(empty, "pyproject.toml", settings)
    words = f"shiftboss {typed}"

    found = cli(_SHIFTBOSS_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(words.split(" ")) - 1))

    assert found.err == ""
    assert not (empty / "ran").exists()


def test_a_shell_is_offered_no_name_that_no_declaration_could_have(cli, shop):
    with contextlib.closing(apsw.Connection("shiftboss.db")) as file:
        file.execute("UPDATE worker SET name = 'p$(touch ran)' || char(10) || 'p' WHERE name = 'pick'")

    found = cli(_SHIFTBOSS_COMPLETE="bash_complete", COMP_WORDS="shiftboss why p", COMP_CWORD="2")

    assert "touch" not in found.out


def test_where_an_app_lies_that_may_have_another_store_it_is_said_how_to_name_it(cli, empty):
    write(empty, "app.py", HOSTILE)

    for words in (("status",), ("trigger", "tick")):
        found = cli(*words)
        assert found.code == 4
        assert "if app.py has a store of its own, name the app: --app app.py" in found.err
    assert not (empty / "ran").exists()
    assert "--app" not in cli("status", "-s", "other.db").err


def test_an_app_that_was_named_is_imported_for_its_store(cli, empty):
    write(empty, "app.py", HOSTILE)

    assert "jobs.db" in cli("status", "--app", "app.py").err
    assert "jobs.db" in cli("status", SHIFTBOSS_APP="app.py").err
    write(empty, "pyproject.toml", "[tool.shiftboss]\napp = 'app.py'\n")
    assert "jobs.db" in cli("status").err


def test_a_store_in_memory_is_not_looked_for_in_another_process(cli, empty):
    found = cli("status", "-s", "memory:")

    assert found.code == 2
    assert "is in the memory of its own process" in found.err


def test_a_file_that_is_no_store_is_unusable_and_left_alone(cli, empty):
    write(empty, "shiftboss.db", "not a database, but somebody's notes " * 40)

    found = cli("status")

    assert found.code == 78
    assert (empty / "shiftboss.db").read_text().startswith("not a database")
