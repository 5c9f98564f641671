"""Who may do what: roles, and the authenticator, which identifies the user of a request.

Rules of this file
- Everything that is not allowed is denied: a request that no authenticator accepts gets only 401 or 403.
- Mounted: the host's `authorize` returns the role, and may also refuse single actions.  Alone: tokens, and users whom
  a trusted proxy names (tokens.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from starlette.requests import HTTPConnection, Request

from shiftboss.app.roles import Role
from shiftboss.core.kinds import shown
from shiftboss.errors import ConfigurationError, did_you_mean
from shiftboss.web.authorize import HostAuthorize
from shiftboss.web.problems import Problem

MAX_NAME_CHARS = 200
RECHECK_S = 15.0  # a stream asks the host again this often: 200 streams ask 13 times a second


May = Callable[[str, str | None], Any]
"""(action, worker) → whether this user may; actions are those of the API: "trigger", "cancel", "discard_many"."""


class Access(NamedTuple):
    """What a request may do, and the name for the audit.  *may*: the host's answer about each action."""

    role: Role
    name: str
    may: May | None = None


class Token(NamedTuple):
    """A valid token; *is_nameless*: several people use it, so the audit tells its sessions apart."""

    name: str
    role: Role
    digest: bytes
    is_nameless: bool = False


Authorize = Callable[[HTTPConnection], Any]
"""(request) → "metrics" | "viewer" | "operator" | "admin" | None, or (role, name of the user), or (role, name, may).

An action is refused unless `may(action, worker)` returns True; both may be coroutine functions.
"""


class Authenticator(Protocol):
    """Identifies the user of a request."""

    hosts: frozenset[str] | None  # the names of this server; None: any
    asks_for_token: bool
    recheck_s: float  # a stream whose access was taken away ends within this time

    async def access(self, request: Request) -> Access | None:
        """None for a request without credentials.  Raises Problem."""
        ...


class Closed:
    """Mounted without `authorize`: nobody has access."""

    hosts: frozenset[str] | None = None
    asks_for_token = False
    recheck_s = RECHECK_S

    async def access(self, request: Request) -> Access | None:
        raise Problem(
            403,
            "no-authorize",
            "Nobody has access, because shiftboss is mounted without authorize=.  Give boss.asgi(authorize=…) a "
            "function that returns the role of a request: 'viewer', 'operator', 'admin' or None.",
        )


class Mounted:
    """Mounted: the host application identifies its users."""

    hosts: frozenset[str] | None = None  # the host application checks its own
    asks_for_token = False
    recheck_s = RECHECK_S

    def __init__(self, authorize: Authorize) -> None:
        self._host = HostAuthorize(authorize, granted)
        self._may = HostAuthorize(_Question.answer, lambda answer: answer is True)  # any other answer is a refusal

    async def access(self, request: Request) -> Access | None:
        access = await self._host(request)
        if access is None or access.may is None:
            return access
        may = access.may
        return access._replace(may=lambda action, worker: self._may(_Question(may, action, worker)))


class _Question(NamedTuple):
    """A question to the host: is this action allowed?"""

    may: May
    action: str
    worker: str | None

    def answer(self) -> Any:
        return self.may(self.action, self.worker)


def granted(answer: Any) -> Access | None:
    """The answer of `authorize`, as access.  Raises ConfigurationError if it is no role."""
    if answer is None or answer is False:
        return None
    role, name, may = (*answer, None)[:3] if isinstance(answer, tuple) and len(answer) in (2, 3) else (answer, "", None)
    if may is not None and not callable(may):
        raise ConfigurationError(
            f"authorize= returned {shown(may)} as permissions; return a function of action and worker"
        )
    if isinstance(role, Role):
        return Access(role, _name(name) or role.name.lower(), may)
    known = {each.name.lower(): each for each in Role}
    if not isinstance(role, str) or role not in known:
        raise ConfigurationError(
            f"authorize= returned {shown(role)}, which is not a role; {did_you_mean(str(role)[:MAX_NAME_CHARS], known)}"
        )
    return Access(known[role], _name(name) or role, may)


def _name(name: object) -> str:
    return "".join(each for each in str(name or "") if each.isprintable())[:MAX_NAME_CHARS]
