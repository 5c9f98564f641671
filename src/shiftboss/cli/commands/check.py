"""`shiftboss check`: examine an app before it is deployed, for CI."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import Any

import click

from shiftboss.app.orchestrator import Orchestrator
from shiftboss.cli import dump, place, table, talk, words
from shiftboss.cli.command import Command, debug_option, examples, json_option
from shiftboss.cli.exits import Exit
from shiftboss.core import graph

FINDINGS = (table.Column("worker"), table.Column("text", wraps=True, gives=True))


@click.command(cls=Command, epilog=examples("shiftboss check shop.jobs:boss", "shiftboss check app.py --json"))
@click.argument("app", metavar="[APP]", required=False, envvar="SHIFTBOSS_APP")
@json_option
@debug_option
def check(app: str | None, as_json: bool) -> int:
    """Examine an app before it is deployed: no store is opened and nothing runs.

    Exits with 2 for what could not even start (unknown names, cycles, impossible schedules or permits), with 3 for
    findings (what would starve, never end, collide or be late), with 0 otherwise.
    """
    found = place.given_app(app)
    boss = found.boss
    graph.check(boss.definitions.values(), resources=boss.resources)
    findings = _findings(boss)
    if as_json:
        dump.one({"app": found.name, "workers": list(boss.definitions), "findings": findings})
    else:
        rows = [(table.Cell(each.worker or "all", "bold"), talk.one_line(each.text)) for each in findings]
        if rows:
            table.show(FINDINGS, rows, header=False)
        what = words.plural(len(findings), "finding") if findings else "no findings"
        talk.note(f"{found.name}: {words.plural(len(boss.definitions), 'worker')}, {what}")
    return Exit.FALSE if findings else Exit.DONE


def _findings(boss: Orchestrator) -> Sequence[Any]:
    raise NotImplementedError
