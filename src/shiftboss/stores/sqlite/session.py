"""One thread's access to the file: transactions, views, waiting for commits.

Rules of this file
- A session knows the number of the last commit that it has seen.  Its own commits count as seen, so they do not come
  back as changes of others.
- A failed transaction leaves nothing behind, neither in the file nor in what the session knows.
- Nothing survives a fork: in another process every use is refused before it touches the connection.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shiftboss.clock import SystemClock
from shiftboss.errors import ShiftbossError
from shiftboss.ports.cycle import Wanted
from shiftboss.stores.sql.in_use import must_be_usable
from shiftboss.stores.sql.prune import prune
from shiftboss.stores.sql.reads import Seen
from shiftboss.stores.sql.writes import seal_row
from shiftboss.stores.sqlite.fork_gate import ForkGate
from shiftboss.stores.sqlite.lives import StorePlace
from shiftboss.stores.sqlite.notifier import Listener
from shiftboss.stores.sqlite.prune import PRUNINGS
from shiftboss.stores.sqlite.reads import Reads
from shiftboss.stores.sqlite.writes import WRITINGS, Meta, SqliteTransaction

if TYPE_CHECKING:
    from shiftboss.clock import Clock
    from shiftboss.core.audit import Seal
    from shiftboss.core.retention import Cutoffs
    from shiftboss.ports.store import Reader
    from shiftboss.stores.sqlite.connection import Database
    from shiftboss.stores.sqlite.store import SqliteStore

NUMBER = "SELECT number FROM meta WHERE id = 1"
VIEWED = "SELECT number, epoch FROM meta WHERE id = 1"
SAME = "UPDATE meta SET number = number WHERE id = 1"  # writes a page to the log, with no effect
META = "SELECT number, next_run, next_event, epoch, clock, inode, boot FROM meta WHERE id = 1"

_clock = SystemClock()  # waiting for other processes takes real time, whatever clock the rules use


class SqliteSession:
    has_partitions = False  # a file has one writer at a time

    def __init__(self, store: SqliteStore, db: Database, clock: Clock) -> None:
        self._store = store
        self._db = db
        self._clock = clock
        self._seen = Seen()
        self._heard: int | None = None  # the last commit that `wait` need not return for
        self._listener = Listener(store.notifier)
        self._pid = os.getpid()
        self._is_open = True
        self._gate = ForkGate()

    # ── transactions and views ───────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def begin(self, wanted: Wanted | None = None, *, waits: bool = False, runs: int = 0) -> Iterator[SqliteTransaction]:
        with self._gate:
            yield from self._begun()

    def _begun(self) -> Iterator[SqliteTransaction]:
        self._check()
        db = self._db
        db.checkpoint_if_due(at_once=self._store.checkpoints_at_once)
        before = self._seen.number
        db.begin()
        try:
            meta, mark = self._meta()
            tx = SqliteTransaction(db, self._clock, self._seen, meta=meta, mark=mark)
            yield tx
            if tx.failure is not None:
                raise tx.failure  # the caller caught it and went on: what it wrote before must not be kept alone
            if tx.has_written:
                tx.finish()
        except BaseException:
            self._seen.number = before
            db.rollback()
            raise
        self._commit(tx)

    def _meta(self) -> tuple[Meta, str | None]:
        """The one row, corrected if the store was put back (lives.py)."""
        *counters, mark, inode, boot = self._db.row(META)
        meta = Meta._make(int(counter or 0) for counter in counters)
        written = StorePlace(int(inode) if inode is not None else None, boot if isinstance(boot, str) else None)
        if not self._store.is_whole(meta.counted, written):
            counted = self._store.go_on(self._db, self._clock.now(), meta.counted, written)
            epoch = counted.number if counted.number > meta.number else meta.epoch
            meta = Meta(counted.number, counted.run_id + 1, counted.event_id + 1, epoch)
        return meta, mark if isinstance(mark, str) else None

    def _commit(self, tx: SqliteTransaction) -> None:
        try:
            self._db.commit()
        except BaseException:
            self.forget()  # it may be stored nevertheless
            raise
        self._heard = tx.number - 1
        self._store.saw(tx.meta.counted if tx.has_written else tx.meta_before.counted)
        if tx.has_written:
            self._heard = tx.number
            if self._seen.number == tx.number - 1:
                self._seen.number = tx.number
            self._store.announce(self)

    @contextmanager
    def read(self) -> Iterator[Reads]:
        with self._gate:
            yield from self._viewed()

    def _viewed(self) -> Iterator[Reads]:
        self._check()
        db = self._db
        before = self._seen.number
        db.begin_reading()
        try:
            number, epoch = (int(value or 0) for value in db.row(VIEWED))
            yield Reads(db, self._clock, self._seen, number=number, epoch=epoch)
            self._heard = number
        except BaseException:
            self._seen.number = before
            raise
        finally:
            db.rollback()

    def forget(self) -> None:
        self._seen.number = None

    # ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────────

    def changed_elsewhere(self) -> bool:
        self._check()
        if self._heard is not None and self._seen.number is not None and self._heard > self._seen.number:
            return True  # the look that ended the wait has found it
        with self._gate:
            return self._db.number(NUMBER) != self._seen.number

    def wait(self, timeout_s: float) -> None:
        self._check()
        with self._gate:
            self._db.checkpoint_if_due(at_once=self._store.checkpoints_at_once)
        listener = self._listener
        until_s = _clock.monotonic_s() + timeout_s
        looks_unasked = False
        listener.forget_news()
        while not listener.is_woken:
            if self._hears_of_a_commit():
                if looks_unasked:
                    listener.missed_one()
                break
            left_s = until_s - _clock.monotonic_s()
            if left_s <= 0:
                return
            looks_unasked = listener.wait(left_s)
        listener.used_up()

    def _hears_of_a_commit(self) -> bool:
        """Whether anybody committed since the last view, transaction or wait; each commit wakes once."""
        try:
            with self._gate:
                number = self._db.number(NUMBER)
        except ShiftbossError:
            return False  # this is not the place to raise an error; the next transaction does
        before, self._heard = self._heard, number
        return before is not None and before != number

    def wake(self) -> None:
        self._listener.wake()

    # ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────

    def prune(self, cutoffs: Cutoffs, *, limit: int) -> int:
        with self._gate:
            return self._pruned(cutoffs, limit)

    def _pruned(self, cutoffs: Cutoffs, limit: int) -> int:
        self._check()
        db = self._db
        db.checkpoint_if_due(at_once=self._store.checkpoints_at_once)
        db.begin()
        try:
            gone = prune(db, PRUNINGS, cutoffs, limit=limit)
        except BaseException:
            db.rollback()
            raise
        db.commit()
        return gone

    def seal(self, sealed: Callable[[Reader], Seal | None]) -> Seal | None:
        with self.read() as reader:
            seal = sealed(reader)
        if seal is not None:
            with self._gate:
                self._alone(lambda db: WRITINGS.insert_seals.run(db, [seal_row(seal)]))
        return seal

    def _alone(self, write: Callable[[Database], object]) -> None:
        """A transaction that is no commit for anybody's snapshot."""
        self._check()
        db = self._db
        db.begin()
        try:
            write(db)
        except BaseException:
            db.rollback()
            raise
        db.commit()

    def try_lock(self, within_s: float) -> None:
        self._check()
        with self._gate:
            self._db.begin_within(within_s)
            self._db.rollback()

    def try_write(self) -> None:
        with self._gate:
            self._alone(lambda db: db.run(SAME))

    def take_time(self) -> None:
        """Only the wait for the lock has a limit here, and a move waits for it only once, at its beginning."""

    def close(self) -> None:
        """Closing twice is as closing once.  In a forked child nothing is touched: everything belongs to the parent."""
        if self._is_open and os.getpid() == self._pid:
            self._is_open = False
            self._store.closed(self)
            with self._gate:
                self._db.close()
            self._listener.close()

    def _check(self) -> None:
        must_be_usable(self._store.url, pid=self._pid, is_open=self._is_open)
        self._store.check_in_place()
