"""The help, and what it costs."""

import subprocess
import sys

import click
import pytest

from shiftboss.cli.root import ENTRIES, SECTIONS, root


def every_command(command=root, path=()):
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            yield from every_command(command.get_command(click.Context(command), name), (*path, name))
    else:
        yield pytest.param(command, path, id=" ".join(path))


def test_help_groups_the_commands_by_purpose(cli):
    out = cli("--help").out

    assert [out.index(f"{title}:") for title in SECTIONS] == sorted(out.index(f"{title}:") for title in SECTIONS)
    assert all(f"  {name} " in out for name in ENTRIES)
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize("name", ENTRIES)
def test_the_root_knows_the_name_and_the_first_line_of_each_command(name):
    command = root.get_command(click.Context(root), name)

    assert command.name == name
    assert command.help.partition("\n\n")[0] == ENTRIES[name].help


@pytest.mark.parametrize(("command", "path"), list(every_command()))
def test_every_command_has_a_help_with_an_example(cli, command, path):
    found = cli(*path, "--help")

    assert found.code == 0
    assert "Examples:" in found.out
    assert f"shiftboss {' '.join(path)}" in found.out


@pytest.mark.parametrize(("command", "path"), list(every_command()))
def test_every_option_is_explained(command, path):
    silent = [
        each.opts for each in command.params if isinstance(each, click.Option) and not each.help and each.name != "form"
    ]

    assert silent == []


def test_help_imports_neither_commands_nor_rich_nor_what_runs_workers():
    code = """
import sys
from shiftboss.cli.root import root
LATER = (
    "rich", "apsw", "ctypes", "shiftboss.cli.commands", "shiftboss.app.orchestrator", "shiftboss.app.node",
    "shiftboss.app.views", "shiftboss.engine.engine", "shiftboss.stores.sqlite", "shiftboss.web",
)
try:
    root.main(["--help"])
except SystemExit as end:
    assert end.code == 0, end.code
print([name for name in sys.modules if name.startswith(LATER)], file=sys.stderr)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stderr.strip() == "[]"


def test_an_unknown_command_gets_a_suggestion(cli):
    found = cli("statsu")

    assert (found.code, found.out) == (2, "")
    assert "did you mean 'status'?" in found.err


def test_an_unknown_option_gets_a_suggestion(cli):
    found = cli("status", "--jsno")

    assert found.code == 2
    assert "--json" in found.err


def test_the_version_is_said_on_stdout(cli):
    found = cli("--version")

    assert found.code == 0
    assert found.out.startswith("shiftboss ")


def test_without_a_command_the_help_is_shown(cli):
    assert "Maintenance:" in "".join(cli()[1:])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(cli, shell):
    found = cli("completion", shell)

    assert found.code == 0
    assert "_SHIFTBOSS_COMPLETE" in found.out


def test_a_shell_completes_commands_options_and_worker_names(cli, shop):
    def complete(words):
        number = str(len(words.split(" ")) - 1)
        return cli(_SHIFTBOSS_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=number).out.split()

    assert "plain,status" in complete("shiftboss sta")
    assert "plain,--watch" in complete("shiftboss status --wa")
    assert complete("shiftboss why p") == ["plain,pick", "plain,process-data"]


def test_a_shell_that_completes_without_a_store_gets_no_name_and_no_error(cli, empty):
    found = cli(_SHIFTBOSS_COMPLETE="bash_complete", COMP_WORDS="shiftboss why p", COMP_CWORD="2")

    assert (found.out.strip(), found.err) == ("", "")
