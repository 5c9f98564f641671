"""The database's clock, read on this machine, so that all nodes agree on what is due and whose lease has ended.

Rules of this file
- Between two transactions local time passes, including suspended time; each transaction corrects it.  The server read
  its clock after the request left and before its answer came, so the difference lies between two bounds (Cristian
  1989). A difference within the bounds is kept, so that time does not jitter with the network.
- Durations and the trust in one's own lease use this machine's clock only.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from shiftboss.clock import Clock
from shiftboss.core.value import EPOCH


class DatabaseClock:
    """Wraps the local clock.  Thread-safe: every session of a store corrects the same clock."""

    leases_by_wall = True

    def __init__(self, local: Clock) -> None:
        self._local = local
        self._lock = threading.Lock()  # protects _ahead_s
        self._ahead_s = (local.now() - EPOCH).total_seconds() - local.elapsed_s()  # until the server has been asked
        self.boot = ""  # of the store, once it is open: all its nodes have the same

    @property
    def machine_boot(self) -> str:
        return self._local.machine_boot

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.lease_s())

    def monotonic_s(self) -> float:
        return self._local.monotonic_s()

    def elapsed_s(self) -> float:
        return self._local.elapsed_s()

    def lease_s(self) -> float:
        return self._local.elapsed_s() + self._ahead_s

    def correct(self, server_s: float, *, asked_s: float, answered_s: float) -> None:
        """The server's clock showed *server_s* (since 1970) at some moment between two readings of `elapsed_s`."""
        with self._lock:
            self._ahead_s = min(max(self._ahead_s, server_s - answered_s), server_s - asked_s)
