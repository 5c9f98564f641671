"""Locks that belong to an open file and end with it alone: open file description locks, where the system has them.

Rules of this file
- A POSIX lock ends when anything in the process closes the file: a function that merely reads or copies the folder of
  the store would release it.  An open file description lock ends only when it is given back, or with the last
  descriptor of its open file (fcntl(2), "Open file description locks"; Linux 3.15).
- A forked child inherits the descriptors and would keep the lock of a dead parent: so files opened here are closed in
  forked children, and in programs that are started (O_CLOEXEC).
- The two kinds conflict with each other: older versions and SQLite, which use POSIX locks, are neighbours like any
  other.
- Nothing here waits.  Where the system has no such locks, every one is granted: check HAS_OFD if it matters.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

try:
    import fcntl

    HAS_LOCKS = True
except ImportError:  # on Windows nobody can tell, so leases decide
    HAS_LOCKS = False

HAS_OFD = HAS_LOCKS and sys.platform == "linux"
GETLK, SETLK = 36, 37  # F_OFD_GETLK and F_OFD_SETLK of Linux: not every build of Python names them
FLOCK = struct.Struct("@hhqqi0q")  # struct flock: type, whence, start, length, and a process id that must be 0
TAKEN = frozenset({errno.EAGAIN, errno.EACCES})

_opened: set[int] = set()
_lock = threading.RLock()  # protects _opened, and makes opening a file and noting it one step for a thread that forks


class ByteRange:
    """Some bytes of a file; length 0 means everything from the start on."""

    def __init__(self, start: int, length: int) -> None:
        self.start = start
        if HAS_LOCKS:
            self.shared, self.alone, self.free = (
                FLOCK.pack(kind, os.SEEK_SET, start, length, 0)
                for kind in (fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK)
            )


WHOLE = ByteRange(0, 0)


def open_file(path: str | os.PathLike[str], flags: int, mode: int = 0o600) -> int:
    """A descriptor that no child process keeps."""
    with _lock:
        descriptor = os.open(path, flags | os.O_CLOEXEC, mode)
        _opened.add(descriptor)
    return descriptor


def note(make: Callable[[], tuple[int, ...]]) -> tuple[int, ...]:
    """The descriptors that *make* opens, which no child process keeps either."""
    with _lock:
        descriptors = make()
        _opened.update(descriptors)
    return descriptors


def close_file(descriptor: int) -> None:
    """Does nothing in a forked child, where it is closed already and its number may belong to another file."""
    with _lock:
        if descriptor in _opened:
            _opened.discard(descriptor)
            os.close(descriptor)


def check(folder: str | os.PathLike[str]) -> None:
    """Raises OSError if the file system has no such locks."""
    descriptor = open_file(folder, os.O_RDONLY)
    try:
        share(descriptor, WHOLE)
    finally:
        close_file(descriptor)


def share(descriptor: int, span: ByteRange) -> bool:
    """Lock *span* shared with others; False if somebody has it exclusively."""
    return _set(descriptor, span.shared)


def take(descriptor: int, span: ByteRange) -> bool:
    """Lock *span* exclusively; False if anybody has it."""
    return _set(descriptor, span.alone)


def give_back(descriptor: int, span: ByteRange) -> None:
    """Release the lock; harmless if nothing is held."""
    _set(descriptor, span.free)


def is_taken(descriptor: int, span: ByteRange) -> bool:
    """Whether anybody but this open file holds a lock of either kind in *span*."""
    answer = FLOCK.unpack(fcntl.fcntl(descriptor, GETLK, span.alone)[: FLOCK.size])
    return bool(answer[0] != fcntl.F_UNLCK)


def _set(descriptor: int, wanted: bytes) -> bool:
    if not HAS_OFD:
        return True
    try:
        fcntl.fcntl(descriptor, SETLK, wanted)
    except OSError as error:
        if error.errno in TAKEN:
            return False
        raise
    return True


def _in_child() -> None:
    for descriptor in _opened:
        with suppress(OSError):
            os.close(descriptor)
    _opened.clear()
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_in_child)
