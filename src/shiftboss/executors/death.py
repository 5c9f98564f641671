"""Why a child died, as far as its exit code and the kernel tell."""

from __future__ import annotations

import signal
from pathlib import Path

from shiftboss.core.model import Error, Failed

DIED = "shiftboss.ChildDied"
VMSTAT = Path("/proc/vmstat")


def death(code: int | None, *, by_kernel: bool) -> Failed:
    """The outcome of an attempt whose child ended with *code*, as `subprocess` gives it; None if it is unknown."""
    if code is None:
        return died("other code in this process took its exit code by waiting for any child (SIGCHLD, waitpid -1)")
    if code >= 0:
        return died(f"exit code {code}")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return died(f"{name}, because the system was out of memory" if code == -signal.SIGKILL and by_kernel else name)


def died(how: str) -> Failed:
    return Failed(Error(type=DIED, message=how), crashed=True)


def oom_kills() -> int:
    """How many processes the kernel has killed for lack of memory since the boot; 0 if it does not say."""
    try:
        for line in VMSTAT.read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0
