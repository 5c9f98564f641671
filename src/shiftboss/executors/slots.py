"""What the thread, command and pool executors share: how attempts wait for a slot, are told to end, and are reported.

Rules of this file
- The code that takes an attempt out of `_attempts` reports it, outside the lock.  So each is reported once.
- An attempt that waits is stopped at once.  One that has begun is told to end, and is reported when it has ended.  Each
  executor knows how to tell it, and what it can end by force.
- Threads are made when there is work.  If the system gives no more, attempts wait for the threads that exist.  If none
  exists they fail, so that their back-off gives the machine time.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterable, Mapping

from shiftboss.clock import Clock
from shiftboss.context import Announcement, Context
from shiftboss.core.model import Interrupted, Outcome
from shiftboss.executors.execution import CLOSED, Execution, Key, no_thread
from shiftboss.logs import get_logger
from shiftboss.ports.executor import Launch, StopReason

log = get_logger("shiftboss.executors")


class SlotExecutor:
    """Implements `ports.Executor`, but for how threads are made (`_staff`) and attempts told (`_tell`)."""

    kind: str

    def __init__(self, slots: int, clock: Clock) -> None:
        self.slots = slots
        self._clock = clock
        self._announcement = Announcement()
        self._lock = threading.Lock()  # protects the executor's state, and what other threads may set of an attempt
        self._attempts: dict[Key, Execution] = {}  # waiting and begun
        self._waiting: deque[Execution] = deque()  # some may have been taken out of `_attempts` meanwhile
        self._threads: set[threading.Thread] = set()
        self._closed = False

    def open(self) -> None:
        with self._lock:
            self._closed = False
            self._announcement = Announcement()

    # ── called by the engine's thread ────────────────────────────────────────────────────────────────────────────

    def start(self, launches: Iterable[Launch]) -> None:
        """Take *launches* in; each begins when a slot is free.  Returns at once."""
        started = [Execution(launch, Context(launch, self._clock, self._announcement)) for launch in launches]
        refused: list[Execution] = []
        outcome: Outcome = Interrupted(reason=CLOSED, began=False)
        shortage: RuntimeError | None = None
        with self._lock:
            if self._closed:
                refused = started
            else:
                self._attempts.update((attempt.key, attempt) for attempt in started)
                self._waiting.extend(started)
                try:
                    self._staff(len(started))
                except RuntimeError as error:  # the system gives no more threads
                    shortage = error
                    if not self._threads:
                        refused, outcome = self._unbegun(), no_thread(error)
        if shortage is not None:
            log.warning("no new thread could be started (%s); attempts wait for an existing thread, or fail", shortage)
        for attempt in refused:
            self._report(attempt, outcome)

    def stop(self, run_id: int, fence: int, reason: StopReason) -> None:
        with self._lock:
            attempt = self._attempts.get((run_id, fence))
            if attempt is None:
                return
            if attempt.has_begun:
                self._tell(attempt, reason)
                return
            del self._attempts[attempt.key]
        self._report(attempt, attempt.never_begun(reason))

    def announce(self) -> None:
        self._announcement.make()

    def kill(self) -> None:
        """Tell all attempts to end that were not told yet; none can be ended by force."""
        for run_id, fence in [attempt.key for attempt in list(self._attempts.values()) if attempt.stop_reason is None]:
            self.stop(run_id, fence, StopReason.SHUTDOWN)

    def flush(self) -> None:
        """Pass on reports of functions that were held back; called from the engine's tick."""
        for attempt in list(self._attempts.values()):
            attempt.context.flush()

    def trust(self, until_s: float, *, frozen_until_s: float) -> None:
        """Nothing to do: what runs here stops with its node, or cannot be ended."""

    def unended(self) -> Mapping[Key, tuple[Outcome, float]]:
        now_s = self._clock.monotonic_s()
        return {attempt.key: attempt.left_behind(now_s) for attempt in list(self._attempts.values())}

    def occupants(self) -> Mapping[tuple[str, int], int]:
        return {}

    # ── for each executor ────────────────────────────────────────────────────────────────────────────────────────

    def _staff(self, started: int) -> None:
        """Make threads for so many new attempts, or wake some.  Raises RuntimeError.  Holds the lock."""
        raise NotImplementedError

    def _tell(self, attempt: Execution, reason: str) -> None:
        """Tell an attempt that has begun to end.  Holds the lock."""
        raise NotImplementedError

    def _begin_next(self) -> Execution | None:
        """Begin the next attempt that waits; None if there is none.  Holds the lock."""
        while self._waiting:
            attempt = self._waiting.popleft()
            if attempt.key in self._attempts:
                attempt.enter(self._clock.monotonic_s())
                return attempt
        return None

    def _unbegun(self) -> list[Execution]:
        """Take out all attempts that have not begun.  Holds the lock."""
        unbegun = [attempt for attempt in self._waiting if not attempt.has_begun]
        self._waiting.clear()
        return [attempt for attempt in unbegun if self._attempts.pop(attempt.key, None) is not None]

    def _shut(self) -> list[threading.Thread]:
        """Begin nothing more; return the threads that still run.  The caller wakes those that wait."""
        with self._lock:
            self._closed = True
            unbegun, threads = self._unbegun(), list(self._threads)
        for attempt in unbegun:
            self._report(attempt, attempt.never_begun(StopReason.SHUTDOWN))
        return threads

    def _join(self, threads: Iterable[threading.Thread], until_s: float) -> None:
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until_s - self._clock.monotonic_s()))

    def _outlives(self, attempt: Execution) -> bool:
        """Note that an attempt runs beyond its time (B6); whether that is new.  Holds the lock."""
        attempt.look_at_s = math.inf
        is_new, attempt.zombie = not attempt.zombie, True
        return is_new

    def _report(self, attempt: Execution, outcome: Outcome) -> None:
        attempt.report(outcome, self._clock.monotonic_s())
