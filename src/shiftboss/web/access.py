"""Who may do what: roles, and the three ways in which a request shows whose it is.

Rules of this file
- Denied is what nobody allowed: without a gate that knows the request, there is no answer but 401 or 403.
- Mounted: the host's `authorize` says the role.  Alone on loopback: whoever is on this machine is its administrator,
  if the `Host` names this machine (a page elsewhere that rebinds its name does not).  Alone with a token: its bearer.
- Tokens are compared in constant time, by digest; guesses are slowed per address and all together.
"""

from __future__ import annotations

import hashlib
import hmac
import inspect
from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request

from shiftboss.app.who import who
from shiftboss.clock import Clock
from shiftboss.errors import ConfigurationError, did_you_mean
from shiftboss.executors import connections
from shiftboss.logs import get_logger
from shiftboss.web.guesses import Guesses
from shiftboss.web.problems import Problem
from shiftboss.web.session import COOKIE, Sessions

log = get_logger("shiftboss.web")

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
MAX_NAME_CHARS = 200


class Role(IntEnum):
    """Each may do what the one before may."""

    VIEWER = 1  # sees; payloads and errors with their secrets masked
    OPERATOR = 2  # triggers, cancels, enables, disables, replays, resolves
    ADMIN = 3  # discards, forgets, drains


class Access(NamedTuple):
    """What a request may do, and the name that stands in the audit."""

    role: Role
    name: str


Authorize = Callable[[HTTPConnection], Any]
"""(request) → "viewer" | "operator" | "admin" | None, or (role, name of the user); may be a coroutine function."""


class Gate(Protocol):
    """Knows whose a request is."""

    hosts: frozenset[str] | None  # the names of this server; None: any
    asks_for_token: bool

    async def access(self, request: Request) -> Access | None:
        """None for a request that shows nothing.  Raises Problem."""
        ...


class Closed:
    """Mounted, and nobody said who may come in."""

    hosts: frozenset[str] | None = None
    asks_for_token = False

    async def access(self, request: Request) -> Access | None:
        raise Problem(
            403,
            "no-authorize",
            "Nobody may see this: it is mounted without authorize=.  Give boss.asgi(authorize=…) a function that says "
            "the role of a request: 'viewer', 'operator', 'admin' or None.",
        )


class Mounted:
    """The host application knows its users."""

    hosts: frozenset[str] | None = None  # the host application has its own
    asks_for_token = False

    def __init__(self, authorize: Authorize) -> None:
        self._authorize = authorize
        self._is_async = inspect.iscoroutinefunction(authorize) or inspect.iscoroutinefunction(
            getattr(type(authorize), "__call__", None)  # noqa: B004  # whether it is a coroutine's, not whether it is
        )

    async def access(self, request: Request) -> Access | None:
        said = await (self._awaited(request) if self._is_async else run_in_threadpool(self._called, request))
        try:
            return None if said is None or said is False else granted(said)
        except ConfigurationError as error:
            log.error("authorize= answered no role, and the request is refused: %s", error)  # noqa: TRY400  # a mistake of the host's; its place says nothing
            raise Problem(
                500, "wrong-authorize", "The host's authorize= answered no role; its log says more."
            ) from error

    def _called(self, request: Request) -> Any:
        """In a thread of the server's.  Where Django asks its database there, no request of its own tidies up."""
        connections.give_back()
        try:
            return self._authorize(request)
        finally:
            connections.give_back()

    async def _awaited(self, request: Request) -> Any:
        try:
            return await self._authorize(request)
        except Exception:
            connections.after_a_failure_on_the_loop()
            raise


class Local:
    """Alone on loopback, without a credential."""

    hosts: frozenset[str] | None = LOOPBACK
    asks_for_token = False

    async def access(self, request: Request) -> Access | None:
        return Access(Role.ADMIN, who())


class WithToken:
    """Alone with a token: in `Authorization: Bearer …`, or exchanged for a session's cookie."""

    hosts: frozenset[str] | None = None  # a name that is rebound to us carries neither cookie nor token
    asks_for_token = True

    def __init__(self, token: str, clock: Clock) -> None:
        if len(token) < 16:
            raise ConfigurationError("SHIFTBOSS_AUTH_TOKEN is too short to be a secret; use at least 16 characters")
        self._digest = _digest(token)
        self._guesses = Guesses(clock)
        self.sessions = Sessions(token, clock)

    async def access(self, request: Request) -> Access | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            self.check(request, token.strip())
            return Access(Role.ADMIN, f"token from {_address(request)}")
        if self.sessions.is_valid(request.cookies.get(COOKIE, "")):
            return Access(Role.ADMIN, f"token from {_address(request)}")
        return None

    def check(self, request: Request, token: str) -> None:
        """Raises Problem for a wrong token, and for one guess too many."""
        address = _address(request)
        wait_s = self._guesses.wait_s(address)
        if wait_s > 0:
            raise Problem(
                429, "too-many-guesses", "Too many wrong tokens; wait.", headers={"retry-after": str(int(wait_s) + 1)}
            )
        if not hmac.compare_digest(self._digest, _digest(token)):
            self._guesses.wrong(address)
            raise Problem(401, "wrong-token", "This token is wrong.", headers={"www-authenticate": "Bearer"})
        self._guesses.right(address)


def granted(said: Any) -> Access:
    """What `authorize` answered, as access.  Raises ConfigurationError for what is no role."""
    role, name = said if isinstance(said, tuple) and len(said) == 2 else (said, "")
    if isinstance(role, Role):
        return Access(role, _name(name) or role.name.lower())
    known = {each.name.lower(): each for each in Role}
    if not isinstance(role, str) or role not in known:
        raise ConfigurationError(f"authorize= answered {role!r}, which is no role; {did_you_mean(str(role), known)}")
    return Access(known[role], _name(name) or role)


def is_local(host: str) -> bool:
    """Whether an address to listen on reaches this machine alone."""
    return host == "localhost" or host == "::1" or host.startswith("127.")


def _name(name: object) -> str:
    return "".join(each for each in str(name or "") if each.isprintable())[:MAX_NAME_CHARS]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _address(request: HTTPConnection) -> str:
    return request.client.host if request.client is not None else "somewhere"
