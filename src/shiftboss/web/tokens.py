"""The authenticator of a server that stands alone: tokens, sessions in exchange for them, users whom a trusted proxy
names.

Rules of this file
- A token comes in `Authorization: Bearer …`, or was exchanged for a session's cookie; a user's name comes from a proxy
  that was named.  A request that shows a token is judged by it, whatever else it carries.
- Who has the right token comes in, however many wrong ones came before and from wherever: a token has 128 bits or more,
  and waiting would keep its owner out, not who guesses.
- What a token may do is looked up with every request, so a token that is taken away, or a role, ends at once.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from shiftboss.app.roles import Role
from shiftboss.errors import ConfigurationError
from shiftboss.web.access import Access, Token
from shiftboss.web.access_file import AccessEntries, AccessFile
from shiftboss.web.login_codes import LoginCodes
from shiftboss.web.own_token import MIN_CHARS
from shiftboss.web.problems import Problem
from shiftboss.web.proxy import user_of
from shiftboss.web.session import BrowserSession, Sessions

MIN_DIFFERENT = 6  # characters: "aaaaaaaaaaaaaaaa" is long, and no secret
SHOWN_ID = 6  # characters of a session's id: enough to tell a day's sessions apart


class WithTokens:
    """*own*: the token that opens everything, made by this server or given in its environment, as it is now."""

    asks_for_token = True
    recheck_s = 1.0

    def __init__(
        self,
        sessions: Sessions,
        codes: LoginCodes,
        *,
        own: Callable[[], Token | None],
        file: AccessFile | None = None,
        hosts: frozenset[str] | None = None,
    ) -> None:
        """*hosts* None: a name that is rebound to us carries neither cookie nor token."""
        self.hosts = hosts
        self.sessions = sessions
        self.codes = codes
        self._own = own
        self._last_own = own()
        self._tell: Callable[[str, str], None] = lambda before, after: None
        self._file = file

    @property
    def own(self) -> Token | None:
        before, self._last_own = self._last_own, self._own()
        if before is not None and before != self._last_own:
            self._tell(f"{before.name} as it was", f"{before.name} with another secret")
        return self._last_own

    def on_change(self, tell: Callable[[str, str], None]) -> None:
        """Be told when others are let in than before."""
        self._tell = tell
        if self._file is not None:
            self._file.on_change = tell

    async def access(self, request: Request) -> Access | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            sent_token = self.token(_sent(token.strip()))
            return Access(sent_token.role, sent_token.name)
        user = user_of(request.scope)
        role = None if user is None else self._entries().user(user)
        if user is not None and role is not None:  # whom the proxy names now, before whom a cookie named
            return Access(role, user)
        session = self.session(request)
        return None if session is None else access_of(session)

    def token(self, secret: str) -> Token:
        """The token that *secret* is.  Raises Problem."""
        digest = digest_of(secret)
        matching = None
        for each in self._tokens():  # all of them: how long it takes tells nothing
            if hmac.compare_digest(each.digest, digest):
                matching = each
        if matching is None:
            raise Problem(401, "wrong-token", "This token is wrong.", headers={"www-authenticate": "Bearer"})
        return matching

    def session(self, request: HTTPConnection) -> BrowserSession | None:
        return self.sessions.of(request, self._named)

    def log_in(self, request: HTTPConnection, response: Response, token: Token) -> Access:
        """Raises Problem."""
        if token.role < Role.VIEWER:
            raise Problem(403, "role-too-low", "This token is for /metrics alone.", by=token.name)
        return access_of(self.sessions.sign_in(request, response, token))

    def log_out(self, request: HTTPConnection, response: Response) -> Access | None:
        """Whose session it was."""
        session = self.session(request)
        self.sessions.end(request, response, session)
        return None if session is None else access_of(session)

    def with_code(self, code: str) -> Token:
        """The token whom a link's code logs in; it is used from now on.  Raises Problem."""
        own = self.own
        if own is None or not self.codes.use(code):
            raise Problem(
                401,
                "wrong-code",
                "This link was used before, or is too old.  On its machine `shiftboss token link` prints another, and "
                "`shiftboss token show` the token.",
            )
        return own

    def _tokens(self) -> tuple[Token, ...]:
        own = self.own
        return (() if own is None else (own,)) + self._entries().tokens

    def _named(self, name: str) -> Token | None:
        return next((each for each in self._tokens() if each.name == name), None)

    def _entries(self) -> AccessEntries:
        return AccessEntries() if self._file is None else self._file.entries


def access_of(session: BrowserSession) -> Access:
    """A token that has no name of its own is told apart by its sessions."""
    name = session.token.name
    return Access(session.token.role, f"{name}/{session.id[:SHOWN_ID]}" if session.token.is_nameless else name)


def given_token(secret: str) -> Token:
    """The one of the environment."""
    return Token("token", Role.ADMIN, digest_of(secret), is_nameless=True)


def checked(secret: str) -> None:
    """Raises ConfigurationError for one that could be guessed."""
    if len(secret) < MIN_CHARS or len(set(secret)) < MIN_DIFFERENT:
        raise ConfigurationError(
            f"SHIFTBOSS_AUTH_TOKEN is too short to be a secret; use at least {MIN_CHARS} characters that nobody guesses"
        )


def _sent(header: str) -> str:
    """What a client wrote into a header: bytes, which are UTF-8 for all that we know."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
