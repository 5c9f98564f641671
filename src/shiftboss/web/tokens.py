"""The authenticator of a server that runs alone: tokens, sessions for them, and users whom a trusted proxy names.

Rules of this file
- A token comes in `Authorization: Bearer …`, or was exchanged for a session cookie; a user's name comes from a trusted
  proxy.  If a request has a token, only the token counts.
- The right token is accepted however many wrong ones came before, from any address: a token has 128 bits or more, and
  a delay would keep its owner out, not an attacker.
- A token's role is looked up at every request, so taking away a token or a role takes effect at once.
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

MIN_DIFFERENT = 6  # different characters: "aaaaaaaaaaaaaaaa" is long, but no secret
SHOWN_ID = 6  # characters of a session's id: enough to distinguish a day's sessions


class WithTokens:
    """*own*: returns the current token with full access, which this server made or its environment gives."""

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
        """*hosts* None: any name is served, because a request to a rebound name carries neither cookie nor token."""
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
            self._tell(f"{before.name} with its previous secret", f"{before.name} with a new secret")
        return self._last_own

    def on_change(self, tell: Callable[[str, str], None]) -> None:
        """Call *tell* when the access file has changed."""
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
        if user is not None and role is not None:  # the proxy's user now outranks the cookie's
            return Access(role, user)
        session = self.session(request)
        return None if session is None else access_of(session)

    def token(self, secret: str) -> Token:
        """The token with that *secret*.  Raises Problem."""
        digest = digest_of(secret)
        matching = None
        for each in self._tokens():  # compare with all of them: the duration must reveal nothing
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
            raise Problem(403, "role-too-low", "This token is for /metrics only.", by=token.name)
        return access_of(self.sessions.sign_in(request, response, token))

    def log_out(self, request: HTTPConnection, response: Response) -> Access | None:
        """End the session; return the access that it had."""
        session = self.session(request)
        self.sessions.end(request, response, session)
        return None if session is None else access_of(session)

    def with_code(self, code: str) -> Token:
        """The token that a link's code stands for; the code is then used up.  Raises Problem."""
        own = self.own
        if own is None or not self.codes.use(code):
            raise Problem(
                401,
                "wrong-code",
                "This link was already used, or is too old.  On the server's machine `shiftboss token link` prints "
                "another one, and `shiftboss token show` prints the token.",
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
    """The access of a session; for a nameless token the name contains the session's id."""
    name = session.token.name
    return Access(session.token.role, f"{name}/{session.id[:SHOWN_ID]}" if session.token.is_nameless else name)


def given_token(secret: str) -> Token:
    """The token that the environment gives."""
    return Token("token", Role.ADMIN, digest_of(secret), is_nameless=True)


def checked(secret: str) -> None:
    """Raises ConfigurationError if *secret* could be guessed."""
    if len(secret) < MIN_CHARS or len(set(secret)) < MIN_DIFFERENT:
        raise ConfigurationError(
            f"SHIFTBOSS_AUTH_TOKEN is too short for a secret; use at least {MIN_CHARS} characters that nobody can guess"
        )


def _sent(header: str) -> str:
    """A header's text as its client meant it: its bytes are taken for UTF-8."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
