"""Old history goes, a little at a time (A4).

Rules of this file
- Only when the engine has nothing else to do, a bounded batch in a transaction of its own; what is left waits a second.
- What may go is the store's to know: finished runs that nothing unresolved refers to, closed dead letters, old events,
  and of the audit what is sealed.
"""

from __future__ import annotations

from shiftboss.clock import Clock
from shiftboss.core.clock_step import since
from shiftboss.core.value import Value
from shiftboss.ports import Session

BATCH = 500  # rows: some 10 ms of the write lock
EVERY_S = 60.0
AGAIN_S = 1.0  # after a full batch: there is more


class Keep(Value, frozen=True):
    """For how long: finished runs and events (14 days), closed dead letters (30 days), what people did (a year)."""

    runs_s: float = 14 * 86400.0
    letters_s: float = 30 * 86400.0
    audit_s: float = 365 * 86400.0


KEEP = Keep()


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
        now = self._clock.now()
        runs_before, letters_before = since(mark, now, self._keep.runs_s), since(mark, now, self._keep.letters_s)
        gone = self._session.prune(
            runs_before=runs_before,
            letters_before=letters_before,
            events_before=runs_before,
            audit_before=since(mark, now, self._keep.audit_s),
            limit=BATCH,
        )
        self._next_s = now_s + (AGAIN_S if gone >= BATCH else EVERY_S)

    @property
    def due_in_s(self) -> float:
        return max(0.0, self._next_s - self._clock.monotonic_s())
