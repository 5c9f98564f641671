"""The ASGI application that `boss.asgi()` returns: routes from the table, behind the security middleware.

Rules of this file
- It mounts under any prefix, and keeps nothing that becomes wrong when the orchestrator is stopped and started.
- Alone, the server's lifespan starts and stops the orchestrator.  Mounted, it gets no lifespan events; the host's
  lifespan does it (`lifespan=boss.lifespan`).
- Every answer that is no success is a problem document that says what to do.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from shiftboss.app.orchestrator import Orchestrator
from shiftboss.app.roles import Role
from shiftboss.errors import ShiftbossError
from shiftboss.web import authenticators, openapi
from shiftboss.web.access import Authenticator, Authorize, Closed, Mounted
from shiftboss.web.access_log import AccessLog
from shiftboss.web.door_audit import DoorAudit
from shiftboss.web.hub import Hub
from shiftboss.web.metrics import Metrics
from shiftboss.web.operation import Operation, admitted
from shiftboss.web.probes import Probes
from shiftboss.web.problems import Problem, harmless, problem_of
from shiftboss.web.proxy import Proxies
from shiftboss.web.security_middleware import SecurityMiddleware
from shiftboss.web.single_flight import SingleFlight
from shiftboss.web.site import DashboardFiles
from shiftboss.web.table import OPERATIONS, PREFIX
from shiftboss.web.tokens import WithTokens

MANY_WORKERS = 1_000  # fewer are read so soon that nobody need hold a connection to the store for them
Answer = Callable[[Request], Awaitable[Response]]


def application(boss: Orchestrator, authorize: Authorize | None = None) -> Application:
    """For `boss.asgi`: with *authorize*, otherwise with the environment's tokens, otherwise closed."""
    if authorize is not None:
        return Application(boss, Mounted(authorize))
    return Application(boss, authenticators.mounted(boss) or Closed())


class Application:
    def __init__(self, boss: Orchestrator, authenticator: Authenticator, proxies: Proxies | None = None) -> None:
        """*proxies*: the proxies before this server; None if the host's server handles them."""
        self._boss = boss
        self._authenticator = authenticator
        self._hub: Hub | None = None
        self._lock = threading.Lock()  # protects the hub: servers in two threads may create it
        self._acts = DoorAudit(boss)
        self._refusals = AccessLog(boss.clock, self._acts.refusals)
        if isinstance(authenticator, WithTokens):
            authenticator.on_change(self._acts.access_changed)
        self._single_flight = SingleFlight()
        router = Router(self._routes(), default=_unknown, redirect_slashes=False)
        self._guarded = SecurityMiddleware(router, authenticator, self._refusals, proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._guarded(scope, receive, send)
            case "lifespan":
                await self._live(receive, send)
            case _:  # a websocket: not served
                await send({"type": "websocket.close", "code": 1000})

    @property
    def hub(self) -> Hub:
        """The live streams of the orchestrator's current start.  Raises NotStarted."""
        with self._lock:
            if self._hub is None or self._hub.store is not self._boss.store:
                self._hub = Hub(self._boss)
                self._boss.attach(self._hub.close)
            return self._hub

    def read_ahead(self) -> None:
        """Read all workers before anybody asks, and if they are many, once more for the first live stream.

        Reading 10,000 workers takes half a second.  An error is left to those who ask.
        """
        with suppress(ShiftbossError):
            workers = self._boss.opened().read(lambda views: len(views.assessed().places))
            if workers > MANY_WORKERS:
                self.hub.read_ahead()

    def end_streams(self) -> None:
        """The server stops: send `bye` to every stream, and store the counted refusals.  Callable from any thread."""
        self._acts.refusals.write()
        with self._lock:
            hub = self._hub
        if hub is not None:
            hub.close()

    # ── routes ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _routes(self) -> list[Route]:
        by_path: dict[str, dict[str, Answer]] = {}
        for operation in OPERATIONS:
            by_path.setdefault(PREFIX + operation.path, {})[operation.method] = self._answer_of(operation)
        probes, site, metrics = (
            Probes(self._boss, self._authenticator),
            DashboardFiles(self._authenticator),
            Metrics(self._boss, self._authenticator),
        )
        by_path[f"{PREFIX}/openapi.json"] = {"GET": self._openapi}
        by_path["/livez"] = {"GET": probes.livez}
        by_path["/readyz"] = {"GET": probes.readyz}
        by_path["/healthz"] = {"GET": probes.healthz}
        by_path["/metrics"] = {"GET": metrics.answer}
        by_path["/assets/{path:path}"] = {"GET": site.asset}
        by_path["/"] = {"GET": site.index}
        literal_first = sorted(by_path, key=lambda path: path.count("{"))  # or "cancel" would match as a run's id
        return [Route(path, ByMethod(by_path[path], self._refusals)) for path in literal_first]

    def _answer_of(self, operation: Operation) -> Answer:
        async def answer(request: Request) -> Response:
            return await operation.respond(
                self._boss, lambda: self.hub, self._authenticator, self._acts, self._single_flight, request
            )

        return answer

    async def _openapi(self, request: Request) -> Response:
        await admitted(self._authenticator, request, Role.VIEWER)
        return Response(harmless(msgspec.json.encode(openapi.document())), media_type="application/json")

    # ── alone ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        is_ours = not self._boss.is_started
        try:
            if is_ours:
                await self._boss.start()
        except BaseException as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._acts.refusals.write()
        if is_ours:
            await self._boss.stop()
        await send({"type": "lifespan.shutdown.complete"})


class ByMethod:
    """The handlers of one path, by method; every error in them becomes a problem document."""

    def __init__(self, answers: Mapping[str, Answer], refusals: AccessLog) -> None:
        self._answers = answers
        self._refusals = refusals
        self._allowed = ", ".join(sorted({*answers, *(["HEAD"] if "GET" in answers else [])}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        answer = self._answers.get(method)
        try:
            if answer is None:
                raise Problem(
                    405, "wrong-method", f"This address accepts {self._allowed}.", headers={"allow": self._allowed}
                )
            response = await answer(Request(scope, receive))
        except Exception as error:  # noqa: BLE001  # the only place that handles all errors of a request
            problem = problem_of(error)
            self._refusals.note(scope, problem)
            response = problem.response()
        await response(scope, receive, send)


async def _unknown(scope: Scope, receive: Receive, send: Send) -> None:
    problem = Problem(404, "no-such-path", f"There is nothing at this address; the API begins at {PREFIX}/.")
    await problem.response()(scope, receive, send)
