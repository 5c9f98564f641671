"""Finds runs and log lines that are new since the last look, with few queries, whatever the number of streams.

Rules of this file
- Ended runs are found by the time of their end, waiting ones by their id, and running ones are known anyway: no query
  walks through a backlog.
- A run that was waiting or running, and is neither any more, has ended, whatever time its row has: a commit can come
  later than any slack.
- Each state of a run is sent once.  More than MAX_RUNS at a time are not sent one by one: the client reads the list
  again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from shiftboss.app.pages import listed
from shiftboss.app.views import Views
from shiftboss.core.model import LogLine, Run, Status
from shiftboss.ports.faces import HistoryFilter

MAX_RUNS = 200  # per look, with four looks a second: more than anybody reads
MAX_LOOKED = 1000  # ended runs that are searched for new ones
MAX_KNOWN = 5000  # ended runs that were already sent
SLACK = timedelta(seconds=2)  # between the time of a cycle and its commit, on a slow disk
ENDED = frozenset(status for status in Status if status.is_final)
WAITING = frozenset((Status.PENDING,))


class RunChanges:
    def __init__(self, views: Views) -> None:
        self._looked = views.looked()
        self._ended: OrderedDict[int, None] = OrderedDict()
        self._waiting: dict[int, Run] = {}
        self._running: dict[int, Run] = {}
        self.look(views)

    def look(self, views: Views) -> tuple[list[Run], bool]:
        """The new and changed runs, as lists show them; and whether these are all."""
        looked = views.looked()
        known = self._waiting.keys() | self._running.keys()
        ended, all_ended = self._look_at_ended(views, since=looked.since(self._looked) - SLACK)
        waiting, all_waiting = self._look_at_waiting(views)
        running = {run.id: run for run in views.seen.running.values()}
        ended += self._look_at_gone(views, known - self._waiting.keys() - running.keys() - self._ended.keys())
        started = [run for run in running.values() if self._running.get(run.id) != run]
        self._running = running
        self._looked = looked
        gone = {run.id for run in ended}
        changed = {run.id: run for run in (*waiting, *started) if run.id not in gone}
        changed.update((run.id, run) for run in ended)
        runs = [listed(changed[run_id]) for run_id in sorted(changed)]
        return runs[-MAX_RUNS:], all_ended and all_waiting and len(runs) <= MAX_RUNS

    def _look_at_ended(self, views: Views, *, since: datetime) -> tuple[list[Run], bool]:
        page = views.history(HistoryFilter(status=ENDED, since=since, limit=MAX_LOOKED))
        new = [run for run in page if run.id not in self._ended]
        for run in new:
            self._ended[run.id] = None
        while len(self._ended) > MAX_KNOWN:
            self._ended.popitem(last=False)
        return new, len(page) < MAX_LOOKED

    def _look_at_gone(self, views: Views, ids: Collection[int]) -> list[Run]:
        """Of the runs that left their place (or wait behind the newest), those that have ended."""
        ended = [run for run in views.runs(ids) if run.status.is_final] if ids else []
        self._ended.update((run.id, None) for run in ended)
        return ended

    def _look_at_waiting(self, views: Views) -> tuple[list[Run], bool]:
        """Of the newest waiting runs, those that are new or have moved."""
        page = views.history(HistoryFilter(status=WAITING, limit=MAX_RUNS))
        before = self._waiting
        self._waiting = {run.id: run for run in page}
        oldest_known = min(before, default=0)
        new = [run for run in page if before.get(run.id) != run and (run.id in before or run.id > oldest_known)]
        overflowed = bool(before) and len(page) == MAX_RUNS and len(new) == MAX_RUNS
        return new, not overflowed


class LineChanges:
    """Finds new log lines of the runs that are watched."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, int]] = {}

    def look(self, views: Views, runs: Collection[int]) -> Iterator[LogLine]:
        """The new lines; of a run that is watched for the first time, only those that come after this."""
        for gone in self._last.keys() - set(runs):
            del self._last[gone]
        for run_id in runs:
            is_new = run_id not in self._last
            lines = views.new_lines(run_id, after=self._last.get(run_id, (0, 0)))
            self._last[run_id] = (lines[-1].fence, lines[-1].number) if lines else self._last.get(run_id, (0, 0))
            if not is_new:
                yield from lines
