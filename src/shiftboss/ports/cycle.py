"""What the engine's cycle asks of a store.

Rules of this file
- Reads are bounded, and their number does not grow with the batch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from shiftboss.core.declarations import Declarations
from shiftboss.core.lane import Lane
from shiftboss.core.model import BreakerState, ClockMark, DeadLetter, Node, Record, Run, WorkerState
from shiftboss.core.unreadable import Unreadable
from shiftboss.ports.faces import LetterFilter


class Delta(NamedTuple):
    """What other sessions changed since this session last looked; `everything` if it is a full reading."""

    everything: bool = False
    workers: Sequence[tuple[WorkerState, Record]] = ()  # changed rows; their lanes may have changed as well
    forgotten: Sequence[str] = ()  # names that were forgotten (a full reading has none)
    breakers: Sequence[BreakerState] = ()
    resources: Mapping[str, int] | None = None  # all of them, if anything changed at all
    size_declarations: Mapping[str, Declarations] | None = None  # the same
    nodes: Sequence[Node] | None = None  # all of them, if anything changed at all
    claimed: Sequence[int] | None = None  # the ids of all claims, if anything changed at all …
    of: Sequence[str] | None = None  # … or of the claims of these workers only
    more: bool = False  # others have committed more, which this delta leaves out: look again before you wait
    running: Sequence[Run] = ()  # the claimed runs that are new or changed; in a full reading all of them
    lanes: Mapping[str, Lane] = {}  # of the changed workers, if they were asked for; none in a full reading
    waiting: Mapping[str, datetime] | None = None  # only in a full reading: worker → earliest due time in its lane
    epoch: int = 0  # only in a full reading: the commit that began the present epoch


NO_DELTA = Delta()


class Partition(NamedTuple):
    """The workers of a partition of a store, and those of them whose claims can hold others."""

    names: Sequence[str] = ()
    bound: Sequence[str] = ()


Wanted = Mapping[int, Partition]


class CycleReader(Protocol):
    """Bounded reads within one consistent view of the store.

    A row that cannot be read harms only itself (W8): in its place comes what could still be read, with `unreadable`
    set.
    """

    def changes(self, *, lanes: int = 0) -> Delta:
        """What others committed since this session's last call; everything at first and after `forget`.

        In a transaction that holds some partitions, it may cover only those and only the claims of workers with
        relations; a later call brings the rest.

        With *lanes* it includes the lanes of the changed workers, each queue up to that limit.
        """
        ...

    def lanes(self, names: Collection[str], *, limit: int) -> dict[str, Lane]:
        """The lanes of *names*: the first *limit* runs of each queue (without payload), the standing runs, the least.

        A queue is whole if fewer than *limit* were found.
        """
        ...

    def runs(self, ids: Collection[int]) -> list[Run]:
        """Runs by id, live or finished, with payload and result; missing ones are left out."""
        ...

    def keyed(self, pairs: Collection[tuple[str, str]]) -> list[Run]:
        """For each (worker, key) the live run, or else the newest finished one that succeeded."""
        ...

    def fired(self, names: Collection[str], *, after: datetime) -> dict[str, list[datetime]]:
        """By worker, the scheduled times later than *after* that an ended run has as its own (O1, O4)."""
        ...

    def clock_mark(self) -> ClockMark | None:
        """The difference between wall clock and elapsed time when a process last looked (O4); None if none has."""
        ...

    def payloads(self, ids: Collection[int]) -> dict[int, bytes]:
        """The payloads of those live runs that have one."""
        ...

    def expiring(self, now: datetime, *, limit: int) -> list[Run]:
        """Pending runs whose `give_up_at` has come, the earliest first; unreadable ones are left out."""
        ...

    def next_give_up(self, after: datetime | None = None) -> datetime | None:
        """The earliest `give_up_at` of any pending run, or the earliest after that time."""
        ...

    def letters(self, wanted: LetterFilter) -> list[DeadLetter]:
        """Dead letters, newest first."""
        ...

    def open_letters(self, worker: str, *, without_payload_only: bool, limit: int) -> list[DeadLetter]:
        """Open dead letters of a worker (Q5 asks for those without payload)."""
        ...

    def unreadable(self, places: Collection[tuple[str, str]] | None = None) -> list[Unreadable]:
        """W8: every unreadable row, or the unreadable ones of *places* (table, id).  All rows take a while."""
        ...

    @property
    def has_arrivals(self) -> bool:
        """Whether triggers wait that callers stored within transactions of their own."""
        ...
