"""A node's own view of its lease: until when it may trust it (C2, C3).

Rules of this file
- Trust counts from the instant *before* the renewal was asked for, and ends 3 s before others may act.
- Bodies are told when it has ended even if the engine cannot: it may be waiting for a server that is silent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from shiftboss.clock import Clock
from shiftboss.core.fleet import LEASE_S, RENEW_S, TRUST_MARGIN_S

LATE_S = 2.0  # the engine looks first: after a suspension it may find that the lease is still its own
MAX_WAIT_S = 5.0  # a wait does not count suspended time, the lease does


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
        return self.trusted_for_s > 0.0

    @property
    def trusted_for_s(self) -> float:
        """Seconds until the trust ends; 0 when it has."""
        asked_s = self._asked_s
        if asked_s is None:
            return 0.0
        return max(0.0, asked_s + LEASE_S - TRUST_MARGIN_S - self._clock.elapsed_s())

    @property
    def renew_in_s(self) -> float:
        """Seconds until the next renewal; 0 when it is due."""
        if self._asked_s is None:
            return 0.0
        return max(0.0, self._asked_s + RENEW_S - self._clock.elapsed_s())


class Watch:
    """Calls *ended* when the trust has ended and the engine has not renewed it within `LATE_S`.

    A call of the store lasts 5 s, opening a connection 3 s and 2 for each host that is named: with many of them the
    engine would come back to its bodies only after others had begun their runs (C3).  From a thread of its own, which
    sleeps as long as the lease is trusted.
    """

    def __init__(self, lease: Lease, ended: Callable[[], None]) -> None:
        self._lease = lease
        self._ended = ended
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shiftboss-lease", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(min(MAX_WAIT_S, max(LATE_S, self._lease.trusted_for_s))):
            if self._lease.is_trusted:
                continue
            if self._is_over.wait(LATE_S):
                return
            if not self._lease.is_trusted:
                self._ended()
