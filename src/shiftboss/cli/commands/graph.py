"""`shiftboss graph`: which worker waits for which, and which ones exclude each other."""

from __future__ import annotations

import click

from shiftboss.cli import dump, messages, store_access, table
from shiftboss.cli.app_file import load_app
from shiftboss.cli.command import SettingsCommand, examples, json_option, store_option
from shiftboss.cli.exits import Exit
from shiftboss.cli.naming import worker_name

WORKERS = 200  # more is no picture for people


@click.command(
    cls=SettingsCommand,
    epilog=examples(
        "shiftboss graph                                  what the store knows",
        "shiftboss graph --around fetch-data --limit 30   a worker and those nearest to it",
        "shiftboss graph app.py --format mermaid > jobs.mmd",
    ),
)
@click.argument("target", metavar="[APP]", required=False)
@click.option("--format", "form", type=click.Choice(["text", "mermaid"]), default="text", show_default=True)
@click.option("--around", type=worker_name, metavar="NAME", help="Show this worker and those that are nearest to it.")
@click.option(
    "--limit", type=click.IntRange(min=1), help=f"Show at most this many workers.  [default: {WORKERS} on a terminal]"
)
@click.option("--all", "show_all", is_flag=True, help="Show all workers.")
@json_option
@store_option
def graph(
    target: str | None,
    form: str,
    around: str | None,
    limit: int | None,
    show_all: bool,
    as_json: bool,
    store: str | None,
    app: str | None,
) -> int:
    """Show dependencies, exclusions and shared resources.

    Of the named APP, else of the workers in the store.  If not all workers fit, whole groups of related workers are
    shown first.
    """
    if limit is not None and show_all:
        raise click.UsageError("--limit cannot be combined with --all.")
    if target is not None and (around is not None or limit is not None):
        raise click.UsageError("--around and --limit are about the store; leave out the app, or these options.")
    from shiftboss.cli import drawing

    if target is not None:
        boss = load_app(target).boss
        drawn = drawing.Drawing(boss.definitions, resources=boss.resources)
    else:
        with store_access.reading(store, app) as views:
            is_whole = around is None and limit is None and (as_json or form == "mermaid" or table.console() is None)
            drawn = drawing.of_store(views, around=around, limit=None if show_all or is_whole else limit or WORKERS)
    if as_json:
        dump.one(drawn.edges())
    elif form == "mermaid":
        messages.program(drawn.mermaid())
    else:
        drawn.show()
        if drawn.left_out:
            messages.note(
                f"and {len(drawn.left_out):,} more workers: show them with --all, or those near one with --around NAME"
            )
    return Exit.DONE
