"""Whether processes have ended, also where nobody waits for them.

The first process of a container often waits for none but its own child: orphans that end stay in the table there, as
zombies, and psutil counts those among the living.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import psutil

PATIENCE_S = 60.0  # two cores that others use as well


def gone(pids: Iterable[int | str | bytes]) -> bool:
    """Whether all of them end, within our patience."""
    until_s, pause = time.monotonic() + PATIENCE_S, threading.Event()
    living = [int(pid) for pid in pids]
    while living := [pid for pid in living if is_alive(pid)]:
        if time.monotonic() > until_s:
            return False
        pause.wait(0.01)
    return True


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
