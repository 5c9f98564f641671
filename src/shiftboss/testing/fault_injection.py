"""A session that reports what it committed, and loses what it is told to lose.

Rules of this file
- It wraps a session of any store and changes nothing of what passes through.
- The engine sees a loss as it would see a real one: `StoreUnavailable`, with the commit made or not made.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

from shiftboss.core.audit import Seal
from shiftboss.errors import StoreRejected, StoreUnavailable
from shiftboss.ports.store import Reader

if TYPE_CHECKING:
    from shiftboss.core.retention import Cutoffs
    from shiftboss.core.snapshot import Change
    from shiftboss.ports.cycle import Wanted
    from shiftboss.ports.store import Session, Transaction

OnCommit = Callable[[int, Sequence["Change"]], None]  # the commit's number, and what was written


class Loss(StrEnum):
    """What goes wrong with the next transaction."""

    BEGIN = "begin"  # the store does not answer
    COMMIT = "commit"  # everything is rolled back
    REPLY = "reply"  # everything is committed, but the reply is lost


class WatchedSession:
    """Implements `ports.Session`."""

    def __init__(self, inner: Session, on_commit: OnCommit, on_reject: Callable[[StoreRejected], None]) -> None:
        self._inner = inner
        self._on_commit = on_commit
        self._on_reject = on_reject
        self.loss: Loss | None = None  # of the next transaction
        self.is_cut = False  # until it is restored

    @property
    def has_partitions(self) -> bool:
        return self._inner.has_partitions

    @contextmanager
    def begin(self, wanted: Wanted | None = None, *, waits: bool = False, runs: int = 0) -> Iterator[Transaction]:
        loss, self.loss = self.loss, None
        if self.is_cut or loss is Loss.BEGIN:
            raise StoreUnavailable("simulated: the store does not answer")
        changes: list[Change] = []
        try:
            with self._inner.begin(wanted, waits=waits, runs=runs) as tx:
                watched = WatchedTransaction(tx, changes)
                yield cast("Transaction", watched)  # it forwards everything else
                if loss is Loss.COMMIT:
                    raise StoreUnavailable("simulated: the commit was lost")
        except StoreRejected as error:
            self._on_reject(error)
            raise
        if changes:
            self._on_commit(tx.number, changes)
        if loss is Loss.REPLY:
            raise StoreUnavailable("simulated: the reply to the commit was lost", maybe_stored=True)

    def read(self) -> AbstractContextManager[Reader]:
        if self.is_cut:
            raise StoreUnavailable("simulated: the store does not answer")
        return self._inner.read()

    def forget(self) -> None:
        self._inner.forget()

    def changed_elsewhere(self) -> bool:
        return self._inner.changed_elsewhere()

    def wait(self, timeout_s: float) -> None:
        """Returns at once: nobody waits in virtual time."""

    def wake(self) -> None:
        """Does nothing: the simulator wakes the node."""

    def try_lock(self, within_s: float) -> None:
        self._inner.try_lock(within_s)

    def try_write(self) -> None:
        self._inner.try_write()

    def take_time(self) -> None:
        self._inner.take_time()

    def prune(self, cutoffs: Cutoffs, *, limit: int) -> int:
        return self._inner.prune(cutoffs, limit=limit)

    def seal(self, sealed: Callable[[Reader], Seal | None]) -> Seal | None:
        if self.is_cut:
            raise StoreUnavailable("simulated: the store does not answer")
        return self._inner.seal(sealed)

    def close(self) -> None:
        self._inner.close()


class WatchedTransaction:
    """Records what is written."""

    __slots__ = ("_changes", "_tx")

    def __init__(self, tx: Transaction, changes: list[Change]) -> None:
        self._tx = tx
        self._changes = changes

    def write(self, change: Change, *, new: Collection[int]) -> None:
        self._tx.write(change, new=new)
        self._changes.append(change)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)
