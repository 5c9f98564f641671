"""Runs plain functions on a given pool: any `concurrent.futures.Executor`, of threads, processes or a cluster.

Rules of this file
- The function gets its arguments and no context, because it may run in a process that the node cannot reach.
- One thread submits and watches the timeouts; futures report their ends, in any thread.
- A pool cannot be made to stop what it has begun.  Such an attempt is a zombie until its future ends (B6).  Only the
  standard library's pools tell correctly whether a future has begun.  With other pools (Dask's futures stay "pending"
  while they run) a successful `cancel()` does not count as an end.
- A pool that was passed in is never shut down.  A pool that a factory made is shut down, and made again when it is
  broken.  Its processes are killed with the node's attempts: nothing else would kill them, and they would outlive it.
"""

from __future__ import annotations

import importlib
import math
import sys
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from shiftboss.clock import Clock
from shiftboss.core.kinds import shown
from shiftboss.core.model import Error, Failed, Outcome
from shiftboss.errors import ConfigurationError
from shiftboss.executors import connections
from shiftboss.executors.body import FunctionBody
from shiftboss.executors.execution import DOUBT_S, MAX_WAIT_S, TIMEOUT, Execution, Key
from shiftboss.executors.slots import SlotExecutor
from shiftboss.logs import get_logger
from shiftboss.ports.executor import StopReason

SLOTS = 20  # for a pool that does not tell how many workers it has
HONEST = (ThreadPoolExecutor, ProcessPoolExecutor)  # their futures refuse to be cancelled once they have begun
CANCELLED = "concurrent.futures.CancelledError"

Pool = Executor | Callable[[], Executor]

log = get_logger("shiftboss.executors")


class PoolCall:
    """A function with its arguments, as it is submitted.

    It is submitted without arguments: pools take options among the keywords (Dask: `key`, `workers`, `retries`).
    """

    __slots__ = ("arguments", "function")

    def __init__(self, function: Callable[..., Any], arguments: dict[str, Any]) -> None:
        self.function = function
        self.arguments = arguments

    def __call__(self) -> Any:
        connections.give_back()
        try:
            return self.function(**self.arguments)
        finally:
            connections.give_back()

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (_reference(self.function), self.arguments)

    def __dask_tokenize__(self) -> object:
        return object()  # no two calls are the same


def _reference(function: Callable[..., Any]) -> Any:
    """The function, or a reference to it if the decorator has put a worker in its place: pickle would find that one."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if module in (None, "__main__") or name is None or "." in name:
        return function
    target = getattr(sys.modules.get(module), name, None)
    is_hidden = target is not function and getattr(target, "__wrapped__", None) is function
    return (module, name) if is_hidden else function


def _made(reference: Any, arguments: dict[str, Any]) -> PoolCall:
    if isinstance(reference, tuple):
        module, name = reference
        reference = getattr(importlib.import_module(module), name).__wrapped__
    return PoolCall(reference, arguments)


class PoolBody(FunctionBody):
    """A plain function without a context, for a pool.  Raises ConfigurationError."""

    __slots__ = ("pool", "pool_slots")

    def __init__(
        self, fn: Callable[..., Any], *, worker: str, pool: Pool, pool_slots: int | None = None, **options: Any
    ) -> None:
        super().__init__(fn, worker=worker, **options)
        if not isinstance(pool, Executor) and not callable(pool):
            raise ConfigurationError(
                f"worker {worker!r}: pool={shown(pool)} is neither a concurrent.futures.Executor nor a function that "
                "returns one; give one of them"
            )
        if pool_slots is not None and pool_slots < 1:
            raise ConfigurationError(f"worker {worker!r}: pool_slots={pool_slots} allows no run; give at least 1")
        if self.is_async:
            raise ConfigurationError(f"worker {worker!r}: a pool runs plain functions only; drop pool= or async")
        if self._wants_context or (self._fallback is not None and self._fallback.wants_context):
            raise ConfigurationError(
                f"worker {worker!r}: a function in a pool gets no context; drop that parameter, or drop pool= "
                "(executor='process' has a context)"
            )
        self.pool = pool
        self.pool_slots = pool_slots

    def bound(self, payload: bytes | None, *, fallback: bool) -> PoolCall:
        """The function with its arguments.  Raises UnfitPayload."""
        if fallback and self._fallback is not None:
            return PoolCall(self._fallback.fn, self._fallback.chosen(self._arguments(payload)))
        is_plain = payload is None and self.takes_nothing_required
        return PoolCall(self._call, {} if is_plain else self._arguments(payload))


class PoolExecutor(SlotExecutor):
    """Runs the functions of one worker on *pool*: an executor, or a factory that makes one at the start."""

    def __init__(self, kind: str, pool: Pool, clock: Clock, *, slots: int | None = None) -> None:
        super().__init__(slots or SLOTS, clock)
        self.kind = kind
        self._given_slots = slots
        self._made_by = None if isinstance(pool, Executor) else pool
        self._pool = pool if isinstance(pool, Executor) else None
        self._changed = threading.Condition(self._lock)  # something to submit, or to check earlier, or the end
        self._doubtful: dict[Key, Outcome] = {}  # attempts whose pool broke a moment ago
        self._was_killed = False  # whether we killed its processes

    def open(self) -> None:
        """Make the pool if a factory was given.  Raises ConfigurationError if that fails."""
        if self._made_by is not None:
            try:
                self._pool = self._make()
            except ConfigurationError:
                raise
            except Exception as error:
                raise ConfigurationError(
                    f"{self.kind}: the function given as pool= raised {type(error).__name__}: {error}"
                ) from error
        if self._given_slots is None:
            workers = getattr(self._pool, "_max_workers", None)
            self.slots = workers if isinstance(workers, int) and workers > 0 else SLOTS
        self._was_killed = False
        super().open()

    def _make(self) -> Executor:
        made = self._made_by() if self._made_by is not None else None
        if not isinstance(made, Executor):
            raise ConfigurationError(
                f"{self.kind}: the function given as pool= returned {shown(made)}, which is not an Executor"
            )
        return made

    # ── called by the engine's thread ────────────────────────────────────────────────────────────────────────────

    def announce(self) -> None:
        super().announce()
        for attempt in [each for each in list(self._attempts.values()) if each.key in self._doubtful]:
            self._end(attempt, attempt.ended_with_all())

    def kill(self) -> None:
        """Kill all processes of a pool that the factory made; another pool cannot be ended by force."""
        super().kill()
        with self._lock:
            self._was_killed = True
        self._kill_processes()

    def _kill_processes(self) -> None:
        if self._made_by is not None and isinstance(self._pool, ProcessPoolExecutor):
            for process in list((getattr(self._pool, "_processes", None) or {}).values()):
                process.kill()

    def close(self, timeout_s: float) -> None:
        """Submit nothing more and shut down a pool that the factory made; what it still runs is left to it."""
        until_s = self._clock.monotonic_s() + timeout_s
        threads = self._shut()
        with self._lock:
            left = list(self._attempts.values())
            self._changed.notify_all()
        self._join(threads, until_s)
        for attempt in left:
            if isinstance(attempt.runner, Future):
                attempt.runner.cancel()  # nobody waits for it any more
        if left:  # otherwise the interpreter would wait for them at its exit, forever
            self._kill_processes()
        pool, self._pool = self._pool, None
        if self._made_by is None or pool is None:
            return
        pool.shutdown(wait=not left, cancel_futures=True)

    def _staff(self, started: int) -> None:
        """Make one thread, whatever the slots: it only submits and waits."""
        self._changed.notify()
        if not self._threads:
            thread = threading.Thread(target=self._serve, name=f"shiftboss-{self.kind}", daemon=True)
            thread.start()
            self._threads.add(thread)

    def _tell(self, attempt: Execution, reason: str) -> None:
        """Have our thread cancel its future, and report the attempt as a zombie if that fails."""
        if attempt.stop_reason is not None:
            attempt.heed(reason)
            return
        attempt.tell(reason, self._clock.monotonic_s())
        self._waiting.append(attempt)
        self._changed.notify()

    # ── the submitting thread ────────────────────────────────────────────────────────────────────────────────────

    def _serve(self) -> None:
        while (due := self._await_due()) is not None:
            for attempt in due:
                if attempt.key in self._doubtful:
                    self._decide(attempt)
                elif not attempt.has_begun:
                    self._submit(attempt)
                elif isinstance(attempt.runner, Future):
                    self._withdraw(attempt, attempt.runner)
            del due[:]  # an idle thread must keep no user objects alive

    def _await_due(self) -> list[Execution] | None:
        """Wait for attempts to submit, to withdraw, or past their timeout, and return them; None at the end."""
        with self._lock:
            while not self._closed:
                now_s = self._clock.monotonic_s()
                due = [each for each in self._waiting if each.key in self._attempts]
                self._waiting.clear()
                due += [each for each in self._attempts.values() if each.look_at_s <= now_s and each not in due]
                if due:
                    return due
                next_s = min((each.look_at_s for each in self._attempts.values()), default=math.inf)
                self._changed.wait(min(MAX_WAIT_S, next_s - now_s))
            self._threads.discard(threading.current_thread())
            return None

    def _submit(self, attempt: Execution) -> None:
        body, run = attempt.launch.body, attempt.launch.run
        assert isinstance(body, PoolBody)  # noqa: S101  # `declare` gives this executor nothing else
        try:
            call = body.bound(
                run.payload, fallback=run.claim is not None and run.claim.fallback
            )  # its types are user code
            with self._lock:
                if attempt.key not in self._attempts:  # stopped meanwhile
                    return
                attempt.enter(self._clock.monotonic_s())
            future = self._future(call)
        except Exception as error:  # noqa: BLE001  # the payload, the pool or the factory: the attempt has failed
            self._end(attempt, self._raised(attempt, error))
            return
        attempt.runner = future
        future.add_done_callback(lambda done: self._done(attempt, done))

    def _future(self, call: PoolCall) -> Future[Any]:
        """Submit to the pool; if it is broken and a factory made it, to a new one."""
        try:
            return self._needed().submit(call)
        except BrokenExecutor as broken:
            if self._made_by is None:
                raise
            log.warning("%s: its pool is broken (%s); making a new one", self.kind, broken)
            self._drop()
            return self._needed().submit(call)

    def _needed(self) -> Executor:
        if self._pool is None:
            self._pool = self._make()
        return self._pool

    def _drop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _withdraw(self, attempt: Execution, future: Future[Any]) -> None:
        """Cancel the future of an attempt that was told to end or is past its timeout."""
        with self._lock:
            if attempt.key not in self._attempts:
                return
            now_s = self._clock.monotonic_s()
            is_late = attempt.look_at_s <= now_s
            if attempt.stop_reason is None:
                attempt.tell(TIMEOUT, now_s)
            is_new = is_late and self._outlives(attempt)
        if isinstance(self._pool, HONEST) and future.cancel():
            return  # reported by its callback
        if is_new and not future.done():
            attempt.outlived(self._clock.now())

    # ── the end of a future, in any thread ───────────────────────────────────────────────────────────────────────

    def _done(self, attempt: Execution, future: Future[Any]) -> None:
        with self._lock:
            attempt.ended(self._clock.monotonic_s())
        try:
            value = future.result(0)
        except BaseException as error:  # noqa: BLE001  # the boundary around a handler: whatever it raises is an outcome
            outcome = self._cancelled(attempt) if future.cancelled() else self._raised(attempt, error)
            if isinstance(error, BrokenExecutor) and isinstance(outcome, Failed) and attempt.stop_reason is None:
                self._doubt(attempt, outcome)
                return
        else:
            outcome = attempt.returned(value)
        self._end(attempt, outcome)

    def _doubt(self, attempt: Execution, outcome: Outcome) -> None:
        """The pool's processes have ended: a failure, unless by a signal to every process, the node too (G2)."""
        with self._lock:
            self._doubtful[attempt.key] = outcome
            attempt.look_at_s = self._clock.monotonic_s() + DOUBT_S
            self._changed.notify()
        if self._announcement.made:
            self._end(attempt, attempt.ended_with_all())

    def _decide(self, attempt: Execution) -> None:
        """Report a doubtful attempt: the node was not told to end, or the attempt was."""
        reason = attempt.stop_reason
        outcome = self._doubtful.get(attempt.key)
        if outcome is not None:
            self._end(attempt, outcome if reason is None else attempt.never_begun(reason))

    def _cancelled(self, attempt: Execution) -> Outcome:
        """It never began; or other code cancelled it: a failure, so that its back-off gives the pool time."""
        if attempt.stop_reason == TIMEOUT:
            return attempt.raised(TimeoutError("it had not started in the pool"))
        if attempt.stop_reason is not None:
            return attempt.never_begun(attempt.stop_reason)
        return Failed(Error(CANCELLED, "its future was cancelled by the pool or by other code"))

    def _raised(self, attempt: Execution, error: BaseException) -> Outcome:
        if (
            isinstance(error, BrokenExecutor)
            and self._was_killed
            and attempt.stop_reason not in (TIMEOUT, StopReason.CANCEL)
        ):
            return attempt.broken_off(str(attempt.stop_reason or StopReason.SHUTDOWN))
        if isinstance(error, BrokenExecutor) and self._made_by is None:
            error.add_note("Give pool= a function that makes the pool: then a broken pool is replaced.")
        return attempt.raised(error)

    def _end(self, attempt: Execution, outcome: Outcome) -> None:
        with self._lock:
            self._doubtful.pop(attempt.key, None)
            if self._attempts.pop(attempt.key, None) is None:
                return
        self._report(attempt, outcome)
