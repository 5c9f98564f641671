"""A client that starts before the first node waits for it, up to a limit, or makes the store itself.

Rules of this file
- Without `create=True` only a node makes a store: otherwise a mistyped address would silently become an empty store.
- A store without any worker is waited for like a missing one: a node declares its workers a moment after it has made
  the store, and `shiftboss migrate` makes a store before any node starts.
- The wait is counted from the orchestrator's first look, and reported once: a later call is answered at once.
"""

from __future__ import annotations

from shiftboss.clock import Clock
from shiftboss.logs import get_logger

WAIT_S = 10.0  # between the starts of two processes of a deployment; a web request that waits longer has failed anyway
LOOK_EVERY_S = 0.1  # nobody sends a notification for a store that does not exist

log = get_logger("shiftboss.store")


class FirstNode:
    """How long an orchestrator has waited for the first node."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_s: float | None = None

    def pause_s(self, missing: object, wait_s: float) -> float:
        """Seconds until the next look for what is *missing*; 0 once *wait_s* seconds have been waited for it."""
        now_s = self._clock.monotonic_s()
        if self._since_s is None:
            self._since_s = now_s
            if wait_s:
                log.warning("%s; waiting for it, up to %g s", missing, wait_s)
        return max(0.0, min(LOOK_EVERY_S, self._since_s + wait_s - now_s))

    def came(self) -> None:
        self._since_s = None
