"""Who may read what we make on a disk: its owner alone, unless the folder or the store says that a group shares it.

Rules of this file
- A new store or key is 0600, and 0660 in a setgid folder, whatever the umask says; SQLite gives its log the mode of the
  file.
- What lies beside a store is for those who may write the store.  Where root makes a file it belongs to the owner of the
  store, or of the folder: root that ran something once locks nobody out.
- Nothing is wider for a moment than it is in the end, and what is there already keeps its mode.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

ALONE, ALONE_IN = 0o600, 0o700  # a file, a folder
SHARED = 0o660
FOLLOWS_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def new_file(path: Path) -> int:
    """A descriptor of an empty file for a new store or key.  Raises OSError, also where there is a file."""
    is_shared = path.parent.stat().st_mode & stat.S_ISGID
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | FOLLOWS_NO_LINK, ALONE)
    try:
        _set(descriptor, SHARED if is_shared else ALONE)
        if hasattr(os, "fchown") and os.geteuid() == 0:
            theirs = path.parent.stat()
            if theirs.st_uid != 0:
                os.fchown(descriptor, theirs.st_uid, -1 if is_shared else theirs.st_gid)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def make_folder(path: Path, store: Path) -> None:
    """A folder beside *store*, if there is none."""
    try:
        path.mkdir(ALONE_IN)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    if path.stat().st_mode & ALONE_IN != ALONE_IN:
        path.chmod(ALONE_IN)  # a umask that keeps out even the owner, who could not open it to share it either
    with suppress(OSError):  # Windows does not open folders
        descriptor = os.open(path, os.O_RDONLY | FOLLOWS_NO_LINK)
        try:
            share_like(descriptor, store, is_folder=True)
        finally:
            os.close(descriptor)


def share_like(descriptor: int, store: Path, *, is_folder: bool = False) -> None:
    """What was made just now with ALONE is for those who may write *store*; as far as the system lets us."""
    with suppress(OSError):
        ours, theirs = os.fstat(descriptor), store.stat()
        mode, may_write = ALONE, theirs.st_mode
        if hasattr(os, "fchown"):
            if os.geteuid() == 0 and ours.st_uid != theirs.st_uid:
                os.fchown(descriptor, theirs.st_uid, theirs.st_gid)
            elif ours.st_gid != theirs.st_gid and may_write & stat.S_IWGRP:
                os.fchown(descriptor, -1, theirs.st_gid)  # or its own group stays out
        mode |= (0o060 if may_write & stat.S_IWGRP else 0) | (0o006 if may_write & stat.S_IWOTH else 0)
        _set(descriptor, _with_entry(mode) if is_folder else mode)


def _with_entry(mode: int) -> int:
    """The same for a folder: who may read it may go in."""
    return mode | (mode & 0o444) >> 2


def _set(descriptor: int, mode: int) -> None:
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, mode)
