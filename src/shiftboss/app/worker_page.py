"""Which rows of a status are shown, and all rows counted: a page costs what it shows, not what the store has.

Rules of this file
- Counts are kept from one answer to the next: only a row that has changed is counted anew.
- A page begins behind a place in the order.  Whoever stood there may have been forgotten or have become healthy since.
- What a live page shows is bounded in rows and in bytes: disabled workers, then the worst, then some that are held or
  have dead letters.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from heapq import nsmallest
from typing import NamedTuple

from shiftboss.app.json_format import encoded
from shiftboss.app.status import RunningRun, Totals, WorkerStatus
from shiftboss.core.health import WORST_FIRST, Health, HealthReason
from shiftboss.core.policy import BY_LABEL
from shiftboss.errors import ConfigurationError
from shiftboss.ports.faces import WorkerFilter

MAX_LIVE_ROWS = 250  # the worst; a browser draws no more at once
MAX_LIVE_OTHERS = 50  # that are healthy, but held or with dead letters
MAX_LIVE_BYTES = 160 * 1024  # of rows in one frame: with their reasons, nodes and running runs it stays below 300 KB
MAX_LIVE_RUNNING = 100  # running runs in one frame

Place = tuple[int, int, str]


class Page(NamedTuple):
    """Some rows in their order; `next`: the cursor of the next page, None at the end; `matching`: how many fit."""

    rows: Sequence[WorkerStatus]
    next: str | None
    matching: int


class Tally:
    """Counts of all rows."""

    def __init__(self) -> None:
        self._health: Counter[str] = Counter()
        self._mode: Counter[str] = Counter()
        self._running = self._pending = self._due = self._dead_letters = 0
        self._others: dict[str, WorkerStatus] = {}  # held, or with dead letters

    def add(self, row: WorkerStatus) -> None:
        self._count(row, 1)
        if row.holds or row.dead_letters:
            self._others[row.name] = row

    def remove(self, row: WorkerStatus) -> None:
        self._count(row, -1)
        self._others.pop(row.name, None)

    def _count(self, row: WorkerStatus, sign: int) -> None:
        self._health[str(row.health)] += sign
        self._mode[row.mode] += sign
        self._running += sign * row.running
        self._pending += sign * row.pending
        self._due += sign * row.due
        self._dead_letters += sign * row.dead_letters

    def totals(self) -> Totals:
        return Totals(
            workers=self._health.total(),
            health={health.value: count for health in WORST_FIRST if (count := self._health[health.value])},
            mode={mode: count for mode, count in sorted(self._mode.items()) if count},
            running=self._running,
            pending=self._pending,
            due=self._due,
            dead_letters=self._dead_letters,
        )

    def others_behind(self, place: Place, *, most: int) -> list[WorkerStatus]:
        """Rows behind that place that are held or have dead letters, in the order of all rows."""
        behind = (row for row in self._others.values() if _place(row) > place)
        return nsmallest(most, behind, key=_place)


def page(rows: Sequence[WorkerStatus], wanted: WorkerFilter) -> Page:
    """The *rows*, which are in order, that *wanted* names.  Raises ConfigurationError for a strange cursor."""
    matching_rows = rows if _is_open(wanted) else [row for row in rows if _fits(row, wanted)]
    first = 0 if wanted.cursor is None else bisect_right(matching_rows, _read_cursor(wanted.cursor), key=_place)
    last = len(matching_rows) if wanted.limit is None else min(first + wanted.limit, len(matching_rows))
    is_cut = first < last < len(matching_rows)
    return Page(matching_rows[first:last], _cursor(matching_rows[last - 1]) if is_cut else None, len(matching_rows))


def live_rows(rows: Sequence[WorkerStatus], tally: Tally) -> Sequence[WorkerStatus]:
    """The *rows*, which are in order, that a live page shows."""
    worst = list(_within(rows[:MAX_LIVE_ROWS], MAX_LIVE_BYTES * 3 // 4))
    if len(worst) == len(rows) or not worst:
        return worst
    others = tally.others_behind(_place(worst[-1]), most=MAX_LIVE_OTHERS)
    return [*worst, *_within(others, MAX_LIVE_BYTES // 4)]


def some_running(running: Sequence[RunningRun], most: int | None) -> tuple[RunningRun, ...]:
    """At most that many, in their order; those that should have ended are kept."""
    if most is None or len(running) <= most:
        return tuple(running)
    kept = nsmallest(most, running, key=lambda run: (not run.zombie, run.run))
    return tuple(sorted(kept, key=lambda run: run.run))


def reasons_of(reasons: Iterable[HealthReason], rows: Iterable[WorkerStatus]) -> tuple[HealthReason, ...]:
    """The reasons that are about the whole system or one of *rows*."""
    names = {row.name for row in rows}
    return tuple(reason for reason in reasons if not reason.worker or reason.worker in names)


def _within(rows: Iterable[WorkerStatus], most_bytes: int) -> Iterator[WorkerStatus]:
    """The first rows that have room; their JSON is kept, so to measure it costs little."""
    for row in rows:
        most_bytes -= len(encoded(row))
        if most_bytes < 0:
            return
        yield row


def _is_open(wanted: WorkerFilter) -> bool:
    return not wanted.health and not wanted.mode and wanted.q is None


def _fits(row: WorkerStatus, wanted: WorkerFilter) -> bool:
    return (
        (not wanted.health or row.health in wanted.health)
        and (not wanted.mode or row.mode in wanted.mode)
        and (wanted.q is None or wanted.q.lower() in row.name.lower())
    )


def _place(row: WorkerStatus) -> Place:
    """Where it stands in the order (core/health.py)."""
    return WORST_FIRST.index(Health(row.health)), -BY_LABEL[row.priority], row.name


def _cursor(row: WorkerStatus) -> str:
    return f"{row.health}:{row.priority}:{row.name}"


def _read_cursor(cursor: str) -> Place:
    health, _, rest = cursor.partition(":")
    priority, _, name = rest.partition(":")
    try:
        return WORST_FIRST.index(Health(health)), -BY_LABEL[priority], name
    except (ValueError, KeyError):
        raise ConfigurationError(
            f"cursor={cursor[:80]!r} is not a valid cursor; give `next` of the page before"
        ) from None
