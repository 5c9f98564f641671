"""SQLite's errors in our words: the thing, the fact, the remedy.

Rules of this file
- This is the only place that knows SQLite's result codes.
- A full disk shows itself in many ways (a short write, no space for the -shm file, no new inode): so the file system is
  asked.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import apsw

from shiftboss.errors import (
    InternalError,
    ShiftbossError,
    StoreDamaged,
    StoreFull,
    StoreReadOnly,
    StoreRejected,
    StoreUnavailable,
)

MIN_FREE_BYTES = 64 * 1024  # with less free space, a failed write or open is blamed on the full disk

BUSY = frozenset({apsw.SQLITE_BUSY, apsw.SQLITE_PROTOCOL})  # PROTOCOL: it lost the race for a read mark too often
DAMAGED = frozenset({apsw.SQLITE_CORRUPT, apsw.SQLITE_NOTADB, apsw.SQLITE_FORMAT})
REJECTED = frozenset({apsw.SQLITE_CONSTRAINT, apsw.SQLITE_MISMATCH, apsw.SQLITE_TOOBIG, apsw.SQLITE_RANGE})
OUTSIDE = frozenset({apsw.SQLITE_IOERR, apsw.SQLITE_CANTOPEN})
NO_CODE = -1  # apsw itself refuses a call that is wrong
OURS = frozenset({NO_CODE, apsw.SQLITE_ERROR, apsw.SQLITE_MISUSE, apsw.SQLITE_SCHEMA, apsw.SQLITE_LOCKED})
NO_LOCKS = frozenset({errno.ENOLCK, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
MOVED = "was moved, deleted or replaced while it was in use"


def is_busy(error: apsw.Error) -> bool:
    """Whether another connection holds a lock now: try again."""
    return _code(error) in BUSY


def translated(error: apsw.Error, path: Path, *, maybe_stored: bool = False) -> ShiftbossError:
    """The error to raise in place of *error*."""
    code, extended = _code(error), getattr(error, "extendedresult", 0)
    if code == apsw.SQLITE_FULL or (code in OUTSIDE and _is_full(path)):
        return full(path)
    if extended == apsw.SQLITE_READONLY_DBMOVED:
        return damaged(path, MOVED)
    if code in (apsw.SQLITE_READONLY, apsw.SQLITE_PERM):
        return read_only(path, str(error))
    if code in DAMAGED or extended == apsw.SQLITE_IOERR_CORRUPTFS:
        return damaged(path, str(error))
    if code in REJECTED:
        return StoreRejected(f"{path} refused a write: {error}; the change that needs it is refused with it")
    if code in OUTSIDE or code in (apsw.SQLITE_NOMEM, apsw.SQLITE_INTERRUPT):
        return StoreUnavailable(
            f"{path} cannot be used: {type(error).__name__}: {error}; check the disk and the system's log",
            maybe_stored=maybe_stored,
            answers=True,
        )
    if code in OURS:
        return InternalError(f"{path}: a statement of shiftboss failed: {type(error).__name__}: {error}")
    return StoreUnavailable(
        f"{path} cannot be used at the moment: {type(error).__name__}: {error}; retrying",
        maybe_stored=maybe_stored,
        answers=True,
    )


def busy(path: Path, waited_s: float) -> StoreUnavailable:
    return StoreUnavailable(
        f"{path} was locked by another process for {waited_s:.1f} s; look for a process that is stopped (SIGSTOP, a "
        "debugger), is frozen by a function in C code, or holds a transaction open",
        answers=True,
    )


def outside(path: Path, error: OSError) -> ShiftbossError:
    """The error for what the system says when we open or lock the file ourselves."""
    if error.errno in NO_LOCKS:
        lockless = StoreUnavailable(
            f"the file system of {path} does not support locks ({error}); put the store on a local disk"
        )
        lockless.retryable = False
        return lockless
    if error.errno in FORBIDDEN:
        return read_only(path, str(error))
    if error.errno == errno.ENOSPC:
        return full(path)
    return StoreUnavailable(f"{path} cannot be used: {error}; check the disk and the system's log")


def full(path: Path) -> StoreFull:
    return StoreFull(
        f"{path} cannot grow because its disk is full; it accepts no new work until there is room in {path.parent}"
    )


def tight(path: Path, *, free: int, enough: int) -> str:
    """The message while only the reserve is left, or less."""
    return (
        f"the disk of {path} has only {free / 1024 / 1024:.0f} MiB left; running attempts can still be recorded, but "
        f"no new work is accepted until {enough >> 20} MiB are free in {path.parent}"
    )


def damaged(path: Path, fact: str) -> StoreDamaged:
    text = fact if fact == MOVED else f"is damaged: {fact}"
    return StoreDamaged(
        f"{path} {text}.  It was not changed: stop every process that uses it, then put the file back, restore a "
        "backup, or name another file"
    )


def read_only(path: Path, fact: str) -> StoreReadOnly:
    return StoreReadOnly(
        f"{path} cannot be written: {fact}; make the file and its folder writable for this user, or name another file"
    )


def _code(error: apsw.Error) -> int:
    code = getattr(error, "result", NO_CODE)
    return code if isinstance(code, int) else NO_CODE


def _is_full(path: Path) -> bool:
    try:
        facts = os.statvfs(path.parent)
    except (OSError, AttributeError):  # AttributeError: Windows has no statvfs
        return False
    return facts.f_bavail * facts.f_frsize < MIN_FREE_BYTES or (facts.f_files > 0 and facts.f_favail == 0)
