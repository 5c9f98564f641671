"""Where each queue of a worker begins: no waiting run stands before that, so no question need look before it.

Rules of this file
- As long as somebody holds a snapshot, the server keeps the index entries of all runs that have waited since, in front
  of those that wait.  A question that began at the first entry would pass all of them each time.
- Every transaction that changes waiting runs holds their worker, and writes these places with the worker's row.  So
  they are as exact as the runs themselves, whoever commits when: a run with an earlier place moves its queue's begin
  back in the commit that stores it.
- A place is only moved on by somebody who knows all runs before it: the node, which has them in its lane.  What it does
  not know stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shiftboss.core.lane import ALL_QUEUES, QUEUES, Lane, place_of, queue_of
from shiftboss.core.model import Run, Status
from shiftboss.errors import NotLoaded
from shiftboss.stores.sql import codec
from shiftboss.stores.sql.reads import LONG_AGO

NOTHING = 1 << 62  # nothing waits there; later than every place
LEAST = QUEUES  # the index of the earliest `occurs_at`, behind those of the queues
PLACES = range(QUEUES + 1)
FEW = 32  # runs among which the earliest is looked for
UNKNOWN = f"array_fill({LONG_AGO}, ARRAY[{len(PLACES)}])"  # in SQL
EMPTY = "{" + ",".join([str(NOTHING)] * len(PLACES)) + "}"


def of(place: int, row: str) -> str:
    """The place in a row with `waits_from`, in SQL."""
    return f"{row}.waits_from[{place + 1}]"


# As it becomes by `fronts` and `added` below, for a row of `touched`.
MOVED = f"""CASE WHEN touched.fronts IS NULL AND touched.added IS NULL THEN worker.waits_from ELSE ARRAY[
    {", ".join(f"coalesce(fronts[{n + 1}], least({of(n, 'worker')}, added[{n + 1}]))" for n in PLACES)}] END"""


def fronts(lane: Lane | None) -> str | None:
    """The begin of each queue, as far as the lane knows it; a run that cannot be read may stand before any other."""
    if lane is None or lane.sealed:
        return None
    return EMPTY if not len(lane) and lane.is_whole else "{" + ",".join(_fronts(lane)) + "}"


def _fronts(lane: Lane) -> Iterator[str]:
    for number in ALL_QUEUES:
        try:
            place = lane.front(number)
        except NotLoaded:
            yield "NULL"
            continue
        yield str(NOTHING if place is None else codec.micros(place))
    is_known = len(lane) <= FEW if lane.is_whole else lane.knows_least
    least = lane.least if is_known else None
    yield "NULL" if least is None else str(codec.micros(least.occurs_at))


def is_exact(fronts: str | None) -> bool:
    return fronts is not None and "NULL" not in fronts


def added(runs: Iterable[Run]) -> dict[str, str]:
    """By worker: the earliest place in each queue of the waiting runs among *runs*."""
    earliest: dict[str, dict[int, int]] = {}
    for run in runs:
        if run.status is Status.PENDING:
            known = earliest.setdefault(run.worker, {})
            for index, place in ((queue_of(run), place_of(run)[0]), (LEAST, run.occurs_at)):
                us = codec.micros(place)
                if us < known.get(index, NOTHING):
                    known[index] = us
    return {
        worker: "{" + ",".join(str(known.get(index, "NULL")) for index in PLACES) + "}"
        for worker, known in earliest.items()
    }
