"""The root command: which commands there are, grouped by purpose, and how every error in them ends.

Rules of this file
- It knows each command's name and line of help without importing it: `--help` and completion are fast.
- An error is one red line; a traceback is shown only with --debug, or if the mistake is in shiftboss.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import click

from shiftboss.app.verbs import verbs
from shiftboss.cli import messages
from shiftboss.cli.command import Debug, debug_option
from shiftboss.cli.exits import Declined, Exit, exit_of, is_ours
from shiftboss.cli.settings import Settings, read_settings


class LazyCommand(NamedTuple):
    """A command that has not been imported: `attribute` of the module `commands.<module>`."""

    module: str
    attribute: str
    help: str


SECTIONS: dict[str, dict[str, LazyCommand]] = {
    "Run": {
        "run": LazyCommand("run", "run", "Run the workers of an app in this process."),
        "dev": LazyCommand("dev", "dev", "Run an app with its dashboard, and restart it whenever its code changes."),
        "web": LazyCommand("web", "web", "Serve the dashboard and the HTTP API of a store, without running workers."),
        "demo": LazyCommand("demo", "demo", "Run the worked example on this machine's own telemetry."),
    },
    "See": {
        "status": LazyCommand("status", "status", "Show the health of all workers, worst first."),
        "why": LazyCommand("why", "why", "Explain why a worker or a run does not start."),
        "show": LazyCommand("show", "show", "Show everything about one worker or one run."),
        "runs": LazyCommand("runs", "runs", "List runs, newest first."),
        "logs": LazyCommand("logs", "logs", "Show logs."),
        "next": LazyCommand("next", "next_", "Show the next run times."),
        "graph": LazyCommand("graph", "graph", "Show dependencies, exclusions and shared resources."),
        "health": LazyCommand("health", "health", "Is the system healthy, and if not, why?"),
        "probe": LazyCommand("probe", "probe", "Check that a node is alive, for a liveness probe."),
        "audit": LazyCommand("audit", "audit", "Show and verify the audit log."),
        "nodes": LazyCommand("nodes", "nodes", "List the processes that run workers."),
    },
    "Act": {
        "trigger": LazyCommand("trigger", "trigger", "Trigger a run."),
        **{each.name: LazyCommand("verbs", each.name, each.words.summary) for each in verbs() if each.stands_alone},
        "dead": LazyCommand("dead", "dead", "List, replay, resolve and discard runs that failed for good."),
    },
    "Maintenance": {
        "check": LazyCommand("check", "check", "Check an app before it is deployed, for CI."),
        "doctor": LazyCommand("doctor", "doctor", "Examine store, machine and fleet, and name remedies."),
        "migrate": LazyCommand("migrate", "migrate", "Create a store, upgrade its schema, or move it elsewhere."),
        "prune": LazyCommand("prune", "prune", "Delete old finished runs."),
        "token": LazyCommand("token", "token", "Manage tokens of the dashboard and the HTTP API."),
        "completion": LazyCommand("completion", "completion", "Print completion for bash, zsh or fish."),
    },
}
ENTRIES = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class Root(click.Group):
    """Imports its commands when they are called, and maps what they raise to exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = ENTRIES.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"shiftboss.cli.commands.{entry.module}")
        command: click.Command = getattr(module, entry.attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in ENTRIES and not args[0].startswith("-") and not ctx.resilient_parsing:
            from shiftboss.errors import did_you_mean

            ctx.fail(f"there is no command {args[0]!r}; {did_you_mean(args[0], ENTRIES)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(len(name) for name in ENTRIES)
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), entry.help) for name, entry in section.items()])

    def main(  # type: ignore[override]  # click's overloads tell the standalone mode apart; here there is one
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        Debug.asked = False
        _accept_any_text()
        try:
            code = super().main(args, prog_name, **{**extra, "standalone_mode": False})
            sys.stdout.flush()
        except BrokenPipeError:
            code = _leave_the_pipe()
        except Declined:
            messages.note("nothing was changed")
            code = Exit.FAILED
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # the one place where every error ends
            code = _tell(error)
        for stream in (sys.stdout, sys.stderr):
            messages.let_go(stream)
        sys.exit(int(code or 0))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # handled before click does, which would make it a plain failure
            return _leave_the_pipe()


def _accept_any_text() -> None:
    """A payload or message with characters that the terminal's encoding lacks must not end a command."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a replaced stream may lack it


def _leave_the_pipe() -> Exit:
    """The reader of our output has gone: print nothing, and keep Python from printing at its exit."""
    messages.to_nowhere(sys.stdout)
    return Exit.BROKEN_PIPE


def _tell(error: BaseException) -> Exit:
    """Say what went wrong, and return the exit code for it."""
    code = exit_of(error)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return code
    if Debug.is_on():
        messages.traceback_of(error)
    match error:
        case click.UsageError():
            messages.error(_small(error.format_message()))
            if error.ctx is not None:
                messages.hint(f"  {error.ctx.command_path} --help")
        case click.ClickException():
            messages.error(_small(error.format_message()))
        case _ if is_ours(error):
            messages.error(error)
        case _:
            messages.error(f"{type(error).__name__}: {error}")
            if not Debug.is_on():
                messages.note("This is a mistake in shiftboss.  Please report it with what --debug shows.")
    return code


def _small(text: str) -> str:
    """click begins its messages with a capital letter; here they follow a colon."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from shiftboss.app.node import package_version

        messages.say(f"shiftboss {package_version()}")
        ctx.exit()


EPILOG = """\b
shiftboss COMMAND --help shows options and examples.  Every option of a command
can also be set as SHIFTBOSS_COMMAND_OPTION, or in [tool.shiftboss.COMMAND] of
pyproject.toml.  SHIFTBOSS_STORE and SHIFTBOSS_APP apply to all commands.

\b
Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 check failed,
4 not found, 5 refused, 75 store unreachable, 78 store unusable, 124 waiting timed out."""


@click.command(cls=Root, epilog=EPILOG, context_settings={"auto_envvar_prefix": "SHIFTBOSS"})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@debug_option
@click.pass_context
def root(ctx: click.Context) -> None:
    """Background workers that must not get in each other's way."""
    settings_found: list[Settings] = []

    def settings() -> Settings:
        """Read at the first use: neither --help nor --version should fail because of a broken file."""
        if not settings_found:
            settings_found.append(read_settings(Path.cwd(), commands=tuple(ENTRIES)))
        return settings_found[0]

    ctx.obj = settings
