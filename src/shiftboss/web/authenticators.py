"""Chooses a server's authenticator by its address, its options and its environment.

Rules of this file
- Every address needs a credential.  On loopback the server makes one itself.  For an address that others can reach,
  somebody must have chosen one; otherwise it is refused before anything starts.
- SHIFTBOSS_AUTH_TOKEN (or the file that SHIFTBOSS_AUTH_TOKEN_FILE names) is a single token for everything; then the
  server makes none.  In both cases an access file can add tokens and users with names and roles.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from shiftboss.app.orchestrator import Orchestrator
from shiftboss.app.roles import Role
from shiftboss.core.address import shown
from shiftboss.errors import ConfigurationError
from shiftboss.logs import get_logger
from shiftboss.stores.urls import file_of
from shiftboss.web.access import Token
from shiftboss.web.access_file import AccessFile
from shiftboss.web.ended_sessions import EndedSessions
from shiftboss.web.login_codes import LoginCodes
from shiftboss.web.own_token import make_state_folder, own_token, place_of, read_token, state_folder, state_place_of
from shiftboss.web.proxy import Proxies
from shiftboss.web.session import Sessions
from shiftboss.web.tokens import WithTokens, checked, digest_of, given_token
from shiftboss.web.watched_file import WatchedFile

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})

log = get_logger("shiftboss.web.access")


class Options(NamedTuple):
    """The options of a server that runs alone."""

    access_file: str | None = None  # None: the file beside the store, if there is one
    trusted_proxies: tuple[str, ...] = ()
    user_header: str | None = None

    def proxies(self) -> Proxies:
        """Raises ConfigurationError."""
        return Proxies(self.trusted_proxies, self.user_header)


DEFAULT = Options()


class Doors(NamedTuple):
    """An authenticator, and the file of its own token if it made one."""

    authenticator: WithTokens
    token_file: Path | None


def check_address(host: str, boss: Orchestrator, options: Options) -> None:
    """Called before anything is made.  Raises ConfigurationError if others can reach *host* and nothing was chosen."""
    file, proxies = _access_file(boss, options.access_file), options.proxies()
    if is_local(host) or token_of_environment() is not None or _lets_in(file, proxies):
        return
    raise ConfigurationError(
        f"{host} can be reached from other machines; set SHIFTBOSS_AUTH_TOKEN (or SHIFTBOSS_AUTH_TOKEN_FILE) to a "
        "secret of at least 16 characters, create a named token (`shiftboss token new ada --role admin`), or listen "
        "on 127.0.0.1"
    )


def alone(host: str, boss: Orchestrator, options: Options) -> Doors:
    """The authenticator of a server that listens on *host*.  Raises ConfigurationError."""
    check_address(host, boss, options)
    token = token_of_environment()
    hosts = None
    if token is None and is_local(host) and not options.trusted_proxies:
        hosts = LOOPBACK | {host.lower()}
    return _doors(boss, token, _access_file(boss, options.access_file), hosts)


def mounted(boss: Orchestrator) -> WithTokens | None:
    """For `boss.asgi()` without authorize=: from the environment, or None.  Raises ConfigurationError."""
    token, given = token_of_environment(), os.environ.get("SHIFTBOSS_ACCESS_FILE")
    if token is None and not given:
        return None
    return _doors(boss, token, _access_file(boss, given or None), None).authenticator


def token_of_environment() -> Callable[[], str] | None:
    """Returns a function that reads SHIFTBOSS_AUTH_TOKEN, or the file SHIFTBOSS_AUTH_TOKEN_FILE, at each call.

    Raises ConfigurationError.
    """
    if token := os.environ.get("SHIFTBOSS_AUTH_TOKEN"):
        checked(token)
        return lambda: token
    file = os.environ.get("SHIFTBOSS_AUTH_TOKEN_FILE")
    return WatchedFile(Path(file), lambda: _token_in(file)).content if file else None


def _token_in(file: str) -> str:
    try:
        token = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"SHIFTBOSS_AUTH_TOKEN_FILE={file} cannot be read: {error}") from error
    if not token:
        raise ConfigurationError(f"SHIFTBOSS_AUTH_TOKEN_FILE={file} is empty; put the token into it")
    checked(token)
    return token


def is_local(host: str) -> bool:
    """Whether only this machine can reach an address to listen on."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def access_file_of(store_url: str) -> Path:
    """The default file, beside the store, whoever owns it.  Raises ConfigurationError."""
    file = file_of(store_url)
    return state_place_of(store_url, ".access") if file is None else Path(os.path.abspath(f"{file}.access"))


def _access_file(boss: Orchestrator, given: str | None) -> AccessFile:
    if given is not None:
        return AccessFile(Path(given), is_given=True)
    path = None
    with contextlib.suppress(RuntimeError):  # the store is no file, and the user has no home, as in containers
        path = access_file_of(boss.store_url)
    return AccessFile(path, is_given=False)


def _lets_in(file: AccessFile, proxies: Proxies) -> bool:
    return bool(file.entries.tokens) or (bool(file.entries.users) and proxies.are_named)


def _doors(
    boss: Orchestrator, token: Callable[[], str] | None, file: AccessFile, hosts: frozenset[str] | None
) -> Doors:
    ended = EndedSessions(boss.clock, _sessions_file(boss.store_url))

    def authenticator(secret: Callable[[], str], own: Callable[[], Token | None]) -> WithTokens:
        sessions = Sessions(secret, boss.clock, ended, store=shown(boss.store_url))
        return WithTokens(sessions, LoginCodes(boss.clock, secret), own=own, file=file, hosts=hosts)

    if token is not None:
        return Doors(authenticator(token, lambda: given_token(token())), None)
    try:
        _, place = own_token(boss.store_url)
        made = WatchedFile(place, lambda: read_token(place)).content
    except ConfigurationError as error:
        if not file.entries.tokens and not file.entries.users:
            raise
        log.info("sessions end with this process, and this server has no token of its own: %s", error)
        chance = secrets.token_urlsafe(32)
        return Doors(authenticator(lambda: chance, lambda: None), None)
    return Doors(authenticator(made, lambda: Token("local", Role.ADMIN, digest_of(made()), is_nameless=True)), place)


def _sessions_file(store_url: str) -> Path | None:
    with contextlib.suppress(OSError, RuntimeError):
        place = place_of(store_url, ".sessions")
        if place.parent == state_folder():
            make_state_folder()
        return place
    return None
