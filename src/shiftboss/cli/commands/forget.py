"""`shiftboss forget`: remove a worker that nobody declares any more."""

from __future__ import annotations

import click

from shiftboss.cli import formatting, messages, store_access
from shiftboss.cli.command import SettingsCommand, examples, store_option, yes_option
from shiftboss.cli.exits import Exit
from shiftboss.cli.naming import worker_name


@click.command(cls=SettingsCommand, epilog=examples("shiftboss forget old-import --yes"))
@click.argument("name", type=worker_name)
@yes_option
@store_option
def forget(name: str, yes: bool, store: str | None, app: str | None) -> int:
    """Remove a worker that no live node runs any more.

    Its pending runs are cancelled; its history and its dead letters stay.
    """
    with store_access.operating(store, app) as boss:
        pending = {worker.name: worker.pending for worker in boss.sync.status().workers}
        if name in pending:  # otherwise there is nothing to ask about
            messages.confirm(
                f"Forget worker {name!r} and cancel {formatting.plural(pending[name], 'pending run')}?", yes=yes
            )
        boss.sync.forget(name)
    messages.note(f"{name} was removed")
    return Exit.DONE
