"""One thread's access to the server: transactions, views, waiting for commits.

Rules of this file
- A session knows the number of the last commit that it has seen; its own commits count as seen, so they never come
  back.
- A failed transaction leaves nothing behind, not in what the session knows either.
- Locks are taken in one place, `_locked`.  Whatever a transaction reads is read after that, and is therefore current as
  far as it is held.
- Nothing survives a fork: in another process every use is refused before it touches the connection.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shiftboss.core.lives import Counted
from shiftboss.errors import ShiftbossError, StoreUnavailable
from shiftboss.ports.cycle import Wanted
from shiftboss.stores.postgres import errors, schema
from shiftboss.stores.postgres import locks as postgres_locks
from shiftboss.stores.postgres.clock import DatabaseClock
from shiftboss.stores.postgres.connection import BoundStatement, Database
from shiftboss.stores.postgres.epoch import KNOW_SERVER, OPEN, Opened, jump, lost_past
from shiftboss.stores.postgres.prune import PRUNINGS
from shiftboss.stores.postgres.reads import Ahead, Asked, SeenPartitions, ViewReads, narrowed
from shiftboss.stores.postgres.wire import Statement
from shiftboss.stores.postgres.writes import WRITINGS, PostgresTransaction
from shiftboss.stores.sql.in_use import must_be_usable
from shiftboss.stores.sql.prune import prune
from shiftboss.stores.sql.writes import seal_row

if TYPE_CHECKING:
    from shiftboss.core.audit import Seal
    from shiftboss.core.retention import Cutoffs
    from shiftboss.ports.store import Reader
    from shiftboss.stores.postgres.store import PostgresStore

SAME = Statement("UPDATE meta SET number = number WHERE id = 1")  # for the server's log; nobody reads it


class PostgresSession:
    has_partitions = True

    def __init__(self, store: PostgresStore, db: Database) -> None:
        self._store = store
        self._db = db
        self._seen = SeenPartitions()
        self._heard = -1  # the last commit that `wait` need not return for
        self._has_neighbours = False  # the last transaction found commits of others, so the next one probably will too
        self._woken = threading.Event()
        self._pid = os.getpid()
        self._is_open = True

    # ── transactions and views ───────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def begin(
        self, wanted: Wanted | None = None, *, waits: bool = False, runs: int = 0
    ) -> Iterator[PostgresTransaction]:
        self._check()
        db = self._db
        before = self._seen.copy()
        if before.number is None:
            wanted, waits = None, False  # a full reading needs a store that does not change meanwhile
        try:
            opened, held, ahead = self._locked(wanted, waits=waits, runs=runs, ask_ahead=True)
            tx = PostgresTransaction(db, self._store.clock, self._seen, opened=opened, held=held, ahead=ahead)
            yield tx
            if tx.failure is not None:
                raise tx.failure  # the caller caught it and went on: what it wrote before must not be kept alone
            if not tx.has_written:
                db.rollback()
                if self._seen.number == opened.number:
                    self._heard = opened.number
                return
            tx.finish()
        except BaseException:
            self._seen = before
            db.rollback()
            raise
        self._commit(tx, before)

    def _commit(self, tx: PostgresTransaction, before: SeenPartitions) -> None:
        """The writes are sent here, so they are refused here too."""
        try:
            *_, finished = self._db.commit()
        except BaseException as error:
            self._db.rollback()
            was_refused = isinstance(error, ShiftbossError) and not getattr(error, "maybe_stored", False)
            self._seen = before if was_refused else SeenPartitions()  # it may be stored nevertheless
            raise
        counted = tx.counted(finished)
        self._seen.wrote(counted.number, counted.stamp, held=tx.held if tx.has_looked else None)
        if self._seen.number == counted.number:
            self._heard = counted.number
        self._store.committed(counted, by=self)

    def _locked(
        self, wanted: Wanted | None, *, waits: bool = False, runs: int = 0, ask_ahead: bool = False
    ) -> tuple[Opened, Wanted | None, Ahead | None]:
        """Begin a transaction that has what it holds to itself until it ends."""
        while True:
            newest = self._store.newest.counted  # before the locks: what others here commit meanwhile is no loss
            try:
                opened, held, ahead = self._opened(wanted, runs=runs, waits=waits, ask_ahead=ask_ahead)
            except StoreUnavailable as error:
                if not (waits and errors.waited_in_vain(error)):
                    raise
                self._db.rollback()
                waits = False
                continue
            if self._is_whole(opened, newest):
                return opened, held, ahead
            if wanted is None:
                self._mend(opened, newest)
            else:
                self._db.rollback()
                wanted = None  # to examine and correct the store, it must hold the whole

    def _opened(
        self, wanted: Wanted | None, *, runs: int, waits: bool, ask_ahead: bool
    ) -> tuple[Opened, Wanted | None, Ahead | None]:
        db, store = self._db, self._store
        asked = self._ahead_of(wanted) if ask_ahead and self._has_neighbours else None
        ahead = [] if asked is None else ViewReads.calls_ahead(asked)
        locks = postgres_locks.calls_for(db.address.schema, wanted, waits=waits)
        asked_s = store.clock.elapsed_s()
        answers = db.begin(*locks, (OPEN, (runs,)), *ahead)
        answered_s = store.clock.elapsed_s()
        answer = answers[len(locks)]
        if answer.is_empty:
            raise errors.missing(db.address)
        opened = Opened.of(answer)
        if opened.schema > schema.latest():
            raise errors.too_new(db.address, opened.schema, schema.latest())
        if isinstance(store.clock, DatabaseClock):
            store.clock.correct(opened.at_us / 1e6, asked_s=asked_s, answered_s=answered_s)
        self._has_neighbours = self._seen.number is not None and self._seen.number != opened.number
        held = postgres_locks.held(answers[: len(locks)], wanted)
        news = [each.blob(0, 0) for each in answers[len(locks) + 1 :]]
        return opened, held, None if asked is None else (asked, news)

    def _ahead_of(self, wanted: Wanted | None) -> Asked | None:
        """What the transaction will probably ask about first; None if everything is to be read."""
        seen = self._seen
        if seen.number is None:
            return None
        if wanted is not None:
            asked = narrowed(seen, wanted, seen.lanes)
            if asked is not None:
                return asked
        return Asked(seen.number, list(seen.own), seen.lanes)

    def _is_whole(self, opened: Opened, newest: Counted) -> bool:
        """Whether all of its past is there, and its server is the one that it knows."""
        store = self._store
        if lost_past(opened, self._db.origin, newest, lived=store.lived_with) or not opened.knows_server:
            return False
        store.newest.saw(opened.counted)
        store.saw_server(opened.started)
        return True

    def _mend(self, opened: Opened, newest: Counted) -> None:
        """Whether or not the store had lost its past, the lock is released afterwards."""
        db, store = self._db, self._store
        db.look_where()  # a pooler may have connected this to another server since it was opened
        why = lost_past(opened, db.origin, newest, lived=store.lived_with)
        if why:
            counted = jump(db, store.clock, opened, newest=newest, why=why)
            db.commit()
            store.committed(counted, by=self)
        elif not opened.knows_server:
            db.do(KNOW_SERVER, (opened.started,))
            db.commit()
        else:
            db.rollback()

    @contextmanager
    def read(self) -> Iterator[ViewReads]:
        self._check()
        db = self._db
        before = self._seen.copy()
        db.begin_reading()
        try:
            yield ViewReads(db, self._store.clock, self._seen)
            if db.opened is not None:
                self._heard = db.opened.number(0, 0)
        except BaseException:
            self._seen = before
            raise
        finally:
            db.rollback()

    def forget(self) -> None:
        self._seen = SeenPartitions()

    # ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────────

    def changed_elsewhere(self) -> bool:
        self._check()
        if self._seen.number is not None and self._seen.number < self._store.newest.counted.number:
            return True  # a notification has said so, which saves a round trip before the work that it announces
        self._db.begin_reading()
        try:
            number, has_arrivals, *_ = self._db.opening()
            return has_arrivals or number != self._seen.number
        finally:
            self._db.rollback()

    def wait(self, timeout_s: float) -> None:
        self._check()
        self._store.notifier().start()
        if timeout_s > 0:
            self._woken.wait(timeout_s)
        self._woken.clear()

    def send_off(self, announcement: Sequence[BoundStatement]) -> None:
        """Of a commit that is its own and has just been made."""
        self._db.send_off(announcement)

    def heard_of(self, number: int) -> None:
        """A commit has that number; wake up unless it is known already."""
        if number > self._heard:
            self._heard = number  # each commit wakes once
            self._woken.set()

    def wake(self) -> None:
        self._woken.set()

    def seal(self, sealed: Callable[[Reader], Seal | None]) -> Seal | None:
        with self.read() as reader:
            seal = sealed(reader)
        if seal is None:
            return None
        db = self._db
        try:
            db.begin()
            WRITINGS.insert_seals.run(db, [seal_row(seal)])
            db.commit()
        except BaseException:
            db.rollback()
            raise
        return seal

    def try_lock(self, within_s: float) -> None:
        """A standby refuses to begin; if another session holds the whole for long, the wait ends after that time."""
        self._check()
        db = self._db
        try:
            locks = postgres_locks.calls_to_try(db.address.schema, within_s)
            if db.begin(*locks, (OPEN, (0,)))[-1].is_empty:
                raise errors.missing(db.address)
        finally:
            db.rollback()

    def try_write(self) -> None:
        self._check()
        db = self._db
        try:
            self._locked(None)
            db.do(SAME, ())
            db.commit()
        except BaseException:
            db.rollback()
            raise

    def take_time(self) -> None:
        self._db.take_time()

    # ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────

    def prune(self, cutoffs: Cutoffs, *, limit: int) -> int:
        self._check()
        db = self._db
        try:
            self._locked(None)
            gone = prune(db, PRUNINGS, cutoffs, limit=limit)
            db.commit()
        except BaseException:
            db.rollback()
            raise
        return gone

    def close(self) -> None:
        """Closing twice is as closing once.  In a forked child nothing is touched: everything belongs to the parent."""
        if self._is_open and os.getpid() == self._pid:
            self._is_open = False
            self._store.closed(self)
            self._db.close()

    def _check(self) -> None:
        must_be_usable(self._store.url, pid=self._pid, is_open=self._is_open)
