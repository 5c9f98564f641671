"""Does the store take writes?  For those who have no engine that would know: a command, a test (H3, W3).

Rules of this file
- A write is begun and rolled back: it leaves nothing, and waits no longer than `TRY_WITHIN_S`.
- The answer is good for `GOOD_FOR_S`: a reader that asks ten times a second must not get in the way of writers.
"""

from __future__ import annotations

from shiftboss.clock import SystemClock
from shiftboss.core.health import StoreTrouble
from shiftboss.errors import OperatorError
from shiftboss.ports.store import Session, Store

TRY_WITHIN_S = 2.0  # a busy store gives its lock within 0.1 s
GOOD_FOR_S = 2.0

_clock = SystemClock()  # a lock is waited for in real time, whatever clock the rules use


class StoreTrial:
    """Tries one session; used only by the session's thread."""

    def __init__(self, store: Store, session: Session) -> None:
        self._store = store
        self._session = session
        self._tried_s = float("-inf")
        self._trouble: StoreTrouble | None = None

    def trouble(self) -> StoreTrouble | None:
        """What keeps the store from taking new work; None if nothing does that can be seen from this process."""
        now_s = _clock.monotonic_s()
        if now_s - self._tried_s >= GOOD_FOR_S:
            self._trouble = self._try()
            self._tried_s = _clock.monotonic_s()
        return self._trouble

    def _try(self) -> StoreTrouble | None:
        trouble = self._store.trouble
        if trouble is not None:
            return StoreTrouble(trouble)
        try:
            self._session.try_lock(TRY_WITHIN_S)
        except OperatorError as error:
            return StoreTrouble.of(error)
        return None
