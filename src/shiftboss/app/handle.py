"""What the decorator and a trigger return: the worker and the run, as objects to hold.

Rules of this file
- Calling a `Worker` calls the plain function.  `trigger` takes the function's parameters without `ctx`: type checkers
  check them, and their values are checked at the call.
- A `RunHandle` knows the run's id; everything that it tells about the run is read from the store (A2).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime
from functools import update_wrapper
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    overload,
)

import msgspec

from shiftboss.app import call
from shiftboss.app.options import CALL
from shiftboss.app.triggering import Promise, arriving, promised, read_options, request_of
from shiftboss.app.within import Within, insert
from shiftboss.context import Context
from shiftboss.core.kinds import Duration
from shiftboss.core.model import Run, Status
from shiftboss.core.opaque import OpaqueBytes
from shiftboss.core.policy import Priority
from shiftboss.core.redact import MASK
from shiftboss.engine import mutation
from shiftboss.errors import RunFailed, WrongResult
from shiftboss.executors.body import FunctionBody
from shiftboss.executors.command import Command, CommandBody
from shiftboss.ports.executor import Body

if TYPE_CHECKING:
    from shiftboss.app.declaration import PriorityName
    from shiftboss.app.operations import Operations
    from shiftboss.app.orchestrator import Orchestrator
    from shiftboss.core.worker import Definition

P = ParamSpec("P")
R = TypeVar("R")
NO_OPTIONS: Mapping[str, Any] = {}


class TriggerOptions(TypedDict, total=False):
    """Options of one trigger.  `at` (aware) or `delay`; `key` makes it idempotent; `force` passes a disabled worker.

    `within`: a connection of the caller's; the run exists if and only if its transaction is committed.
    """

    key: str | None
    delay: Duration | None
    at: datetime | None
    priority: PriorityName | Priority | None
    force: bool
    within: Within | None


class ManyOptions(TypedDict, total=False):
    """Options that many triggers of one worker share: those of `TriggerOptions` except for the key."""

    delay: Duration | None
    at: datetime | None
    priority: PriorityName | Priority | None
    force: bool
    within: Within | None


async def triggered(boss: Operations, name: str, payload: bytes | None, options: Mapping[str, Any]) -> RunHandle[Any]:
    """Store a run, or insert a row `within` a transaction.  Raises what `Orchestrator.trigger` raises."""
    node = boss.opened()
    within = options.get("within")
    if within is None:
        request = request_of(node, name, payload, options)
        return RunHandle(boss, await call.on_loop(lambda answer: node.engine.put(mutation.trigger(request, answer))))
    promise, arrival = await asyncio.to_thread(arriving, node, name, payload, options)
    inserting = insert(within, arrival)
    if inserting is not None:
        await inserting
    return PromisedRun(boss, promise)


class Worker(Generic[P, R]):
    """A declared worker."""

    def __init__(self, boss: Orchestrator, definition: Definition, fn: Callable[..., Any] | Command) -> None:
        self._boss = boss
        self.definition = definition
        self.fn = fn
        if not isinstance(fn, Command):
            update_wrapper(self, fn)

    @property
    def name(self) -> str:
        """The worker's name."""
        return self.definition.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the plain function, without shiftboss: for tests and for other code."""
        if isinstance(self.fn, Command):
            raise TypeError(f"worker {self.name!r} is a command and cannot be called; trigger it")
        return self.fn(*args, **kwargs)

    async def trigger(self, *args: P.args, **kwargs: P.kwargs) -> RunHandle[R]:
        """Store a run with these arguments; returns after its commit.

        Raises WrongPayload, WorkerDisabled, NotStarted, StoreUnavailable.
        """
        return await self._trigger_with(NO_OPTIONS, args, kwargs)

    def _trigger_with(
        self, options: Mapping[str, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Coroutine[Any, Any, RunHandle[R]]:
        """Trigger with *options* that have been read already, and the arguments of the function; to be awaited."""
        body = self._boss.bodies[self.name]
        payload = body.encode_payload(args, kwargs) if isinstance(body, FunctionBody | CommandBody) else None
        return triggered(self._boss, self.definition.name, payload, options)

    def options(self, **options: Unpack[TriggerOptions]) -> Trigger[P, R]:
        """A trigger with options: key, delay, at, priority, force, within.  Raises ConfigurationError."""
        return Trigger(self, read_options(self.name, options))

    def __repr__(self) -> str:
        return f"<Worker {self.name!r}>"


class Trigger(Generic[P, R]):
    """A worker together with the options of its next triggers."""

    def __init__(self, worker: Worker[P, R], options: Mapping[str, Any]) -> None:
        self._worker = worker
        self._options = options

    async def trigger(self, *args: P.args, **kwargs: P.kwargs) -> RunHandle[R]:
        """Like `Worker.trigger`.  Raises DuplicateKey as well."""
        return await self._worker._trigger_with(self._options, args, kwargs)


class RunHandle(Generic[R]):
    """A stored run."""

    __slots__ = ("_boss", "id", "worker")

    def __init__(self, boss: Operations, run: Run) -> None:
        self._boss = boss
        self.id = run.id
        self.worker = run.worker

    async def info(self) -> Run:
        """The run as the store has it now.  Raises UnknownRun."""
        return await self._boss.run_info(self.id)

    async def status(self) -> Status:
        """The run's current status.  Raises UnknownRun."""
        return (await self.info()).status

    async def wait(self, *, timeout: Duration | None = None) -> Run:  # the public API says `timeout`
        """Wait until the run has ended, on this or any other node.

        *timeout*: a duration such as 30 or "5m"; None waits without limit, 0 does not wait.
        Raises WaitTimeout if that takes longer; the run goes on.
        """
        return await self._boss.wait_for(self.id, timeout=timeout)

    async def result(self, *, timeout: Duration | None = None) -> R:
        """What the function returned: of the annotated type if its worker is declared here, otherwise plain JSON (W6).

        *timeout*: as of `wait`.  Raises RunFailed if the run ended otherwise, WaitTimeout if that takes longer,
        WrongResult if it succeeded but what it returned cannot be given back.
        """
        run = await self.wait(timeout=timeout)
        return cast("R", result_of(run, self._boss.bodies.get(run.worker)))

    async def cancel(self, *, reason: str | None = None) -> Run:
        """End the run: at once while it waits, by asking its function while it runs.  Raises UnknownRun, NotAllowed."""
        return await self._boss.cancel(self.id, reason=reason)

    def __repr__(self) -> str:
        return f"<Run {self.id} of {self.worker!r}>"


class PromisedRun(RunHandle[R]):
    """A run that will exist once the caller's transaction is committed and a node has picked the trigger up.

    It is known by its key.  `id` is 0 until the run has been found.
    """

    __slots__ = ("key", "promise")

    def __init__(self, boss: Operations, promise: Promise) -> None:
        self._boss = boss
        self.promise = promise
        self.id = 0
        self.worker = promise.worker
        self.key = promise.key

    async def find(self, *, timeout: Duration | None = None) -> Run:
        """Wait until the run exists.

        *timeout*: a duration such as 30 or "5m"; None waits without limit, 0 looks once.
        Raises WaitTimeout, and NotAllowed if it was refused at its pick-up.
        """
        timeout_s: float | None = CALL.read_one("timeout", timeout)
        run = await promised(self._boss, self.promise, timeout_s=timeout_s)
        self.id = run.id
        return run

    async def info(self) -> Run:
        """The run as the store has it now.  Raises WaitTimeout while there is none, NotAllowed if it was refused."""
        if not self.id:
            await self.find(timeout=0)
        return await super().info()

    async def wait(self, *, timeout: Duration | None = None) -> Run:
        """Wait until the run exists and has ended.

        *timeout*: for both; a duration such as 30 or "5m", None waits without limit.  Raises WaitTimeout, NotAllowed.
        """
        if self.id:
            return await super().wait(timeout=timeout)
        if timeout is None:
            await self.find()
            return await super().wait()
        until_s: float = self._boss.clock.monotonic_s() + CALL.read_one("timeout", timeout)
        await self.find(timeout=timeout)
        return await super().wait(timeout=max(0.0, until_s - self._boss.clock.monotonic_s()))

    async def cancel(self, *, reason: str | None = None) -> Run:
        """End the run, once it exists.  Raises WaitTimeout while it does not, NotAllowed."""
        if not self.id:
            await self.find(timeout=0)
        return await super().cancel(reason=reason)

    def __repr__(self) -> str:
        return f"<Run with key {self.key!r} of {self.worker!r}>"


def result_of(run: Run, body: Body | None) -> Any:
    """The result of a run that has ended: in the type that its worker's *body* declares, plain JSON if that is None.

    Raises RunFailed if the run did not succeed, WrongResult if the stored result is not what was returned (W6).
    """
    if run.status is not Status.SUCCEEDED:
        detail = f": {run.error.type}: {run.error.message}" if run.error is not None else ""
        cause = f" ({run.cause})" if run.cause is not None else ""
        raise RunFailed(
            f"run {run.id} of {run.worker!r} is {run.status}{cause}{detail}",
            status=run.status.value,
            cause=run.cause.value if run.cause is not None else None,
        )
    if run.result_error is not None:
        raise _wrong(run, run.result_error)
    if run.result is None:
        return None
    if isinstance(run.result, OpaqueBytes):
        raise _wrong(run, f"it is {run.result.why}")
    try:
        return body.read_result(run.result) if isinstance(body, FunctionBody) else msgspec.json.decode(run.result)
    except ValueError as error:
        masked = f"; a secret in it was masked before it was stored ({MASK})" if MASK.encode() in run.result else ""
        raise _wrong(run, f"{error}{masked}") from error


def _wrong(run: Run, why: str) -> WrongResult:
    kept = "Run.result has the JSON that was kept of it" if run.result is not None else "nothing of it was kept"
    return WrongResult(f"run {run.id} of {run.worker!r} succeeded, but its result cannot be returned: {why}; {kept}")


class Decorate(Protocol):
    """Turns a function into a worker; four overloads: with `ctx` or without, async or not."""

    @overload
    def __call__(self, fn: Callable[Concatenate[Context, P], Awaitable[R]], /) -> Worker[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, Awaitable[R]], /) -> Worker[P, R]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[Context, P], R], /) -> Worker[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Worker[P, R]: ...
