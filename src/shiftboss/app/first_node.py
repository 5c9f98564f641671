"""A client that comes before the first node waits for it, within a bound, or makes the store itself.

Rules of this file
- Without `create=True` only a node makes a store: out of an address with a mistake in it would come an empty one.
- A store in which nobody has declared a worker is waited for as one that is missing: a node declares a moment after it
  has made the store, and `shiftboss migrate` makes one before any node starts.
- The wait is counted from the first look of its orchestrator and said once: who asks again later is answered at once.
"""

from __future__ import annotations

from shiftboss.clock import Clock
from shiftboss.logs import get_logger

WAIT_S = 10.0  # between the starts of two processes of one deployment; a request that waits longer has failed anyway
LOOK_EVERY_S = 0.1  # nobody notifies us of a store that is not there

log = get_logger("shiftboss.store")


class FirstNode:
    """How long an orchestrator has waited for one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_s: float | None = None

    def pause_s(self, missing: object, wait_s: float) -> float:
        """Until the next look for what is *missing*; 0 once it was waited for long enough."""
        now_s = self._clock.monotonic_s()
        if self._since_s is None:
            self._since_s = now_s
            if wait_s:
                log.warning("%s; it is waited for, up to %g s", missing, wait_s)
        return max(0.0, min(LOOK_EVERY_S, self._since_s + wait_s - now_s))

    def came(self) -> None:
        self._since_s = None
