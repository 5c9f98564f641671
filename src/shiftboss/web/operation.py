"""One operation of the API: its line in the table and its function's signature define everything about it.

Rules of this file
- A function takes a `Call`, then `params` (path and query) and `body` if it has any, each a Struct; it returns the
  answer.  Routing, validation, OpenAPI and the reference page read nothing else.
- Its docstring is its documentation: the first line is a summary, with the errors that a caller can get.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar, get_type_hints

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from shiftboss.app.actor import acting_as
from shiftboss.app.json_format import encoded
from shiftboss.app.orchestrator import Orchestrator
from shiftboss.app.roles import Role
from shiftboss.app.views import Views
from shiftboss.errors import StoreUnavailable
from shiftboss.web.access import Access, Authenticator
from shiftboss.web.door_audit import DoorAudit
from shiftboss.web.hub import Hub
from shiftboss.web.problems import Problem, harmless
from shiftboss.web.proxy import user_of
from shiftboss.web.request_parsing import read_body, read_params
from shiftboss.web.single_flight import SingleFlight

ASK_WITHIN_S = 10.0  # for a query of the store; its own limits are shorter
BESIDE_PAYLOAD_BYTES = 64 * 1024  # room in a body beside the largest payload
MIN_BODY_BYTES = (1 << 20) + BESIDE_PAYLOAD_BYTES
STRANGERS_BODY_BYTES = 8 * 1024  # without credentials: a token of 4,096 characters, and room for its JSON
CONNECTION = "shiftboss.connection"  # key in a scope's extensions: the connection, which is told of a log-in
T = TypeVar("T")


class Nothing(msgspec.Struct, frozen=True):
    """No parameters, no body, no answer."""


class Call(NamedTuple):
    """One authorized request."""

    boss: Orchestrator
    access: Access | None  # None only for operations without a role
    request: Request
    hub: Callable[[], Hub]
    authenticator: Authenticator
    acts: DoorAudit

    async def ask(self, question: Callable[[Views], T]) -> T:
        """Run *question* on the store.  Raises what it raises, and StoreUnavailable if it takes too long."""
        try:
            async with asyncio.timeout(ASK_WITHIN_S):
                return await self.boss.ask(question)
        except TimeoutError:
            raise StoreUnavailable(f"the store did not answer within {ASK_WITHIN_S:g} s") from None

    async def is_permitted(self, action: str, worker: str | None) -> bool:
        """Whether the host permits this user an action; True if it has no say.  Raises Problem if the host fails."""
        may = None if self.access is None else self.access.may
        return may is None or bool(await may(action, worker))

    async def must(self, action: str, worker: str | None) -> None:
        """Raises Problem if the host refuses this user the action."""
        if await self.is_permitted(action, worker):
            return
        what = action if worker is None else f"{action} {worker}"
        by = "" if self.access is None else self.access.name
        raise Problem(403, "not-permitted", f"The host application does not permit this: {what}.", by=by)

    async def may_still(self) -> bool:
        """Whether the request would still be accepted: under the same name, with at least the same role."""
        was = self.access
        try:
            now = await self.authenticator.access(self.request)
        except Problem:
            return False
        return was is None or (now is not None and now.name == was.name and now.role >= was.role)


class Operation:
    """*role* None: for everybody, also without credentials.  *personal*: the answer depends on the user.

    *body_bytes*: what its body may have, where that is more than the largest payload needs.
    """

    def __init__(
        self,
        method: str,
        path: str,
        role: Role | None,
        act: Callable[..., Awaitable[Any]],
        *,
        status: int = 200,
        personal: bool = False,
        body_bytes: int = 0,
    ) -> None:
        hints = get_type_hints(act)
        self.method = method
        self.path = path
        self.role = role
        self.act = act
        self.status = status
        self.is_personal = personal
        self.body_bytes = body_bytes
        self.params: type[msgspec.Struct] = hints.get("params", Nothing)
        self.body: type[msgspec.Struct] | None = hints.get("body")
        self.answer: Any = hints["return"]
        self.id = act.__name__.rstrip("_")
        self.doc = inspect.cleandoc(act.__doc__ or "")

    @property
    def summary(self) -> str:
        return self.doc.partition("\n")[0]

    @property
    def path_params(self) -> tuple[str, ...]:
        return tuple(re.findall(r"{(\w+)}", self.path))

    @property
    def is_question(self) -> bool:
        """Whether its answer is the same for all users of a role who send the same parameters."""
        is_stream = isinstance(self.answer, type) and issubclass(self.answer, Response)
        return self.method == "GET" and self.role is not None and not is_stream and not self.is_personal

    @property
    def changes(self) -> bool:
        """Whether it changes something in the system; a session belongs to the user alone."""
        return self.method != "GET" and self.role is not None

    def can_be_about(self, worker: str | None) -> bool:
        """Whether the host may be asked about it with *worker*: a body may name one worker or any."""
        if self.body is not None and not {"filter", "worker"}.isdisjoint(self.body.__struct_fields__):
            return True
        is_about_one = not {"worker", "run"}.isdisjoint(self.params.__struct_fields__)
        return is_about_one == (worker is not None)

    async def _worker(self, call: Call, given: dict[str, Any]) -> str | None:
        """The worker that it concerns, if it concerns a single one."""
        params, body = given.get("params"), given.get("body")
        run = getattr(params, "run", None)
        if run is not None:
            worker_name: str = (await call.ask(lambda views: views.run(run))).worker
            return worker_name
        named = (getattr(each, "worker", None) for each in (params, body, getattr(body, "filter", None)))
        return next(filter(None, named), None)

    async def respond(
        self,
        boss: Orchestrator,
        hub: Callable[[], Hub],
        authenticator: Authenticator,
        acts: DoorAudit,
        single_flight: SingleFlight,
        request: Request,
    ) -> Response:
        """Authorize the request, read it, act, answer.  Raises Problem, and what the function raises."""
        access = await admitted(authenticator, request, self.role)
        call = Call(boss, access, request, hub, authenticator, acts)
        given: dict[str, Any] = {}
        given_params = read_params(self.params, request)
        if self.params is not Nothing:
            given["params"] = given_params
        if self.body is not None:
            given["body"] = await read_body(self.body, request, limit=self._limit(boss))
        if self.is_question and access is not None:
            question = self.id, access.role, given_params
            return _json(await single_flight.answer(question, lambda: self._answer(call, given)), self.status)
        if access is not None and access.may is not None and self.changes:
            await call.must(self.id, await self._worker(call, given))
        with acting_as(access.name if access is not None else ""):
            answer = await self.act(call, **given)
        if isinstance(answer, Response):
            return answer
        return Response(status_code=204) if self.status == 204 else _json(harmless(encoded(answer)), self.status)

    def _limit(self, boss: Orchestrator) -> int:
        """The bound of a body in bytes: for an authenticated user the largest payload of any worker fits."""
        if self.role is None:
            return STRANGERS_BODY_BYTES
        largest = max((each.max_payload_bytes for each in list(boss.definitions.values())), default=0)
        return max(MIN_BODY_BYTES, largest + BESIDE_PAYLOAD_BYTES, self.body_bytes)

    async def _answer(self, call: Call, given: dict[str, Any]) -> bytes:
        return harmless(encoded(await self.act(call, **given)))


def _json(data: bytes, status: int) -> Response:
    return Response(data, status, media_type="application/json")


async def admitted(authenticator: Authenticator, request: Request, role: Role | None) -> Access | None:
    """The access of a request, which has at least *role*.  Raises Problem."""
    access = await authenticator.access(request)
    if role is None:
        return access
    if access is None:
        user = user_of(request.scope)
        if user is not None:
            raise Problem(
                403, "no-role", "You are authenticated but have no role; ask an administrator for one.", by=user
            )
        if authenticator.asks_for_token:
            raise Problem(
                401,
                "no-token",
                "Send Authorization: Bearer with a token of this server.  If it was given none, it created one at its "
                "first start beside the store (*.token): `shiftboss token show` on its machine prints it.",
                headers={"www-authenticate": "Bearer"},
            )
        raise Problem(403, "no-access", "You have no access.")
    if access.role < role:
        raise Problem(
            403,
            "role-too-low",
            f"This needs the role {role.name.lower()}; yours is {access.role.name.lower()}.",
            by=access.name,
        )
    _is_let_in(request)
    return access


def _is_let_in(request: Request) -> None:
    """If the server is ours, give the connection the limits of an authenticated client."""
    connection = request.scope.get("extensions", {}).get(CONNECTION)
    if connection is not None:
        connection.let_in()
