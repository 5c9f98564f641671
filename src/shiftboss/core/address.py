"""Addresses of stores: how an address may be shown, and whether it is meant for a server.

Rules of this file
- Only parts that cannot be secret are shown: scheme, user, host, port, path, and options with known names.  If an
  address cannot be split with certainty, say because of an unescaped character in the password, only its scheme is
  shown.
- Anything that looks like the address of a server, however misspelt, is never taken for a file: the file's name would
  contain the password.
"""

from __future__ import annotations

import re

from shiftboss.core.pattern import lazy_pattern

HIDDEN = "…"
# Options of libpq, of shiftboss and of other databases.  An unknown name may be a misspelt one whose value is secret.
HARMLESS = frozenset(
    (
        "application_name", "client_encoding", "connect_timeout", "database", "dbname", "durability",
        "fallback_application_name", "gssencmode", "host", "hostaddr", "keepalives", "keepalives_count",
        "keepalives_idle", "keepalives_interval", "load_balance_hosts", "max_protocol_version",
        "min_protocol_version", "options", "port", "prepare", "require_auth", "schema", "service", "ssl",
        "ssl_max_protocol_version", "ssl_min_protocol_version", "sslcompression", "sslmode", "sslnegotiation",
        "sslrootcert", "target_session_attrs", "tcp_user_timeout", "user",
    )
)  # fmt: skip
KEYWORDS = (
    r"(?:host|hostaddr|port|dbname|database|user|username|uid|password|passwd|pwd|passfile|service|sslmode|server"
    r"|data\s+source)"
)

_ADDRESS = lazy_pattern(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)"
    r"(?:(?P<user>[\w.~%+-]*)(?P<password>:[^/?#@:\s]*)?@)?"
    r"(?P<place>(?:[\w.,%-]|\[[0-9A-Fa-f:.%]*\]|:\d{0,5}(?=[,/?]|$))*(?:/[\w.,~%+-]*)*)"
    r"(?:\?(?P<options>[^#\s]*))?"
)
_OPTION = lazy_pattern(r"(?P<name>\w+)=(?P<value>[^@=?&]*)")
_SCHEME = lazy_pattern(r"\s*[A-Za-z][A-Za-z0-9+.-]{0,30}:?//?")
_PAIRS = lazy_pattern(rf"[\s;'\"]{KEYWORDS}\s*=", re.IGNORECASE)
_PAIR = lazy_pattern(r"\s*['\"]?\w+(?:\s\w+)?\s*=")
_DRIVE = lazy_pattern(r"[A-Za-z]:[\\/]")
_MISSPELT = lazy_pattern(r"[^/\\]*:|[A-Za-z][A-Za-z0-9+.-]*//")  # postgres:/…, localhost:5432/…, postgres//…
_EXPLICIT = ("./", "../", "/", "~")
SQLITE = "sqlite:///"
MEMORY = "memory:"


def shown(address: str) -> str:
    """*address* without anything that is, or could be, a secret."""
    given = address.strip()
    file, _, options = given.removeprefix(SQLITE).partition("?")
    if file == MEMORY or not is_of_server(file):
        place = f"{SQLITE}{file}" if given.startswith(SQLITE) else file
    elif (match := _ADDRESS.fullmatch(given)) is not None:
        options = match["options"] or ""
        has_user = match["user"] and (match["password"] or match["scheme"].lower().startswith("postgres"))
        user = f"{match['user']}@" if has_user else ""  # without a password it may be a token
        place = f"{match['scheme']}{user}{match['place']}"
    else:
        scheme = _SCHEME.match(given)
        return f"{scheme[0].strip() if scheme else ''}{HIDDEN}"
    asked = _harmless(options)
    return f"{place}?{asked}" if asked else place


def without_password(address: str) -> str:
    """A server's address as it may be shown; a file's address unchanged."""
    return shown(address) if is_of_server(address.strip().removeprefix(SQLITE)) else address


def is_of_server(path: str) -> bool:
    """Whether a text that should name a file looks like the address of a server, complete or not."""
    if "://" in path or _PAIRS.search(path):
        return True
    if path.startswith(_EXPLICIT) or _DRIVE.match(path):
        return False
    return "@" in path or bool(_PAIR.match(path) or _MISSPELT.match(path))


def _harmless(options: str) -> str:
    """The options with a known name; none if they cannot be split."""
    parts = [_OPTION.fullmatch(each) for each in options.split("&")]
    if None in parts:
        return ""
    return "&".join(part[0] for part in parts if part is not None and part["name"] in HARMLESS)
