"""`shiftboss health`: is the system healthy, and if not, why?  (H3)"""

from __future__ import annotations

import click

from shiftboss.cli import dump, formatting, store_access, table
from shiftboss.cli.command import SettingsCommand, examples, json_option, store_option
from shiftboss.cli.exits import Exit
from shiftboss.core.health import in_a_word

REASONS = (table.Column("severity"), table.Column("worker"), table.Column("text", wraps=True, gives=True))


@click.command(cls=SettingsCommand, epilog=examples("shiftboss health || page-somebody", "shiftboss health --json"))
@json_option
@store_option
def health(as_json: bool, store: str | None, app: str | None) -> int:
    """Is the system healthy, and if not, why?

    Prints one word and every reason, worst first.  Exits with 0 when it is healthy, else with 3.
    """
    with store_access.reading(store, app) as views:
        verdict = views.health()
    if as_json:
        dump.one(verdict)
    else:
        word = formatting.health(in_a_word(verdict.status, verdict.reasons))
        table.line(word._replace(style=f"bold {word.style}"), f"  {formatting.plural(len(verdict.workers), 'worker')}")
        rows = [(formatting.health(reason.severity), reason.worker, reason.text) for reason in verdict.reasons]
        if rows:
            table.show(REASONS, rows, indent="  ", header=False)
    return Exit.DONE if verdict.status in formatting.GOOD else Exit.FALSE
