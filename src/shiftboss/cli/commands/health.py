"""`shiftboss health`: is the system healthy, and if not, why?  (H3)"""

from __future__ import annotations

import click

from shiftboss.cli import dump, formatting, messages, store_access, table
from shiftboss.cli.command import SettingsCommand, examples, json_option, store_option
from shiftboss.cli.exits import Exit
from shiftboss.core.health import in_a_word
from shiftboss.ports.faces import WorkerFilter

WORKERS = 200  # more is no page for people

REASONS = (table.Column("severity"), table.Column("worker"), table.Column("text", wraps=True, gives=True))


@click.command(
    cls=SettingsCommand,
    epilog=examples(
        "shiftboss health || page-somebody",
        "shiftboss health --limit 20           the twenty that need attention first",
        "shiftboss health --json",
    ),
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help=f"Look at most at this many workers.  [default: {WORKERS} on a terminal]",
)
@click.option("--all", "show_all", is_flag=True, help="Look at all workers.")
@json_option
@store_option
def health(limit: int | None, show_all: bool, as_json: bool, store: str | None, app: str | None) -> int:
    """Is the system healthy, and if not, why?

    Prints one word and the reasons, worst first.  Exits with 0 when it is healthy, else with 3.  The word is about all
    workers.  In JSON `counts` is too, and `next` is null unless --limit has cut.
    """
    if limit is not None and show_all:
        raise click.UsageError("--limit cannot be combined with --all.")
    with store_access.reading(store, app) as views:
        is_whole = show_all or (limit is None and (as_json or table.console() is None))
        verdict = views.health(WorkerFilter(limit=None if is_whole else limit or WORKERS))
    if as_json:
        dump.one(verdict)
    else:
        word = formatting.health(in_a_word(verdict.status, verdict.reasons))
        table.line(word._replace(style=f"bold {word.style}"), f"  {formatting.plural(verdict.matching, 'worker')}")
        rows = [(formatting.health(reason.severity), reason.worker, reason.text) for reason in verdict.reasons]
        if rows:
            table.show(REASONS, rows, indent="  ", header=False)
        if verdict.next is not None:
            left_out = verdict.matching - len(verdict.workers)
            messages.note(f"and {left_out:,} more workers: show their reasons with --all")
    return Exit.DONE if verdict.status in formatting.GOOD else Exit.FALSE
