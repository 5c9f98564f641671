"""Locks that belong to an open file and fall with nothing else: open file description locks, where the system has them.

Rules of this file
- A POSIX lock falls at any close() of its file anywhere in the process: a body that merely reads or copies the folder
  of the store takes it away.  One of these falls when it is given back, or with the last descriptor of its open file
  (fcntl(2), "Open file description locks"; Linux 3.15).
- A forked child inherits the descriptors, and would keep the lock of a parent that is gone: what was opened here is
  closed in forked children, and in programs that are started (O_CLOEXEC).
- Both kinds see each other: who holds a POSIX lock, of an older version or of SQLite, is a neighbour like any other.
- Nothing here waits.  Where the system has no such locks every one is granted: who needs to know asks HAS_OFD.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
import threading
from contextlib import suppress

try:
    import fcntl

    HAS_LOCKS = True
except ImportError:  # Windows: nobody can tell, leases decide
    HAS_LOCKS = False

HAS_OFD = HAS_LOCKS and sys.platform == "linux"
GETLK, SETLK = 36, 37  # F_OFD_GETLK and F_OFD_SETLK of Linux: not every build of Python names them
FLOCK = struct.Struct("@hhqqi0q")  # struct flock: type, whence, start, length, and a process id that must be 0
TAKEN = frozenset({errno.EAGAIN, errno.EACCES})

_opened: set[int] = set()
_lock = threading.RLock()  # protects _opened, and makes opening and noting it one step for whoever forks


class Span:
    """Some bytes of a file; of length 0, all from the first on."""

    def __init__(self, start: int, length: int) -> None:
        self.start = start
        if HAS_LOCKS:
            self.shared, self.alone, self.free = (
                FLOCK.pack(kind, os.SEEK_SET, start, length, 0)
                for kind in (fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK)
            )


WHOLE = Span(0, 0)


def open_file(path: str | os.PathLike[str], flags: int, mode: int = 0o600) -> int:
    """A descriptor that no child keeps."""
    with _lock:
        descriptor = os.open(path, flags | os.O_CLOEXEC, mode)
        _opened.add(descriptor)
    return descriptor


def close_file(descriptor: int) -> None:
    """Nothing in a forked child, where it is closed already and its number may be another file's."""
    with _lock:
        if descriptor in _opened:
            _opened.discard(descriptor)
            os.close(descriptor)


def check(folder: str | os.PathLike[str]) -> None:
    """Raises OSError where the file system keeps no such locks."""
    descriptor = open_file(folder, os.O_RDONLY)
    try:
        share(descriptor, WHOLE)
    finally:
        close_file(descriptor)


def share(descriptor: int, span: Span) -> bool:
    """Lock *span* beside others who share it; False when somebody has it alone."""
    return _set(descriptor, span.shared)


def take(descriptor: int, span: Span) -> bool:
    """Lock *span* alone; False when anybody has it."""
    return _set(descriptor, span.alone)


def give_back(descriptor: int, span: Span) -> None:
    """Harmless when nothing is held."""
    _set(descriptor, span.free)


def is_taken(descriptor: int, span: Span) -> bool:
    """Whether anybody but this open file holds a lock in *span*, of either kind."""
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
