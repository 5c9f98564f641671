"""Runs async functions on the user's own event loop.

Rules of this file
- Each call enters the loop once for all its attempts, and one timer serves the timeouts of all attempts.
- Only the loop's thread touches an attempt.  The engine's thread adds new ones to `_attempts`; the code that removes
  an attempt reports it.  So each is reported once.
- A function is told to stop by cancelling its task, again after each grace while it goes on (T2).  It keeps its slot
  until it has ended.
- A closed loop never raises into the engine: the attempts on it were interrupted, and the engine is told, once.
- A Ctrl-C is raised in whatever the loop's thread runs.  If that is a function, its attempt was interrupted, and the
  Ctrl-C is passed on to the loop.
- Code that ends a loop cancels every task on it, as `asyncio.run` does when its main function is over or failed.  A
  task of our own that only waits is then cancelled too: that tells this case from the cancellation of one function.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import isawaitable
from typing import Any

from shiftboss.clock import Clock
from shiftboss.context import Announcement, Context, current
from shiftboss.core.model import Outcome
from shiftboss.executors import connections
from shiftboss.executors.execution import CLOSED, JUST_S, MAX_WAIT_S, TIMEOUT, Execution, Key
from shiftboss.executors.failure import is_ctrl_c
from shiftboss.ports.executor import Launch, StopReason

MAX_BEGUN_AT_ONCE = 200  # tasks made before the loop serves other callbacks: about 1 ms
LOOP_CLOSED = "the event loop was closed"
LOOP_ENDS = "the event loop was stopped and all tasks on it were cancelled"
MIN_LOOK_GAP_S = 0.01  # a look visits all attempts; with 10,000 of them it takes a millisecond


class CoroutineExecutor:
    """Runs async functions on *loop*.  They get the context variables of the place where this was made."""

    kind = "coroutine"

    def __init__(self, loop: asyncio.AbstractEventLoop, slots: int, clock: Clock, *, needs_loop: bool = True) -> None:
        """*needs_loop*: a worker of this node is a coroutine function; otherwise the node goes on without the loop."""
        self.slots = slots
        self.on_loop_lost: Callable[[str], None] = lambda why: None
        self._needs_loop = needs_loop
        self._standing: asyncio.Task[None] | None = None  # cancelled when every task on the loop is
        self._is_lost = False
        self._thread: int | None = None  # the loop's thread
        self._loop = loop
        self._clock = clock
        self._base = contextvars.copy_context()
        self._announcement = Announcement()
        self._attempts: dict[Key, Execution] = {}
        self._waiting: deque[Execution] = deque()  # not begun; used on the loop only
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = math.inf  # when it fires
        self._emptied: threading.Event | None = None  # set when the last attempt has ended, if `close` waits for that
        self._is_closed = False
        self._lately: tuple[str, int, float] = ("", 0, -math.inf)  # worker, run and end of the function that ended last

    def open(self) -> None:
        self._announcement = Announcement()
        self._is_closed = self._is_lost = False
        self._standing = None
        self._on_loop(self._stand)

    # ── called by the engine's thread ────────────────────────────────────────────────────────────────────────────

    def start(self, launches: Iterable[Launch]) -> None:
        started = []
        for launch in launches:
            attempt = Execution(launch, Context(launch, self._clock, self._announcement))
            self._attempts[attempt.key] = attempt
            started.append(attempt)
        if self._is_closed:
            for attempt in started:
                self._end(attempt, attempt.broken_off(CLOSED))
        else:
            self._on_loop(self._begin, started)

    def stop(self, run_id: int, fence: int, reason: StopReason) -> None:
        self._on_loop(self._stop, (run_id, fence), reason)

    def announce(self) -> None:
        self._announcement.make()
        if self._loop.is_closed():
            self._gone()

    def main_is_over(self) -> None:
        """The process ends: a loop that does not run now will not run again."""
        if not self._loop.is_running():
            self._gone()

    def kill(self) -> None:
        """A coroutine cannot be ended by force: cancel all at once, and again those in their grace."""
        self._on_loop(self._kill, list(self._attempts.values()))

    def flush(self) -> None:
        """Pass on reports of functions that were held back; called from the engine's tick."""
        for attempt in list(self._attempts.values()):
            attempt.context.flush()

    def trust(self, until_s: float, *, frozen_until_s: float) -> None:
        """Nothing to do: what runs here stops with its node, or cannot be ended."""

    def unended(self) -> Mapping[Key, tuple[Outcome, float]]:
        now_s = self._clock.monotonic_s()
        return {attempt.key: attempt.left_behind(now_s) for attempt in list(self._attempts.values())}

    def running(self) -> tuple[str, int] | None:
        """Worker and run of the function that occupies the loop now (H6).  Called from another thread."""
        task = asyncio.current_task(self._loop)
        if task is None:
            return None
        for attempt in list(self._attempts.values()):
            if attempt.runner is task:
                return attempt.launch.run.worker, attempt.launch.run.id
        context = task.get_context().get(current) if hasattr(task, "get_context") else None  # a child task; from 3.12
        return None if context is None else (context.worker, context.run_id)

    def occupants(self) -> Mapping[tuple[str, int], int]:
        runs = [attempt.launch.run for attempt in list(self._attempts.values()) if attempt.has_begun]
        bodies = {(run.worker, run.id): self._thread or 0 for run in runs}
        worker, run_id, ended_s = self._lately
        if ended_s >= self._clock.monotonic_s() - JUST_S:
            bodies[worker, run_id] = self._thread or 0
        return bodies

    def close(self, timeout_s: float) -> None:
        """Wait for the last attempts, at most *timeout_s*; a function that still runs keeps its attempt."""
        self._is_closed = True
        if self._standing is not None and not self._loop.is_closed():
            self._on_loop(self._standing.cancel)
        if not self._loop.is_running():
            self._gone()
        elif not self.is_on_loop():
            self._emptied = threading.Event()
            if self._attempts:
                self._emptied.wait(timeout_s)

    def _on_loop(self, step: Any, *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(step, *arguments)
        except RuntimeError:  # it is closed
            self._gone()

    def is_on_loop(self) -> bool:
        """Whether the caller runs on the loop's thread.  With gevent all greenlets of a thread see its loop run."""
        try:
            return asyncio.get_running_loop() is self._loop and self._thread == threading.get_ident()
        except RuntimeError:
            return False

    def _gone(self) -> None:
        """The loop has stopped for good: nothing on it goes on."""
        for attempt in list(self._attempts.values()):
            if attempt.has_begun:
                _say_nothing(attempt.runner)
                if not self._loop.is_closed():
                    attempt.runner.cancel(LOOP_CLOSED)  # if the loop is run once more, the function ends
            self._end(attempt, attempt.broken_off(LOOP_CLOSED))
        self._lost(LOOP_CLOSED)

    def _lost(self, why: str) -> None:
        """Report that nothing can run on the loop any more: once, and not while this executor is closing."""
        if self._needs_loop and not self._is_lost and not self._is_closed:
            self._is_lost = True
            self.on_loop_lost(why)

    # ── on the loop ──────────────────────────────────────────────────────────────────────────────────────────────

    def _stand(self) -> None:
        self._thread = threading.get_ident()
        if self._needs_loop and not self._is_closed:
            self._standing = self._loop.create_task(self._stand_by(), name="shiftboss")
            _say_nothing(self._standing)

    async def _stand_by(self) -> None:
        try:
            await self._loop.create_future()
        except asyncio.CancelledError:
            self._lost(LOOP_ENDS)

    @property
    def _is_ending(self) -> bool:
        """Whether every task on the loop was cancelled; true before any of them runs again."""
        return self._is_lost or (self._standing is not None and self._standing.cancelling() > 0)

    def _begin(self, started: Sequence[Execution]) -> None:
        if self._is_ending:
            for attempt in started:
                self._end(attempt, attempt.broken_off(LOOP_ENDS))
            return
        self._waiting.extend(started)
        if len(self._waiting) == len(started):  # otherwise `_begin_some` is already scheduled
            self._begin_some()

    def _begin_some(self) -> None:
        create_task, waiting = self._loop.create_task, self._waiting
        begun = [waiting.popleft() for _ in range(min(len(waiting), MAX_BEGUN_AT_ONCE))]
        for attempt in begun:
            if attempt.key in self._attempts:
                name = attempt.launch.run.worker
                attempt.runner = create_task(self._run(attempt), name=name, context=self._base.copy())
        self._loop.call_soon(self._check_begun, begun)
        if waiting:
            self._loop.call_soon(self._begin_some)

    def _check_begun(self, begun: Sequence[Execution]) -> None:
        """Called after the tasks' first steps: a task that was cancelled before that never enters its function.

        A done callback on each task would see that too, for 1.5 µs each (measured).
        """
        for attempt in begun:
            if not attempt.has_begun:
                self._end(attempt, attempt.broken_off("its task was cancelled by other code on the event loop"))

    async def _run(self, attempt: Execution) -> None:
        if attempt.key not in self._attempts:  # stopped before its task's first step
            return
        current.set(attempt.context)
        attempt.enter(self._clock.monotonic_s())
        if attempt.look_at_s < self._timer_s:
            self._look_at(attempt.look_at_s)
        try:
            value = attempt.call()
            if isawaitable(value):
                value = await value
            attempt.ended(self._clock.monotonic_s())
            outcome = attempt.returned(value)
        except BaseException as error:  # the boundary around a handler: whatever it raises is an outcome
            attempt.ended(self._clock.monotonic_s())
            if attempt.stop_reason is None and self._is_ending:
                attempt.heed(StopReason.SHUTDOWN)
            if is_ctrl_c(error):
                self._end(attempt, attempt.broken_off("Ctrl-C"))
                raise  # it belongs to the program
            # A coroutine left on a closed loop is unwound when it is collected: that is no failure of the function.
            outcome = attempt.broken_off(LOOP_CLOSED) if self._loop.is_closed() else attempt.raised(error)
            connections.after_a_failure_on_the_loop()
        self._end(attempt, outcome)

    def _end(self, attempt: Execution, outcome: Outcome) -> None:
        if self._attempts.pop(attempt.key, None) is not None:
            now_s, run = self._clock.monotonic_s(), attempt.launch.run
            self._lately = (run.worker, run.id, now_s)
            attempt.report(outcome, now_s)
            if self._emptied is not None and not self._attempts:
                self._emptied.set()

    def _stop(self, key: Key, reason: StopReason) -> None:
        attempt = self._attempts.get(key)
        if attempt is None:
            return
        if attempt.stop_reason is None:
            self._tell(attempt, reason, self._clock.monotonic_s())
        else:  # its task is already cancelled, and may be in its cleanup
            attempt.heed(reason)

    def _kill(self, attempts: Sequence[Execution]) -> None:
        now_s = self._clock.monotonic_s()
        for attempt in attempts:
            if attempt.key in self._attempts:
                self._tell(attempt, attempt.stop_reason or StopReason.SHUTDOWN, now_s)

    def _tell(self, attempt: Execution, reason: str, now_s: float) -> None:
        if not attempt.has_begun:
            self._end(attempt, attempt.never_begun(reason))
            return
        attempt.tell(reason, now_s)
        attempt.runner.cancel(str(reason))
        self._look_at(attempt.look_at_s)

    def _look_at(self, at_s: float) -> None:
        """Have `_look` called at *at_s* or earlier."""
        if at_s < self._timer_s:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_s = at_s
            self._timer = self._loop.call_later(min(MAX_WAIT_S, max(0.0, at_s - self._clock.monotonic_s())), self._look)

    def _look(self) -> None:
        """Tell the attempts whose time is up.

        One timer serves all: a timer of its own would cost each attempt 1.5 µs.
        """
        now_s, next_s = self._clock.monotonic_s(), math.inf
        self._timer, self._timer_s = None, -math.inf  # nobody sets the timer meanwhile: the end of this function does
        for attempt in list(self._attempts.values()):
            if attempt.look_at_s <= now_s:
                self._overdue(attempt, now_s)
            next_s = min(next_s, attempt.look_at_s)
        self._timer_s = math.inf
        if next_s < math.inf:
            self._look_at(max(next_s, now_s + MIN_LOOK_GAP_S))

    def _overdue(self, attempt: Execution, now_s: float) -> None:
        if attempt.stop_reason is not None and not attempt.zombie:
            attempt.zombie = True
            attempt.outlived(self._clock.now())
        self._tell(attempt, attempt.stop_reason or TIMEOUT, now_s)


def _say_nothing(task: asyncio.Task[Any]) -> None:
    """Keep asyncio from warning of a pending task: on a closed or stopped loop that is no mistake of the user's."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # as asyncio.gather does
