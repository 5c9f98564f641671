"""One thread's way to the server: transactions, views, the bell.

Rules of this file
- A session knows the number of the last commit it has seen; its own commits count as seen, so they never come back.
- A transaction that failed leaves nothing behind, also not in what the session believes.
- Taking the lock is in one place, `_locked`; whatever is read in a transaction is read after it, and therefore current.
- Nothing survives a fork: in another process every use is refused before it touches the connection.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from shiftboss.errors import Forked, NotStarted, ShiftbossError
from shiftboss.stores import postgres_errors, postgres_schema
from shiftboss.stores.postgres_clock import DatabaseClock
from shiftboss.stores.postgres_connection import Database
from shiftboss.stores.postgres_epoch import LOCK, Locked, jump, lost_past
from shiftboss.stores.postgres_prune import PRUNINGS
from shiftboss.stores.postgres_reads import View
from shiftboss.stores.postgres_writes import PostgresTransaction
from shiftboss.stores.pruning import prune
from shiftboss.stores.reading import Seen

if TYPE_CHECKING:
    from shiftboss.stores.postgres import PostgresStore
    from shiftboss.stores.postgres_wire import Answer


class PostgresSession:
    def __init__(self, store: PostgresStore, db: Database) -> None:
        self._store = store
        self._db = db
        self._seen = Seen()
        self._heard = -1  # the last commit that `wait` need not return for
        self._has_neighbours = False  # the last transaction found commits of others; so probably will the next
        self._bell = threading.Event()
        self._pid = os.getpid()
        self._is_open = True

    # ── transactions and views ───────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def begin(self) -> Iterator[PostgresTransaction]:
        self._check()
        db = self._db
        before = self._seen.number
        try:
            locked, ahead = self._locked(ask_ahead=True)
            number = locked.meta.number
            self._has_neighbours = before is not None and before != number
            tx = PostgresTransaction(db, self._store.clock, self._seen, locked=locked, ahead=ahead)
            yield tx
            if tx.failure is not None:
                raise tx.failure  # somebody caught it and went on: what came before it must not be kept alone
            if not tx.has_written:
                db.rollback()
                self._heard = number
                return
            tx.finish()
        except BaseException:
            self._seen.number = before
            db.rollback()
            raise
        self._commit(tx, before)

    def _commit(self, tx: PostgresTransaction, before: int | None) -> None:
        """The writes are sent here, so this is also where they are refused."""
        try:
            self._db.commit()
        except BaseException as error:
            self._db.rollback()
            was_refused = isinstance(error, ShiftbossError) and not getattr(error, "maybe_stored", False)
            self._seen.number = before if was_refused else None  # it may be stored all the same
            raise
        if self._seen.number == tx.number - 1:
            self._seen.number = tx.number
        self._heard = tx.number
        self._store.committed(tx.meta, by=self)

    def _locked(self, *, ask_ahead: bool) -> tuple[Locked, list[Answer]]:
        """Begin a transaction that is alone in the whole fleet until it ends."""
        db, store = self._db, self._store
        while True:
            seen = self._seen.number
            is_worth_it = ask_ahead and self._has_neighbours and seen is not None
            ahead = View.calls_ahead(seen, self._seen.lanes) if is_worth_it and seen is not None else []
            asked_s = store.clock.elapsed_s()
            answer, *answers = db.begin((LOCK, ()), *ahead)
            answered_s = store.clock.elapsed_s()
            if answer.is_empty:
                raise postgres_errors.missing(db.address)
            locked = Locked.of(answer)
            if locked.schema > postgres_schema.latest():
                raise postgres_errors.too_new(db.address, locked.schema, postgres_schema.latest())
            if isinstance(store.clock, DatabaseClock):
                store.clock.correct(locked.at_us / 1e6, asked_s=asked_s, answered_s=answered_s)
            if not self._jumped(locked):
                store.newest.saw(locked.meta)
                return locked, answers

    def _jumped(self, locked: Locked) -> bool:
        """Whether the store had lost its past and goes on beyond it; then the lock was let go."""
        db, newest = self._db, self._store.newest.meta
        if not lost_past(locked, db.link.origin, newest):
            return False
        db.look_where()  # a pooler may have led this connection elsewhere since it was opened
        why = lost_past(locked, db.link.origin, newest)
        if not why:
            return False
        meta = jump(db, self._store.clock, locked, newest=newest, why=why)
        db.commit()
        self._store.committed(meta, by=self)
        return True

    @contextmanager
    def read(self) -> Iterator[View]:
        self._check()
        db = self._db
        before = self._seen.number
        db.begin_reading()
        try:
            yield View(db, self._store.clock, self._seen)
            if db.opened is not None:
                self._heard = db.opened.number(0, 0)
        except BaseException:
            self._seen.number = before
            raise
        finally:
            db.rollback()

    def forget(self) -> None:
        self._seen.number = None

    # ── the bell ─────────────────────────────────────────────────────────────────────────────────────────────────

    def changed_elsewhere(self) -> bool:
        self._check()
        self._db.begin_reading()
        try:
            number, has_arrivals, _ = self._db.opening()
            return has_arrivals or number != self._seen.number
        finally:
            self._db.rollback()

    def wait(self, timeout_s: float) -> None:
        self._check()
        self._store.bell().start()
        if timeout_s > 0:
            self._bell.wait(timeout_s)
        self._bell.clear()

    def heard_of(self, number: int) -> None:
        """Some commit has that number; wake up unless it is known."""
        if number > self._heard:
            self._heard = number  # each commit rings once
            self._bell.set()

    def ring(self) -> None:
        self._bell.set()

    def take_time(self) -> None:
        self._db.take_time()

    # ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────

    def prune(self, *, runs_before: datetime, letters_before: datetime, events_before: datetime, limit: int) -> int:
        self._check()
        db = self._db
        try:
            self._locked(ask_ahead=False)
            gone = prune(
                db,
                PRUNINGS,
                runs_before=runs_before,
                letters_before=letters_before,
                events_before=events_before,
                limit=limit,
            )
            db.commit()
        except BaseException:
            db.rollback()
            raise
        return gone

    def close(self) -> None:
        """Closing twice is closing once.  In a forked child nothing is touched: it is all the parent's."""
        if self._is_open and os.getpid() == self._pid:
            self._is_open = False
            self._store.closed(self)
            self._db.close()

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise Forked(
                f"{self._store.url} was opened by process {self._pid} and this is its child {os.getpid()}; "
                "start the orchestrator after the fork"
            )
        if not self._is_open:
            raise NotStarted(f"this session of {self._store.url} is closed; open another one")
