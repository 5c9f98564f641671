"""`shiftboss logs`: what the bodies of a worker or of one run have logged."""

from __future__ import annotations

import click

from shiftboss.app.views import Views
from shiftboss.cli import dump, place, talk, times
from shiftboss.cli.command import Command, examples, json_option, store_option
from shiftboss.cli.exits import Exit
from shiftboss.cli.naming import find, worker_or_run
from shiftboss.core.model import LogLine, Run
from shiftboss.ports import HistoryFilter

RUNS_OF_A_WORKER = 10  # the latest ones, whose lines are shown
TURN_S = 5.0  # the store's bell rings earlier; wall clocks jump

Seen = dict[int, tuple[int, int]]  # run → the last line that was shown (fence, number)


@click.command(
    cls=Command,
    epilog=examples("shiftboss logs 1042", "shiftboss logs fetch-data -f       as they come; Ctrl-C ends it"),
)
@click.argument("name", metavar="NAME|RUN", type=worker_or_run)
@click.option("-f", "--follow", is_flag=True, help="Stay, and show lines as they come; for a run, until it has ended.")
@json_option
@store_option
def logs(name: str, follow: bool, as_json: bool, store: str | None, app: str | None) -> int:
    """What the bodies of a worker or of one run have logged.

    Of each attempt the last 1,000 lines are kept; they reach the store within about a second.  Of a worker its latest
    runs are shown.
    """
    with place.reading(store, app) as views:
        named = find(views, name)
        seen: Seen = {}
        count = _show(views, named.worker, named.run, seen, as_json=as_json)
        if not count and not follow:
            talk.note("nothing was logged; bodies log with ctx.log or with the logging module, from level WARNING on")
        try:
            while follow and not _has_ended(views, named.run):
                views.wait(TURN_S)
                _show(views, named.worker, named.run, seen, as_json=as_json)
            if follow:
                _show(views, named.worker, named.run, seen, as_json=as_json)
        except KeyboardInterrupt:
            return Exit.DONE
    return Exit.DONE


def _has_ended(views: Views, run_id: int | None) -> bool:
    return run_id is not None and views.run(run_id).status.is_final


def _show(views: Views, worker: str, run_id: int | None, seen: Seen, *, as_json: bool) -> int:
    """Print what is new; how many lines that were."""
    lines: list[LogLine] = []
    for run in _runs(views, worker, run_id):
        fresh = views.lines(run.id, after=seen.get(run.id, (0, 0)))
        if fresh:
            seen[run.id] = (fresh[-1].fence, fresh[-1].number)
        lines += fresh
    for line in sorted(lines, key=lambda each: (each.at, each.run, each.fence, each.number)):
        print(dump.text_of(line) if as_json else _text(line), flush=True)
    return len(lines)


def _runs(views: Views, worker: str, run_id: int | None) -> list[Run]:
    if run_id is not None:
        return [views.run(run_id)]
    return views.history(HistoryFilter(worker=worker, limit=RUNS_OF_A_WORKER))


def _text(line: LogLine) -> str:
    again = f".{line.attempt}" if line.attempt > 1 else ""
    return f"{times.stamp(line.at)} {line.run}{again} {line.level} {talk.clean(line.text)}"
