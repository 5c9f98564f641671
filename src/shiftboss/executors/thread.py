"""Plain functions, each in a thread of a small pool of our own.

Rules of this file
- A thread cannot be stopped: past its timeout an attempt is told so (`ctx.cancelled`), called a zombie, and keeps its
  slot until its body really ends (B6).  Only then is it reported.
- Who takes an attempt out of `_attempts` reports it, outside the lock, so each is reported once.
- Threads are made when they are needed and kept until `close`; one more watches the timeouts of all attempts.

The threads are daemons, unlike those of `concurrent.futures`, which the interpreter joins at its exit: there a body
that never ends keeps the process for ever, against G3.  A daemon is frozen wherever it is when the interpreter goes
down.  Here that meets only bodies that were given up: before that the engine drains and closes this pool, also where
nobody stopped it (`app/process_end.py`).
"""

from __future__ import annotations

import contextvars
import math
import sys
import threading
from collections import deque
from collections.abc import Iterable, Mapping

from shiftboss.clock import Clock
from shiftboss.context import Announcement, Context, current
from shiftboss.core.model import Interrupted, Outcome
from shiftboss.executors import connections
from shiftboss.executors.attempt import CLOSED, JUST_S, MAX_WAIT_S, TIMEOUT, Attempt, Key, no_thread
from shiftboss.executors.failure import stack_of
from shiftboss.logs import get_logger
from shiftboss.ports import Launch, StopReason

IDLE_NAME = "shiftboss-idle"

log = get_logger("shiftboss.executors")


class ThreadExecutor:
    """Runs plain functions in at most *slots* threads.  Their context variables are those of where this was made."""

    kind = "thread"

    def __init__(self, slots: int, clock: Clock) -> None:
        self.slots = slots
        self._clock = clock
        self._base = contextvars.copy_context()
        self._announcement = Announcement()
        self._lock = threading.Lock()  # protects everything below, and `told` and `look_at_s` of every attempt
        self._work = threading.Condition(self._lock)  # something to begin, or the end
        self._watch = threading.Condition(self._lock)  # something to look at earlier, or the end
        self._attempts: dict[Key, Attempt] = {}  # waiting and begun
        self._waiting: deque[Attempt] = deque()  # not begun; some may have been taken out of `_attempts`
        self._threads: set[threading.Thread] = set()
        self._watcher: threading.Thread | None = None
        self._look_s = math.inf  # when the watcher looks next
        self._closed = False
        self._entered: dict[int, tuple[str, int, float]] = {}  # thread → worker and run of its last body, and its end

    def open(self) -> None:
        with self._lock:
            self._closed = False
            self._announcement = Announcement()

    # ── called by the engine's thread ────────────────────────────────────────────────────────────────────────────

    def start(self, launches: Iterable[Launch]) -> None:
        started = [Attempt(launch, Context(launch, self._clock, self._announcement)) for launch in launches]
        refused: list[Attempt] = []
        outcome: Outcome = Interrupted(reason=CLOSED, began=False)
        shortage: RuntimeError | None = None
        with self._lock:
            if self._closed:
                refused = started
            else:
                self._attempts.update((attempt.key, attempt) for attempt in started)
                self._waiting.extend(started)
                try:
                    self._staff()
                except RuntimeError as error:  # the system gives no more threads
                    shortage = error
                    if not self._threads:  # a failure, so that its back-off gives the machine time
                        refused, outcome = self._unbegun(), no_thread(error)
                self._work.notify(len(started))
        if shortage is not None:
            log.warning("no thread could be started (%s); attempts wait for the threads there are, or fail", shortage)
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
        """There is no force against a thread: those that go on untold are told."""
        for run_id, fence in [attempt.key for attempt in list(self._attempts.values()) if attempt.told is None]:
            self.stop(run_id, fence, StopReason.SHUTDOWN)

    def flush(self) -> None:
        """Pass on what bodies said and was held back; for the engine's tick."""
        for attempt in list(self._attempts.values()):
            attempt.context.flush()

    def trust(self, until_s: float, *, frozen_until_s: float) -> None:
        """What runs here stands still with its node, or is nobody's to end."""

    def unended(self) -> Mapping[Key, tuple[Outcome, float]]:
        now_s = self._clock.monotonic_s()
        return {attempt.key: attempt.left_behind(now_s) for attempt in list(self._attempts.values())}

    def occupants(self) -> Mapping[tuple[str, int], int]:
        since_s = self._clock.monotonic_s() - JUST_S
        entered = self._entered.copy()
        return {(worker, run): thread for thread, (worker, run, ended_s) in entered.items() if ended_s >= since_s}

    def close(self, timeout_s: float) -> None:
        """Send the threads home; one whose body goes on past *timeout_s* is left to it, and reports if it ever ends."""
        until_s = self._clock.monotonic_s() + timeout_s
        with self._lock:
            self._closed = True
            unbegun = self._unbegun()
            self._work.notify_all()
            self._watch.notify_all()
            threads = [*self._threads, *([self._watcher] if self._watcher is not None else [])]
        for attempt in unbegun:
            self._report(attempt, attempt.never_begun(StopReason.SHUTDOWN))
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until_s - self._clock.monotonic_s()))

    # ── threads ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _staff(self) -> None:
        """See to it that there is a thread for each attempt, within the slots, and the watch.  Holds the lock."""
        for _ in range(min(self.slots, len(self._attempts)) - len(self._threads)):
            thread = threading.Thread(target=self._serve, name=IDLE_NAME, daemon=True)
            thread.start()
            self._threads.add(thread)
        if self._watcher is None:
            watcher = threading.Thread(target=self._keep_watch, name="shiftboss-timeouts", daemon=True)
            watcher.start()
            self._watcher = watcher

    def _unbegun(self) -> list[Attempt]:
        """Take out all that wait.  Holds the lock."""
        taken = [attempt for attempt in self._waiting if self._attempts.pop(attempt.key, None) is not None]
        self._waiting.clear()
        return taken

    def _serve(self) -> None:
        me = threading.current_thread()
        while (attempt := self._next(me)) is not None:
            me.name = f"shiftboss-{attempt.launch.run.worker}"
            self._base.copy().run(self._run, attempt)
            me.name = IDLE_NAME
            del attempt  # an idle thread keeps nobody's objects alive
        connections.close_all()

    def _next(self, me: threading.Thread) -> Attempt | None:
        """The next attempt, begun; None at the end."""
        with self._lock:
            while not self._closed:
                while self._waiting:
                    attempt = self._waiting.popleft()
                    if attempt.key in self._attempts:
                        attempt.place = me.ident
                        self._entered[attempt.place] = (attempt.launch.run.worker, attempt.launch.run.id, math.inf)
                        attempt.begin(self._clock.monotonic_s())
                        self._look_at(attempt.look_at_s)
                        return attempt
                self._work.wait()
            self._threads.discard(me)
            self._entered.pop(me.ident or 0, None)
            return None

    def _run(self, attempt: Attempt) -> None:
        current.set(attempt.context)
        try:
            value = attempt.call()
            self._take(attempt)
            outcome = attempt.returned(value)
        except BaseException as error:  # noqa: BLE001  # the boundary around a handler: whatever it raises is an outcome
            self._take(attempt)
            outcome = attempt.raised(error)
        self._report(attempt, outcome)

    def _take(self, attempt: Attempt) -> None:
        """The body has ended: from here on nothing can be told to it."""
        with self._lock:
            now_s, run = self._clock.monotonic_s(), attempt.launch.run
            self._attempts.pop(attempt.key, None)
            self._entered[attempt.place] = (run.worker, run.id, now_s)
            attempt.ended(now_s)

    def _report(self, attempt: Attempt, outcome: Outcome) -> None:
        attempt.report(outcome, self._clock.monotonic_s())

    # ── timeouts ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _tell(self, attempt: Attempt, reason: str) -> None:
        """Holds the lock."""
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
            del due[:]  # nor does the watch keep any

    def _await_due(self) -> list[Attempt] | None:
        """The attempts whose time is up, when it is; None at the end."""
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

    def _overdue(self, attempt: Attempt) -> None:
        """B6: tell it, if it was not told before, and call it a zombie."""
        frame = sys._current_frames().get(attempt.place)
        stack = stack_of(frame) if frame is not None and attempt.told is None else ""
        with self._lock:
            if attempt.key not in self._attempts:
                return
            if attempt.told is None:
                attempt.tell(TIMEOUT, self._clock.monotonic_s())
                attempt.stack = stack  # of this attempt: its thread has not left it
            attempt.look_at_s = math.inf
            is_new, attempt.zombie = not attempt.zombie, True
        if is_new:
            attempt.outlived(self._clock.now())
