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
from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

from starlette.requests import HTTPConnection, Request

from shiftboss.app.who import who
from shiftboss.clock import Clock
from shiftboss.core.kinds import shown
from shiftboss.errors import ConfigurationError, did_you_mean
from shiftboss.web.authorize import HostAuthorize
from shiftboss.web.guesses import Guesses
from shiftboss.web.problems import Problem
from shiftboss.web.session import COOKIE, Sessions

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
        self._host = HostAuthorize(authorize, granted)

    async def access(self, request: Request) -> Access | None:
        return await self._host(request)


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


def granted(said: Any) -> Access | None:
    """What `authorize` answered, as access.  Raises ConfigurationError for what is no role."""
    if said is None or said is False:
        return None
    role, name = said if isinstance(said, tuple) and len(said) == 2 else (said, "")
    if isinstance(role, Role):
        return Access(role, _name(name) or role.name.lower())
    known = {each.name.lower(): each for each in Role}
    if not isinstance(role, str) or role not in known:
        raise ConfigurationError(
            f"authorize= answered {shown(role)}, which is no role; {did_you_mean(str(role)[:MAX_NAME_CHARS], known)}"
        )
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
