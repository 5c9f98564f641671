"""The only place that reads a clock.

Rules of this file
- `now` is wall time and says what is due; `monotonic_s` measures durations and limits waits.
- `lease_s` is the time of leases: seconds of the store's own clock, or of this machine's, which includes the time in
  which it was suspended, so that a sleeping node's lease ends (C2); `boot` names what these seconds belong to.
- `elapsed_s` is only this machine's, and includes suspension; by it a node trusts its own lease, whatever other clocks
  do.  It reveals that the wall clock was set (O4), and `machine_boot` names what it counts from.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

LEASE_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # macOS: its CLOCK_MONOTONIC counts sleep
BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Clock(Protocol):
    """Time as the engine sees it; a virtual clock replaces it in tests and forecasts."""

    def now(self) -> datetime: ...
    def monotonic_s(self) -> float: ...
    def elapsed_s(self) -> float: ...
    def lease_s(self) -> float: ...
    @property
    def boot(self) -> str: ...
    @property
    def machine_boot(self) -> str: ...
    @property
    def leases_by_wall(self) -> bool:
        """Whether `lease_s` follows the wall clock if that is set."""
        ...


class Looked(NamedTuple):
    """When a reader looked that later asks for what is new since then."""

    at: datetime
    elapsed_s: float

    def since(self, before: Looked) -> datetime:
        """Nothing written since *before* bears an earlier time than this, even if the clock was set meanwhile."""
        return min(before.at, self.at - timedelta(seconds=max(0.0, self.elapsed_s - before.elapsed_s)))


class SystemClock:
    """The machine's clocks."""

    leases_by_wall = False

    def __init__(self) -> None:
        self._boot_id = _boot_id()

    @property
    def boot(self) -> str:
        """The kernel's id of this boot; without one, the wall time of the boot, which moves when the clock is set.

        Therefore two of these times are compared with tolerance, and stored ones are moved (core/fleet.py,
        core/clock_step.py).
        """
        return self._boot_id or f"booted-{round(time.time() - self.elapsed_s())}"

    machine_boot = boot

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()

    def elapsed_s(self) -> float:
        return time.clock_gettime(LEASE_CLOCK)

    lease_s = elapsed_s


def _boot_id() -> str:
    """Empty if the system gives none."""
    try:
        with open(BOOT_ID, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return _boot_session() if sys.platform == "darwin" else ""


def _boot_session() -> str:
    """macOS: sysctl kern.bootsessionuuid; a sandbox may refuse it."""
    import ctypes  # 2 ms of import, only where there is no /proc

    try:
        size, value = ctypes.c_size_t(64), ctypes.create_string_buffer(64)
        status: int = ctypes.CDLL(None).sysctlbyname(b"kern.bootsessionuuid", value, ctypes.byref(size), None, 0)
    except (OSError, AttributeError):
        return ""
    return value.value.decode("ascii", "replace") if status == 0 else ""
