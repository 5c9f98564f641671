"""Whether processes have ended, also where nobody waits for them.

The first process of a container often waits for none but its own child: orphans that end stay in the table there, as
zombies, and psutil counts those among the living.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import suppress

import psutil

from shiftboss import StoreUnavailable
from shiftboss.cli import store_access

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


def stop_between_writes(pid: int, store: str) -> None:
    """Stop a node (SIGSTOP), but not within a transaction: nobody else could write to its file until it goes on.

    Returns once all threads of the process have halted, for until then it does not count as stopped.
    """
    until_s = time.monotonic() + PATIENCE_S
    with store_access.reading(store, None) as views:
        while time.monotonic() < until_s:
            os.kill(pid, signal.SIGSTOP)
            while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
                assert time.monotonic() < until_s, f"process {pid} does not stop"
            with suppress(StoreUnavailable):
                views.try_write()
                return
            os.kill(pid, signal.SIGCONT)
    raise AssertionError(f"whenever process {pid} was stopped, nobody could write to {store}")
