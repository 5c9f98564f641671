"""`shiftboss runs`: what ran, what runs, what waits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import click

from shiftboss.app.views import Views
from shiftboss.cli import dump, formatting, messages, store_access, table, times
from shiftboss.cli.command import SettingsCommand, examples, json_option, store_option
from shiftboss.cli.exits import Exit
from shiftboss.cli.naming import worker_name
from shiftboss.cli.parameters import SINCE
from shiftboss.clock import SystemClock
from shiftboss.core.model import Run, Status
from shiftboss.core.unreadable import REMEDY
from shiftboss.ports.faces import HistoryFilter

PAGE = 500
COLUMNS = (
    table.Column("RUN", right=True),
    table.Column("WORKER"),
    table.Column("STATUS"),
    table.Column("WHEN"),
    table.Column("DURATION", right=True),
    table.Column("ATTEMPT", right=True),
    table.Column("SOURCE / ERROR", gives=True),
)


@click.command(
    cls=SettingsCommand,
    epilog=examples(
        "shiftboss runs --worker send-mail --since 2h",
        "shiftboss runs --status dead --status cancelled",
        "shiftboss runs --limit 1000 --json | jq .status",
    ),
)
@click.option("--worker", type=worker_name, help="Only of this worker.")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([each.value for each in Status]),
    help="Only with this status.  Repeatable.",
)
@click.option("--since", type=SINCE, help="Unfinished runs, and those that ended since then: 2h, 2027-03-28T18:00.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Show at most this many.")
@json_option
@store_option
def runs(
    worker: str | None,
    statuses: tuple[str, ...],
    since: datetime | None,
    limit: int,
    as_json: bool,
    store: str | None,
    app: str | None,
) -> int:
    """List runs, newest first.

    Pending, running and finished ones.  With --json one object per line, without payload and result; `shiftboss show
    RUN --json` has them.
    """
    wanted = HistoryFilter(worker=worker, status=frozenset(Status(each) for each in statuses), since=since)
    with store_access.reading(store, app) as views:
        if worker is not None:
            views.snapshot().worker(worker)
        listed = _pages(views, wanted, limit)
        if as_json:
            dump.lines(listed)
            return Exit.DONE
        show_runs(list(listed), SystemClock().now())
    return Exit.DONE


def _pages(views: Views, wanted: HistoryFilter, limit: int) -> Iterator[Run]:
    """Page by page, so that a long list needs neither much memory nor a long read."""
    left = limit
    while left > 0:
        page = views.history(wanted._replace(limit=min(left, PAGE)))
        yield from page
        if len(page) < min(left, PAGE):
            return
        left -= len(page)
        wanted = wanted._replace(before=page[-1].id)


def show_runs(listed: Sequence[Run], now: datetime, *, indent: str = "", of_one_worker: bool = False) -> None:
    """The table of runs; `show` uses it too."""
    if not listed:
        messages.note("no runs")
        return
    columns = [column for column in COLUMNS if not (of_one_worker and column.title == "WORKER")]
    rows: list[table.Row] = []
    for run in listed:
        name = [] if of_one_worker else [run.worker]
        tries = table.Cell(str(run.attempt), "" if run.attempt > 1 else "dim")
        rows.append(
            [str(run.id), *name, formatting.status(run), _when(run, now), formatting.took(run), tries, _why(run)]
        )
    table.show(columns, rows, indent=indent)


def _when(run: Run, now: datetime) -> str:
    if run.finished_at is not None:
        return times.ago(run.finished_at, now)
    if run.claim is not None:
        return f"for {times.rough((now - run.claim.at).total_seconds())}"
    if run.due_at > now:
        return times.until(run.due_at, now)
    return "due now" if (now - run.due_at).total_seconds() < 1 else f"was due {times.ago(run.due_at, now)}"


def _why(run: Run) -> table.Cell:
    """Where the run came from, or what went wrong."""
    if run.unreadable is not None:
        return table.Cell(f"{run.unreadable} → {REMEDY}", "red")
    if run.error is not None and run.status is not Status.SUCCEEDED:
        return table.Cell(
            formatting.error(run.error.type, run.error.message), "red" if run.status is Status.DEAD else ""
        )
    if run.cause is not None:
        return table.Cell(run.cause.value.replace("_", " "), "dim")
    if run.progress is not None and run.status is Status.RUNNING:
        return table.Cell(formatting.progress_in_words(run.progress), "cyan")
    return table.Cell(formatting.SOURCES[run.origin], "dim")
