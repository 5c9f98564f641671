"""What of the past goes, and when (A4).

Rules of this file
- Ages are elapsed time: a cut-off looks past a clock that was set meanwhile (O4).
- One batch has one bound for all kinds together, in this order: closed letters, then finished runs, for a letter keeps
  its run; then events; then the audit.
- Of the audit whole seals go, from the oldest on, and the last of them stays: the rest of the chain begins there (A8).
- A store selects, of each kind the oldest that are behind the cut-off and that nothing unresolved refers to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import takewhile

from shiftboss.core.clock_step import since
from shiftboss.core.model import ClockMark
from shiftboss.core.value import Value

BATCH = 500  # rows in one short transaction: some 10 ms of the write lock


class Keep(Value, frozen=True):
    """For how long: finished runs and events (14 days), closed dead letters (30 days), what people did (a year)."""

    runs_s: float = 14 * 86400.0
    letters_s: float = 30 * 86400.0
    audit_s: float = 365 * 86400.0


KEEP = Keep()


class Prunable(StrEnum):
    """In the order in which they go."""

    LETTERS = "letters"
    RUNS = "runs"
    EVENTS = "events"
    AUDIT = "audit"


class Cutoffs(Value, frozen=True):
    """What is older than that may go; None: nothing of it."""

    letters: datetime  # closed before
    runs: datetime  # finished before
    events: datetime
    audit: datetime | None = None

    def before(self, kind: Prunable) -> datetime | None:
        cutoff: datetime | None = getattr(self, kind.value)
        return cutoff


def cutoffs(keep: Keep, mark: ClockMark | None, now: datetime) -> Cutoffs:
    """The instants behind which nothing is kept; *mark* knows how the clock was set."""
    runs = since(mark, now, keep.runs_s)
    letters, audit = since(mark, now, keep.letters_s), since(mark, now, keep.audit_s)
    return Cutoffs(letters=letters, runs=runs, events=runs, audit=audit)


class Batch:
    """How much of each kind may go in one transaction.  It is told what went."""

    def __init__(self, cutoffs: Cutoffs, *, limit: int) -> None:
        self._cutoffs = cutoffs
        self._left = limit
        self.gone = 0

    def __iter__(self) -> Iterator[tuple[Prunable, datetime, int]]:
        """Of each kind in turn: behind which instant, and at most how many."""
        for kind in Prunable:
            before = self._cutoffs.before(kind)
            if before is not None and self._left > 0:
                yield kind, before, self._left

    def went(self, count: int) -> None:
        self._left -= count
        self.gone += count


def sealed_among(oldest: Iterable[tuple[int, int]], seals: Sequence[int], *, before_us: int) -> list[int]:
    """The numbers of the audit's rows that go, of its *oldest* (number, instant) in order.

    Up to the last of *seals* among those that are old enough, which stays itself; of an audit that has no seal at all,
    whatever is old enough.  *seals* has every seal up to the last of *oldest*, or one beyond where there is none.
    """
    old = [number for number, _ in takewhile(lambda row: row[1] < before_us, oldest)]
    if not old or not seals:
        return old
    sealed_to = max((number for number in seals if number <= old[-1]), default=0)
    return [number for number in old if number <= sealed_to]
