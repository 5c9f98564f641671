"""`shiftboss check`: examine an app before it is deployed, for CI."""

from __future__ import annotations

from collections.abc import Iterable

import click

from shiftboss.app.orchestrator import Orchestrator
from shiftboss.cli import dump, formatting, messages, store_access, table
from shiftboss.cli.command import SettingsCommand, debug_option, examples, json_option
from shiftboss.cli.exits import Exit
from shiftboss.core import graph
from shiftboss.core.findings import Finding, Severity, findings
from shiftboss.executors.body import FunctionBody

COLUMNS = (table.Column(""), table.Column("worker"), table.Column("text", wraps=True, gives=True), table.Column("rule"))


@click.command(cls=SettingsCommand, epilog=examples("shiftboss check shop.jobs:boss", "shiftboss check app.py --json"))
@click.argument("app", metavar="[APP]", required=False, envvar="SHIFTBOSS_APP")
@json_option
@debug_option
def check(app: str | None, as_json: bool) -> int:
    """Check an app before it is deployed, for CI.

    It opens no store and runs nothing.  Exits with 2 if the app could not start (unknown names, cycles, impossible
    schedules or resource limits), with 3 for warnings (a worker would starve, never end, collide or be late, or needs
    something that its executor does not have), else with 0; notes alone do not fail.
    """
    given = store_access.given_app(app)
    boss = given.boss
    graph.check(boss.definitions.values(), resources=boss.resources)
    all_findings = findings(
        boss.definitions.values(),
        resources=boss.resources,
        slots=boss.max_concurrency,
        slots_of=_slots_of(boss),
        heedless={
            name for name, body in boss.bodies.items() if isinstance(body, FunctionBody) and not body.wants_context
        },
    )
    warnings = sum(1 for each in all_findings if each.severity is Severity.WARNING)
    if as_json:
        dump.one({"app": given.name, "workers": list(boss.definitions), "warnings": warnings, "findings": all_findings})
    else:
        _print(all_findings)
        notes = len(all_findings) - warnings
        counts = [formatting.plural(warnings, "warning")] * bool(warnings) + [formatting.plural(notes, "note")] * bool(
            notes
        )
        messages.note(
            f"{given.name}: {formatting.plural(len(boss.definitions), 'worker')}, {', '.join(counts) or 'no findings'}"
        )
    return Exit.FALSE if warnings else Exit.DONE


def _slots_of(boss: Orchestrator) -> dict[str, int]:
    """Children only if their number is given: this machine's cores are not those of the one that will run them."""
    given = {"command": boss.command_slots, "process": boss.process_slots}
    return {kind: slots for kind, slots in given.items() if slots is not None}


def _print(all_findings: Iterable[Finding]) -> None:
    rows: list[table.Row] = []
    for each in all_findings:
        is_warning = each.severity is Severity.WARNING
        sign = table.Cell("!", "yellow") if is_warning else table.Cell(formatting.sign("·"), "dim")
        name = table.Cell(each.worker, "bold" if is_warning else "")
        rule = table.Cell(each.rule, "dim")
        for text in formatting.with_remedy(each.message, each.remedy):
            rows.append((sign, name, text, rule))
            sign = name = rule = table.Cell("")
    if rows:
        table.show(COLUMNS, rows, header=False)
