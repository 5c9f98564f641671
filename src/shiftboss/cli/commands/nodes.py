"""`shiftboss nodes`: which processes run workers on this store?"""

from __future__ import annotations

from datetime import datetime

import click

from shiftboss.app.views import NodeStatus
from shiftboss.cli import dump, place, table, talk, times, words
from shiftboss.cli.command import Command, examples, json_option, store_option
from shiftboss.cli.exits import Exit
from shiftboss.clock import SystemClock

COLUMNS = (
    table.Column("NODE"),
    table.Column("STATE"),
    table.Column("SLOTS", right=True),
    table.Column("WORKERS", right=True),
    table.Column("LAG", right=True),
    table.Column("LEASE", right=True),
    table.Column("UP", right=True),
    table.Column("VERSION"),
    table.Column("", gives=True),
)


@click.command(
    cls=Command, epilog=examples("shiftboss nodes", "shiftboss nodes --json | jq '.[] | select(.live) | .pid'")
)
@json_option
@store_option
def nodes(as_json: bool, store: str | None, app: str | None) -> int:
    """Which processes run workers on this store?

    SLOTS: in use, of all.  LAG: how late its event loop answers.  LEASE: how much of it is left.
    """
    with place.reading(store, app) as views:
        found = views.nodes()
    if as_json:
        dump.one(found)
    elif found:
        now = SystemClock().now()
        table.show(COLUMNS, [_row(node, now) for node in found])
    else:
        talk.note("no node: nothing runs workers on this store just now")
    return Exit.DONE


def _row(node: NodeStatus, now: datetime) -> list[str | table.Cell]:
    state = node.mode if node.live else "gone"
    version = f"{node.version} {node.code_version}".strip()
    shed = f"holds back {node.shed}: {node.shed_reason}" if node.shed != "nothing" else ""
    return [
        node.name,
        table.Cell(state, words.NODE_STYLES.get(state, "")),
        f"{node.used}/{node.slots}",
        str(node.workers),
        times.span(node.lag_s) if node.live else "",
        f"{node.lease_left_s:.0f} s" if node.live else table.Cell("ended", "red"),
        times.rough((now - node.started_at).total_seconds()),
        version,
        table.Cell(talk.one_line(shed), "yellow"),
    ]
