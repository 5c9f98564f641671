"""`shiftboss next`: the next times of a schedule, with the days on which clocks change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import click

from shiftboss.app.options import WORKER
from shiftboss.app.scheduling import Calendar, schedule_of
from shiftboss.cli import dump, messages, store_access, table, times
from shiftboss.cli.command import SettingsCommand, examples, json_option, store_option
from shiftboss.cli.exits import Exit
from shiftboss.cli.naming import worker_name
from shiftboss.clock import SystemClock
from shiftboss.core import schedule, schedule_words
from shiftboss.core.schedule import CalendarEvent, Cron, Every, Schedule
from shiftboss.core.schedules.zone import clock_changes
from shiftboss.core.worker import Definition

INSTANTS = (table.Column("WHEN"), table.Column("IN"), table.Column("", wraps=True))
A_MOMENT = timedelta(microseconds=1)


@click.command(
    "next",
    cls=SettingsCommand,
    epilog=examples(
        "shiftboss next cleanup -n 5",
        "shiftboss next '30 2 * * *' --timezone Europe/Berlin     any cron expression",
        "shiftboss next --on-calendar 'Mon..Fri 09:00' --holidays DE-BY",
        "shiftboss next --every 2w --anchor '2026-01-05 09:00' --timezone Europe/Berlin",
    ),
)
@click.argument("name", metavar="[NAME]", type=worker_name, required=False)
@click.option("-n", "--number", type=click.IntRange(1, 10_000), default=5, show_default=True, help="Show this many.")
@click.option("--every", help="Instead of a worker: a fixed distance, from --anchor on or from now.")
@click.option("--on-calendar", multiple=True, help="Instead of a worker: a calendar event in systemd's words.")
@click.option("--at", multiple=True, help="Instead of a worker: a time.")
@click.option("--rrule", help="Instead of a worker: a recurrence rule of iCalendar, from --anchor on.")
@click.option("--anchor", help="The first time of --every or --rrule.")
@click.option("--weekdays", help="Only on these days, as 'Mon..Fri'.")
@click.option("--holidays", help="Not on the public holidays of a country, as 'DE' or 'US-CA'.")
@click.option("--hours", help="Only within these hours, as '09:00-17:00'.")
@click.option("--otherwise", type=click.Choice(["skip", "next"]), help="What becomes of a time on another day.")
@click.option("--timezone", help="Time zone of a schedule that is given here. [default: UTC]")
@json_option
@store_option
def next_(
    name: str | None, number: int, timezone: str | None, as_json: bool, store: str | None, app: str | None, **given: Any
) -> int:
    """Show the next run times.

    In the time zone of the worker, with the days on which its clocks change.  The first one is already stored as a run.
    Instead of a worker you can give a cron expression or another schedule; then no store is opened.
    """
    now = SystemClock().now()
    rule = _given(name, timezone, given)
    definition: Definition | None = None
    disabled = ""
    if rule is not None:
        instants = _of_rule(rule, now, number)
    elif name is None:
        raise click.UsageError("give the name of a worker, a cron expression, or an option such as --on-calendar")
    else:
        with store_access.reading(store, app) as views:
            instants = views.next_instants(name, number)
            state = views.snapshot().worker(name)
        definition, rule = state.definition, state.definition.schedule
        disabled = state.disabled.how if state.disabled is not None else ""
    changes = _changes(rule, instants)
    if as_json:
        words = None if rule is None else _in_words_with_end(rule, definition)
        dump.one({"schedule": words, "instants": instants, "clock_changes": [_as_fact(*change) for change in changes]})
    elif rule is None:
        messages.note(f"{name} has no schedule: it runs when triggered, or after other workers")
    else:
        _print(rule, definition, instants, changes, now)
        if len(instants) < number:
            messages.note("the schedule ends here" if instants else "the schedule has ended: it has no further time")
    if disabled:
        messages.warn(f"{name} is {disabled}: no runs start at these times")
    return Exit.DONE


def _given(name: str | None, timezone: str | None, given: dict[str, Any]) -> Schedule | None:
    """The schedule that was typed; None if a worker's is meant.  Raises ConfigurationError."""
    days = {option: given.pop(option) for option in ("weekdays", "holidays", "hours", "otherwise")}
    options = {option: value for option, value in given.items() if value}
    if name is not None and (" " in name or name.startswith("@")):
        options["cron"] = name
    elif name is not None and options:
        raise click.UsageError(f"give {name} or another schedule, not both")
    if timezone is not None:
        options["timezone"] = timezone
    if any(days.values()):
        options["calendar"] = Calendar(**{option: value for option, value in days.items() if value})
    if name is not None and "cron" not in options:
        if options:
            raise click.UsageError(f"{name} has a schedule of its own; drop --{min(options)}")
        return None
    return schedule_of({option: WORKER.read_one(option, value) for option, value in options.items()})


def _of_rule(rule: Schedule, now: datetime, number: int) -> list[datetime]:
    """Up to *number* times; those of a plain distance are counted from now."""
    instants: list[datetime] = []
    at = schedule.first_instant(rule, now)
    while at is not None and len(instants) < number:
        instants.append(at)
        at = schedule.next_after(rule, at, anchor=now)
    return instants


def _changes(rule: Schedule | None, instants: Sequence[datetime]) -> list[tuple[datetime, float]]:
    """Changes of the clocks on the days from the first to the last scheduled time."""
    if rule is None or isinstance(rule, Every) or not instants:
        return []
    day = timedelta(days=1)
    return clock_changes(rule.zone, instants[0] - day, instants[-1] + day)


def _in_words_with_end(rule: Schedule, definition: Definition | None) -> str:
    words = schedule_words.in_words(rule)
    if definition is None:
        return words
    zone = "UTC" if isinstance(rule, Every) else rule.zone
    return ", ".join(filter(None, (words, schedule_words.until_words(definition.until, definition.times, zone))))


def _as_fact(at: datetime, change_s: float) -> dict[str, object]:
    return {"at": at, "change_s": change_s}


# ── for people ───────────────────────────────────────────────────────────────────────────────────────────────────


def _print(
    rule: Schedule,
    definition: Definition | None,
    instants: Sequence[datetime],
    changes: Sequence[tuple[datetime, float]],
    now: datetime,
) -> None:
    zone = None if isinstance(rule, Every) else ZoneInfo(rule.zone)
    given = f'"{rule.expression}" ' if isinstance(rule, Cron | CalendarEvent) else ""
    table.line(table.Cell(given, "bold"), _in_words_with_end(rule, definition))
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
