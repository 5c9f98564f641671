"""How short of memory is this machine (H4), and how much does this process use?

Rules of this file
- The tighter of machine and control group counts.  If neither tells, the answer is None and never a guess.
"""

from __future__ import annotations

import os
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP_MAX = Path("/sys/fs/cgroup/memory.max")
STATM = Path("/proc/self/statm")
CGROUP_NOW = Path("/sys/fs/cgroup/memory.current")


def memory_share() -> float | None:
    """The share of memory in use, 0 to 1."""
    shares = [share for share in (_machine(), _group()) if share is not None]
    return max(shares, default=None)


def resident_bytes() -> int:
    """The resident memory of this process; 0 if nobody can tell (proc_pid_statm(5): the second number, in pages)."""
    try:
        return int(STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _machine() -> float | None:
    try:
        lines = MEMINFO.read_bytes().splitlines()
    except OSError:
        return None
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(b":") for line in lines) if rest.split()}
    total, available = kib.get(b"MemTotal"), kib.get(b"MemAvailable")
    return None if not total or available is None else 1 - available / total


def _group() -> float | None:
    try:
        limit, now = CGROUP_MAX.read_bytes().strip(), int(CGROUP_NOW.read_bytes())
    except (OSError, ValueError):
        return None
    return now / int(limit) if limit.isdigit() and int(limit) else None
