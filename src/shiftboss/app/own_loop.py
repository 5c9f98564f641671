"""An event loop for `boss.run()` and `boss.sync.start()`: nothing that ran on it keeps the process from ending.

Rules of this file
- What a coroutine gives to a thread (`asyncio.to_thread`) runs in daemon threads.  Those of `concurrent.futures`, a
  loop's default, are joined when the interpreter ends, however long that takes: this would break G3.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

THREADS = min(32, (os.cpu_count() or 1) + 4)  # as many as a loop's default
TIDY_S = 1.0  # for what is left on a loop that is closed
ENDS_WITHIN_S = 5.0  # other code may block a loop; a loop that a function blocks is left behind: its thread is a daemon

Work = tuple[Future[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def new_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_default_executor(DaemonThreads())
    return loop


def close_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left on a loop that is not running, and give it TIDY_S; none of it is shiftboss's own."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=TIDY_S))
    loop.run_until_complete(loop.shutdown_asyncgens())
    asyncio.set_event_loop(None)
    loop.close()


class LoopThread:
    """A loop that runs in a thread, for those who started a node without a loop of their own."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, loop: asyncio.AbstractEventLoop) -> None:
        """Raises RuntimeError if no thread can be started; `end` closes the loop nevertheless."""
        self._loop = loop
        self._thread = threading.Thread(target=loop.run_forever, name="shiftboss-loop", daemon=True)
        self._thread.start()

    def end(self, within_s: float = ENDS_WITHIN_S) -> None:
        """Does nothing if none runs."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is None or thread is None:
            return
        if thread.ident is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(within_s)
        if not thread.is_alive():
            loop.close()


class DaemonThreads(ThreadPoolExecutor):
    """A thread pool with daemon threads; it derives from ThreadPoolExecutor because a loop takes no other kind."""

    def __init__(self, slots: int = THREADS) -> None:
        super().__init__(slots)
        self._slots = slots
        self._guard = threading.Lock()  # protects the four below
        self._is_closed = False
        self._staff: set[threading.Thread] = set()
        self._idle = 0  # threads that wait for work
        self._backlog = 0  # work that waits for a thread
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        with self._guard:
            if self._is_closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._idle > 0:
                self._idle -= 1
            elif not self._hire():
                self._backlog += 1
            self._work.put((future, fn, args, kwargs))
        return future

    def _hire(self) -> bool:
        """Start one more thread.  Raises RuntimeError if the pool has none at all.  The caller holds the lock."""
        if len(self._staff) >= self._slots:
            return False
        thread = threading.Thread(target=self._serve, name="shiftboss-to-thread", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads, or the interpreter is ending
            if not self._staff:
                raise
            return False
        self._staff.add(thread)
        return True

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            future, fn, args, kwargs = work
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as error:  # noqa: BLE001  # as in every pool: it is the caller's
                    future.set_exception(error)
            del work, future, fn, args, kwargs  # an idle thread must not keep the caller's objects alive
            with self._guard:
                if self._backlog > 0:
                    self._backlog -= 1
                else:
                    self._idle += 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        with self._guard:
            self._is_closed = True
            staff = list(self._staff)
        if cancel_futures:
            with contextlib.suppress(queue.Empty):
                while (work := self._work.get_nowait()) is not None:
                    work[0].cancel()
        for _ in staff:
            self._work.put(None)
        if wait:
            for thread in staff:
                thread.join()
