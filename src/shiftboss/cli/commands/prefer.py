"""`shiftboss prefer`: put what one node declares in force in the whole fleet."""

from __future__ import annotations

import click

from shiftboss.cli import messages, store_access
from shiftboss.cli.command import SettingsCommand, examples, store_option
from shiftboss.cli.exits import Exit
from shiftboss.cli.naming import worker_name


@click.command(
    cls=SettingsCommand,
    epilog=examples("shiftboss why report", "shiftboss prefer web-2:4711", "shiftboss prefer web-2:4711 report"),
)
@click.argument("node", metavar="NODE")
@click.argument("worker", required=False, metavar="[WORKER]", type=worker_name)
@store_option
def prefer(node: str, worker: str | None, store: str | None, app: str | None) -> int:
    """Use the declarations of one node in the whole fleet.

    When live nodes declare a worker differently, the newest code decides.  This command makes the declarations of NODE
    count as the newest, for WORKER only or for all its workers and resources, until newer code comes.  NODE is a name
    or an id, as `shiftboss nodes` shows them; `shiftboss why WORKER` names the nodes that declare it differently.
    """
    with store_access.operating(store, app) as boss:
        names = boss.sync.prefer(node, worker)
    if names:
        messages.note(f"the declarations of {node} apply from now on: {', '.join(names)}")
    else:
        messages.note(f"the declarations of {node} already apply")
    return Exit.DONE
