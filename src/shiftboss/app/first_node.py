"""A client that comes before the first node waits for the store, within a bound, or makes it.

Rules of this file
- Without `create=True` only a node makes a store: out of an address with a mistake in it would come an empty one.
- The wait is counted from the first look of its orchestrator and said once: who asks again later is answered at once.
"""

from __future__ import annotations

from shiftboss.clock import Clock
from shiftboss.errors import StoreMissing
from shiftboss.logs import get_logger

WAIT_S = 10.0  # between the starts of two processes of one deployment; a request that waits longer has failed anyway
LOOK_EVERY_S = 0.1  # nobody rings for a store that is not there

log = get_logger("shiftboss.store")


class Absence:
    """How long an orchestrator has found no store at its address."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_s: float | None = None

    @property
    def was_noticed(self) -> bool:
        return self._since_s is not None

    def pause_s(self, missing: StoreMissing, wait_s: float) -> float:
        """Until the next look.  Raises *missing* when it was waited for long enough."""
        now_s = self._clock.monotonic_s()
        if self._since_s is None:
            self._since_s = now_s
            if wait_s:
                log.warning("%s; it is waited for, up to %g s", missing, wait_s)
        left_s = self._since_s + wait_s - now_s
        if left_s <= 0:
            raise missing
        return min(LOOK_EVERY_S, left_s)

    def is_over(self, wait_s: float) -> bool:
        """Whether nothing is to be waited for any more."""
        return self._since_s is None or self._clock.monotonic_s() >= self._since_s + wait_s

    def ended(self) -> None:
        self._since_s = None
