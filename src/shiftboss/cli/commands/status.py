"""`shiftboss status`: how is everything, disabled workers first and then the worst (K6)."""

from __future__ import annotations

import click

from shiftboss.cli import dump, formatting, messages, overview, store_access, table
from shiftboss.cli.command import SettingsCommand, examples, json_option, store_option
from shiftboss.cli.exits import Exit
from shiftboss.cli.naming import worker_name
from shiftboss.ports.faces import WorkerFilter

ROWS = 200  # more is no page for people


@click.command(
    cls=SettingsCommand,
    epilog=examples(
        "shiftboss status                      everything",
        "shiftboss status --limit 20           the twenty that need attention first",
        "shiftboss status fetch-data --json    one worker, for a script",
        "shiftboss status --watch              live; Ctrl-C ends it",
    ),
)
@click.argument("names", nargs=-1, metavar="[NAME]...", type=worker_name)
@click.option("-w", "--watch", is_flag=True, help="Stay and show every change.")
@click.option(
    "--limit", type=click.IntRange(min=1), help=f"Show at most this many workers.  [default: {ROWS} on a terminal]"
)
@click.option("--all", "show_all", is_flag=True, help="Show all workers.")
@json_option
@store_option
def status(
    names: tuple[str, ...],
    watch: bool,
    limit: int | None,
    show_all: bool,
    as_json: bool,
    store: str | None,
    app: str | None,
) -> int:
    """Show the health of all workers, worst first.

    Disabled workers come first.  With names, only these workers.  Exits with 0 when they (or the whole) are healthy or
    have not run yet, else with 3.  In JSON `totals` counts all workers, and `next` is null unless --limit has cut.
    """
    if limit is not None and (show_all or names or watch):
        raise click.UsageError("--limit cannot be combined with names, --all or --watch.")
    with store_access.reading(store, app) as views:
        if watch:
            from shiftboss.cli.watch import watch_status

            return watch_status(views, names, as_json=as_json)
        is_whole = bool(names) or show_all or (limit is None and (as_json or table.console() is None))
        shown = overview.only(views.status(WorkerFilter(limit=None if is_whole else limit or ROWS)), names)
    if as_json:
        dump.one(shown.workers[0] if len(names) == 1 else shown)
    else:
        overview.print_status(shown, whole=not names)
        if shown.next is not None:
            messages.note(f"and {shown.matching - len(shown.workers):,} more workers: show them with --all")
        if not shown.workers:
            messages.note(
                "no workers are registered in this store: start an app on it, or name another store with --store"
            )
    judged = [worker.health for worker in shown.workers] if names else [shown.health]
    return Exit.DONE if all(each in formatting.GOOD for each in judged) else Exit.FALSE
