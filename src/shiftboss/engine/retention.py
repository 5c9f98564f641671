"""Old history is deleted, a little at a time (A4).

Rules of this file
- It prunes only when the engine has nothing else to do: a bounded batch in a transaction of its own, and the next one a
  second later.
- core/retention.py says what is deleted, and for how long it is kept.
"""

from __future__ import annotations

from shiftboss.clock import Clock
from shiftboss.core.retention import BATCH, Keep, cutoffs
from shiftboss.ports.store import Session

EVERY_S = 60.0
AGAIN_S = 1.0  # after a full batch, because there is more


class Retention:
    def __init__(self, session: Session, clock: Clock, keep: Keep) -> None:
        self._session = session
        self._clock = clock
        self._keep = keep
        self._next_s = clock.monotonic_s() + EVERY_S

    def prune_if_due(self) -> None:
        """Raises what the store raises."""
        now_s = self._clock.monotonic_s()
        if now_s < self._next_s:
            return
        with self._session.read() as reader:
            mark = reader.clock_mark()
        gone = self._session.prune(cutoffs(self._keep, mark, self._clock.now()), limit=BATCH)
        self._next_s = now_s + (AGAIN_S if gone >= BATCH else EVERY_S)

    @property
    def due_in_s(self) -> float:
        return max(0.0, self._next_s - self._clock.monotonic_s())
