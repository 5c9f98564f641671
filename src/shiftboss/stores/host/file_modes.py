"""Who may read the files that we make: the owner alone, unless the folder or the store says that a group shares them.

Rules of this file
- A new store or key has mode 0600, in a setgid folder 0660, whatever the umask says; SQLite gives its log the mode of
  the file.
- A file beside a store is for everybody who may write the store.  A file made by root belongs to the owner of the
  store, or of the folder, so that a command run once as root locks nobody out.
- No file is more open for a moment than it will be in the end, and existing files keep their mode.
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
    """A descriptor of an empty file for a new store or key.  Raises OSError, also if the file exists."""
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
    """Make a folder beside *store* if there is none."""
    try:
        path.mkdir(ALONE_IN)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    if path.stat().st_mode & ALONE_IN != ALONE_IN:
        path.chmod(ALONE_IN)  # a umask may exclude even the owner, who could then not open the folder to share it
    with suppress(OSError):  # Windows does not open folders
        descriptor = os.open(path, os.O_RDONLY | FOLLOWS_NO_LINK)
        try:
            share_like(descriptor, store, is_folder=True)
        finally:
            os.close(descriptor)


def share_like(descriptor: int, store: Path, *, is_folder: bool = False) -> None:
    """Open what was just made with ALONE to everybody who may write *store*, as far as the system lets us."""
    with suppress(OSError):
        ours, theirs = os.fstat(descriptor), store.stat()
        mode, may_write = ALONE, theirs.st_mode
        if hasattr(os, "fchown"):
            if os.geteuid() == 0 and ours.st_uid != theirs.st_uid:
                os.fchown(descriptor, theirs.st_uid, theirs.st_gid)
            elif ours.st_gid != theirs.st_gid and may_write & stat.S_IWGRP:
                os.fchown(descriptor, -1, theirs.st_gid)  # or the owner's group is locked out
        mode |= (0o060 if may_write & stat.S_IWGRP else 0) | (0o006 if may_write & stat.S_IWOTH else 0)
        _set(descriptor, _with_entry(mode) if is_folder else mode)


def _with_entry(mode: int) -> int:
    """The mode for a folder: whoever may read it may enter it."""
    return mode | (mode & 0o444) >> 2


def _set(descriptor: int, mode: int) -> None:
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, mode)
