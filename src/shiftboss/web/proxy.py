"""What a reverse proxy says about a request, and which proxies are trusted.

Rules of this file
- Proxy headers are trusted only from the named proxies (`--trusted-proxy`).  A request that has them from another
  address is refused: either an unnamed proxy forwards it, and all its clients would look like this machine, or the
  client has forged them.
- The client is the last address in X-Forwarded-For that is no trusted proxy: the client could write those before it.
- Probes are answered without that check: a load balancer must not restart the server because an option is missing.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network

from starlette.datastructures import Headers
from starlette.types import Scope

from shiftboss.errors import ConfigurationError
from shiftboss.web.addresses import UNKNOWN, address_of, parsed_address
from shiftboss.web.problems import Problem

FORWARDING = re.compile(r"forwarded|x-forwarded-.*|x-real-ip|x-original-.*|via|true-client-ip|cf-connecting-ip")
HEADER = re.compile(r"[A-Za-z0-9-]{1,100}")
OPEN = frozenset({"/livez", "/readyz"})
USER = "shiftboss.user"  # key in a scope: the user whom a trusted proxy names
MAX_USER_CHARS = 200
MAX_HOPS = 50
FORWARDED_FOR = re.compile(r"for=(\"[^\"]*\"|[^;,\s]+)", re.IGNORECASE)


class Proxies:
    """The trusted proxies.  *user_header*: the header in which they name the user; None if they do not."""

    def __init__(self, trusted: Iterable[str] = (), user_header: str | None = None) -> None:
        """Raises ConfigurationError."""
        self._trusted = tuple(_network(one) for each in trusted for one in each.split(","))
        self._user_header = None if user_header is None else _header(user_header)
        if user_header is not None and not self._trusted:
            raise ConfigurationError(
                f"--user-header {user_header} is accepted only from a trusted proxy; name it too, as in "
                "--trusted-proxy 127.0.0.1"
            )

    @property
    def are_named(self) -> bool:
        return bool(self._trusted)

    def arrived(self, scope: Scope) -> Scope:
        """The request as its client sent it.  Raises Problem for headers that no trusted proxy sent."""
        headers = Headers(scope=scope)
        forwarding = [name for name in headers if FORWARDING.fullmatch(name) or name == self._user_header]
        if not forwarding:
            return scope
        if not self._trusts(address_of(scope)):
            if scope["path"] in OPEN:
                return scope
            raise Problem(
                403,
                "untrusted-proxy",
                f"This request came through a proxy ({forwarding[0]}), but this server trusts none.  Start the server "
                "with --trusted-proxy and the address of that proxy, or connect to the server directly.",
            )
        client = self._client(headers)
        return {
            **scope,
            **({} if client is None else {"client": (client, 0)}),
            "scheme": _scheme(headers) or scope["scheme"],
            "headers": _with_host(scope["headers"], _last(headers, "x-forwarded-host")),
            USER: self._user(headers),
        }

    def _client(self, headers: Headers) -> str | None:
        hops = _listed(headers, "x-forwarded-for") or FORWARDED_FOR.findall(",".join(headers.getlist("forwarded")))
        if not hops:
            return None
        for hop in reversed(hops[-MAX_HOPS:]):
            address = parsed_address(hop)
            if address is None:
                return UNKNOWN
            if not self._trusts(str(address)):
                return str(address)
        return str(parsed_address(hops[0]) or UNKNOWN)

    def _user(self, headers: Headers) -> str | None:
        """Raises Problem for anything but a name: for example two names, one of them from the client."""
        if self._user_header is None:
            return None
        values = headers.getlist(self._user_header)
        if not values or not values[0].strip():
            return None
        try:
            name = values[0].strip().encode("latin-1").decode("utf-8")
        except UnicodeDecodeError:
            name = ""
        if len(values) > 1 or not name or len(name) > MAX_USER_CHARS or not name.isprintable():
            raise Problem(400, "wrong-user", f"The header {self._user_header} names no user, or more than one.")
        return name

    def _trusts(self, address: str) -> bool:
        parsed = parsed_address(address)
        return parsed is not None and any(parsed in network for network in self._trusted)


def user_of(scope: Scope) -> str | None:
    """The user whom a trusted proxy named for this request."""
    name = scope.get(USER)
    return name if isinstance(name, str) else None


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ipaddress.ip_network(text.strip().strip("[]"), strict=False)
    except ValueError:
        raise ConfigurationError(
            f"--trusted-proxy {text!r} is neither an address nor a network; write it like 127.0.0.1 or 10.0.0.0/8"
        ) from None
    if network.prefixlen == 0:
        raise ConfigurationError(f"--trusted-proxy {text} trusts everybody; name only the proxy, like 127.0.0.1")
    return network


def _header(name: str) -> str:
    if HEADER.fullmatch(name) is None or name.lower() in ("authorization", "cookie", "host"):
        raise ConfigurationError(f"--user-header {name!r} is not a usable header; write it like X-Remote-User")
    return name.lower()


def _listed(headers: Headers, name: str) -> list[str]:
    return [each.strip() for each in ",".join(headers.getlist(name)).split(",") if each.strip()]


def _last(headers: Headers, name: str) -> str | None:
    """The value that the nearest proxy has added."""
    values = _listed(headers, name)
    return values[-1] if values else None


def _scheme(headers: Headers) -> str | None:
    scheme = (_last(headers, "x-forwarded-proto") or "").lower()
    return scheme if scheme in ("http", "https") else None


def _with_host(headers: Sequence[tuple[bytes, bytes]], host: str | None) -> Sequence[tuple[bytes, bytes]]:
    if host is None:
        return headers
    return [*((name, value) for name, value in headers if name != b"host"), (b"host", host.encode("latin-1"))]
