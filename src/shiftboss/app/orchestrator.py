"""The Orchestrator: declare workers, start, stop (operations.py has what may be done with an open one).

Rules of this file
- Before `start` nothing is opened and no thread runs: importing and forking are safe.
- Methods are coroutines; `boss.sync` has the same ones for code without a loop.
- A stopped orchestrator can be started again, on another loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar, Unpack, overload

from shiftboss.app import twins
from shiftboss.app.current_node import CurrentNode
from shiftboss.app.declaration import WorkerOptions, declare
from shiftboss.app.first_node import WAIT_S
from shiftboss.app.handle import Decorate, Worker
from shiftboss.app.operations import Operations
from shiftboss.app.options import CALL, ORCHESTRATOR, SecretValue
from shiftboss.app.sync import SyncFace
from shiftboss.clock import Clock, SystemClock
from shiftboss.context import Context, storable
from shiftboss.core.fleet import FREEZE_LIMIT_S
from shiftboss.core.health import MAX_DEAD_LETTERS
from shiftboss.core.kinds import MAX_REMARK_CHARS, Duration
from shiftboss.core.redact import pattern_text, redaction
from shiftboss.core.retention import Keep
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition
from shiftboss.errors import (
    AlreadyStarted,
    ConfigurationError,
    StoreMissing,
)
from shiftboss.executors import environment
from shiftboss.executors.command import Command
from shiftboss.ports.codec import Codec
from shiftboss.ports.executor import Body

if TYPE_CHECKING:  # 15 ms of import, left to the start and the first question
    from shiftboss.app.open_node import OpenNode
    from shiftboss.app.views import Views
    from shiftboss.core.events import Event
    from shiftboss.core.health import StoreTrouble
    from shiftboss.engine.observers import Meter, Subscriber
    from shiftboss.engine.shutdown import ShutdownReport
    from shiftboss.ports.store import Store

Authorize = Callable[[Any], Any]
ASGIApplication = Callable[[Any, Any, Any], Awaitable[None]]

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_STORE = "sqlite:///shiftboss.db"


class Orchestrator(Operations):
    """Workers, and the node that runs them in this process.

    *store*: "sqlite:///relative", "sqlite:////absolute" or "memory:"; `SHIFTBOSS_STORE` in the environment takes
    precedence, ./shiftboss.db is the default.  *max_concurrency*: slots of this node.  *process_slots*: children of
    executor="process", by default one for each core.  *command_slots*: commands at a time.  *resources*: name →
    fleet-wide permits.  *shutdown_timeout* (25 s): platforms kill at 30.  *freeze_limit* (5 min): how long this node
    keeps its runs while its process lives but is silent because a function keeps the interpreter's lock; None or 0: no
    longer than its lease.  *retention* of finished runs (14 days) and *letter_retention* of closed dead letters (30
    days); open ones are kept, and past *max_dead_letters* health is degraded.  *audit_retention*: how long the record
    of what people did is kept (a year).  *durability*: "power" survives a power cut, "process" only the end of the
    process, and is faster.  *redact*: what is masked in errors, results, log lines and progress before these are
    stored, and in payloads where they are shown, in addition to whatever is called password, token, secret,
    authorization and the like: names, `re.compile(…)` for what secrets look like, `SecretValue(…)` for a known one.
    *codec*: encrypts payloads, results, errors, log lines and reasons before they are stored, such as
    `shiftboss.codec.AesGcmCodec`.

    In addition to its methods, for tests and tools: `definitions` (name → declaration), `resources`,
    `max_concurrency`.  Raises ConfigurationError.
    """

    def __new__(cls, *args: Any, **options: Any) -> Self:
        twin = twins.made_before(twins.caller(1))
        return twin if type(twin) is cls else super().__new__(cls)

    def __init__(
        self,
        store: str | None = None,
        *,
        max_concurrency: int = 100,
        process_slots: int | None = None,
        command_slots: int = 20,
        resources: Mapping[str, int] | None = None,
        shutdown_timeout: Duration = 25.0,
        freeze_limit: Duration | None = FREEZE_LIMIT_S,
        retention: Duration = "14d",
        letter_retention: Duration = "30d",
        audit_retention: Duration = "365d",
        max_dead_letters: int = MAX_DEAD_LETTERS,
        durability: str | None = None,
        code_version: str = "",
        redact: Sequence[str | re.Pattern[str] | SecretValue] = (),
        codec: Codec | None = None,
        clock: Clock | None = None,
    ) -> None:
        if hasattr(self, "sync"):  # the same line has made this object before: its file runs as __main__ as well
            return
        given = ORCHESTRATOR.read(
            {
                "store": store,
                "max_concurrency": max_concurrency,
                "process_slots": process_slots,
                "command_slots": command_slots,
                "resources": resources,
                "shutdown_timeout": shutdown_timeout,
                "freeze_limit": freeze_limit,
                "retention": retention,
                "letter_retention": letter_retention,
                "audit_retention": audit_retention,
                "max_dead_letters": max_dead_letters,
                "durability": durability,
                "code_version": code_version,
                "redact": redact,
                "codec": codec,
                "clock": clock,
            },
            of="Orchestrator(…)",
        )
        self._given_store: str | None = given["store"]
        self.store_override: str | None = None  # the command's --store
        self.max_concurrency: int = given["max_concurrency"]
        self.process_slots: int | None = given["process_slots"]
        self.command_slots: int = given["command_slots"]
        self.resources: dict[str, int] = given["resources"] or {}
        self.shutdown_timeout_s: float = given["shutdown_timeout"]
        self.freeze_limit_s: float = given["freeze_limit"] or 0.0
        self.keep = Keep(
            runs_s=given["retention"], letters_s=given["letter_retention"], audit_s=given["audit_retention"]
        )
        self.max_dead_letters: int = given["max_dead_letters"]
        self.durability: str | None = given["durability"]
        version = given["code_version"] or os.environ.get("SHIFTBOSS_CODE_VERSION", "")
        self.code_version = storable(version, MAX_REMARK_CHARS)
        redacted = given["redact"]
        self.redact: tuple[str, ...] = tuple(each for each in redacted if isinstance(each, str))
        self.redact_patterns = tuple(pattern_text(each) for each in redacted if isinstance(each, re.Pattern))
        self.secrets = tuple(each.reveal() for each in redacted if isinstance(each, SecretValue))
        self.redaction = redaction(self.redact, self.redact_patterns).knowing(self.secrets)
        self.codec: Codec | None = given["codec"]
        self._given_clock: Clock = clock or SystemClock()
        self.definitions: dict[str, Definition] = {}
        self.bodies: dict[str, Body] = {}
        self.only: Callable[[str], bool] = lambda name: True  # the command's --only and --except
        self.subscribers: list[Subscriber] = []
        self.meters: list[Meter] = []
        self._sites = twins.Sites()
        twins.makes(twins.caller(1), self)
        self.current = CurrentNode(self, self._given_clock)
        self.sync = SyncFace(self.current, encode=self.encode, bodies=self.bodies)
        """The same methods for code without a loop; opens a client at its first use."""

    __new__.__wrapped__ = __init__  # type: ignore[attr-defined]  # so that `inspect` shows its arguments

    # ── declaring ────────────────────────────────────────────────────────────────────────────────────────────────

    @overload
    def worker(self, fn: None = None, /, **options: Unpack[WorkerOptions]) -> Decorate: ...
    @overload
    def worker(self, fn: Callable[Concatenate[Context, P], Awaitable[R]], /) -> Worker[P, R]: ...
    @overload
    def worker(self, fn: Callable[P, Awaitable[R]], /) -> Worker[P, R]: ...
    @overload
    def worker(self, fn: Callable[Concatenate[Context, P], R], /) -> Worker[P, R]: ...
    @overload
    def worker(self, fn: Callable[P, R], /) -> Worker[P, R]: ...
    def worker(self, fn: Callable[..., Any] | None = None, /, **options: Unpack[WorkerOptions]) -> Any:
        """Declare the decorated function as a worker; see `WorkerOptions`.

        Raises ConfigurationError, and AlreadyStarted after the start.
        """
        if fn is not None:
            return self._declare(fn, options)
        return lambda decorated: self._declare(decorated, options)

    def register(
        self, name: str, fn: Callable[..., Any] | Command, /, **options: Unpack[WorkerOptions]
    ) -> Worker[..., Any]:
        """Declare *fn*, or a `command([…])`, as the worker *name*, without a decorator.

        *options*: see `WorkerOptions`.  Raises ConfigurationError, and AlreadyStarted after the start.
        """
        return self._declare(fn, {**options, "name": name})

    def _declare(self, fn: Callable[..., Any] | Command, options: Mapping[str, Any]) -> Worker[..., Any]:
        site = twins.caller(2)
        if self.current.node is not None and not self._sites.is_twin(site):
            raise AlreadyStarted("workers can only be registered before the start; stop the orchestrator first")
        plain = fn.fn if isinstance(fn, Worker) else fn
        definition, body = declare(plain, options)
        if self._sites.is_again(site, definition.name) and definition.name in self.definitions:
            return Worker(self, self.definitions[definition.name], plain)
        if definition.name in self.definitions:
            raise ConfigurationError(f"worker {definition.name!r} is registered twice; give one of them another name")
        if self.redact or self.redact_patterns:
            definition = replace(definition, redact=self.redact, redact_patterns=self.redact_patterns)
        if isinstance(plain, Command):  # the command line is what is shown
            definition = replace(definition, doc=self.redaction.text(definition.doc))
        self.definitions[definition.name] = definition
        self.bodies[definition.name] = body
        return Worker(self, definition, plain)

    def on_events(self, subscriber: Callable[[Sequence[Event]], None]) -> None:
        """Call *subscriber* with the events of each commit, in the engine's thread: be quick, do not block.

        What it raises is logged and has no other effect.  A process gets only the events of its own commits.
        """
        subscriber = CALL.read_one("subscriber", subscriber, of="on_events")
        if not self._sites.is_again(twins.caller(1), "subscriber"):
            self.subscribers.append(subscriber)

    def measure(self, meter: Meter) -> None:
        """Tell *meter* how long each cycle took, and each error of the store; in the engine's thread."""
        self.meters.append(CALL.read_one("meter", meter, of="measure"))

    # ── living ───────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def store_url(self) -> str:
        """The command's --store, else SHIFTBOSS_STORE, else the one given here, else ./shiftboss.db."""
        return self.store_override or environment.store_address() or self._given_store or DEFAULT_STORE

    @property
    def is_started(self) -> bool:
        """Whether it is open, as a node or as a client."""
        node = self.current.node
        return node is not None and node.engine.is_alive

    async def start(self) -> None:
        """Open the store, declare the workers, and begin to run them on this loop.

        Raises AlreadyStarted, ConfigurationError, CycleError, and what the store raises.
        """
        await self._open(asyncio.get_running_loop(), is_client=False)

    async def stop(self) -> ShutdownReport:
        """Drain, then cancel what is left, within `shutdown_timeout`; the report tells what became of it (G1 to G4).

        Raises NotStarted.
        """
        engine = self.current.require().engine
        engine.stop()
        report = await asyncio.shield(asyncio.wrap_future(engine.over))
        await asyncio.to_thread(self.current.close)
        return report

    async def __aenter__(self) -> Orchestrator:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._leave()

    @contextlib.asynccontextmanager
    async def client(self, *, create: bool = False, wait: Duration = WAIT_S) -> AsyncIterator[Orchestrator]:
        """Open a client, which triggers and operates but runs nothing.

        If there is no store yet, or no worker in it, the client waits for the first node, up to *wait* (a duration:
        10 s by default, 0 looks once); if the store is still missing then, it raises StoreMissing.  With *create* the
        store is made, and workers that are declared here and unknown there are declared, so that they can be triggered
        before the first node starts.
        """
        create = CALL.read_one("create", create, of="client")
        wait_s: float = CALL.read_one("wait", wait, of="client")
        await self._open_client(asyncio.get_running_loop(), create=create, wait_s=wait_s)
        try:
            if not create:
                await self._await_workers(wait_s)
            yield self
        finally:
            await self._leave()

    async def _leave(self) -> None:
        """The end of a block, in which the orchestrator may have been stopped; or a forked child leaves the block."""
        if self.current.node is not None:
            await self.stop()

    @contextlib.asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """For web frameworks: `FastAPI(lifespan=boss.lifespan)`, or inside a lifespan of yours.

        Raises what `start` raises.
        """
        async with self:
            yield

    def asgi(self, authorize: Authorize | None = None) -> ASGIApplication:
        """The dashboard and the JSON API as an ASGI application, to be mounted anywhere (extra `web`).

        *authorize* is given each request (a Starlette `HTTPConnection`: headers, cookies, session) and returns a role:
        "viewer", "operator", "admin" or None; or (role, the user's name for the audit); or (role, name, may), and then
        may(action, worker) is asked before each action and refuses it by anything but True.  Both may be coroutine
        functions.  Without it everything is denied, unless SHIFTBOSS_AUTH_TOKEN or SHIFTBOSS_ACCESS_FILE is set.  The
        host's lifespan starts the orchestrator (`lifespan=boss.lifespan`); served alone the application does it itself.
        Raises ConfigurationError if the extra is missing.

            app.mount("/shiftboss", boss.asgi(lambda request: "admin" if request.user.is_admin else None))
        """
        CALL.read_one("authorize", authorize, of="asgi")
        try:
            web = importlib.import_module("shiftboss.web.application")  # a higher layer, which not everybody installs
        except ImportError as error:
            raise ConfigurationError(f"{error}; the HTTP API needs an extra: pip install 'shiftboss[web]'") from error
        application: ASGIApplication = web.application(self, authorize)
        return application

    def run(self) -> ShutdownReport:
        """Run in this process until TERM, INT or HUP; blocks.  A second signal cancels, a third leaves at once.

        It ends the process itself only if a function cannot be stopped; what that function held is handed back first.
        Raises NotAllowed outside the main thread and where a loop runs already, and what `start` raises.
        """
        from shiftboss.app.serve import serve  # with the engine

        return serve(self)

    async def _open_client(self, loop: asyncio.AbstractEventLoop, *, create: bool, wait_s: float) -> None:
        while True:
            try:
                return await self._open(loop, is_client=True, create=create)
            except StoreMissing as missing:
                pause_s = self.current.first_node.pause_s(missing, wait_s)
                if not pause_s:
                    raise
                await asyncio.sleep(pause_s)

    async def _await_workers(self, wait_s: float) -> None:
        first_node = self.current.first_node
        while not await asyncio.to_thread(self.current.has_workers):
            pause_s = first_node.pause_s(f"no workers are registered in {self.store.url} yet", wait_s)
            if not pause_s:
                return
            await asyncio.sleep(pause_s)
        first_node.came()

    async def _open(self, loop: asyncio.AbstractEventLoop, *, is_client: bool, create: bool = False) -> None:
        engine = self.current.open(loop, is_client=is_client, create=create).engine
        try:
            await asyncio.shield(asyncio.wrap_future(engine.ready))
        except BaseException:
            engine.stop()
            await asyncio.to_thread(self.current.close)
            raise

    @property
    def clock(self) -> Clock:
        """The clock that the rules use: the store's while one is open."""
        node = self.current.node
        return self._given_clock if node is None else node.clock

    def opened(self) -> OpenNode:
        """The node or client that is open, on which the methods act.  Raises NotStarted, Forked."""
        return self.current.require()

    @property
    def store(self) -> Store:
        """The open store.  Raises NotStarted."""
        return self.current.require().store

    @property
    def is_stopping(self) -> bool:
        """Whether it is stopping or not started: it is not ready (G1)."""
        node = self.current.node
        return node is None or node.engine.is_stopping

    @property
    def trouble(self) -> str | None:
        """What keeps it from starting work now, in words; None if nothing does."""
        trouble = self.store_trouble()
        return None if trouble is None else str(trouble)

    def new_views(self) -> Views:
        """Views of the open store, for one thread; the caller closes them.  Raises NotStarted."""
        from shiftboss.app.views import Views  # 15 ms of import, only for those who ask

        return Views(
            self.store,
            self.clock,
            max_dead_letters=self.max_dead_letters,
            trouble=self.store_trouble,
            secrets=self.secrets,
        )

    def store_trouble(self) -> StoreTrouble | None:
        """The same as a value; the store is not asked."""
        node = self.current.node
        return None if node is None else node.engine.store_trouble()

    @property
    def contact_age_s(self) -> float | None:
        """For how many seconds the store has not answered this process; None while it is not started."""
        node = self.current.node
        return None if node is None else node.engine.contact.age_s

    @property
    def shutdown_left_s(self) -> float:
        """Seconds until a requested stop must be over; infinite if none was requested."""
        node = self.current.node
        return inf if node is None else node.engine.left_s

    @property
    def has_failed(self) -> bool:
        """Whether the engine has ended by an error of its own: only a new process can continue."""
        node = self.current.node
        return node is not None and node.engine.has_failed

    def attach(self, close: Callable[[], None]) -> None:
        """Call *close* before the store is closed: for whatever else reads it.  Raises NotStarted."""
        self.current.require().parts.attach(close)
