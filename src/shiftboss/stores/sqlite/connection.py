"""One connection to the file: opens and tunes it, waits for its locks, turns SQLite's errors into ours.

Rules of this file
- Nothing else uses apsw (except header.py); no error of SQLite leaves this file untranslated.
- "Locked" is reported only after MAX_BUSY_S: whatever meets a lock is tried again after 0.2 to 1 ms.  With SQLite's own
  busy handler four writers waited 430 ms at p99.9, with this one 37 (measured).
- Every statement runs under a lock of ours besides those of SQLite (locks.py).
- It checkpoints between commits and never within one: SQLite's automatic checkpoint makes one commit pay for a thousand
  others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from pathlib import Path

import apsw

from shiftboss.clock import SystemClock
from shiftboss.core.unreadable import REMEDY
from shiftboss.errors import ShiftbossError, StoreFull, StoreRejected
from shiftboss.stores.sql.codec import json_of
from shiftboss.stores.sqlite import errors, locks
from shiftboss.stores.sqlite.locks import MAX_BUSY_S, Locks, patiently

Scalar = int | float | str | bytes | None

CACHED_STATEMENTS = 200  # about 12 batches of 10 sizes, and the rest
CACHE_KIB = 16 * 1024
CHECKPOINT_PAGES = 1024  # 4 MiB written since the last checkpoint
SWOLLEN_PAGES = 16 * CHECKPOINT_PAGES  # readers kept it from being reused: try to truncate it
WAL_LIMIT_BYTES = 64 * 1024 * 1024  # a swollen log is truncated to this when it is reused
MAX_GATE_S = 0.05  # views of a page or a status end sooner; a longer one is not worth keeping everybody out

_clock = SystemClock()  # waiting for a lock takes real time, whatever clock the rules use


GARBLED = b"\xff"


class NotUtf8(StoreRejected):
    """A text that was read is not UTF-8."""


class Durability(StrEnum):
    """W1: what a commit survives."""

    POWER = "power"  # a power failure: every commit waits for the disk
    PROCESS = "process"  # the death of the process; a power failure may lose the last moments


class Database:
    """An open connection.  Used by one thread at a time."""

    def __init__(
        self,
        path: Path,
        *,
        durability: Durability = Durability.POWER,
        is_alone: bool = False,
        on_full: Callable[[], None] = lambda: None,
        checkpointed: Callable[[ShiftbossError | None], None] = lambda failure: None,
        ends_s: Callable[[], float] = lambda: float("inf"),
    ) -> None:
        """*checkpointed* is told how each checkpoint went; nothing is waited for beyond *ends_s*.

        *is_alone*: nobody else knows the file yet.  The file must exist (host/file_modes.py), or SQLite would make it
        with a mode of its own.
        """
        self.path = path
        self._on_full = on_full
        self._checkpointed = checkpointed
        self._ends_s = ends_s
        self._busy_s = MAX_BUSY_S
        self._checkpointed_at = self._waited_at = 0
        self._locks = Locks()
        if is_alone:
            self._open(durability)
            return
        try:
            with locks.opening(path) as self._locks:
                self._open(durability)
        except OSError as error:
            raise errors.outside(path, error) from error

    def _open(self, durability: Durability) -> None:
        self._connect()
        try:
            self._tune(durability)
            self.number("PRAGMA user_version")  # from its first access to the file on, SQLite keeps its locks
        except BaseException:
            self._connection.close()
            raise

    def _connect(self) -> None:
        flags = apsw.SQLITE_OPEN_READWRITE
        try:
            self._connection = apsw.Connection(str(self.path), flags=flags, statementcachesize=CACHED_STATEMENTS)
        except apsw.Error as error:
            raise self._translated(error) from error

    def _tune(self, durability: Durability) -> None:
        # A plan that may depend on a bound value is made again whenever one is bound: for the question about lanes that
        # took 100 µs of its 104 (measured).  Ours name their indexes, so no value could improve them.
        self._connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        self._connection.set_busy_timeout(0)
        self._connection.wal_autocheckpoint(0)
        self.run(f"PRAGMA cache_size = -{CACHE_KIB}")
        self.run("PRAGMA temp_store = MEMORY")
        self.run("PRAGMA trusted_schema = OFF")
        self.run("PRAGMA cell_size_check = ON")  # so that a damaged page is noticed when it is read
        self.run(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        if durability is Durability.POWER:
            self.run("PRAGMA synchronous = FULL")
            self.run("PRAGMA fullfsync = ON")  # on macOS a plain fsync ends at the drive's cache
        else:
            self.run("PRAGMA synchronous = NORMAL")

    def close(self) -> None:
        with locks.closing(self._locks):
            self._connection.close(force=True)

    # ── statements ───────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, statement: str, values: Sequence[Scalar] = ()) -> list[tuple[Scalar, ...]]:
        """All rows of a statement that returns few."""
        if self._locks.is_held:
            return self._run(statement, values)
        self._wait_for(self._locks.try_view)
        try:
            return self._run(statement, values)
        finally:
            self._locks.release()

    def _run(self, statement: str, values: Sequence[Scalar]) -> list[tuple[Scalar, ...]]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except apsw.Error as error:
            if not errors.is_busy(error):
                raise self._translated(error) from error
        except UnicodeDecodeError as error:
            raise NotUtf8(f"{self.path} has a text that is not valid UTF-8: {error}; {REMEDY}") from error
        except (UnicodeError, OverflowError) as error:  # a lone surrogate, or a number beyond 64 bits
            raise StoreRejected(f"{self.path} can neither store nor search for such a value: {error}") from error
        return self._again(statement, values)

    def row(self, statement: str, values: Sequence[Scalar] = ()) -> tuple[Scalar, ...]:
        """The one row of a statement that always returns one."""
        return self.run(statement, values)[0]

    def text(self, statement: str, values: Sequence[Scalar] = ()) -> str | bytes | None:
        """The one text into which a statement gathers its rows, a JSON list; None if there are none.

        If some row is not UTF-8 these are bytes that cannot be read: then the caller asks in the careful form.
        """
        try:
            text = self.run(statement, values)[0][0]
        except NotUtf8:
            return GARBLED
        return text if isinstance(text, str | bytes) else None

    def query(self, *questions: tuple[str, Sequence[Scalar]]) -> list[str | bytes | None]:
        """The one text of each question."""
        return [self.text(statement, values) for statement, values in questions]

    def do(self, statement: str, values: Sequence[Scalar]) -> None:
        self.run(statement, values)

    @staticmethod
    def names(values: Collection[str]) -> str:
        """As one parameter, for `json_each`; the same holds for numbers and pairs."""
        return json_of(list(values))

    @staticmethod
    def numbers(values: Collection[int]) -> str:
        return json_of(list(values))

    @staticmethod
    def pairs(values: Collection[tuple[str, str]]) -> tuple[str]:
        return (json_of(list(values)),)

    def number(self, statement: str, values: Sequence[Scalar] = ()) -> int:
        """The one number of a statement's answer; 0 for NULL."""
        number = self.run(statement, values)[0][0]
        return number if isinstance(number, int) else 0

    def change(self, statement: str, values: Sequence[Scalar] = ()) -> int:
        """How many rows the statement changed."""
        self.run(statement, values)
        return self._connection.changes()

    def _again(self, statement: str, values: Sequence[Scalar]) -> list[tuple[Scalar, ...]]:
        rows: list[tuple[Scalar, ...]] = []

        def is_done() -> bool:
            try:
                rows.extend(self._connection.execute(statement, values).fetchall())
            except apsw.Error as error:
                if not errors.is_busy(error):
                    raise self._translated(error) from error
                return False
            return True

        self._wait_for(is_done)
        return rows

    def _wait_for(self, ask: Callable[[], bool]) -> None:
        began_s = _clock.monotonic_s()
        try:
            if not patiently(ask, self._busy_s, self._ends_s):
                raise errors.busy(self.path, _clock.monotonic_s() - began_s)
        except OSError as error:
            raise errors.outside(self.path, error) from error

    def _translated(self, error: apsw.Error, *, maybe_stored: bool = False) -> Exception:
        ours = errors.translated(error, self.path, maybe_stored=maybe_stored)
        if isinstance(ours, StoreFull):
            self._on_full()
        return ours

    # ── transactions ─────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self) -> None:
        """Take the write lock."""
        self._wait_for(self._locks.try_writer)
        try:
            self._run("BEGIN IMMEDIATE", ())
            self._wait_for(self._locks.try_keep_index)
        except BaseException:
            self.rollback()
            raise

    def begin_within(self, seconds: float) -> None:
        """Take the write lock, or raise StoreUnavailable after that time."""
        self._busy_s = seconds
        try:
            self.begin()
        finally:
            self._busy_s = MAX_BUSY_S

    def begin_reading(self) -> None:
        """Begin a view; the first statement that reads fixes it."""
        self._wait_for(self._locks.try_view)
        try:
            self._run("BEGIN", ())
        except BaseException:
            self._locks.release()
            raise

    def commit(self) -> None:
        """Raises StoreUnavailable with `maybe_stored` if the disk failed: after a crash the commit may still exist."""
        try:
            try:
                self._connection.execute("COMMIT")
            except apsw.Error as error:
                if not errors.is_busy(error):
                    raise self._translated(error, maybe_stored=not self._connection.in_transaction) from error
                self._again("COMMIT", ())
        except BaseException:
            self.rollback()
            raise
        self._locks.release()

    def rollback(self) -> None:
        """End a transaction without a trace; SQLite may have ended it already (a full disk)."""
        try:
            if self._connection.in_transaction:
                self._run("ROLLBACK", ())
        finally:
            self._locks.release()

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    # ── the write-ahead log ──────────────────────────────────────────────────────────────────────────────────────

    def checkpoint_if_due(self, *, at_once: bool = False) -> None:
        """Move the log into the file once this connection has written enough; hardly waits for anybody.

        With *at_once*, on a full disk or after a failure: a log that is reused from its beginning need not grow.
        """
        written = self._connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)[0]
        if written - self._checkpointed_at < CHECKPOINT_PAGES and not at_once:
            return
        gate_s = 0.0  # views may always overlap: once the log is swollen, new views wait until the open ones have ended
        if written - self._checkpointed_at >= SWOLLEN_PAGES and written - self._waited_at >= CHECKPOINT_PAGES:
            self._waited_at, gate_s = written, MAX_GATE_S
        if self.checkpoint(gate_s=gate_s):
            self._checkpointed_at = written

    def checkpoint(self, *, gate_s: float = 0.0) -> bool:
        """Whether nobody was in the way.

        What cannot be moved now is safe in the log.  But a log that only grows fills the disk, so failures are
        reported.
        """
        try:
            return self._checkpoint(gate_s)
        except apsw.Error as error:
            if not (errors.is_busy(error) or isinstance(error, apsw.LockedError)):
                self._checkpointed(errors.translated(error, self.path))
        except OSError as error:
            self._checkpointed(errors.outside(self.path, error))
        finally:
            self._locks.release()
        return True

    def _checkpoint(self, gate_s: float) -> bool:
        if gate_s and not self._locks.try_gate():
            return False
        if not patiently(self._locks.try_checkpoint, gate_s):
            return False
        pages, moved = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        if pages > SWOLLEN_PAGES and pages == moved and self._locks.try_writer():
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._checkpointed(None)
        return True

    # ── facts ────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def is_read_only(self) -> bool:
        """SQLite silently opens a file read-only that it may not write."""
        return self._connection.readonly("main")

    def check(self, limit_s: float) -> str:
        """The first finding of SQLite's own quick check; "ok"; or that there was not enough time for all of it."""
        until_s = _clock.monotonic_s() + limit_s
        self._connection.set_progress_handler(lambda: _clock.monotonic_s() > until_s, 10_000)
        try:
            return str(self._connection.execute("PRAGMA quick_check(1)").fetchall()[0][0])
        except apsw.InterruptError:
            return f"not finished within {limit_s:.0f} s"
        except apsw.Error as error:
            raise self._translated(error) from error
        finally:
            self._connection.set_progress_handler(None)


def engine() -> str:
    return f"SQLite {apsw.sqlite_lib_version()} by apsw {apsw.apsw_version()}, process {os.getpid()}"
