"""A node's own view of its lease: until when it may trust it (C2, C3).

Rules of this file
- Trust counts from the instant *before* the renewal was asked for, and ends 3 s before others may act.
"""

from __future__ import annotations

from shiftboss.clock import Clock
from shiftboss.core.fleet import LEASE_S, RENEW_S, TRUST_MARGIN_S


class Lease:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked_s: float | None = None

    def renewed(self, asked_s: float) -> None:
        """A renewal that was asked for at *asked_s* of elapsed time is committed."""
        self._asked_s = asked_s

    def lost(self) -> None:
        """Somebody took it for ended: nothing is trusted until a new one is committed."""
        self._asked_s = None

    @property
    def is_trusted(self) -> bool:
        return self._asked_s is not None and self._clock.elapsed_s() < self._asked_s + LEASE_S - TRUST_MARGIN_S

    @property
    def renew_in_s(self) -> float:
        """Seconds until the next renewal; 0 when it is due."""
        if self._asked_s is None:
            return 0.0
        return max(0.0, self._asked_s + RENEW_S - self._clock.elapsed_s())
