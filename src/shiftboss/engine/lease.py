"""A node's own view of its lease: until when it may trust it (C2, C3).

Rules of this file
- Trust counts from *before* the renewal was asked for, and ends 3 s before others may act.
- Functions are told when it has ended even if the engine cannot tell them: it may be waiting for a silent server.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from shiftboss.clock import Clock
from shiftboss.core.fleet import LEASE_S, RENEW_S, TRUST_MARGIN_S

LATE_S = 2.0  # the engine looks first: after a suspension it may find that the lease is still its own
MAX_WAIT_S = 1.0  # a wait does not count suspended time, but the lease does: so soon a machine that wakes up looks


class Lease:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked_s: float | None = None
        self.epoch: int | None = None  # of the store, when the lease was last renewed

    def renewed(self, asked_s: float) -> None:
        """A renewal that was asked for at *asked_s* of elapsed time is committed."""
        self._asked_s = asked_s

    def lost(self) -> None:
        """Another node took it for ended: nothing is trusted until a new renewal is committed."""
        self._asked_s = None

    @property
    def is_trusted(self) -> bool:
        return self.trusted_for_s > 0.0

    @property
    def trusted_for_s(self) -> float:
        """Seconds until the trust ends; 0 if it has ended."""
        return max(0.0, -self.ended_for_s)

    @property
    def ended_for_s(self) -> float:
        """Seconds since the trust ended; negative while it lasts, infinite if there has been no trust."""
        asked_s = self._asked_s
        return math.inf if asked_s is None else self._clock.elapsed_s() - (asked_s + LEASE_S - TRUST_MARGIN_S)

    @property
    def renew_in_s(self) -> float:
        """Seconds until the next renewal; 0 if it is due."""
        if self._asked_s is None:
            return 0.0
        return max(0.0, self._asked_s + RENEW_S - self._clock.elapsed_s())


class LeaseWatch:
    """Calls *ended* if the trust has ended and the engine has not renewed it within `LATE_S`.

    A call of the store may take 5 s, opening a connection 3 s, and 2 s for each host that is named.  With many hosts
    the engine would tell its functions only after others had begun their runs (C3).  The watch has a thread of its own,
    which sleeps until the trust ends, and again if a renewal has moved that time meanwhile.
    """

    def __init__(self, lease: Lease, ended: Callable[[], None], *, wait: Callable[[float], bool] | None = None) -> None:
        """*wait* sleeps for so many seconds, or until the watch is stopped, and says whether it was stopped."""
        self._lease = lease
        self._ended = ended
        self._is_over = threading.Event()
        self._wait = wait or self._is_over.wait
        self._thread = threading.Thread(target=self.run, name="shiftboss-lease", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()

    def run(self) -> None:
        """The loop of its thread, until it is stopped."""
        while not self._wait(min(MAX_WAIT_S, self._lease.trusted_for_s or LATE_S)):
            if self._lease.is_trusted:
                continue
            late_s = self._lease.ended_for_s  # a little on a busy machine; more if it was suspended
            if self._wait(LATE_S - late_s if late_s < LATE_S else LATE_S):
                return
            if not self._lease.is_trusted:
                self._ended()
