"""Runs plain functions in a small pool of threads.

Rules of this file
- A thread cannot be stopped.  Past its timeout an attempt is told to end (`ctx.cancelled`), counts as a zombie, and
  keeps its slot until its function ends (B6).  Only then is it reported.
- Threads are made when they are needed and kept until `close`; one more watches the timeouts of all attempts.

The threads are daemons.  The interpreter joins threads of `concurrent.futures` at its exit, so there a function that
never ends keeps the process forever, against G3.  A daemon thread is frozen wherever it is when the interpreter ends.
Here that affects only functions that were given up: before that, the engine drains and closes this pool, also if
nobody stopped it (`app/process_end.py`).
"""

from __future__ import annotations

import contextvars
import math
import sys
import threading
from collections.abc import Mapping

from shiftboss.clock import Clock
from shiftboss.context import current
from shiftboss.executors import connections
from shiftboss.executors.execution import JUST_S, MAX_WAIT_S, TIMEOUT, Execution
from shiftboss.executors.failure import stack_of
from shiftboss.executors.slots import SlotExecutor

IDLE_NAME = "shiftboss-idle"


class ThreadExecutor(SlotExecutor):
    """Runs plain functions in at most *slots* threads, with the context variables of the place where it was made."""

    kind = "thread"

    def __init__(self, slots: int, clock: Clock) -> None:
        super().__init__(slots, clock)
        self._base = contextvars.copy_context()
        self._work = threading.Condition(self._lock)  # there is an attempt to begin, or it was closed
        self._watch = threading.Condition(self._lock)  # there is an attempt to check earlier, or it was closed
        self._watcher: threading.Thread | None = None
        self._look_s = math.inf  # when the watcher looks next
        self._entered: dict[int, tuple[str, int, float]] = {}  # by thread: worker, run and end of its last function

    def occupants(self) -> Mapping[tuple[str, int], int]:
        since_s = self._clock.monotonic_s() - JUST_S
        entered = self._entered.copy()
        return {(worker, run): thread for thread, (worker, run, ended_s) in entered.items() if ended_s >= since_s}

    def close(self, timeout_s: float) -> None:
        """End the threads; one whose function goes on past *timeout_s* is left alone, and reports if it ever ends."""
        until_s = self._clock.monotonic_s() + timeout_s
        threads = self._shut()
        with self._lock:
            self._work.notify_all()
            self._watch.notify_all()
            threads += [self._watcher] if self._watcher is not None else []
        self._join(threads, until_s)

    # ── threads ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _staff(self, started: int) -> None:
        """Make a thread for each attempt, within the slots, and the watching thread."""
        self._work.notify(started)  # a thread that is woken waits for the lock
        for _ in range(min(self.slots, len(self._attempts)) - len(self._threads)):
            thread = threading.Thread(target=self._serve, name=IDLE_NAME, daemon=True)
            thread.start()
            self._threads.add(thread)
        if self._watcher is None:
            watcher = threading.Thread(target=self._keep_watch, name="shiftboss-timeouts", daemon=True)
            watcher.start()
            self._watcher = watcher

    def _serve(self) -> None:
        me = threading.current_thread()
        while (attempt := self._next(me)) is not None:
            me.name = f"shiftboss-{attempt.launch.run.worker}"
            self._base.copy().run(self._run, attempt)
            me.name = IDLE_NAME
            del attempt  # an idle thread must keep no user objects alive
        connections.close_all()

    def _next(self, me: threading.Thread) -> Execution | None:
        """Wait for the next attempt and begin it; None at the end."""
        with self._lock:
            while not self._closed:
                attempt = self._begin_next()
                if attempt is not None:
                    attempt.runner = me.ident
                    self._entered[attempt.runner] = (attempt.launch.run.worker, attempt.launch.run.id, math.inf)
                    self._look_at(attempt.look_at_s)
                    return attempt
                self._work.wait()
            self._threads.discard(me)
            self._entered.pop(me.ident or 0, None)
            return None

    def _run(self, attempt: Execution) -> None:
        """Call the function and report how it ended."""
        current.set(attempt.context)
        try:
            value = attempt.call()
            self._take(attempt)
            outcome = attempt.returned(value)
        except BaseException as error:  # noqa: BLE001  # the boundary around a handler: whatever it raises is an outcome
            self._take(attempt)
            outcome = attempt.raised(error)
        self._report(attempt, outcome)

    def _take(self, attempt: Execution) -> None:
        """The function has ended: from here on it cannot be told anything."""
        with self._lock:
            now_s, run = self._clock.monotonic_s(), attempt.launch.run
            self._attempts.pop(attempt.key, None)
            self._entered[attempt.runner] = (run.worker, run.id, now_s)
            attempt.ended(now_s)

    # ── timeouts ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _tell(self, attempt: Execution, reason: str) -> None:
        attempt.tell(reason, self._clock.monotonic_s())
        self._look_at(attempt.look_at_s)

    def _look_at(self, at_s: float) -> None:
        """Holds the lock."""
        if at_s < self._look_s:
            self._look_s = at_s
            self._watch.notify()

    def _keep_watch(self) -> None:
        while (due := self._await_due()) is not None:
            for attempt in due:
                self._overdue(attempt)
            del due[:]  # nor must the watching thread

    def _await_due(self) -> list[Execution] | None:
        """Wait for attempts past their timeout and return them; None at the end."""
        with self._lock:
            while not self._closed:
                now_s = self._clock.monotonic_s()
                if self._look_s > now_s:
                    self._watch.wait(min(MAX_WAIT_S, self._look_s - now_s))
                    continue
                later = [each.look_at_s for each in self._attempts.values() if each.look_at_s > now_s]
                self._look_s = min(later, default=math.inf)
                due = [each for each in self._attempts.values() if each.look_at_s <= now_s]
                if due:
                    return due
            self._watcher = None
            return None

    def _overdue(self, attempt: Execution) -> None:
        """Tell the attempt to end, if it was not told before, and report it as a zombie (B6)."""
        frame = sys._current_frames().get(attempt.runner)
        stack = stack_of(frame) if frame is not None and attempt.stop_reason is None else ""
        with self._lock:
            if attempt.key not in self._attempts:
                return
            if attempt.stop_reason is None:
                attempt.tell(TIMEOUT, self._clock.monotonic_s())
                attempt.stack = stack  # the stack is this attempt's: its thread still runs it
            is_new = self._outlives(attempt)
        if is_new:
            attempt.outlived(self._clock.now())
