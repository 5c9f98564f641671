"""`shiftboss logs`: what the functions of a worker or of one run have logged."""

from __future__ import annotations

import contextlib
import sys
from datetime import timedelta

import click

from shiftboss.app.views import Views
from shiftboss.cli import dump, formatting, messages, store_access, times
from shiftboss.cli.command import SettingsCommand, examples, json_option, store_option
from shiftboss.cli.exits import Exit
from shiftboss.cli.naming import find, worker_or_run
from shiftboss.clock import Looked
from shiftboss.core.model import MAX_LINES, LogLine, Run, Status
from shiftboss.ports.faces import HistoryFilter

RUNS_OF_A_WORKER = 10  # the latest ones, whose lines are shown
RUNS_IN_A_TURN = 500  # of those that run or have ended since the last look, while following
TURN_S = 5.0  # a notification of the store ends it earlier; wall clocks jump
SLACK = timedelta(seconds=10)  # between the time of a start or an end and its commit, on a slow disk
BEGUN = frozenset(Status) - {Status.PENDING, Status.SKIPPED}


@click.command(
    cls=SettingsCommand,
    epilog=examples("shiftboss logs 1042", "shiftboss logs fetch-data -f       follow; Ctrl-C ends it"),
)
@click.argument("name", metavar="NAME|RUN", type=worker_or_run)
@click.option("-f", "--follow", is_flag=True, help="Follow: show lines as they arrive; for a run, until it has ended.")
@json_option
@store_option
def logs(name: str, follow: bool, as_json: bool, store: str | None, app: str | None) -> int:
    """Show logs.

    For a run, its lines; for a worker, those of its latest runs.  The last 1,000 lines of each attempt are kept, and
    the output says where lines are missing.  Lines reach the store within about a second.  The log of a command is its
    stderr.
    """
    with store_access.reading(store, app) as views:
        named = find(views, name)
        shown = Shown(views, named.worker, named.run, as_json=as_json)
        if follow:
            with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is the way to leave it
                _follow(views, shown)
        elif not shown.show():
            messages.note("no log output; functions log with ctx.log, or with the logging module from level WARNING on")
    return Exit.DONE


def _follow(views: Views, shown: Shown) -> None:
    """Print new lines without end; of one run until it ends."""
    shown.show()
    while not shown.has_ended():
        views.wait(TURN_S)
        shown.show()
    shown.show()  # what it logged between that look and its end


class Shown:
    """What has been printed so far, of one run or of the runs of a worker."""

    def __init__(self, views: Views, worker: str, run_id: int | None, *, as_json: bool) -> None:
        self._views = views
        self._worker = worker
        self._run = run_id
        self._as_json = as_json
        self._last: dict[int, tuple[int, int]] = {}  # run → the last line that was printed (fence, number)
        self._going_on: set[int] = set()  # runs that had not ended at the last look
        self._looked: Looked | None = None

    def has_ended(self) -> bool:
        """Whether no more lines can come."""
        return self._run is not None and self._views.run(self._run).status.is_final

    def show(self) -> int:
        """Print new lines in the order of their times; returns how many."""
        new: list[tuple[LogLine, int]] = []  # with the number of lines before it that were not kept
        for run in self._runs():
            fence, number = self._last.get(run.id, (0, 0))
            for line in self._views.lines(run.id, after=(fence, number)):
                before = number if line.fence == fence else 0
                new.append((line, line.number - before - 1))
                fence, number = line.fence, line.number
            self._last[run.id] = fence, number
        for line, missing in sorted(new, key=lambda each: (each[0].at, each[0].run, each[0].fence, each[0].number)):
            self._print(line, missing)
        return len(new)

    def _print(self, line: LogLine, missing: int) -> None:
        if missing > 0:
            messages.note(
                f"{formatting.plural(missing, 'line')} of run {line.run} missing here: only the last {MAX_LINES:,} "
                "lines of each attempt are kept"
            )
        if self._as_json:
            dump.line(line)
            sys.stdout.flush()
        else:
            messages.say(_text(line))

    def _runs(self) -> list[Run]:
        """The runs that may have logged since the last look."""
        if self._run is not None:
            return [self._views.run(self._run)]
        before, self._looked = self._looked, self._views.looked()
        of_all = HistoryFilter(worker=self._worker, limit=RUNS_IN_A_TURN)
        if before is None:
            latest = self._views.history(of_all._replace(limit=RUNS_OF_A_WORKER))
            latest += self._views.history(of_all._replace(status={Status.RUNNING}))
        else:
            latest = self._views.history(of_all._replace(status=BEGUN, since=self._looked.since(before) - SLACK))
        runs = {run.id: run for run in latest}
        runs |= {run_id: self._views.run(run_id) for run_id in self._going_on - runs.keys()}
        self._going_on = {run.id for run in runs.values() if not run.status.is_final}
        return [runs[run_id] for run_id in sorted(runs)]


def _text(line: LogLine) -> str:
    again = f".{line.attempt}" if line.attempt > 1 else ""
    return f"{times.stamp(line.at)} {line.run}{again} {line.level} {line.text}"
