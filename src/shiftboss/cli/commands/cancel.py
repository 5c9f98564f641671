"""`shiftboss cancel`: end runs, waiting or running."""

from __future__ import annotations

import click

from shiftboss.cli import messages, store_access
from shiftboss.cli.command import Command, examples, store_option, yes_option
from shiftboss.cli.exits import Exit, exit_of
from shiftboss.cli.naming import run_id
from shiftboss.core.model import Status
from shiftboss.errors import CallerError


@click.command(
    cls=Command, epilog=examples("shiftboss cancel 1042 --reason 'wrong file'", "shiftboss cancel 1042 1043 --yes")
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--reason", default="", help="For the audit.")
@yes_option
@store_option
def cancel(runs: tuple[str, ...], reason: str, yes: bool, store: str | None, app: str | None) -> int:
    """End runs, waiting or running.

    At once while they wait, by asking the body while they run.  A cancelled run is no failure and is not
    retried.  More than one needs a yes.  What cannot be cancelled is said, the others are cancelled all the same.
    """
    ids = [run_id(text) for text in dict.fromkeys(runs)]
    if len(ids) > 1:
        messages.confirm(f"Cancel {len(ids)} runs?", yes=yes)
    code = Exit.DONE
    with store_access.operating(store, app) as boss:
        for each in ids:
            try:
                run = boss.sync.cancel(each, reason=reason)
            except CallerError as error:
                messages.error(str(error))
                code = code or exit_of(error)
                continue
            if run.status is Status.RUNNING:
                messages.note(f"{run.worker} run {run.id} was asked to end")
            else:
                messages.note(f"{run.worker} run {run.id} is {run.status}")
    return code
