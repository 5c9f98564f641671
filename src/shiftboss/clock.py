"""The only place that reads a clock.

Rules of this file
- `now` is wall time and says what is due; `monotonic_s` measures durations and limits waits.
- `lease_s` is what leases are written in: seconds of the store's own clock, or of this machine's, which count the time
  in which it was suspended, so that a sleeping node's lease ends (C2); `boot` names what they belong to.
- `elapsed_s` is this machine's alone, suspension counted; a node trusts its own lease by it, whatever other clocks do.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

LEASE_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # macOS: its CLOCK_MONOTONIC counts sleep
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """Time as the engine sees it; a virtual one stands in for tests and forecasts."""

    def now(self) -> datetime: ...
    def monotonic_s(self) -> float: ...
    def elapsed_s(self) -> float: ...
    def lease_s(self) -> float: ...
    @property
    def boot(self) -> str: ...


class SystemClock:
    """The machine's clocks."""

    def __init__(self) -> None:
        self.boot = _boot()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()

    def elapsed_s(self) -> float:
        return time.clock_gettime(LEASE_CLOCK)

    lease_s = elapsed_s


def _boot() -> str:
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        # No boot id (macOS, BSD): the boot's wall instant to the minute tells boots apart well enough.
        return f"booted-{int((time.time() - time.clock_gettime(LEASE_CLOCK)) // 60)}"
