"""What every command shares: settings from a file, `--store`, `--json`, `--debug`, examples in the help."""

from __future__ import annotations

import os
from collections.abc import Callable, MutableMapping
from typing import Any, TypeVar

import click

from shiftboss.cli.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


class Debug:
    """Whether errors are shown with their traceback: --debug anywhere, or SHIFTBOSS_DEBUG."""

    asked = False

    @classmethod
    def is_on(cls) -> bool:
        return cls.asked or os.environ.get("SHIFTBOSS_DEBUG", "") not in ("", "0", "false", "no")


class SettingsCommand(click.Command):
    """A command that takes its defaults from the settings and returns its exit code."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        _add_defaults(self, info_name, args, parent, extra)
        return super().make_context(info_name, args, parent, **extra)


class Group(click.Group):
    """A command with subcommands; called without one it runs *default*, if it has that."""

    command_class = SettingsCommand
    default: str | None = None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if self.default is not None and (not args or (args[0].startswith("-") and args[0] != "--help")):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


def _add_defaults(
    command: click.Command,
    info_name: str | None,
    args: list[str],
    parent: click.Context | None,
    extra: MutableMapping[str, Any],
) -> None:
    if parent is None or info_name is None or "--help" in args or parent.resilient_parsing:
        return
    load = parent.find_root().obj
    if callable(load):
        settings: Settings = load()
        path = (*parent.command_path.split()[1:], info_name)
        extra["default_map"] = settings.for_command(command, path)


# ── shared options ───────────────────────────────────────────────────────────────────────────────────────────────


def _note_debug(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    Debug.asked = Debug.asked or value


def debug_option(fn: F) -> F:
    return click.option(
        "--debug",
        is_flag=True,
        envvar="SHIFTBOSS_DEBUG",
        expose_value=False,
        callback=_note_debug,
        help="Show the traceback of an error.",
    )(fn)


def store_option(fn: F) -> F:
    """--store and --app: where a command finds the store."""
    store = click.option(
        "-s",
        "--store",
        metavar="URL",
        envvar="SHIFTBOSS_STORE",
        help="The store: sqlite:///jobs.db or a path.  [default: the app's store, else ./shiftboss.db]",
    )
    app = click.option(
        "-a",
        "--app",
        metavar="APP",
        envvar="SHIFTBOSS_APP",
        help="The app: module:attr, file.py or file.py:attr.",
    )
    return store(app(debug_option(fn)))


def create_option(fn: F) -> F:
    text = "Create the store if there is none, and register the workers of --app in it."
    return click.option("--create", is_flag=True, help=text)(fn)


def json_option(fn: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON with stable fields.")(fn)


def yes_option(fn: F) -> F:
    return click.option("--yes", is_flag=True, help="Do not ask for confirmation.")(fn)


def examples(*lines: str) -> str:
    """The examples at the end of a help text."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))
