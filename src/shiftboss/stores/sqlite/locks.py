"""Locks beside SQLite's own, which fall at any close() of its files in the process (sqlite.org/howtocorrupt.html).

Rules of this file
- As long as this process has the file open it shares two spans that SQLite locks for the same reason: IN_USE in the
  file, DMS in its -shm.  So nobody, of whatever version or program, takes itself for the only one, removes the log or
  begins its index anew.  They are given back just before the last connection is closed, which may be the only one: its
  SQLite finds nothing left to do where another one was faster.
- Among ourselves WRITER says what SQLite's WRITE lock says; VIEW, shared by who reads and taken by who moves the log
  into the file, what its READ and CKPT locks say.  SQLite never looks at these bytes.
- While it writes, a process shares RECOVER in -shm: nobody rebuilds the index under it.
- DOOR is taken for the first opening in each process: between SQLite's DMS lock and ours is a moment.  It is short, and
  no body is likely to look just then: whoever waited MAX_DOOR_S goes on without.
- Each connection has a descriptor of its own, so its locks are its own too.  Closing one would drop SQLite's locks:
  it is kept for the next connection, and all are closed when this process has no connection left.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shiftboss.clock import SystemClock
from shiftboss.stores.sqlite import errors, file_locks
from shiftboss.stores.sqlite.file_locks import Span

MAX_BUSY_S = 4.5  # before `trigger` gives up after 5 s: so that it is told what was in the way
MAX_DOOR_S = 1.0  # an opening takes a millisecond; one that is stopped in the middle must not keep everybody out
MIN_PAUSE_S, MAX_PAUSE_S = 0.0002, 0.001

PENDING = 0x40000000  # the page that SQLite keeps for locks (os.h)
IN_USE = Span(PENDING + 2, 510)  # its SHARED locks
DOOR, GATE, VIEW, WRITER = (Span(PENDING + 512 + number, 1) for number in range(4))
ENTRY, MINE = Span(GATE.start, 2), Span(GATE.start, 3)
INDEX = 120  # where the locks in -shm begin (wal.c, os_unix.c): WRITE, CKPT, RECOVER, five READ, DMS
RECOVER, DMS = Span(INDEX + 2, 1), Span(INDEX + 8, 1)

Key = tuple[int, int]  # device and inode

_clock = SystemClock()  # how long a lock is waited for is real time, whatever clock the rules live by


class Locks:
    """What one connection holds.  These are of a file that nobody else knows yet: all is granted."""

    is_held = False

    def try_writer(self) -> bool:
        return self._noted(True)

    def try_view(self) -> bool:
        return self._noted(True)

    def try_checkpoint(self) -> bool:
        """Nobody has a view, and nobody else moves the log."""
        return self._noted(True)

    def try_gate(self) -> bool:
        """Nobody begins a view until `release`; those that are open end some time."""
        return self._noted(True)

    def try_keep_index(self) -> bool:
        """Only within SQLite's write lock: before that, SQLite may have to rebuild the index itself."""
        return True

    def release(self) -> None:
        """All of it; harmless when nothing is held."""
        self.is_held = False

    def _noted(self, is_granted: bool) -> bool:
        self.is_held = self.is_held or is_granted
        return is_granted


class SharedLocks(Locks):
    def __init__(self, file: _File, descriptor: int) -> None:
        self.file, self.descriptor = file, descriptor
        self._keeps_index = False
        self._pid = os.getpid()

    def try_writer(self) -> bool:
        return self._noted(file_locks.take(self.descriptor, WRITER))

    def try_view(self) -> bool:
        is_in = file_locks.share(self.descriptor, ENTRY)
        if is_in:
            file_locks.give_back(self.descriptor, GATE)
        return self._noted(is_in)

    def try_checkpoint(self) -> bool:
        return self._noted(file_locks.take(self.descriptor, VIEW))

    def try_gate(self) -> bool:
        return self._noted(file_locks.take(self.descriptor, GATE))

    def try_keep_index(self) -> bool:
        self._keeps_index = file_locks.share(self.file.index, RECOVER)
        return self._keeps_index

    def release(self) -> None:
        if not self.is_held or os.getpid() != self._pid:  # in a forked child the number may be another file's
            return
        self.is_held = False
        if self._keeps_index:
            self._keeps_index = False
            file_locks.give_back(self.file.index, RECOVER)
        file_locks.give_back(self.descriptor, MINE)


def patiently(ask: Callable[[], bool], limit_s: float, ends_s: Callable[[], float] = lambda: float("inf")) -> bool:
    """Whether the answer was yes within *limit_s*, and before *ends_s*, which may come nearer meanwhile."""
    if ask():
        return True
    until_s = _clock.monotonic_s() + limit_s
    while _clock.monotonic_s() < min(until_s, ends_s()):
        time.sleep(random.uniform(MIN_PAUSE_S, MAX_PAUSE_S))  # noqa: S311  # jitter, no secret
        if ask():
            return True
    return False


# ── opening and closing ──────────────────────────────────────────────────────────────────────────────────────────────


class _File:
    """What this process has open of one file."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.lock = threading.RLock()  # one opening or closing at a time
        self.guests = 0  # connections, and threads that open one; protected by _registry
        self.connections = 0
        self.descriptors: list[int] = []  # the first has IN_USE and DOOR; protected by _registry
        self.idle: list[int] = []  # those that no connection has just now
        self.index = -1  # of -shm; has DMS and RECOVER

    @property
    def anchor(self) -> int:
        return self.descriptors[0]

    def let_go(self) -> None:
        """SQLite has closed the file in this process."""
        file_locks.give_back(self.anchor, IN_USE)
        file_locks.give_back(self.anchor, DOOR)
        if self.index >= 0:
            file_locks.close_file(self.index)
            self.index = -1


_files: dict[Key, _File] = {}
_registry = threading.RLock()  # protects _files, and makes opening a descriptor and knowing whose it is one step


@contextmanager
def opening(path: Path) -> Iterator[Locks]:
    """Around the opening of a connection, until it has read something: only then SQLite holds its locks.

    Raises OSError where the file cannot be opened or its file system keeps no locks, StoreUnavailable after MAX_BUSY_S.
    """
    with _registry:
        file = _file_at(path)
        file.guests += 1
    try:
        with file.lock:
            yield from _opened(file, path)
    except BaseException:
        _leave(file)
        raise


def _opened(file: _File, path: Path) -> Iterator[Locks]:
    is_first = file.connections == 0
    locks = SharedLocks(file, file.idle.pop() if file.idle else _another(file, path))
    try:
        if is_first:
            if not patiently(lambda: file_locks.share(file.anchor, IN_USE), MAX_BUSY_S):
                raise errors.busy(path, MAX_BUSY_S)
            patiently(lambda: file_locks.take(file.anchor, DOOR), MAX_DOOR_S)
        yield locks
        if is_first:
            file.index = file_locks.open_file(f"{os.path.realpath(path)}-shm", os.O_RDWR)
            if not patiently(lambda: file_locks.share(file.index, DMS), MAX_BUSY_S):
                raise errors.busy(path, MAX_BUSY_S)
            file_locks.give_back(file.anchor, DOOR)
    except BaseException:
        locks.release()
        file.idle.append(locks.descriptor)
        if is_first:
            file.let_go()
        raise
    locks.release()
    file.connections += 1


@contextmanager
def closing(locks: Locks) -> Iterator[None]:
    """Around the closing of a connection."""
    if not isinstance(locks, SharedLocks):
        yield
        return
    file = locks.file
    try:
        with file.lock:
            locks.release()
            if file.connections == 1:
                file_locks.give_back(file.anchor, IN_USE)  # or SQLite could not be the last either
                file_locks.give_back(file.index, DMS)
            try:
                yield
            finally:
                file.connections -= 1
                file.idle.append(locks.descriptor)
                if file.connections == 0:
                    file.let_go()
    finally:
        _leave(file)


def _leave(file: _File) -> None:
    with _registry:
        file.guests -= 1
        if file.guests == 0:
            del _files[file.key]
            for descriptor in file.descriptors:
                file_locks.close_file(descriptor)


# ── descriptors ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _file_at(path: Path) -> _File:
    """The one that this process has open, or a new one; under _registry."""
    facts = os.stat(path)
    return _files.get((facts.st_dev, facts.st_ino)) or _opened_at(path)


def _another(file: _File, path: Path) -> int:
    with _registry:
        another = _opened_at(path)
        if another is file:
            return file.idle.pop()
        another.guests += 1
        _leave(another)
    raise errors.damaged(path, errors.MOVED)


def _opened_at(path: Path) -> _File:
    """A new descriptor, with the file to which it belongs: *path* may have been given to another one meanwhile."""
    descriptor = file_locks.open_file(path, os.O_RDWR)
    facts = os.fstat(descriptor)
    key = (facts.st_dev, facts.st_ino)
    file = _files.setdefault(key, _File(key))
    file.descriptors.append(descriptor)
    file.idle.append(descriptor)
    return file


def _in_child() -> None:
    """Nothing of it is the child's; its descriptors are closed there (file_locks)."""
    global _registry
    _files.clear()
    _registry = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
