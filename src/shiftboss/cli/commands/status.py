"""`shiftboss status`: how is everything, disabled workers first and then the worst (K6)."""

from __future__ import annotations

import click

from shiftboss.cli import dump, formatting, messages, overview, store_access
from shiftboss.cli.command import SettingsCommand, examples, json_option, store_option
from shiftboss.cli.exits import Exit
from shiftboss.cli.naming import worker_name


@click.command(
    cls=SettingsCommand,
    epilog=examples(
        "shiftboss status                      everything",
        "shiftboss status fetch-data --json    one worker, for a script",
        "shiftboss status --watch              live; Ctrl-C ends it",
    ),
)
@click.argument("names", nargs=-1, metavar="[NAME]...", type=worker_name)
@click.option("-w", "--watch", is_flag=True, help="Stay and show every change.")
@json_option
@store_option
def status(names: tuple[str, ...], watch: bool, as_json: bool, store: str | None, app: str | None) -> int:
    """Show the health of all workers, worst first.

    Disabled workers come first.  With names, only these workers.  Exits with 0 when they (or the whole) are healthy or
    have not run yet, else with 3.
    """
    with store_access.reading(store, app) as views:
        if watch:
            from shiftboss.cli.watch import watch_status

            return watch_status(views, names, as_json=as_json)
        shown = overview.only(views.status(), names)
    if as_json:
        dump.one(shown.workers[0] if len(names) == 1 else shown)
    else:
        overview.print_status(shown, whole=not names)
        if not shown.workers:
            messages.note(
                "no workers are registered in this store: start an app on it, or name another store with --store"
            )
    judged = [worker.health for worker in shown.workers] if names else [shown.health]
    return Exit.DONE if all(each in formatting.GOOD for each in judged) else Exit.FALSE
