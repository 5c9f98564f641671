"""A program of its own: a consistent copy of an SQLite file that others write to, into a folder that keeps the newest.

    python backup.py FILE FOLDER

Rules of this file
- It knows nothing of shiftboss and needs only Python: to its worker it is a program like pg_dump or rsync.
- A copy is there whole or not at all: written beside, checked, on the disk, then renamed.  It may be killed anywhere.
- stdout has the answer, one line; stderr says what happens.
- It exits with 0 when there is a new copy, with BUSY when another try may succeed, with 1 when none would.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

BUSY = 75  # EX_TEMPFAIL of sysexits.h
WAIT_S = 5.0  # for somebody who has locked the file
KEPT = 5  # copies


def main() -> int:
    parser = argparse.ArgumentParser(description="Copy an SQLite file that others write to.")
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    try:
        print(backup(arguments.file, arguments.folder))
    except (OSError, sqlite3.Error) as error:
        say(f"backup of {arguments.file} failed: {error}")
        return BUSY if is_passing(error) else 1
    return 0


def backup(file: Path, folder: Path) -> str:
    """Add a copy, remove the oldest; the answer.  Raises OSError and sqlite3.Error."""
    folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder) as directory:
        desk = folder / "unfinished"
        if desk.exists():
            shutil.rmtree(desk)  # left by one that was killed
        desk.mkdir()
        copy(file, desk / file.name)
        say(f"{file} copied and verified")
        older = sorted(folder.glob(f"{file.stem}-*{file.suffix}"))
        newest = folder / f"{file.stem}-{datetime.now(UTC):%Y%m%d-%H%M%S}{file.suffix}"
        (desk / file.name).rename(newest)
        os.fsync(directory)  # its name is on the disk as well, before an older copy goes
        desk.rmdir()
        older = [each for each in older if each != newest]
        for old in older[: 1 - KEPT]:
            old.unlink()
            say(f"{old.name} removed")
    return f"{newest.name}: {newest.stat().st_size:,} bytes, {min(len(older) + 1, KEPT)} kept"


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[int]:
    """Its file descriptor, with a lock that the kernel frees however this process ends.  Raises BlockingIOError."""
    directory = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield directory
    finally:
        os.close(directory)


def copy(file: Path, to: Path) -> None:
    """One instant of *file*: VACUUM INTO reads in one transaction, and holds up no writer."""
    with contextlib.closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=WAIT_S)) as source:
        source.execute("VACUUM INTO ?", (str(to),))
    with contextlib.closing(sqlite3.connect(to)) as copied:
        (verdict,) = copied.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"the copy is damaged: {verdict}")
    with to.open("rb") as written:
        os.fsync(written.fileno())


def is_passing(error: Exception) -> bool:
    """Whether somebody else is in the way: another backup, or a lock on the file."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest of it is detail
    return isinstance(error, BlockingIOError) or code == sqlite3.SQLITE_BUSY


def say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
