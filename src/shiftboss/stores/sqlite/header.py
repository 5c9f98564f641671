"""What the first 100 bytes of a file say about it (sqlite.org/fileformat.html, 1.3).

Rules of this file
- They are read as bytes.  Nothing is locked, and nothing is made or changed beside a file that may belong to another
  program.  A process that writes the file meanwhile is neither waited for nor mistaken for damage.  (Read by PRAGMA,
  with immutable=1, a healthy file was called malformed about once in twenty crowded openings.)
- They are read through SQLite nevertheless: closing a descriptor of ours would drop the locks of this process.
- The log may contain a newer first page: what is read here was true once.  Which program's file it is never changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import apsw

from shiftboss.stores.sqlite import errors

MAGIC = b"SQLite format 3\0"
LENGTH = 100
WAL = 2  # in the format version for reading; 1 is the rollback journal


class Header(NamedTuple):
    application_id: int
    version: int  # of the schema
    has_log: bool


def header_of(path: Path) -> Header:
    """The header of a regular file.  Raises StoreDamaged if it is no SQLite file, other errors if it is unreadable."""
    try:
        is_whole, content = _first_bytes(path)
    except apsw.Error as error:
        raise errors.translated(error, path) from error
    if not is_whole or not content.startswith(MAGIC):
        raise errors.damaged(path, "file is not a database")
    return Header(
        application_id=int.from_bytes(content[68:72], "big"),
        version=int.from_bytes(content[60:64], "big"),
        has_log=content[19] == WAL,
    )


def _first_bytes(path: Path) -> tuple[bool, bytes]:
    address = f"file:{quote(str(path))}?immutable=1"  # takes no lock, and ignores the files beside it
    connection = apsw.Connection(address, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    try:
        return connection.read("main", 0, 0, LENGTH)
    finally:
        connection.close()
