"""One machine, any number of processes: everything in one SQLite file.

Rules of this file
- The file is ours alone.  Beside it are its log (-wal, -shm), `.reserve` (W3), `.notify` (notifier.py) and `.nodes/`,
  the lock files of C4.  `host/file_modes.py` decides who may read them.
- It is opened by apsw only: closing any other descriptor of it would drop SQLite's locks in this process.
- If the file was moved, deleted or replaced while in use, the next transaction notices: everything written to a file
  without a name would be lost at the end of the process.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from shiftboss.clock import Clock, SystemClock
from shiftboss.core.control import Request
from shiftboss.core.lives import Counted, furthest
from shiftboss.errors import ConfigurationError, Forked, NotStarted, ShiftbossError, StoreReadOnly
from shiftboss.logs import get_logger
from shiftboss.ports.store import NO_SERVER, Arrival, AttemptKey, EntryLog, Schema
from shiftboss.stores.sql import shapes
from shiftboss.stores.sqlite import errors, file_locks, fork_gate, readers
from shiftboss.stores.sqlite import schema as sqlite_schema
from shiftboss.stores.sqlite.connection import Database, Durability
from shiftboss.stores.sqlite.disk_reserve import ENOUGH_BYTES, Reserve
from shiftboss.stores.sqlite.lives import NOTED_EVERY_S, Notes, StorePlace, go_on, lost_past
from shiftboss.stores.sqlite.node_locks import NodeFiles
from shiftboss.stores.sqlite.notifier import Notifier
from shiftboss.stores.sqlite.session import SqliteSession

CHECKPOINT_AGAIN_S = 1.0
# A checkpoint truncates a swollen log to 64 MiB when it is reused (connection.py); twice that means it is not reused.
LONG_LOG_BYTES = 128 * 1024 * 1024
LOOK_AGAIN_S = 1.0  # between two looks at the size of the log

_clock = SystemClock()  # how long a disk has been full is real time, whatever clock the rules use

NODE_IDS = "SELECT '[' || group_concat(json_quote(id)) || ']' FROM node"

log = get_logger("shiftboss.store")


class SqliteStore:
    """Used by any thread; each session by one thread at a time."""

    def __init__(self, path: str | Path, *, clock: Clock, durability: Durability | str = Durability.POWER) -> None:
        self._path = Path(os.path.abspath(path))  # not resolve(): links are the user's choice
        self._clock = clock
        self._durability = Durability(durability)
        self._reserve = Reserve(self._path)
        self._nodes = NodeFiles(self._path, self._node_ids)
        self._sessions: list[SqliteSession] = []
        self._lock = threading.Lock()  # protects _sessions and _seen
        self._place: tuple[int, int] | None = None  # device and inode of the opened file
        self.notifier: Notifier  # of the opened file
        self._no_checkpoint: ShiftbossError | None = None  # why the last checkpoint of this process failed
        self._checkpoint_at_s = 0.0  # when a failed one is tried again
        self._log = LogWatch(self._path)
        self._ends_s = float("inf")
        self._seen = Counted()  # the furthest that a session of this process has seen it count
        self._noted = Counted()  # in the note beside the file, when it was opened
        self._notes = Notes(self._path)
        self._note_at_s = float("inf")  # when the note is rewritten; never without a node
        self._pid = os.getpid()

    @property
    def url(self) -> str:
        return f"sqlite:///{self._path}"

    @property
    def durability(self) -> str:
        return self._durability.value

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def path(self) -> Path:
        return self._path

    @property
    def tight(self) -> bool:
        """W3: the disk was full and has not enough space yet.  What runs can still be recorded; refuse new work."""
        return self._reserve.is_tight

    @property
    def trouble(self) -> str | None:
        if self.tight:
            return errors.tight(self._path, free=self._reserve.free_bytes, enough=ENOUGH_BYTES)
        if is_mounted_read_only(self._path.parent):
            return (
                f"the file system of {self._path.parent} is mounted read-only; check the system's log, then mount it "
                "again"
            )
        failure = self._no_checkpoint
        if failure is not None:
            return f"its write-ahead log cannot be moved into the file: {failure}"
        return None

    @property
    def concern(self) -> str | None:
        size = self._log.size_bytes
        if size <= LONG_LOG_BYTES:
            return None
        grown = f"the write-ahead log of {self._path} has grown to {size >> 20} MiB"
        who = readers.named(self._log.long_readers)
        if who:
            return f"{grown}: {who} has a read transaction open, so the log cannot be reused; end that transaction"
        return (
            f"{grown}: a reader keeps it from being reused, or it cannot be moved into the file; look for a process "
            "that holds the file open (lsof)"
        )

    @property
    def log_bytes(self) -> int:
        """The size of the write-ahead log, a second old at most."""
        return self._log.size_bytes

    def end_by(self, seconds: float) -> None:
        self._ends_s = _clock.monotonic_s() + seconds

    def open(self, *, create: bool) -> None:
        if fork_gate.is_torn():
            raise Forked(
                "this process was forked in the middle of a transaction, so SQLite cannot open files that its parent "
                f"had open; start a fresh process (spawn, or exec) to use {self.url}"
            )
        self._pid = os.getpid()
        if not file_locks.HAS_OFD:
            log.warning(
                "%s: this system has no locks that belong to an open file; functions must not open the files of the "
                "store, for example to copy them: that would release the locks that protect processes from each other",
                self._path,
            )
        if self._durability is Durability.PROCESS:
            log.warning(
                "%s: durability='process': commits do not wait for the disk; a power cut may lose the last of them, "
                "the end of the process does not",
                self._path,
            )
        sqlite_schema.prepare(self._path, create=create, durability=self._durability)
        facts = self._path.stat()
        self._place = facts.st_dev, facts.st_ino
        self.notifier = Notifier(self._path)
        self._noted = self._notes.read()
        if create:
            self._reserve.keep()
            self.notifier.keep()

    def schema(self) -> Schema:
        """None for an empty file too, which is no store, as `open` reports.  Raises StoreDamaged."""
        is_there = sqlite_schema.is_there(self._path) and self._path.stat().st_size
        return Schema(sqlite_schema.version_of(self._path) if is_there else None, sqlite_schema.latest())

    def session(self) -> SqliteSession:
        self._check()
        session = SqliteSession(self, self._database(), self._clock)
        with self._lock:
            self._sessions.append(session)
        return session

    def close(self) -> None:
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.close()

    # ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def hold(self, node: str) -> Iterator[EntryLog | None]:
        """Raises StoreReadOnly or StoreFull if the lock file cannot be made."""
        self._check()
        with ExitStack() as stack:
            try:
                entries = stack.enter_context(self._nodes.hold(node))
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise errors.full(self._path) from error
                raise StoreReadOnly(
                    f"the lock file of node {node} cannot be created in {self._path}.nodes: {error}; make that folder "
                    "writable"
                ) from error
            self._note_at_s = 0.0
            is_collected = False
            try:
                yield entries
            except GeneratorExit:  # never let go of, collected while the interpreter ends: the kernel lets go
                is_collected = True
                raise
            finally:
                if not is_collected:
                    self._note_at_s = float("inf")
                    if self._seen.number > self._notes.read().number:
                        self._notes.write(self._seen)

    def arrival(self, request: Request) -> Arrival:
        raise ConfigurationError(NO_SERVER.format(url=self.url))

    def is_dead(self, node: str) -> bool:
        self._check()
        return self._nodes.is_dead(node)

    def entered(self, node: str) -> Collection[AttemptKey] | None:
        self._check()
        return self._nodes.entered(node)

    def is_frozen(self, node: str) -> bool:
        self._check()
        return self._nodes.is_frozen(node)

    def show_life(self, node: str) -> None:
        """Its locked file shows it."""

    def engine_ended(self, node: str) -> None:
        self._nodes.engine_ended(node)

    @property
    def shows_life(self) -> bool:
        return self._nodes.all_see()

    def _node_ids(self) -> Collection[str]:
        db = self._database()
        try:
            return shapes.NAMES.read(db.text(NODE_IDS))
        finally:
            db.close()

    # ── for its sessions ─────────────────────────────────────────────────────────────────────────────────────────

    def check_in_place(self) -> None:
        """Raises StoreDamaged if the file is no longer where it was opened."""
        try:
            facts = os.stat(self._path)  # before every transaction: os.stat takes half the time of Path.stat
        except OSError as error:
            raise errors.damaged(self._path, errors.MOVED) from error
        if (facts.st_dev, facts.st_ino) != self._place:
            raise errors.damaged(self._path, errors.MOVED)

    def is_whole(self, stored: Counted, written: StorePlace) -> bool:
        """Whether everything that is known is there, in the file and since the boot of its last commit."""
        if stored.number == 0 < self._noted.number:  # a new store in the place of another one
            self._noted = Counted()
            self._notes.forget()
        known = furthest(self._seen, self._noted)
        return written == self._here and stored.number >= known.number

    def go_on(self, db: Database, now: datetime, stored: Counted, written: StorePlace) -> Counted:
        """Within a transaction: the state to go on with if `is_whole` is false."""
        here, seen, noted = self._here, self._seen, self._noted
        why = lost_past(stored, written, here, seen=seen, noted=noted)
        return go_on(db, now, stored, written, here, known=furthest(seen, noted), why=why)

    @property
    def _here(self) -> StorePlace:
        return StorePlace(self._place[1] if self._place is not None else None, self._clock.boot)

    def saw(self, counted: Counted) -> None:
        """The store has counted that far, and this is committed."""
        if counted.number <= self._seen.number:
            return
        with self._lock:
            self._seen = furthest(self._seen, counted)
        if (now_s := _clock.monotonic_s()) >= self._note_at_s:
            self._note_at_s = now_s + NOTED_EVERY_S
            self._notes.write(self._seen)

    def announce(self, committed: SqliteSession) -> None:
        """That session has committed: wake the others of this process, and notify other processes."""
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            if session is not committed:
                session.wake()
        self.notifier.announce()

    @property
    def checkpoints_at_once(self) -> bool:
        """On a full disk, and once a second after a failure: then the log is moved without waiting for more of it."""
        if self.tight:
            return True
        now_s = _clock.monotonic_s()
        if self._no_checkpoint is None or now_s < self._checkpoint_at_s:
            return False
        self._checkpoint_at_s = now_s + CHECKPOINT_AGAIN_S
        return True

    def _checkpointed(self, failure: ShiftbossError | None) -> None:
        self._no_checkpoint = failure

    def closed(self, session: SqliteSession) -> None:
        with self._lock:
            self._sessions.remove(session)

    def _database(self) -> Database:
        return Database(
            self._path,
            durability=self._durability,
            on_full=self._reserve.give_up,
            checkpointed=self._checkpointed,
            ends_s=lambda: self._ends_s,
        )

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise Forked(f"{self.url} was opened by process {self._pid}, before the fork; open it again in this one")
        if self._place is None:
            raise NotStarted(f"{self.url} was not opened; call open() first")


class LogWatch:
    """How large the write-ahead log is, and who keeps it from being reused; looks once a second."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._path = Path(f"{file}-wal")
        self._size_bytes = 0
        self._readers: frozenset[int] = frozenset()
        self.long_readers: frozenset[int] = frozenset()  # met in the last two looks; none while the log is short
        self._looked_s = float("-inf")

    @property
    def size_bytes(self) -> int:
        now_s = _clock.monotonic_s()
        if now_s - self._looked_s >= LOOK_AGAIN_S:
            self._looked_s = now_s
            try:
                self._size_bytes = self._path.stat().st_size
            except OSError:
                self._size_bytes = 0
            before = self._readers
            is_long = self._size_bytes > LONG_LOG_BYTES
            self._readers = readers.readers(self._file) if is_long else frozenset()
            self.long_readers = before & self._readers
        return self._size_bytes


def is_mounted_read_only(folder: Path) -> bool:
    """The kernel remounts a file system read-only after errors (ext4: errors=remount-ro)."""
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except (OSError, AttributeError):  # AttributeError: Windows has no statvfs
        return False
