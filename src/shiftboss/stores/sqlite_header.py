"""What the first 100 bytes of a file say about it (sqlite.org/fileformat.html, 1.3).

Rules of this file
- Nothing is opened through SQLite and nothing is locked, so nothing is made or changed beside a file that may be
  another program's, and who writes to it just now is neither waited for nor mistaken for damage.
- The log may hold a newer first page: what stands here is what was true once.  Whose file it is never changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from shiftboss.stores import sqlite_errors, sqlite_locks

MAGIC = b"SQLite format 3\0"
LENGTH = 100
WAL = 2  # as the format's version for reading; 1 is the rollback journal


class Header(NamedTuple):
    application_id: int
    version: int  # of the schema
    has_log: bool


def header_of(path: Path) -> Header:
    """Raises StoreDamaged for what is no SQLite file, and our errors for what cannot be read."""
    try:
        content = sqlite_locks.read_header(path, LENGTH)
    except OSError as error:
        raise sqlite_errors.outside(path, error) from error
    if len(content) < LENGTH or not content.startswith(MAGIC):
        raise sqlite_errors.damaged(path, "file is not a database")
    return Header(
        application_id=int.from_bytes(content[68:72], "big"),
        version=int.from_bytes(content[60:64], "big"),
        has_log=content[19] == WAL,
    )
