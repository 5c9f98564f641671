"""The checks before every request, and the headers of every answer.

Rules of this file
- First, proxy headers are accepted or refused (proxy.py).  Then a `Host` that is not ours is refused (DNS rebinding),
  then a method that changes something and comes from another site.  So a request that a browser sends by itself across
  sites (a form, a cookie) never changes anything.
- The site is known from the browser's `Sec-Fetch-Site`; without it `Origin` is compared with `Host`, because no browser
  sends the former over plain http away from loopback.  (As Go's `http.CrossOriginProtection`; unlike there, a request
  with neither needs a bearer token.)
- A client that reads nothing of an answer for SEND_WITHIN_S is cut off, also under a host's server, which would wait
  forever.
- No answer may be framed, sniffed or run inline script; no cache may store data.
"""

from __future__ import annotations

import asyncio
import contextlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shiftboss.web import stream
from shiftboss.web.access import Authenticator
from shiftboss.web.access_log import AccessLog
from shiftboss.web.problems import Problem
from shiftboss.web.proxy import Proxies

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
DEFAULT_PORTS = {"http": ":80", "https": ":443"}  # browsers leave them out
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class NotTaken(OSError):
    """The client does not read: it counts as gone."""


class SecurityMiddleware:
    def __init__(
        self, app: ASGIApp, authenticator: Authenticator, refusals: AccessLog, proxies: Proxies | None = None
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._refusals = refusals
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            try:
                async with asyncio.timeout(stream.SEND_WITHIN_S):
                    await send(message)
            except TimeoutError:
                raise NotTaken from None

        try:
            if self._proxies is not None:
                scope = self._proxies.arrived(scope)
            self._check(scope["method"], Headers(scope=scope))
        except Problem as problem:
            self._refusals.note(scope, problem)
            await problem.response()(scope, receive, protected)
            return
        with contextlib.suppress(NotTaken):
            await self._app(scope, receive, protected)

    def _check(self, method: str, headers: Headers) -> None:
        """Raises Problem."""
        hosts = self._authenticator.hosts
        if hosts is not None and [_name(each) for each in headers.getlist("host")] not in [[host] for host in hosts]:
            raise Problem(
                421, "wrong-host", f"This server is named {', '.join(sorted(hosts))}; use one of these names."
            )
        if method in SAFE or _is_from_here(headers):
            return
        raise Problem(
            403,
            "cross-site",
            "This request changes something but does not come from this site.  A browser sends its origin by itself "
            "(Sec-Fetch-Site, or an Origin that matches Host: a proxy must pass on both, and Host with its port); "
            "other clients send Authorization: Bearer …, or Sec-Fetch-Site: same-origin.",
        )


def _is_from_here(headers: Headers) -> bool:
    """Whether the request cannot come from a page of another site.

    With same-origin, a proxy may have changed `Host`; every other value is checked against `Origin`.
    """
    sites, origins, hosts = (headers.getlist(name) for name in ("sec-fetch-site", "origin", "host"))
    match sites:
        case ["same-origin"]:
            return True
        case [] | ["none"]:  # none: a person typed the address, or chose a bookmark
            pass
        case _:
            return False
    if origins:
        return len(origins) == len(hosts) == 1 and _is_at(origins[0], hosts[0])
    return sites == ["none"] or _has_bearer(headers)


def _is_at(origin: str, host: str) -> bool:
    """Whether *origin* ("https://example.org") is a browser's name for the site at *host* ("example.org:443")."""
    scheme, _, place = origin.lower().partition("://")
    if scheme not in DEFAULT_PORTS or not place:
        return False
    port = DEFAULT_PORTS[scheme]
    return place.removesuffix(port) == host.lower().removesuffix(port)


def _has_bearer(headers: Headers) -> bool:
    """Whether it has a bearer token: no page of another site can send one by itself."""
    return headers.get("authorization", "").partition(" ")[0].lower() == "bearer"


def _name(host: str) -> str:
    """*host* without its port."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() and not (name.count(":") and not name.endswith("]")) else host.lower()
