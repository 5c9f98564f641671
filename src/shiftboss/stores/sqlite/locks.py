"""Locks besides SQLite's own, which end whenever the process closes any of its files (sqlite.org/howtocorrupt.html).

Rules of this file
- While this process has the file open, it shares two spans that SQLite locks for the same purpose: IN_USE in the file,
  and DMS in its -shm.  So no process, of whatever version or program, believes to be the only one, removes the log or
  starts its index again.  The spans are given back just before the last connection is closed, perhaps the only one:
  SQLite then finds nothing left to do if another process was faster.
- Among ourselves WRITER means what SQLite's WRITE lock means.  VIEW means what its READ and CKPT locks mean: readers
  share it, and whoever moves the log into the file takes it.  SQLite never looks at these bytes.
- While it writes, a process shares RECOVER in -shm, so that nobody rebuilds the index meanwhile.
- DOOR is taken for the first opening in each process, because there is a moment between SQLite's DMS lock and ours, and
  for the last closing, in which SQLite's exclusive lock alone keeps openers from a log that is being removed.  Those
  moments are short, and hardly ever does anybody look just then: after MAX_DOOR_S a process goes on without DOOR.
- Each connection has a descriptor of its own, and so its own locks.  Closing a descriptor would drop SQLite's locks, so
  it is kept for the next connection.  All are closed when this process has no connection left.
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
from shiftboss.stores.sqlite.file_locks import ByteRange

MAX_BUSY_S = 4.5  # before `trigger` gives up after 5 s, so that the caller is told what was in the way
MAX_DOOR_S = 1.0  # an opening takes a millisecond; a process stopped in its middle must not keep everybody out
MIN_PAUSE_S, MAX_PAUSE_S = 0.0002, 0.001

PENDING = 0x40000000  # the page that SQLite reserves for locks (os.h)
IN_USE = ByteRange(PENDING + 2, 510)  # where SQLite has its SHARED locks
DOOR, GATE, VIEW, WRITER = (ByteRange(PENDING + 512 + number, 1) for number in range(4))
ENTRY, MINE = ByteRange(GATE.start, 2), ByteRange(GATE.start, 3)
INDEX = 120  # where the locks in -shm begin (wal.c, os_unix.c): WRITE, CKPT, RECOVER, five READ, DMS
RECOVER, DMS = ByteRange(INDEX + 2, 1), ByteRange(INDEX + 8, 1)

Key = tuple[int, int]  # device and inode

_clock = SystemClock()  # waiting for a lock takes real time, whatever clock the rules use


class Locks:
    """What one connection holds.  For a file that nobody else knows yet, every lock is granted."""

    is_held = False

    def try_writer(self) -> bool:
        return self._noted(True)

    def try_view(self) -> bool:
        return self._noted(True)

    def try_checkpoint(self) -> bool:
        """Take the view lock: nobody has a view, and nobody else moves the log."""
        return self._noted(True)

    def try_gate(self) -> bool:
        """Keep new views out until `release`; those that are open end some time."""
        return self._noted(True)

    def try_keep_index(self) -> bool:
        """Only within SQLite's write lock: before that, SQLite itself may have to rebuild the index."""
        return True

    def release(self) -> None:
        """Release everything; harmless if nothing is held."""
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
        if not self.is_held or os.getpid() != self._pid:  # in a forked child the number may belong to another file
            return
        self.is_held = False
        if self._keeps_index:
            self._keeps_index = False
            file_locks.give_back(self.file.index, RECOVER)
        file_locks.give_back(self.descriptor, MINE)


def patiently(ask: Callable[[], bool], limit_s: float, ends_s: Callable[[], float] = lambda: float("inf")) -> bool:
    """Whether *ask* said yes within *limit_s* and before *ends_s*, which may come nearer meanwhile."""
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
        self.guests = 0  # connections, and threads that are opening one; protected by _registry
        self.connections = 0
        self.descriptors: list[int] = []  # the first one has IN_USE and DOOR; protected by _registry
        self.idle: list[int] = []  # those without a connection now
        self.index = -1  # of -shm; has DMS and RECOVER

    @property
    def anchor(self) -> int:
        return self.descriptors[0]

    def let_go(self) -> None:
        """Called when SQLite has closed the file in this process."""
        file_locks.give_back(self.anchor, IN_USE)
        file_locks.give_back(self.anchor, DOOR)
        if self.index >= 0:
            file_locks.close_file(self.index)
            self.index = -1


_files: dict[Key, _File] = {}
_registry = threading.RLock()  # protects _files, and makes opening a descriptor and noting its file one step


@contextmanager
def opening(path: Path) -> Iterator[Locks]:
    """Around the opening of a connection, until it has read something: only then does SQLite hold its locks.

    Raises OSError if the file cannot be opened or its file system has no locks, StoreUnavailable after MAX_BUSY_S.
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
                patiently(lambda: file_locks.take(file.anchor, DOOR), MAX_DOOR_S)
                file_locks.give_back(file.anchor, IN_USE)  # otherwise SQLite could not be the last one either
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
    """The file that this process has open at *path*, or a new one; under _registry."""
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
    """A new descriptor and the file to which it belongs: *path* may belong to another file meanwhile."""
    descriptor = file_locks.open_file(path, os.O_RDWR)
    facts = os.fstat(descriptor)
    key = (facts.st_dev, facts.st_ino)
    file = _files.setdefault(key, _File(key))
    file.descriptors.append(descriptor)
    file.idle.append(descriptor)
    return file


def _in_child() -> None:
    """The child keeps nothing of it; file_locks closes its descriptors there."""
    global _registry
    _files.clear()
    _registry = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
