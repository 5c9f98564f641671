"""Where a request came from, as it stands in logs and audits: an address that is short and says nothing else.

Rules of this file
- Whatever a proxy or a socket calls its peer is parsed, and what is no address is "unknown": no stranger writes a text
  of his own here.
"""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv6Address

from starlette.types import Scope

UNKNOWN = "unknown"
MAX_CHARS = 64  # the longest that could be one, with its port


def address_of(scope: Scope) -> str:
    """Whose request it is: the peer of the socket, or what a trusted proxy says."""
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
