"""Who reads a SQLite file now, and so keeps its write-ahead log from being reused?

Rules of this file
- SQLite shows it by a lock on the -shm (wal.c: READ 0 to 4), and the kernel shows who holds it (proc(5): /proc/locks).
  If the system does not show it, nobody is named; nothing is opened or locked to find out.
- Our own reads take milliseconds.  A process that is met in two looks a second apart reads for long.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from shiftboss.stores.sqlite.locks import INDEX

LOCKS = Path("/proc/locks")
PROCESSES = Path("/proc")
FIRST_READ, LAST_READ = INDEX + 3, INDEX + 7
MAX_COMMAND_CHARS = 80
MAX_NAMED = 3


def readers(path: Path) -> frozenset[int]:
    """The processes with an open read transaction on the file at *path*."""
    try:
        facts = os.stat(f"{path}-shm")
        lines = LOCKS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    place = f"{os.major(facts.st_dev):02x}:{os.minor(facts.st_dev):02x}:{facts.st_ino}"
    return frozenset(pid for pid in (_reader(line, place) for line in lines) if pid > 0)


def _reader(line: str, place: str) -> int:
    """The process of a line like `3: POSIX  ADVISORY  READ 19360 fe:00:2319747 124 124`; 0 for any other lock."""
    words = line.split()
    if len(words) != 8 or words[1] != "POSIX" or words[5] != place or not words[6].isdigit():
        return 0
    return int(words[4]) if FIRST_READ <= int(words[6]) <= LAST_READ else 0


def named(pids: Collection[int]) -> str:
    """Processes in words, with the commands that started them; empty if there are none."""
    some = [_named(pid) for pid in sorted(pids)[:MAX_NAMED]]
    more = f" and {len(pids) - MAX_NAMED} more" if len(pids) > MAX_NAMED else ""
    return ", ".join(some) + more


def _named(pid: int) -> str:
    if pid == os.getpid():
        return f"process {pid} (this one)"
    try:
        words = (PROCESSES / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return f"process {pid}"
    command = b" ".join(words).decode(errors="replace").strip()
    return f"process {pid} ({command[:MAX_COMMAND_CHARS]})" if command else f"process {pid}"
