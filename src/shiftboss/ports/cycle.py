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
    """What others changed since this session last looked; `everything` when it is a full reading."""

    everything: bool = False
    workers: Sequence[tuple[WorkerState, Record]] = ()  # changed rows; their lanes may have changed as well
    forgotten: Sequence[str] = ()  # names that are gone (a full reading has none)
    breakers: Sequence[BreakerState] = ()
    resources: Mapping[str, int] | None = None  # all of them, when anything changed at all
    size_declarations: Mapping[str, Declarations] | None = None  # likewise
    nodes: Sequence[Node] | None = None  # all of them, likewise
    claimed: Sequence[int] | None = None  # the ids of all claims, likewise …
    of: Sequence[str] | None = None  # … or of the claims of these workers alone
    more: bool = False  # others have committed what this is not about: look before you wait
    running: Sequence[Run] = ()  # those claims that are new or changed; all of them in a full reading
    lanes: Mapping[str, Lane] = {}  # of the changed workers, where they were asked for; none in a full reading
    waiting: Mapping[str, datetime] | None = None  # a full reading only: worker → earliest due instant in its lane
    epoch: int = 0  # a full reading only: the commit with which the store went on when it was put back last


NO_DELTA = Delta()


class Partition(NamedTuple):
    """The workers that lie in a partition of a store, and those of them by whose claims others are held."""

    names: Sequence[str] = ()
    bound: Sequence[str] = ()


Wanted = Mapping[int, Partition]


class CycleReader(Protocol):
    """Bounded reads within one consistent view of the store.

    A row that cannot be read harms itself alone (W8): in its place comes what could be told of it, with `unreadable`.
    """

    def changes(self, *, lanes: int = 0) -> Delta:
        """What others committed since this session's last call; everything at first or after `forget`.

        In a transaction that holds some partitions it may be about those alone, and about claims of bound workers
        alone; the rest comes with a later call.

        With *lanes* also the lanes of the workers they changed, each queue up to that limit.
        """
        ...

    def lanes(self, names: Collection[str], *, limit: int) -> dict[str, Lane]:
        """The lanes of *names*: of each queue the first *limit* runs (without payload), the standing runs, the least.

        A queue is whole when fewer than *limit* were found.
        """
        ...

    def runs(self, ids: Collection[int]) -> list[Run]:
        """Runs by id, live or finished, with payload and result; missing ones are left out."""
        ...

    def keyed(self, pairs: Collection[tuple[str, str]]) -> list[Run]:
        """For each (worker, key) the live run, else the newest finished one that succeeded."""
        ...

    def fired(self, names: Collection[str], *, after: datetime) -> dict[str, list[datetime]]:
        """Of these workers the instants later than *after* that an ended run has as its own (O1, O4)."""
        ...

    def clock_mark(self) -> ClockMark | None:
        """How the wall clock stood when somebody last looked (O4); None: nobody has."""
        ...

    def payloads(self, ids: Collection[int]) -> dict[int, bytes]:
        """Payloads of live runs that have one."""
        ...

    def expiring(self, now: datetime, *, limit: int) -> list[Run]:
        """Pending runs whose `give_up_at` has come, earliest first; none that cannot be read."""
        ...

    def next_give_up(self, after: datetime | None = None) -> datetime | None:
        """The earliest `give_up_at` of any pending run, or the earliest after that instant."""
        ...

    def letters(self, wanted: LetterFilter) -> list[DeadLetter]:
        """Dead letters, newest first."""
        ...

    def open_letters(self, worker: str, *, without_payload_only: bool, limit: int) -> list[DeadLetter]:
        """Unresolved entries of a worker (Q5 asks for those without payload)."""
        ...

    def unreadable(self, places: Collection[tuple[str, str]] | None = None) -> list[Unreadable]:
        """W8: every row that cannot be read, or those of *places* (table, id) that cannot.  All takes a while."""
        ...

    @property
    def has_arrivals(self) -> bool:
        """Whether triggers wait that callers stored within transactions of their own."""
        ...
