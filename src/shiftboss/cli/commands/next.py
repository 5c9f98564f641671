"""`shiftboss next`: the next times of a schedule, with the days on which clocks change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import click

from shiftboss.cli import dump, messages, store_access, table, times
from shiftboss.cli.command import SettingsCommand, examples, json_option, store_option
from shiftboss.cli.exits import Exit
from shiftboss.cli.naming import worker_name
from shiftboss.clock import SystemClock
from shiftboss.core import schedule, schedule_words
from shiftboss.core.schedule import Cron, Every, Schedule, cron_expression

INSTANTS = (table.Column("WHEN"), table.Column("IN"), table.Column("", wraps=True))
A_MOMENT = timedelta(microseconds=1)


@click.command(
    "next",
    cls=SettingsCommand,
    epilog=examples(
        "shiftboss next cleanup -n 5",
        "shiftboss next '30 2 * * *' --timezone Europe/Berlin     any cron expression",
    ),
)
@click.argument("name", metavar="NAME", type=worker_name)
@click.option("-n", "--number", type=click.IntRange(1, 10_000), default=5, show_default=True, help="Show this many.")
@click.option(
    "--timezone", default="UTC", show_default=True, help="Time zone of a cron expression given instead of a name."
)
@json_option
@store_option
def next_(name: str, number: int, timezone: str, as_json: bool, store: str | None, app: str | None) -> int:
    """Show the next run times.

    In the time zone of the worker, with the days on which its clocks change.  The first one is already stored as a run.
    Instead of a name you can give a cron expression; then no store is opened.
    """
    now = SystemClock().now()
    rule: Schedule | None
    disabled = ""
    if " " in name or name.startswith("@"):
        rule = Cron(cron_expression(name, name="cron"), timezone)
        instants = _of_rule(rule, now, number)
    else:
        with store_access.reading(store, app) as views:
            instants = views.next_instants(name, number)
            state = views.snapshot().worker(name)
        rule = state.definition.schedule
        disabled = state.disabled.how if state.disabled is not None else ""
    changes = _changes(rule, instants)
    if as_json:
        words = schedule_words.in_words(rule) if rule is not None else None
        dump.one({"schedule": words, "instants": instants, "clock_changes": [_as_fact(*change) for change in changes]})
    elif rule is None:
        messages.note(f"{name} has no schedule: it runs when triggered, or after other workers")
    else:
        _print(rule, instants, changes, now)
    if disabled:
        messages.warn(f"{name} is {disabled}: no runs start at these times")
    return Exit.DONE


def _of_rule(rule: Schedule, now: datetime, number: int) -> list[datetime]:
    instants = [schedule.first_instant(rule, now)]
    while len(instants) < number:
        instants.append(schedule.next_after(rule, instants[-1], anchor=None))
    return instants


def _changes(rule: Schedule | None, instants: Sequence[datetime]) -> list[tuple[datetime, float]]:
    """Changes of the clocks on the days from the first to the last scheduled time."""
    if not isinstance(rule, Cron) or not instants:
        return []
    day = timedelta(days=1)
    return schedule.clock_changes(rule.timezone, instants[0] - day, instants[-1] + day)


def _as_fact(at: datetime, change_s: float) -> dict[str, object]:
    return {"at": at, "change_s": change_s}


# ── for people ───────────────────────────────────────────────────────────────────────────────────────────────────


def _print(
    rule: Schedule, instants: Sequence[datetime], changes: Sequence[tuple[datetime, float]], now: datetime
) -> None:
    zone = ZoneInfo(rule.timezone) if isinstance(rule, Cron) else None
    given = f'"{rule.expression}" ' if isinstance(rule, Cron) else ""
    table.line(table.Cell(given, "bold"), schedule_words.in_words(rule))
    by_day = {_day(at, zone): _in_words(at, change_s, zone) for at, change_s in changes}
    rows = []
    for number, at in enumerate(instants):
        local = at.astimezone(zone)
        form = "%a %Y-%m-%d %H:%M:%S" if _has_seconds(rule, instants) else "%a %Y-%m-%d %H:%M"
        offset = f"{local:%z}"
        shown = f"{local.strftime(form)} {offset[:3]}:{offset[3:5]}"
        rows.append((shown, times.relative(at, now) if number < 3 else "", by_day.get(_day(at, zone), "")))
    cells = [(shown, table.Cell(when, "dim"), table.Cell(change, "yellow")) for shown, when, change in rows]
    table.show(INSTANTS, cells, indent="  ", header=False)


def _has_seconds(rule: Schedule, instants: Sequence[datetime]) -> bool:
    return isinstance(rule, Every) or any(at.second for at in instants)


def _day(at: datetime, zone: tzinfo | None) -> date:
    return (
        (at - A_MOMENT).astimezone(zone).date() if at.microsecond == 0 and zone is None else at.astimezone(zone).date()
    )


def _in_words(at: datetime, change_s: float, zone: tzinfo | None) -> str:
    """ "clocks go forward by 1 h at 02:00"."""
    moment = (at - A_MOMENT).astimezone(zone) + A_MOMENT  # what the clocks would have shown
    way = "forward" if change_s > 0 else "back"
    return f"clocks go {way} by {times.length(abs(change_s))} at {moment:%H:%M}"
