"""Calls the host's `authorize` to identify the user of a request; whatever it does, there is an answer in time.

Rules of this file
- If it raises, returns no role, or does not answer in time, that is the host's mistake: the request is refused with
  403, and the log says what happened, once a minute for each kind.
- A plain function runs in a thread.  A thread that hangs cannot be ended: it keeps its place, and places have a bound.
- Its answer is read in the same thread or task: reading a name may query a database (Django's lazy users do).
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import anyio
import anyio.to_thread

from shiftboss.clock import SystemClock
from shiftboss.errors import ConfigurationError
from shiftboss.executors import connections
from shiftboss.logs import get_logger
from shiftboss.web.log_throttle import LogThrottle, and_more
from shiftboss.web.problems import Problem

log = get_logger("shiftboss.web")

AUTHORIZE_WITHIN_S = 5.0  # a person waits for each page; a directory that is slower than that is down
MAX_THREADS = 40  # at a time, those that hang included: as many as Starlette has for a host's own functions
MAX_COROUTINES = 1000  # at a time; one that resists its cancellation keeps its place

T = TypeVar("T")


class HostAuthorize(Generic[T]):
    """*authorize* with a deadline; *read* converts its answer, or raises ConfigurationError."""

    def __init__(self, authorize: Callable[..., Any], read: Callable[[Any], T]) -> None:
        self._authorize = authorize
        self._read = read
        self._is_async = inspect.iscoroutinefunction(authorize) or inspect.iscoroutinefunction(
            getattr(type(authorize), "__call__", None)  # noqa: B004  # is it a coroutine function? not: is it callable?
        )
        self._places: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
        self._asked: set[_Question] = set()  # keeps those that go on after their deadline alive
        self._throttle = LogThrottle(SystemClock())

    async def __call__(self, request: Any) -> T:
        """Raises Problem."""
        asked = _Question(self._answer, request)
        self._asked.add(asked)
        asked.task.add_done_callback(lambda _: self._asked.discard(asked))
        try:
            await asyncio.wait((asked.task,), timeout=AUTHORIZE_WITHIN_S)
        finally:
            if not asked.is_in_thread:
                asked.task.cancel()
        if not asked.task.done() or asked.task.cancelled():
            raise self._refused("authorize-timeout", f"authorize= did not answer within {AUTHORIZE_WITHIN_S:g} s")
        answer: T = asked.task.result()
        return answer

    async def _answer(self, asked: _Question) -> T:
        async with self._place():
            if self._is_async:
                return await self._awaited(self._called(self._authorize, asked.request))
            asked.is_in_thread = True
            answer = await anyio.to_thread.run_sync(self._in_thread, asked.request, limiter=anyio.CapacityLimiter(1))
            asked.is_in_thread = False
            return await self._awaited(answer) if inspect.isawaitable(answer) else answer

    def _place(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if loop not in self._places:
            self._places[loop] = asyncio.Semaphore(MAX_COROUTINES if self._is_async else MAX_THREADS)
        return self._places[loop]

    def _in_thread(self, request: Any) -> Any:
        """Django may query its database here: in a thread of this server, no Django request closes the connection."""
        connections.give_back()
        try:
            answer = self._called(self._authorize, request)
            return answer if inspect.isawaitable(answer) else self._called(self._read, answer)
        finally:
            connections.give_back()

    async def _awaited(self, answer: Awaitable[Any]) -> T:
        """Raises Problem."""
        try:
            role = await answer
        except (Exception, SystemExit) as error:
            connections.after_a_failure_on_the_loop()
            raise self._failed(error) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise self._failed(error) from error  # a task of the host's own was cancelled, not this one
        read: T = self._called(self._read, role)
        return read

    def _called(self, step: Callable[[Any], Any], argument: Any) -> Any:
        """Raises Problem."""
        try:
            return step(argument)
        except ConfigurationError as error:
            if step is self._read:
                raise self._refused("wrong-authorize", str(error)) from error
            raise self._failed(error) from error
        except (Exception, SystemExit, asyncio.CancelledError) as error:  # nothing cancels a plain call
            raise self._failed(error) from error

    def _failed(self, error: BaseException) -> Problem:
        return self._refused("authorize-failed", f"authorize= raised {type(error).__name__}", error)

    def _refused(self, kind: str, what: str, error: BaseException | None = None) -> Problem:
        unsaid = self._throttle.counted((kind, type(error)))
        if unsaid is not None:
            log.error("the host's %s; the request is refused%s", what, and_more(unsaid), exc_info=error)
        return Problem(403, kind, "The host's authorize= returned no role for this request; see the host's log.")


class _Question:
    """One question to the host."""

    def __init__(self, answer: Callable[[_Question], Coroutine[Any, Any, Any]], request: Any) -> None:
        self.request = request
        self.is_in_thread = False  # then it cannot be cancelled
        self.task: asyncio.Task[Any] = asyncio.create_task(answer(self), name="shiftboss authorize")
        self.task.add_done_callback(_looked_at)


def _looked_at(task: asyncio.Task[Any]) -> None:
    """Retrieve the exception, or asyncio would warn: the refusal was logged, and nobody may wait any more."""
    if not task.cancelled():
        task.exception()
