"""What is drawn over time: what ran when, and how many runs ended in each minute.

Rules of this file
- All charts are bounded by the runs that are read.  The answer says if anything is left out.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice, takewhile

from shiftboss.app.pages import listed
from shiftboss.app.views import Views
from shiftboss.core.model import Run, Status, WorkerState
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.value import Value
from shiftboss.ports.faces import HistoryFilter

MAX_SCANNED = 10_000  # runs that are read, newest first: a tenth of a second; the answer says if older ones are missing
MAX_PLANNED = 100  # scheduled times of one worker in the future
MAX_PLANNED_IN_ALL = 5_000  # a picture with more shows nothing
TIMELINE_PAGE = 1000
WAITING = frozenset((Status.PENDING,))
BEGUN = frozenset(Status) - WAITING


# ── a stretch of time ────────────────────────────────────────────────────────────────────────────────────────────


class TimelineRow(Value, frozen=True, omit_defaults=False):
    """A worker's runs that touch the window, the oldest first, and its scheduled times that lie ahead in the window."""

    worker: str
    runs: tuple[Run, ...]
    planned: tuple[datetime, ...]


class Timeline(Value, frozen=True, omit_defaults=False):
    """Runs by worker.  A run waits between due and start; between attempts it is in back-off."""

    since: datetime
    until: datetime
    now: datetime
    rows: tuple[TimelineRow, ...]
    complete: bool  # False: runs or scheduled times are missing, because there are more than are read or shown


def timeline(views: Views, *, since: datetime, until: datetime, worker: str | None, limit: int) -> Timeline:
    """At most *limit* runs.  Raises UnknownWorker if *worker* is given and unknown."""
    snapshot, now = views.snapshot(), views.now()
    if worker is not None:
        snapshot.worker(worker)
    finished: dict[str, list[Run]] = {}
    scans = [_Scan(views, HistoryFilter(worker=worker, since=since, status=each)) for each in (BEGUN, WAITING)]
    newest_first = heapq.merge(*(scan.runs(until) for scan in scans), key=lambda run: -run.id)
    for run in islice(newest_first, limit):
        finished.setdefault(run.worker, []).append(listed(run))
    complete = next(newest_first, None) is None and not any(scan.is_cut for scan in scans)
    names = [worker] if worker is not None else sorted(finished.keys() | snapshot.workers.keys())
    planned, all_planned = _planned(views, snapshot, names, now, until)
    rows = (TimelineRow(name, tuple(reversed(finished.get(name, ()))), tuple(planned.get(name, ()))) for name in names)
    kept = tuple(row for row in rows if row.runs or row.planned)
    return Timeline(since, until, now, kept, complete and all_planned)


class _Scan:
    """Reads runs page by page.  Waiting runs apart: thousands may lie ahead, and would be read with the others."""

    def __init__(self, views: Views, wanted: HistoryFilter) -> None:
        self._views = views
        self._wanted = wanted._replace(limit=TIMELINE_PAGE)
        self.is_cut = False

    def runs(self, until: datetime) -> Iterator[Run]:
        """The runs that existed before *until*, newest first."""
        for _ in range(MAX_SCANNED // TIMELINE_PAGE):
            page = self._views.history(self._wanted)
            yield from (run for run in page if min(run.first_started_at or run.due_at, run.due_at) <= until)
            if len(page) < TIMELINE_PAGE:
                return
            self._wanted = self._wanted._replace(before=page[-1].id)
        self.is_cut = True


def _planned(
    views: Views, snapshot: Snapshot, names: Iterable[str], now: datetime, until: datetime
) -> tuple[dict[str, list[datetime]], bool]:
    """The scheduled times between now and *until*, by worker; and whether these are all."""
    planned: dict[str, list[datetime]] = {}
    if until <= now:
        return planned, True
    known = [name for name in names if name in snapshot.workers]
    scheduled = [name for name in known if _has_plan(snapshot.workers[name])]
    instants, left, are_all = views.instants(scheduled), MAX_PLANNED_IN_ALL, True
    for name in scheduled:
        if left == 0:
            break
        coming = takewhile(lambda at: at <= until, islice(instants(name), min(MAX_PLANNED, left)))
        planned[name] = later_instants = [at for at in coming if at > now]
        left -= len(later_instants)
        are_all = are_all and left > 0
    return planned, are_all


def _has_plan(state: WorkerState) -> bool:
    return state.disabled is None and state.definition.schedule is not None


# ── how many a minute ────────────────────────────────────────────────────────────────────────────────────────────


class Minute(Value, frozen=True, omit_defaults=False):
    """How many runs ended well and how many ended dead in the minute that begins at `at`."""

    at: datetime
    succeeded: int
    failed: int


class Minutes(Value, frozen=True, omit_defaults=False):
    """The minutes in which runs ended, the oldest first."""

    since: datetime
    at: datetime
    minutes: tuple[Minute, ...]
    complete: bool  # False: there are more runs than are read; then `since` is where those that were read begin


def minutes(views: Views, *, since: datetime) -> Minutes:
    """How many runs ended in each minute since *since*."""
    now = views.now()
    counts: dict[datetime, list[int]] = {}
    wanted = HistoryFilter(status=frozenset({Status.SUCCEEDED, Status.DEAD}), since=since, limit=TIMELINE_PAGE)
    complete = False
    for _ in range(MAX_SCANNED // TIMELINE_PAGE):
        page = views.history(wanted)
        for run in page:
            if run.finished_at is not None and run.finished_at >= since:
                minute = run.finished_at.replace(second=0, microsecond=0)
                counts.setdefault(minute, [0, 0])[run.status is Status.DEAD] += 1
        if len(page) < TIMELINE_PAGE:
            complete = True
            break
        wanted = wanted._replace(before=page[-1].id)
    begin = since if complete or not counts else min(counts)
    counted = tuple(Minute(at, succeeded, failed) for at, (succeeded, failed) in sorted(counts.items()))
    return Minutes(begin, now, counted, complete)
