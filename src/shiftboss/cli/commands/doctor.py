"""`shiftboss doctor`: examine store, machine and fleet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from shiftboss.app.audit_key import keys_of
from shiftboss.app.views import Views
from shiftboss.cli import doctor as examine
from shiftboss.cli import dump, formatting, messages, store_access, table
from shiftboss.cli.command import SettingsCommand, examples, json_option, store_option
from shiftboss.cli.doctor import Diagnosis, Level
from shiftboss.cli.exits import Exit
from shiftboss.cli.settings import Settings
from shiftboss.clock import SystemClock
from shiftboss.errors import ConfigurationError, ShiftbossError
from shiftboss.stores.sqlite.store import SqliteStore
from shiftboss.stores.urls import POSTGRES, open_store

SIGNS = {
    Level.GOOD: ("✓", "green"),
    Level.WARNING: ("!", "yellow"),
    Level.PROBLEM: ("✕", "bold red"),
}
COLUMNS = (table.Column(""), table.Column(""), table.Column("", wraps=True, gives=True))


@click.command(
    cls=SettingsCommand,
    epilog=examples(
        "shiftboss doctor",
        "shiftboss doctor --set-aside",
        "shiftboss doctor --json | jq '.findings[] | select(.remedy != \"\")'",
    ),
)
@click.option("--set-aside", is_flag=True, help="Move unreadable rows out of the way.")
@click.option("--note", default="", metavar="TEXT", help="With --set-aside: why; recorded in the audit log.")
@json_option
@store_option
@click.pass_context
def doctor(ctx: click.Context, set_aside: bool, note: str, as_json: bool, store: str | None, app: str | None) -> int:
    """Examine store, machine and fleet, and name remedies.

    Exits with 3 when there is a problem; warnings alone exit with 0.

    --set-aside moves unreadable rows, unchanged, into the table `set_aside`, so that the runs that they held can start.
    It works on a store in use and on one that is not.
    """
    if set_aside:
        return _set_aside(note, as_json=as_json, store=store, app=app)
    if note:
        raise click.UsageError("--note goes with --set-aside")
    findings = [*examine.machine(), *_settings(ctx), *_store(store_access.store_url(store, app))]
    problems = sum(1 for each in findings if each.severity is Level.PROBLEM)
    warnings = sum(1 for each in findings if each.severity is Level.WARNING)
    if as_json:
        dump.one({"problems": problems, "warnings": warnings, "findings": findings})
    else:
        _print(findings)
        messages.note(f"{formatting.plural(problems, 'problem')}, {formatting.plural(warnings, 'warning')}")
    return Exit.FALSE if problems else Exit.DONE


def _set_aside(note: str, *, as_json: bool, store: str | None, app: str | None) -> int:
    with store_access.operating(store, app) as boss:
        moved = boss.sync.set_aside(note=note)
    if as_json:
        dump.one({"set_aside": moved})
        return Exit.DONE
    for row in moved:
        messages.note(f"set aside: {row}")
    if not moved:
        messages.note("all stored rows are readable; nothing was set aside")
    if any(row.table == "worker" for row in moved):
        messages.hint("restart the application: it registers its workers again")
    return Exit.DONE


def _store(url: str) -> Iterator[Diagnosis]:
    """From the outside in: even a store that cannot be opened is examined as far as possible."""
    try:
        opened = open_store(url, SystemClock())
        if isinstance(opened, SqliteStore) and opened.path.parent.is_dir():
            yield from examine.file(opened.path)
        if url.startswith(POSTGRES):
            yield from _server(url)
        opened.open(create=False)
    except ShiftbossError as error:
        yield examine.failed("store", error)
        return
    try:
        views = Views(opened, opened.clock)
        yield from examine.store(views.info())
        if isinstance(opened, SqliteStore):
            yield from examine.notifications(opened.notifier)
        yield from examine.fleet(views.status(), is_dead=opened.is_dead)
        yield from examine.unreadable(views)
        yield from examine.codecs(views)
        yield from examine.relations(views)
        yield from examine.audit(views, lambda: keys_of(opened, create=False))
    except ShiftbossError as error:
        yield examine.failed("store", error)
    finally:
        opened.close()


def _server(url: str) -> Iterator[Diagnosis]:
    """Imports the driver only for such a store."""
    from shiftboss.cli import doctor_postgres
    from shiftboss.stores.postgres.address import address_of
    from shiftboss.stores.postgres.diagnostics import look

    yield from doctor_postgres.server(look(address_of(url), SystemClock()))


def _settings(ctx: click.Context) -> Iterator[Diagnosis]:
    """Examines the settings of every command, not only of this one."""
    load = ctx.find_root().obj
    if not callable(load):
        return
    try:
        settings: Settings = load()
        if not settings.source:
            return
        root = ctx.find_root().command
        for name in root.list_commands(ctx) if isinstance(root, click.Group) else ():
            command = root.get_command(ctx, name) if isinstance(root, click.Group) else None
            if command is not None:
                _check_settings(settings, command, (name,))
    except ConfigurationError as error:
        yield Diagnosis(Level.PROBLEM, "settings", str(error), "correct the key")
        return
    yield Diagnosis(Level.GOOD, "settings", f"{settings.source} in {Path.cwd()} is valid")


def _check_settings(settings: Settings, command: click.Command, path: tuple[str, ...]) -> None:
    settings.for_command(command, path)
    if isinstance(command, click.Group):
        for name, sub in command.commands.items():
            _check_settings(settings, sub, (*path, name))


def _print(findings: list[Diagnosis]) -> None:
    rows: list[table.Row] = []
    for each in findings:
        symbol, style = SIGNS[each.severity]
        sign, about = table.Cell(formatting.sign(symbol), style), table.Cell(each.about, "dim")
        for text in formatting.with_remedy(each.text, each.remedy):
            rows.append((sign, about, text))
            sign = about = table.Cell("")
    table.show(COLUMNS, rows, indent=" ", header=False)
