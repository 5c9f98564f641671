"""One operation, for callers with an event loop and for callers without one.

Rules of this file
- An operation is written once, as the mutation that it gives the engine.  `on_loop` awaits the answer, `in_thread`
  blocks for it.
- Nobody waits forever: without an answer in time the caller gets `StoreUnavailable`, and the commit is in doubt (H5).
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from shiftboss.engine.mutation import Answer, LoopAnswer, ThreadAnswer
from shiftboss.errors import StoreUnavailable, WaitTimeout

ANSWER_WITHIN_S = 6.0  # the store itself gives up after 5 s and says why: its answer must come first

Put = Callable[[Answer], None]


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _unanswered(within_s: float = ANSWER_WITHIN_S) -> StoreUnavailable:
    return StoreUnavailable(
        f"no answer within {within_s:.3g} s; it is unknown whether the call was stored, so repeat it with a key",
        maybe_stored=True,
    )


class AnswerTimeouts:
    """Rejects answers that a loop's callers have waited for too long; one timer per loop, however many wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: deque[tuple[float, LoopAnswer]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, answer: LoopAnswer) -> None:
        waiting = self._waiting
        while waiting and waiting[0][1].future.done():  # otherwise the answers of the last seconds would be kept alive
            waiting.popleft()
        waiting.append((self.loop.time() + ANSWER_WITHIN_S, answer))
        if self._timer is None:
            self._timer = self.loop.call_later(ANSWER_WITHIN_S, self._sweep)

    def _sweep(self) -> None:
        now_s = self.loop.time()
        while self._waiting and (self._waiting[0][0] <= now_s or self._waiting[0][1].future.done()):
            answer = self._waiting.popleft()[1]
            if not answer.future.done():
                answer.reject(_unanswered())
        self._timer = self.loop.call_at(self._waiting[0][0], self._sweep) if self._waiting else None


_deadlines: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AnswerTimeouts] = weakref.WeakKeyDictionary()
_latest: list[AnswerTimeouts] = []  # of the loop that called last, which is nearly always the only one


def _deadlines_of(loop: asyncio.AbstractEventLoop) -> AnswerTimeouts:
    if _latest and _latest[0].loop is loop:
        return _latest[0]
    deadlines = _deadlines.get(loop)
    if deadlines is None:
        deadlines = _deadlines[loop] = AnswerTimeouts(loop)
    _latest[:] = [deadlines]
    return deadlines


def on_loop(put: Put) -> asyncio.Future[Any]:
    """Give the engine a mutation; returns the future of its answer.  Raises what the rule or the store raises.

    It is no coroutine: a busy loop awaits thousands of answers a second, and each frame on the way costs time.
    """
    loop = asyncio.get_running_loop()
    answer = LoopAnswer(loop)
    put(answer)
    _deadlines_of(loop).add(answer)
    return answer.future


async def on_loop_within(put: Put, *, within_s: float) -> Any:
    """Like `on_loop`, for a mutation that may take longer than others."""
    answer = LoopAnswer(asyncio.get_running_loop())
    put(answer)
    try:
        return await asyncio.wait_for(answer.future, within_s)
    except TimeoutError:
        raise _unanswered(within_s) from None


def in_thread(put: Put, *, within_s: float = ANSWER_WITHIN_S) -> Any:
    """Give the engine a mutation and block for its answer."""
    answer = ThreadAnswer()
    put(answer)
    try:
        return answer.future.result(within_s)
    except FutureTimeout:
        raise _unanswered(within_s) from None


async def wait_on_loop(put: Put, *, timeout_s: float | None, what: str) -> Any:
    """Like `on_loop`, for an answer that may take long; *timeout_s* None: no limit.  Raises WaitTimeout."""
    answer = LoopAnswer(asyncio.get_running_loop())
    put(answer)
    try:
        return await asyncio.wait_for(answer.future, timeout_s)
    except TimeoutError:
        raise WaitTimeout(f"{what} has not ended after {timeout_s:g} s; it goes on") from None


def wait_in_thread(put: Put, *, timeout_s: float | None, what: str) -> Any:
    """Like `in_thread`, for an answer that may take long; *timeout_s* None: no limit.  Raises WaitTimeout."""
    answer = ThreadAnswer()
    put(answer)
    try:
        return answer.future.result(timeout_s)
    except FutureTimeout:
        raise WaitTimeout(f"{what} has not ended after {timeout_s:g} s; it goes on") from None
