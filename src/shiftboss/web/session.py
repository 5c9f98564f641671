"""A browser's session: in exchange for a token it gets a cookie, which no script can read and no other site can send.

Rules of this file
- The cookie names its user and its end, and is signed with the server's secret and the token's digest: it survives a
  restart, and ends when the token is changed or taken away.
- A log-out also ends the session on the server, so that a copied cookie is useless; that is remembered until the
  session would have ended.
- Browsers send a host's cookies to all of its ports: the cookie's name tells servers apart, and the signature covers
  the name.
- A session lasts for elapsed time, whatever the wall clock is set to (O4); over a reboot, and on another machine with
  the same secret, only wall time counts.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import NamedTuple

from starlette.requests import HTTPConnection
from starlette.responses import Response

from shiftboss.clock import Clock
from shiftboss.core.fleet import is_same_boot
from shiftboss.core.value import EPOCH
from shiftboss.web.access import Token
from shiftboss.web.ended_sessions import EndedSessions

HOLDS_S = 12 * 3600.0  # a working day
PARTS = 5  # token's name, end by wall time and by elapsed time, the boot that the latter counts from, id


class BrowserSession(NamedTuple):
    """*id* distinguishes sessions of one token, also in the audit."""

    token: Token
    id: str
    until_s: int  # wall time


class Sessions:
    def __init__(self, secret: Callable[[], str], clock: Clock, ended: EndedSessions, *, store: str = "") -> None:
        self._secret = secret
        self._clock = clock
        self._ended = ended
        self._store = store

    def sign_in(self, request: HTTPConnection, response: Response, token: Token) -> BrowserSession:
        """Give the browser its cookie."""
        until, elapsed_until = int(self._wall_s() + HOLDS_S), int(self._clock.elapsed_s() + HOLDS_S)
        session = BrowserSession(token, secrets.token_hex(16), until)
        name = self.cookie_name(request)
        content = f"{token.name}.{until}.{elapsed_until}.{self._clock.machine_boot}.{session.id}"
        response.set_cookie(
            name,
            f"{content}.{self._signature(name, content, token)}",
            max_age=int(HOLDS_S),
            path=_path(request),
            httponly=True,
            samesite="strict",
            secure=_is_secure(request),
        )
        return session

    def of(self, request: HTTPConnection, tokens: Callable[[str], Token | None]) -> BrowserSession | None:
        """The session of a request, if its token is still valid."""
        name = self.cookie_name(request)
        return self.read(name, request.cookies.get(name, ""), tokens)

    def read(self, name: str, cookie: str, tokens: Callable[[str], Token | None]) -> BrowserSession | None:
        content, _, signature = cookie.rpartition(".")
        parts = content.rsplit(".", PARTS - 1)
        token = tokens(parts[0])
        if token is None or len(parts) != PARTS:  # from an older version: the user logs in again
            return None
        if not hmac.compare_digest(
            signature.encode("utf-8", "replace"), self._signature(name, content, token).encode()
        ):
            return None
        _, until, elapsed_until, boot, id_ = parts
        if is_same_boot(boot, self._clock.machine_boot):
            holds = int(elapsed_until) > self._clock.elapsed_s()
        else:
            holds = int(until) > self._wall_s()
        return BrowserSession(token, id_, int(until)) if holds and id_ not in self._ended else None

    def end(self, request: HTTPConnection, response: Response, session: BrowserSession | None) -> None:
        """End the session: delete the cookie, and make its copies useless."""
        if session is not None:
            self._ended.add(session.id, session.until_s)
        response.delete_cookie(
            self.cookie_name(request),
            path=_path(request),
            httponly=True,
            samesite="strict",
            secure=_is_secure(request),
        )

    def cookie_name(self, request: HTTPConnection) -> str:
        """Made from the browser's `Host`: its port is ours, or that of the proxy before us."""
        host = request.headers.get("host", "").lower()
        digest = hashlib.sha256(f"{self._store}\0{host.rpartition(':')[2]}".encode()).hexdigest()[:8]
        is_bound = _is_secure(request) and _path(request) == "/"  # then no other host of the domain can set it
        return f"{'__Host-' if is_bound else ''}shiftboss_session_{digest}"

    def _wall_s(self) -> float:
        return (self._clock.now() - EPOCH).total_seconds()

    def _signature(self, name: str, content: str, token: Token) -> str:
        secret = b"shiftboss session\0" + self._secret().encode("utf-8", "surrogatepass")
        key = hmac.new(secret, token.digest, hashlib.sha256).digest()
        return hmac.new(key, f"{name}\0{content}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _is_secure(request: HTTPConnection) -> bool:
    return request.url.scheme == "https"


def _path(request: HTTPConnection) -> str:
    return f"{request.scope.get('root_path', '')}/"
