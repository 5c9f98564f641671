"""The Orchestrator: declare workers, start, stop, and one method for each thing that may be done.

Rules of this file
- Before `start` nothing is opened and no thread runs: importing and forking are safe.
- Methods are coroutines; `boss.sync` has the same ones for code without a loop.
- A stopped orchestrator can be started again, on another loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
import os
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

import msgspec

from shiftboss.app import call
from shiftboss.app.declaration import Named, WorkerOptions, declare, name_of
from shiftboss.app.handle import Decorate, Promise, PromisedRun, RunHandle, TriggerOptions, Worker, with_options
from shiftboss.app.sync import SyncFace
from shiftboss.app.who import acting, who
from shiftboss.app.within import insert
from shiftboss.clock import Clock, SystemClock
from shiftboss.core.control import Request
from shiftboss.core.events import Event
from shiftboss.core.health import MAX_DEAD_LETTERS
from shiftboss.core.model import DeadLetter, LogLine, Node, Run, WorkerState
from shiftboss.core.policy import Duration, duration
from shiftboss.core.redact import redaction
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition
from shiftboss.engine import fact
from shiftboss.engine.retention import Keep
from shiftboss.errors import (
    AlreadyStarted,
    ConfigurationError,
    Forked,
    NotStarted,
    WaitTimeout,
    WrongPayload,
)
from shiftboss.executors import place
from shiftboss.executors.body import FunctionBody
from shiftboss.executors.command import Command, CommandBody
from shiftboss.observe.log import log_events
from shiftboss.ports import Arrival, Body, HistoryFilter, LetterFilter, Store

if TYPE_CHECKING:  # 15 ms of import, which is for the start and the first question
    from shiftboss.app.node import NodeParts
    from shiftboss.app.views import NodeStatus, SystemStatus, Views
    from shiftboss.core.explain import Explanation
    from shiftboss.core.health import SystemHealth
    from shiftboss.engine.engine import Engine, Subscriber
    from shiftboss.engine.shutdown import ShutdownReport

_forks = [0]  # how often this process was forked off; asked at every call, where getpid would be a system call
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _forks.__setitem__(0, _forks[0] + 1))

Authorize = Callable[[Any], Any]
ASGIApplication = Callable[[Any, Any, Any], Awaitable[None]]

# Until what was triggered within a transaction is there; nobody rings for one run, and thousands may be waited for.
MIN_PROMISE_POLL_S, MAX_PROMISE_POLL_S = 0.05, 1.0
DEFAULT_STORE = "sqlite:///shiftboss.db"
T = TypeVar("T")


class Orchestrator:
    """Workers, and the node that runs them in this process.

    *store*: "sqlite:///relative", "sqlite:////absolute" or "memory:"; `SHIFTBOSS_STORE` in the environment goes first,
    ./shiftboss.db comes last.  *max_concurrency*: slots of this node.  *process_slots*: children of
    executor="process", by default one for each core.  *command_slots*: commands at a time.  *resources*: name →
    fleet-wide permits.  *shutdown_timeout* (25 s): platforms kill at 30.  *retention* of finished runs (14 days) and
    *letter_retention* of closed dead letters (30 days); open ones are kept, and past *max_dead_letters* health is
    degraded.  *durability*: "power" survives a power cut, "process" only the end of the process, and is faster.
    *redact*: names of secrets, beside password, token, secret, authorization and their like: their values are masked in
    errors, results, log lines and progress before these are stored, and in payloads where they are shown.
    """

    def __init__(
        self,
        store: str | None = None,
        *,
        max_concurrency: int = 100,
        process_slots: int | None = None,
        command_slots: int = 20,
        resources: Mapping[str, int] | None = None,
        shutdown_timeout: Duration = 25.0,
        retention: Duration = "14d",
        letter_retention: Duration = "30d",
        max_dead_letters: int = MAX_DEAD_LETTERS,
        durability: str = "power",
        code_version: str = "",
        redact: Sequence[str] = (),
        clock: Clock | None = None,
    ) -> None:
        if max_concurrency < 1:
            raise ConfigurationError(f"max_concurrency={max_concurrency} lets nothing run; give at least 1")
        if process_slots is not None and process_slots < 1:
            raise ConfigurationError(f"process_slots={process_slots} lets no child run; give at least 1")
        if command_slots < 1:
            raise ConfigurationError(f"command_slots={command_slots} lets no command run; give at least 1")
        for resource, size in (resources or {}).items():
            if size < 1:
                raise ConfigurationError(f"resources: {resource!r} has size {size}; give at least 1")
        if durability not in ("power", "process"):
            raise ConfigurationError(f"durability={durability!r} is unknown; use 'power' or 'process'")
        self._given_store = store
        self.store_override: str | None = None  # the command's --store
        self.max_concurrency = max_concurrency
        self.process_slots = process_slots
        self.command_slots = command_slots
        self.resources = dict(resources or {})
        self.shutdown_timeout_s = duration(shutdown_timeout, name="shutdown_timeout")
        self.keep = Keep(
            runs_s=duration(retention, name="retention"),
            letters_s=duration(letter_retention, name="letter_retention"),
        )
        self.max_dead_letters = max_dead_letters
        self.durability = durability
        self.code_version = code_version or os.environ.get("SHIFTBOSS_CODE_VERSION", "")
        if isinstance(redact, str):
            raise ConfigurationError(f"redact= takes a list of names; write redact=[{redact!r}]")
        self.redact = tuple(redact)
        self._given_clock: Clock = clock or SystemClock()
        self.definitions: dict[str, Definition] = {}
        self.bodies: dict[str, Body] = {}
        self.only: Callable[[str], bool] = lambda name: True  # the command's --only and --except
        self._subscribers: list[Subscriber] = [log_events]
        self._engine: Engine | None = None
        self._parts: NodeParts | None = None
        self._views: Views | None = None
        self._views_lock = threading.Lock()  # protects the views' session: one thread at a time
        self._forks = 0
        self.sync = SyncFace(self)
        """The same methods for code without a loop; opens a client at its first use."""

    # ── declaring ────────────────────────────────────────────────────────────────────────────────────────────────

    @overload
    def worker(self, fn: None = None, /, **options: Unpack[WorkerOptions]) -> Decorate: ...
    @overload
    def worker(self, fn: Callable[..., Any], /) -> Worker[..., Any]: ...
    def worker(self, fn: Callable[..., Any] | None = None, /, **options: Unpack[WorkerOptions]) -> Any:
        """Declare the decorated function as a worker; see `WorkerOptions`.  Raises ConfigurationError."""
        if fn is not None:
            return self._declare(fn, options)
        return lambda decorated: self._declare(decorated, options)

    def register(
        self, name: str, fn: Callable[..., Any] | Command, /, **options: Unpack[WorkerOptions]
    ) -> Worker[..., Any]:
        """Declare *fn*, or a `command([…])`, as the worker *name*, without a decorator.  Raises ConfigurationError."""
        return self._declare(fn, {**options, "name": name})

    def _declare(self, fn: Callable[..., Any] | Command, options: Mapping[str, Any]) -> Worker[..., Any]:
        if self._engine is not None:
            raise AlreadyStarted("workers are declared before the start; stop the orchestrator first")
        plain = fn.fn if isinstance(fn, Worker) else fn
        definition, body = declare(plain, options)
        if definition.name in self.definitions:
            raise ConfigurationError(f"worker {definition.name!r} is declared twice; give one of them another name")
        if self.redact:
            definition = replace(definition, redact=self.redact)
        if isinstance(plain, Command):  # its words are what is shown of it
            definition = replace(definition, doc=redaction(self.redact).text(definition.doc))
        self.definitions[definition.name] = definition
        self.bodies[definition.name] = body
        return Worker(self, definition, plain)

    def on_events(self, subscriber: Callable[[Sequence[Event]], None]) -> None:
        """Call *subscriber* with the events of each commit, in the engine's thread: be quick, do not block."""
        self._subscribers.append(subscriber)

    # ── living ───────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def store_url(self) -> str:
        """The command's --store, else SHIFTBOSS_STORE, else the one given here, else ./shiftboss.db."""
        return self.store_override or os.environ.get("SHIFTBOSS_STORE") or self._given_store or DEFAULT_STORE

    @property
    def is_started(self) -> bool:
        return self._engine is not None and self._engine.is_alive

    async def start(self) -> None:
        """Open the store, declare the workers, begin to run them on this loop.

        Raises AlreadyStarted, ConfigurationError, CycleError, and what the store raises.
        """
        await self._open(asyncio.get_running_loop(), is_client=False)

    async def stop(self) -> ShutdownReport:
        """Drain, then cancel what is left, within `shutdown_timeout`; the report says what became of it (G1 to G4)."""
        engine = self._require()
        engine.stop()
        report = await asyncio.shield(asyncio.wrap_future(engine.over))
        await asyncio.to_thread(self._close)
        return report

    async def __aenter__(self) -> Orchestrator:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Orchestrator]:
        """Trigger and operate, run nothing.  Raises StoreMissing: a client never creates a store."""
        await self._open(asyncio.get_running_loop(), is_client=True)
        try:
            yield self
        finally:
            await self.stop()

    @contextlib.asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """For web frameworks: `FastAPI(lifespan=boss.lifespan)`, or inside a lifespan of yours."""
        async with self:
            yield

    def asgi(self, authorize: Authorize | None = None) -> ASGIApplication:
        """The dashboard and the JSON API as an ASGI application, to be mounted anywhere (extra `web`).

        *authorize* is given each request (a Starlette `HTTPConnection`: headers, cookies, session) and says the role:
        "viewer", "operator", "admin" or None; or (role, the user's name for the audit); it may be a coroutine function.
        Without it everything is denied, unless SHIFTBOSS_AUTH_TOKEN is set.  The host's lifespan starts the
        orchestrator (`lifespan=boss.lifespan`); served alone the application does that itself.

            app.mount("/shiftboss", boss.asgi(lambda request: "admin" if request.user.is_admin else None))
        """
        try:
            web = importlib.import_module("shiftboss.web.application")  # a layer above, which only some install
        except ImportError as error:
            raise ConfigurationError(f"{error}; the HTTP API needs an extra: pip install 'shiftboss[web]'") from error
        application: ASGIApplication = web.application(self, authorize)
        return application

    def run(self) -> ShutdownReport:
        """Run in this process until SIGTERM or SIGINT; blocks.  A second signal cancels, a third leaves at once.

        Ends the process itself only when a body cannot be stopped: what it held is handed back first.
        """
        from shiftboss.app.serve import serve  # with the engine

        return serve(self)

    async def _open(self, loop: asyncio.AbstractEventLoop, *, is_client: bool) -> None:
        engine = self._make_engine(loop, is_client=is_client)
        try:
            await asyncio.shield(asyncio.wrap_future(engine.ready))
        except BaseException:
            engine.stop()
            await asyncio.to_thread(self._close)
            raise

    def _make_engine(self, loop: asyncio.AbstractEventLoop | None, *, is_client: bool) -> Engine:
        from shiftboss.app.node import NodeParts  # with the engine
        from shiftboss.stores.urls import open_store

        if self._engine is not None:
            raise AlreadyStarted("the orchestrator runs already; stop it before it is started again")
        if place.in_child and not is_client:
            raise ConfigurationError(
                "this is a child of executor='process', which imports the module of its function and starts nothing; "
                'put the start of the orchestrator under if __name__ == "__main__":'
            )
        store = open_store(self.store_url, clock=self._given_clock, durability=self.durability)
        store.open(create=not is_client)
        parts = NodeParts(self, store, loop, is_client=is_client)
        self._parts = parts
        self._engine = parts.engine(self._subscribers)
        self._forks = _forks[0]
        self._engine.start()
        return self._engine

    def _close(self) -> None:
        engine, parts = self._engine, self._parts
        self._engine = self._parts = None
        if engine is not None:
            engine.join()
        with self._views_lock:
            if self._views is not None:
                self._views.close()
                self._views = None
        if parts is not None:
            parts.close()

    @property
    def clock(self) -> Clock:
        """The clock that the rules live by: the store's while one is open."""
        return self._given_clock if self._parts is None else self._parts.store.clock

    def _require(self) -> Engine:
        engine = self._engine
        if engine is None:
            raise NotStarted(
                "the orchestrator is not started; use `async with boss`, `await boss.start()`, "
                "`async with boss.client()` or boss.sync"
            )
        if self._forks != _forks[0]:
            raise Forked(
                "this process was forked after the orchestrator was started; start it in the child instead "
                "(gunicorn: post_fork, or lifespan)"
            )
        return engine

    @property
    def store(self) -> Store:
        """The open store.  Raises NotStarted."""
        self._require()
        if self._parts is None:
            raise NotStarted("the orchestrator is not started")
        return self._parts.store

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop, or has: it is not ready (G1)."""
        return self._engine is None or self._engine.is_stopping

    @property
    def trouble(self) -> str | None:
        """What keeps it from working just now, in words; None when nothing does."""
        return None if self._engine is None else self._engine.trouble

    def attach(self, close: Callable[[], None]) -> None:
        """Call *close* before the store is closed: for whatever else reads it.  Raises NotStarted."""
        self._require()
        if self._parts is None:
            raise NotStarted("the orchestrator is not started")
        self._parts.attach(close)

    # ── operations, written once ─────────────────────────────────────────────────────────────────────────────────

    def _asked(self, name: str, payload: bytes | None, options: Mapping[str, Any]) -> Request:
        digest = None if payload is None else hashlib.sha256(payload).hexdigest()
        request = Request(worker=name, payload=payload, digest=digest, by=acting.get())
        return with_options(request, options) if options else request

    def _put_trigger(self, request: Request) -> call.Put:
        engine = self._require()
        return lambda answer: engine.put(fact.triggered(request, answer))

    def _arriving(self, name: str, payload: bytes | None, options: Mapping[str, Any]) -> tuple[Promise, Arrival]:
        """The row of a trigger within a transaction, and what to look for after its commit.

        Refused by what is known now; at its pick-up it is asked again.  A run is known by its key there: one that names
        none gets one.  Raises UnknownWorker, WorkerDisabled, DuplicateKey, ConfigurationError.
        """
        request = self._asked(name, payload, options)
        named = replace(request, key=request.key or f"within-{uuid.uuid4().hex}", by=who())
        arrival = self.store.arrival(named)
        newest = self._read(lambda views: views.before_arrival(request))
        return Promise(name, named.key or "", named.digest, *newest), arrival

    def encode(self, worker: Named, payload: Mapping[str, Any] | None) -> bytes | None:
        """The payload as it would be stored, checked by the worker's type hints where it is declared here.

        Raises WrongPayload.  A worker that only other processes declare takes any JSON; they check it.
        """
        body = self.bodies.get(name_of(worker))
        if isinstance(body, FunctionBody | CommandBody):
            return body.encode_payload((), payload or {})
        if not payload:
            return None
        try:
            return msgspec.json.encode(payload)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise WrongPayload(f"worker {name_of(worker)!r}: the payload cannot be written as JSON: {error}") from error

    def _put_cancel(self, run_id: int, reason: str) -> call.Put:
        engine = self._require()
        return lambda answer: engine.put(fact.cancelled(run_id, by=who(), reason=reason, answer=answer))

    def _put_disable(self, worker: Named, reason: str) -> call.Put:
        engine, name = self._require(), name_of(worker)
        return lambda answer: engine.put(fact.disabled(name, by=who(), reason=reason, answer=answer))

    def _put_enable(self, worker: Named) -> call.Put:
        engine, name = self._require(), name_of(worker)
        return lambda answer: engine.put(fact.enabled(name, by=who(), answer=answer))

    def _put_forget(self, worker: Named) -> call.Put:
        engine, name = self._require(), name_of(worker)
        clock = self.clock
        return lambda answer: engine.put(fact.forgotten(name, clock=clock, by=who(), answer=answer))

    def _put_drain(self, node: str) -> call.Put:
        engine = self._require()
        return lambda answer: engine.put(fact.drained(node, by=who(), answer=answer))

    def _put_replay(self, run_id: int, delay_s: float) -> call.Put:
        engine = self._require()
        return lambda answer: engine.put(fact.replayed(run_id, by=who(), delay_s=delay_s, answer=answer))

    def _put_resolve(self, run_id: int, note: str) -> call.Put:
        engine = self._require()
        return lambda answer: engine.put(fact.resolved(run_id, by=who(), note=note, answer=answer))

    def _put_discard(self, run_id: int, note: str) -> call.Put:
        engine = self._require()
        return lambda answer: engine.put(fact.discarded(run_id, by=who(), note=note, answer=answer))

    def _put_watch(self, run_id: int) -> call.Put:
        engine = self._require()
        return lambda answer: engine.watch(run_id, answer)

    def _read(self, question: Callable[[Views], T]) -> T:
        """Ask the store, in the calling thread."""
        self._require()
        with self._views_lock:
            if self._views is None:
                from shiftboss.app.views import Views

                self._views = Views(self.store, self.clock, max_dead_letters=self.max_dead_letters)
            return question(self._views)

    # ── operating, from a loop ───────────────────────────────────────────────────────────────────────────────────

    async def trigger(
        self, worker: Named, payload: Mapping[str, Any] | None = None, /, **options: Unpack[TriggerOptions]
    ) -> RunHandle[Any]:
        """Store a run of *worker* (a name or a function); returns after its commit.

        With `within=` it returns after the insert, a `PromisedRun`: the commit is yours.  Raises UnknownWorker,
        WrongPayload, WorkerDisabled, DuplicateKey, NotStarted, StoreUnavailable.
        """
        return await self._trigger(name_of(worker), self.encode(worker, payload), options)

    async def _trigger_call(
        self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> RunHandle[Any]:
        """What `Worker.trigger` awaits."""
        body = self.bodies[name]
        payload = body.encode_payload(args, kwargs) if isinstance(body, FunctionBody | CommandBody) else None
        return await self._trigger(name, payload, options)

    async def _trigger(self, name: str, payload: bytes | None, options: Mapping[str, Any]) -> RunHandle[Any]:
        within = options.get("within")
        if within is None:
            return RunHandle(self, await call.on_loop(self._put_trigger(self._asked(name, payload, options))))
        promise, arrival = await asyncio.to_thread(self._arriving, name, payload, options)
        done = insert(within, arrival)
        if done is not None:
            await done
        return PromisedRun(self, promise)

    async def _promised(self, promise: Promise, *, timeout_s: float | None) -> Run:
        """The run of a trigger within a transaction, once it is there.  Raises WaitTimeout, NotAllowed."""
        until_s = None if timeout_s is None else self.clock.monotonic_s() + timeout_s
        pause_s = MIN_PROMISE_POLL_S
        while True:
            found: Run | None = await asyncio.to_thread(self._read, lambda views: views.promised(promise))
            if found is not None:
                return found
            left_s = pause_s if until_s is None else until_s - self.clock.monotonic_s()
            if left_s <= 0:
                raise WaitTimeout(
                    f"no run of {promise.worker!r} with key {promise.key!r} is there: its transaction is not "
                    "committed, or no node has picked it up yet"
                )
            await asyncio.sleep(min(pause_s, left_s))
            pause_s = min(MAX_PROMISE_POLL_S, pause_s * 1.5)

    async def cancel(self, run_id: int, *, reason: str = "") -> Run:
        """End a run: at once while it waits, by asking its body while it runs.  Raises UnknownRun, NotAllowed."""
        run: Run = await call.on_loop(self._put_cancel(run_id, reason))
        return run

    async def disable(self, worker: Named, *, reason: str = "") -> WorkerState:
        """Start nothing new of it.  Raises UnknownWorker."""
        state: WorkerState = await call.on_loop(self._put_disable(worker, reason))
        return state

    async def enable(self, worker: Named) -> WorkerState:
        """Start again; resets the streak and the breaker.  Raises UnknownWorker."""
        state: WorkerState = await call.on_loop(self._put_enable(worker))
        return state

    async def forget(self, worker: Named) -> None:
        """Remove a worker that no live node declares.  Raises UnknownWorker, NotAllowed."""
        await call.on_loop(self._put_forget(worker))

    async def drain(self, node: str) -> Node:
        """Let a node (its id or its name) finish what runs and start nothing new until it is started again.

        Raises UnknownNode.
        """
        drained: Node = await call.on_loop(self._put_drain(node))
        return drained

    async def replay(self, run_id: int, *, delay: Duration = 0.0) -> RunHandle[Any]:
        """A new run of a dead letter, with the same payload bytes.  Raises UnknownRun, NotAllowed."""
        return RunHandle(self, await call.on_loop(self._put_replay(run_id, duration(delay, name="delay"))))

    async def resolve(self, run_id: int, *, note: str = "") -> DeadLetter:
        """Close a dead letter with a note.  Raises UnknownRun, NotAllowed."""
        letter: DeadLetter = await call.on_loop(self._put_resolve(run_id, note))
        return letter

    async def discard(self, run_id: int, *, note: str = "") -> DeadLetter:
        """Close a dead letter as not worth anything.  Raises UnknownRun, NotAllowed."""
        letter: DeadLetter = await call.on_loop(self._put_discard(run_id, note))
        return letter

    async def wait_for(self, run_id: int, *, timeout: Duration | None = None) -> Run:
        """Wait until a run has ended, here or on any node.  Raises UnknownRun, WaitTimeout."""
        timeout_s = None if timeout is None else duration(timeout, name="timeout")
        run: Run = await call.wait_on_loop(self._put_watch(run_id), timeout_s=timeout_s, what=f"run {run_id}")
        return run

    async def ask(self, question: Callable[[Views], T]) -> T:
        """Any question to the store, in a thread."""
        return await asyncio.to_thread(self._read, question)

    async def status(self) -> SystemStatus:
        """The state of everything; disabled workers first."""
        return await asyncio.to_thread(self._read, lambda views: views.status())

    async def health(self) -> SystemHealth:
        return await asyncio.to_thread(self._read, lambda views: views.health())

    async def nodes(self) -> tuple[NodeStatus, ...]:
        return await asyncio.to_thread(self._read, lambda views: views.nodes())

    async def why(self, worker: Named) -> Explanation | None:
        """Every hold of the worker's next run; None when nothing waits.  Raises UnknownWorker."""
        name = name_of(worker)
        return await asyncio.to_thread(self._read, lambda views: views.why(name))

    async def why_run(self, run_id: int) -> Explanation:
        return await asyncio.to_thread(self._read, lambda views: views.why_run(run_id))

    async def run_info(self, run_id: int) -> Run:
        return await asyncio.to_thread(self._read, lambda views: views.run(run_id))

    async def runs(self, wanted: HistoryFilter = HistoryFilter()) -> list[Run]:  # noqa: B008  # immutable
        """Runs, newest first, without payloads."""
        return await asyncio.to_thread(self._read, lambda views: views.history(wanted))

    async def lines(self, run_id: int) -> list[LogLine]:
        """What the attempts of a run logged, the last 1,000 lines of each.  Raises UnknownRun."""
        return await asyncio.to_thread(self._read, lambda views: views.lines(run_id))

    async def dead_letters(self, wanted: LetterFilter = LetterFilter()) -> list[DeadLetter]:  # noqa: B008  # immutable
        return await asyncio.to_thread(self._read, lambda views: views.letters(wanted))
