"""The address that a request came from, for logs and the audit.

Rules of this file
- The peer's name, from a proxy or a socket, is parsed; if it is no address it becomes "unknown".  So no stranger can
  write text of their own into a log.
"""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv6Address

from starlette.types import Scope

UNKNOWN = "unknown"
MAX_CHARS = 64  # longer than any address with its port


def address_of(scope: Scope) -> str:
    """The client's address: that of the socket's peer, or the one that a trusted proxy names."""
    client = scope.get("client")
    parsed = parsed_address(str(client[0])) if client else None
    return UNKNOWN if parsed is None else str(parsed)


def parsed_address(text: str) -> IPv4Address | IPv6Address | None:
    """ "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]:80", "::ffff:192.0.2.1", with or without quotes."""
    text = text.strip().strip('"')
    if len(text) > MAX_CHARS:
        return None
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
