"""Which database, which schema, and how to connect: what an address says.

Rules of this file
- A password goes to the server and nowhere else: not into `url`, not into messages, not into logs.
- Options in the query string that are not ours are libpq's (sslmode, target_session_attrs …); unknown ones are refused.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

from psycopg import ProgrammingError, conninfo, pq

from shiftboss.core import address
from shiftboss.errors import ConfigurationError, did_you_mean
from shiftboss.stores.postgres.deadline import CONNECT_S

SCHEMA = "shiftboss"
NAME = re.compile(r"[a-z_][a-z0-9_]{0,47}")  # needs no quotes, and is short enough for a channel's name
OURS = ("schema", "prepare")
SECRETS = frozenset(("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"))
OPTION = re.compile(r"\w+=")
DEFAULTS = {  # so that a dead peer is noticed in seconds; the deadline of calls is the last resort, not the first
    "connect_timeout": str(CONNECT_S),
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "5000",
    "application_name": "shiftboss",
    "client_encoding": "utf8",
}


class Prepare(StrEnum):
    """Whether each connection prepares a statement once, which saves planning it again."""

    AUTO = "auto"  # unless a pooler such as PgBouncer, whose connections change hands, is between us and the server
    ON = "on"  # PgBouncer from 1.21 on, with max_prepared_statements
    OFF = "off"


class Address(NamedTuple):
    url: str  # may be shown
    parameters: dict[str, str]  # libpq's
    schema: str
    prepare: Prepare


def address_of(url: str) -> Address:
    """Raises ConfigurationError, which never contains the password."""
    shown = _shown(url)
    parts = _parts(url, shown)
    query = parse_qsl(parts.query, keep_blank_values=True)
    _check_names([name for name, _ in query], shown)
    ours = {name: value for name, value in query if name in OURS}
    theirs = urlencode([(name, value) for name, value in query if name not in OURS], quote_via=quote)
    try:
        parsed = conninfo.conninfo_to_dict(
            f"postgresql://{parts.netloc}{parts.path}" + (f"?{theirs}" if theirs else "")
        )
    except (ProgrammingError, ValueError):  # libpq's message may quote the password
        raise _not_understood(shown) from None
    parameters = {name: str(value) for name, value in parsed.items() if value is not None}
    if not all(port.isdigit() for port in parameters.get("port", "5432").split(",") if port):
        raise ConfigurationError(f"store {shown!r}: the port must be a number")
    if "@" in parameters.get("host", ""):
        raise ConfigurationError(f"store {shown!r}: an @ in the password must be written as %40")
    schema = ours.get("schema", SCHEMA)
    if not NAME.fullmatch(schema):
        raise ConfigurationError(
            f"store {shown!r}: schema {schema!r} cannot be used; use up to 48 lower-case letters, digits and _"
        )
    try:
        prepare = Prepare(ours.get("prepare", Prepare.AUTO))
    except ValueError:
        raise ConfigurationError(
            f"store {shown!r}: prepare={ours['prepare']!r} is unknown; use auto, on or off"
        ) from None
    defaults = dict(DEFAULTS)
    if "," in parameters.get("host", "") + parameters.get("port", ""):
        defaults["target_session_attrs"] = "read-write"  # of several hosts, the one that is no standby
    return Address(shown, defaults | parameters, schema, prepare)


def _parts(url: str, shown: str) -> SplitResult:
    """Raises ConfigurationError if a password with /, ?, # or @ in it may have been split into other parts."""
    try:
        parts = urlsplit(url)
    except ValueError:  # the error quotes what it does not accept
        raise _not_understood(shown) from None
    options = parts.query.split("&") if parts.query else []
    if "#" in url or "@" in parts.path or not all(OPTION.match(each) for each in options):
        raise _not_understood(shown)
    return parts


def _not_understood(shown: str) -> ConfigurationError:
    return ConfigurationError(
        f"store {shown!r} is not understood: write postgresql://user:password@host:port/database?schema=name, with "
        "%-escapes in user and password where they have other characters (%2F for /, %3F for ?, %23 for #, %40 for "
        "@); options are those of libpq"
    )


def _check_names(names: list[str], shown: str) -> None:
    """libpq would not say which name it does not know, and would take the last of two equal ones."""
    known = _known()
    has_secret = not SECRETS.isdisjoint(names)  # with an & in it, say: then what follows is no name
    for name in names:
        if name == "durability":
            raise ConfigurationError(
                f"store {shown!r}: durability is an option of SQLite; what a commit survives here is the server's "
                "synchronous_commit (`shiftboss doctor` says how it is set)"
            )
        if name not in known and has_secret:
            raise ConfigurationError(
                f"store {shown!r}: an option is unknown, or an & in the password must be written as %26; options are "
                "those of libpq, schema and prepare"
            )
        if name not in known:
            near = did_you_mean(name.lower(), known)
            hint = near if near.startswith("did") else "options are those of libpq, schema and prepare"
            raise ConfigurationError(f"store {shown!r}: option {name!r} is unknown; {hint}")
        if names.count(name) > 1:
            raise ConfigurationError(f"store {shown!r}: option {name!r} is given twice; leave one out")


def _known() -> set[str]:
    return {*OURS, *(option.keyword.decode() for option in pq.Conninfo.get_defaults()), "ssl"}  # ssl=true: as in JDBC


def _shown(url: str) -> str:
    place, _, options = address.shown(url).replace("postgres://", "postgresql://", 1).partition("?")
    query = urlencode(parse_qsl(options, keep_blank_values=True), quote_via=quote)
    return f"{place}?{query}" if query else place
