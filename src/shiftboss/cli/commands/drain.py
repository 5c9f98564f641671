"""`shiftboss drain`: let a node finish what runs and start nothing new."""

from __future__ import annotations

import click

from shiftboss.cli import messages, store_access
from shiftboss.cli.command import Command, examples, store_option
from shiftboss.cli.exits import Exit


@click.command(cls=Command, epilog=examples("shiftboss nodes", "shiftboss drain web-2:4711"))
@click.argument("node", metavar="NODE")
@store_option
def drain(node: str, store: str | None, app: str | None) -> int:
    """Let a node finish what runs and start nothing new.

    NODE is its name or its id, as `shiftboss nodes` shows them.  It goes on to live, and its lease with it, until
    somebody stops it; started again, it works again.  From any machine that reaches the store.
    """
    with store_access.operating(store, app) as boss:
        drained = boss.sync.drain(node)
    messages.note(f"{drained.name} drains: it finishes what runs and starts nothing new until it is started again")
    return Exit.DONE
