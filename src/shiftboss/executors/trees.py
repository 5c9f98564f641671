"""Processes and what they started: finding all of it, ending all of it, and what an end was.

Rules of this file
- A child's descendants are those below it, those of its session, and those that carry its mark in their environment:
  a grandchild that called setsid and lost its parent is found by the mark.
- psutil is imported when it is needed: it is the extra `process`.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shiftboss.core.model import Error
from shiftboss.errors import ConfigurationError

MARK = "SHIFTBOSS_CHILD"  # in the environment of a child and of all that it starts
MAX_SWEEPS = 20  # of a tree that goes on forking while it is ended
VMSTAT = Path("/proc/vmstat")
DIED = "shiftboss.ChildDied"


def require_psutil() -> Any:
    """The module.  Raises ConfigurationError."""
    try:
        import psutil
    except ImportError:
        raise ConfigurationError(
            "executor='process' needs psutil to find and end what a body started; run: pip install 'shiftboss[process]'"
        ) from None
    return psutil


def descendants(pid: int) -> list[Any]:
    """All below *pid*, as psutil's processes."""
    psutil = require_psutil()
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def send(processes: Iterable[Any], signum: int) -> None:
    psutil = require_psutil()
    for process in processes:
        with contextlib.suppress(psutil.Error, OSError):
            process.send_signal(signum)  # psutil looks whether it is still the same process


def send_group(pid: int, signum: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(pid, signum)


def sweep(mark: str) -> bool:
    """Kill whatever carries *mark* (a child's own, or the beginning that all children of a node share)."""
    psutil = require_psutil()
    for _ in range(MAX_SWEEPS):
        found = [each for each in psutil.process_iter() if each.pid != os.getpid() and _carries(each, mark)]
        if not found:
            return True
        send(found, signal.SIGKILL)
        psutil.wait_procs(found, timeout=0.1)
    return False


def _carries(process: Any, mark: str) -> bool:
    psutil = require_psutil()
    try:
        value = process.environ().get(MARK, "")
        is_it: bool = value == mark or (mark.endswith(".") and value.startswith(mark))
        return is_it and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since the boot; 0 where it does not say."""
    try:
        for line in VMSTAT.read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0


def death(code: int, *, by_kernel: bool) -> Error:
    """What a child's return code says about its end."""
    if code >= 0:
        return Error(type=DIED, message=f"ChildDied: exit code {code}")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if code == -signal.SIGKILL and by_kernel:
        return Error(type=DIED, message=f"ChildDied: {name}, the system was out of memory")
    return Error(type=DIED, message=f"ChildDied: {name}")
