"""Does the event loop still answer, and if not, whose function blocks it? (H6)

Rules of this file
- It has no thread of its own: the engine calls `check` at each tick, from outside the loop.
- A blockage is reported once.  Nothing here waits for the loop, and a loop that is closed or idle is not blocked.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable

from shiftboss.clock import Clock
from shiftboss.core.value import Value
from shiftboss.logs import Block

THRESHOLD_S = 0.5  # a web request would notice; with a tick every second, a blockage of 2 s is surely seen
MAX_FRAMES = 20  # the innermost ones: enough to see what blocks

BLOCKED = (
    "the event loop has been blocked for %.1f s by %s; make it a plain function, which runs in a thread, or use await "
    "asyncio.to_thread(...)"
)


class Blocked(Value, frozen=True):
    """The loop has not answered for *lag_s*.  `worker` is None if other code than a worker's function runs there."""

    worker: str | None
    run: int | None
    lag_s: float
    stack: str

    def worded(self) -> tuple[str, float, str, Block]:
        """A log line's template and its arguments; the last argument is a block below the line."""
        who = "code outside any worker" if self.worker is None else f"worker {self.worker!r} (run {self.run})"
        return BLOCKED, self.lag_s, who, Block(self.stack)

    def __str__(self) -> str:
        template, lag_s, who, stack = self.worded()
        return f"{template % (lag_s, who)}\n{stack}".rstrip()


class Watchdog:
    """Watches *loop*; *running* says which worker's run occupies it right now."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        *,
        running: Callable[[], tuple[str, int] | None] = lambda: None,
        threshold_s: float = THRESHOLD_S,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._running = running
        self._threshold_s = threshold_s
        self._asked_s: float | None = None  # when the question was asked that the loop has not answered yet
        self._lag_s = 0.0  # of the last answer
        self._thread: int | None = None  # the loop's, known since its first answer
        self._is_told = False

    @property
    def lag_s(self) -> float:
        """How late the loop is: at its last answer, or by now if the answer that it owes is later still (H4)."""
        asked_s = self._asked_s
        owed_s = 0.0 if asked_s is None or not self._loop.is_running() else self._clock.monotonic_s() - asked_s
        return max(self._lag_s, owed_s)

    def check(self, now_s: float) -> Blocked | None:
        """Ask the loop to answer; if an answer is overdue, report who blocks it."""
        if not self._loop.is_running():
            self._asked_s, self._lag_s = None, 0.0
            return None
        asked_s = self._asked_s
        if asked_s is None:
            self._ask(now_s)
            return None
        if self._is_told or now_s - asked_s < self._threshold_s:
            return None
        self._is_told = True
        worker, run = self._running() or (None, None)
        return Blocked(worker, run, now_s - asked_s, self._stack())

    def _ask(self, now_s: float) -> None:
        self._asked_s, self._is_told = now_s, False
        try:
            self._loop.call_soon_threadsafe(self._answer, now_s)
        except RuntimeError:  # it was closed since we looked
            self._asked_s = None

    def _answer(self, asked_s: float) -> None:
        self._thread = threading.get_ident()
        if self._asked_s == asked_s:  # otherwise the question is older than a stop of the loop
            self._lag_s = self._clock.monotonic_s() - asked_s
            self._asked_s = None

    def _stack(self) -> str:
        frame = None if self._thread is None else sys._current_frames().get(self._thread)
        return "" if frame is None else "".join(traceback.format_stack(frame, limit=MAX_FRAMES))
