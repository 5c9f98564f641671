"""Which workers an answer shows: a page costs what it shows, not what the store has.

Rules of this file
- A page begins behind a place in the order.  Whoever stood there may have been forgotten or have become healthy since.
- What a live page shows is bounded in rows and in bytes: disabled workers, then the worst, then some that are held or
  have dead letters.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from heapq import nsmallest
from itertools import islice
from typing import NamedTuple

from shiftboss.app.json_format import encoded
from shiftboss.app.status import RunningRun, WorkerStatus
from shiftboss.app.status_rows import StatusRows
from shiftboss.core.health import WORST_FIRST, Health, Place, place_of
from shiftboss.core.policy import BY_LABEL, Priority
from shiftboss.errors import ConfigurationError
from shiftboss.ports.faces import WorkerFilter

MAX_LIVE_ROWS = 250  # the worst; a browser draws no more at once
MAX_LIVE_OTHERS = 50  # that are healthy, but held or with dead letters
MAX_LIVE_LOOKED = 200  # at so many healthy workers, to find those
MAX_LIVE_BYTES = 160 * 1024  # of rows in one frame: with their reasons, nodes and running runs it stays below 300 KB
MAX_LIVE_RUNNING = 100  # running runs in one frame


class Page(NamedTuple):
    """Names in their order; `next`: the cursor of the next page, None at the end; `matching`: how many fit."""

    names: Sequence[str]
    next: str | None
    matching: int


def page(rows: StatusRows, wanted: WorkerFilter) -> Page:
    """The workers that *wanted* names.  Raises ConfigurationError for a strange cursor."""
    matching = rows.places if _is_open(wanted) else [place for place in rows.places if _fits(rows, place, wanted)]
    first = 0 if wanted.cursor is None else bisect_right(matching, _read_cursor(wanted.cursor))
    last = len(matching) if wanted.limit is None else min(first + wanted.limit, len(matching))
    is_cut = first < last < len(matching)
    names = [name for _, _, name in matching[first:last]]
    return Page(names, _cursor(matching[last - 1]) if is_cut else None, len(matching))


def live_rows(rows: StatusRows) -> Sequence[WorkerStatus]:
    """The rows that a live page shows, in order."""
    places = rows.places[:MAX_LIVE_ROWS]
    worst = list(_within((rows.row(name) for _, _, name in places), MAX_LIVE_BYTES * 3 // 4))
    if len(worst) == len(rows.places) or not worst:
        return worst
    others = islice(rows.others_behind(places[len(worst) - 1], most=MAX_LIVE_LOOKED), MAX_LIVE_OTHERS)
    return [*worst, *_within(others, MAX_LIVE_BYTES // 4)]


def some_running(running: Sequence[RunningRun], most: int | None) -> tuple[RunningRun, ...]:
    """At most that many, in their order; those that should have ended are kept."""
    if most is None or len(running) <= most:
        return tuple(running)
    kept = nsmallest(most, running, key=lambda run: (not run.zombie, run.run))
    return tuple(sorted(kept, key=lambda run: run.run))


def _within(rows: Iterable[WorkerStatus], most_bytes: int) -> Iterator[WorkerStatus]:
    """The first rows that have room; their JSON is kept, so to measure it costs little."""
    for row in rows:
        most_bytes -= len(encoded(row))
        if most_bytes < 0:
            return
        yield row


def _is_open(wanted: WorkerFilter) -> bool:
    return not wanted.health and not wanted.mode and wanted.q is None


def _fits(rows: StatusRows, place: Place, wanted: WorkerFilter) -> bool:
    name = place[2]
    return (
        (not wanted.health or WORST_FIRST[place[0]] in wanted.health)
        and (not wanted.mode or rows.judged[name].mode in wanted.mode)
        and (wanted.q is None or wanted.q.lower() in name.lower())
    )


def _cursor(place: Place) -> str:
    return f"{WORST_FIRST[place[0]]}:{Priority(-place[1]).label}:{place[2]}"


def _read_cursor(cursor: str) -> Place:
    health, _, rest = cursor.partition(":")
    priority, _, name = rest.partition(":")
    try:
        return place_of(Health(health), BY_LABEL[priority], name)
    except (ValueError, KeyError):
        raise ConfigurationError(
            f"cursor={cursor[:80]!r} is not a valid cursor; give `next` of the page before"
        ) from None
