"""`shiftboss nodes`: which processes run workers on this store?"""

from __future__ import annotations

from datetime import datetime

import click

from shiftboss.app.status import NodeStatus
from shiftboss.app.views import Views
from shiftboss.cli import dump, formatting, messages, store_access, table, times
from shiftboss.cli.command import SettingsCommand, examples, json_option, store_option
from shiftboss.cli.exits import Exit
from shiftboss.core.fleet import LEASE_S, SILENT_S

COLUMNS = (
    table.Column("NODE"),
    table.Column("STATE"),
    table.Column("SLOTS", right=True),
    table.Column("WORKERS", right=True),
    table.Column("LAG", right=True),
    table.Column("MEMORY", right=True),
    table.Column("LEASE", right=True),
    table.Column("UP", right=True),
    table.Column("VERSION"),
    table.Column("", wraps=True, gives=True),
)


@click.command(
    cls=SettingsCommand,
    epilog=examples("shiftboss nodes", "shiftboss nodes --json | jq '.nodes[] | select(.live) | .pid'"),
)
@json_option
@store_option
def nodes(as_json: bool, store: str | None, app: str | None) -> int:
    """List the processes that run workers.

    SLOTS: in use, of all.  LAG: event-loop lag.  LEASE: how much of it is left.
    """
    with store_access.opened(store_access.store_url(store, app)) as (opened, clock):
        views = Views(opened, clock)
        known_nodes = views.nodes()
        dead = {node.id for node in known_nodes if opened.is_dead(node.id)}
    if as_json:
        dump.one({"nodes": known_nodes})
    elif known_nodes:
        now = clock.now()
        table.show(COLUMNS, [_row(node, now, is_dead=node.id in dead) for node in known_nodes])
    else:
        messages.note("no nodes: no process runs workers of this store")
    return Exit.DONE


def _row(node: NodeStatus, now: datetime, *, is_dead: bool) -> list[str | table.Cell]:
    is_there = node.live and not is_dead
    state = node.mode if is_there else "gone" if is_dead else "frozen" if node.frozen else "no lease"
    version = f"{node.version} {node.code_version}".strip()
    shed = f"load shedding ({node.shed} priority held): {node.shed_reason}" if node.shed != "nothing" else ""
    if is_dead:
        shed = "its process has ended; the next node takes over its runs"
    elif node.frozen:
        silent_s = LEASE_S - node.lease_left_s
        shed = (
            f"silent for {silent_s:.0f} s although its process is alive: a function may be holding the "
            "interpreter's lock (GIL)"
        )
    elif is_there and LEASE_S - node.lease_left_s >= SILENT_S:
        shed = f"has not renewed its lease for {LEASE_S - node.lease_left_s:.0f} s: it is frozen or cannot write"
    return [
        node.name,
        table.Cell(state, formatting.NODE_STYLES.get(state, "")),
        f"{node.used}/{node.slots}",
        str(node.workers),
        times.span(node.lag_s) if is_there else "",
        formatting.in_bytes(node.memory_bytes) if is_there and node.memory_bytes else "",
        f"{node.lease_left_s:.0f} s" if node.live else table.Cell("ended", "red"),
        times.rough((now - node.started_at).total_seconds()),
        version,
        table.Cell(shed, "yellow"),
    ]
