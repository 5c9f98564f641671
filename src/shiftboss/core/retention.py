"""Which parts of the past are deleted, and when (A4).

Rules of this file
- Ages are elapsed time: a cut-off takes into account that the clock was set meanwhile (O4).
- One batch has one limit for all kinds together, in this order: closed dead letters, then finished runs (a dead letter
  keeps its run), then events, then the audit.
- Of the audit, the rows of whole seals are deleted, the oldest first.  The last of these seals stays: the rest of the
  chain begins there (A8).
- The store selects: of each kind the oldest rows behind the cut-off, unless something unresolved refers to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import takewhile

from shiftboss.core.clock_step import since
from shiftboss.core.model import ClockMark
from shiftboss.core.value import Value

BATCH = 500  # rows in one short transaction, which holds the write lock for some 10 ms


class Keep(Value, frozen=True):
    """For how long: finished runs and events 14 days, closed dead letters 30 days, the audit a year."""

    runs_s: float = 14 * 86400.0
    letters_s: float = 30 * 86400.0
    audit_s: float = 365 * 86400.0


KEEP = Keep()


class Prunable(StrEnum):
    """The kinds, in the order in which they are deleted."""

    LETTERS = "letters"
    RUNS = "runs"
    EVENTS = "events"
    AUDIT = "audit"


class Cutoffs(Value, frozen=True):
    """What is older than that may be deleted; None: nothing of that kind."""

    letters: datetime  # closed before
    runs: datetime  # finished before
    events: datetime
    audit: datetime | None = None

    def before(self, kind: Prunable) -> datetime | None:
        cutoff: datetime | None = getattr(self, kind.value)
        return cutoff


def cutoffs(keep: Keep, mark: ClockMark | None, now: datetime) -> Cutoffs:
    """The times before which nothing is kept; *mark* knows how the clock was set."""
    runs = since(mark, now, keep.runs_s)
    letters, audit = since(mark, now, keep.letters_s), since(mark, now, keep.audit_s)
    return Cutoffs(letters=letters, runs=runs, events=runs, audit=audit)


class Batch:
    """How much of each kind may be deleted in one transaction.  The caller reports what was deleted."""

    def __init__(self, cutoffs: Cutoffs, *, limit: int) -> None:
        self._cutoffs = cutoffs
        self._left = limit
        self.gone = 0

    def __iter__(self) -> Iterator[tuple[Prunable, datetime, int]]:
        """Of each kind in turn: from before which time, and at most how many."""
        for kind in Prunable:
            before = self._cutoffs.before(kind)
            if before is not None and self._left > 0:
                yield kind, before, self._left

    def went(self, count: int) -> None:
        self._left -= count
        self.gone += count


def sealed_among(oldest: Iterable[tuple[int, int]], seals: Sequence[int], *, before_us: int) -> list[int]:
    """The numbers of the audit's rows to delete, of its *oldest* ones (number, time) in order.

    These are the rows below the last of *seals* that is old enough; that one stays.  If the audit has no seal at all,
    every row that is old enough goes.  *seals* has each seal up to the last of *oldest*, or, if there is none, one
    beyond.
    """
    old = [number for number, _ in takewhile(lambda row: row[1] < before_us, oldest)]
    if not old or not seals:
        return old
    sealed_to = max((number for number in seals if number <= old[-1]), default=0)
    return [number for number in old if number <= sealed_to]
