"""A browser's session: a cookie in exchange for the token, which no script can read and no other site can send.

Rules of this file
- Nothing is kept: the cookie says until when it holds and is signed with the token, so it survives a restart and ends
  when the token is changed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from starlette.requests import Request
from starlette.responses import Response

from shiftboss.clock import Clock
from shiftboss.core.value import EPOCH

COOKIE = "shiftboss_session"
HOLDS_S = 12 * 3600.0  # a working day


class Sessions:
    def __init__(self, token: str, clock: Clock) -> None:
        self._key = hashlib.sha256(b"shiftboss session\0" + token.encode("utf-8", "surrogatepass")).digest()
        self._clock = clock

    def begin(self, request: Request, response: Response) -> None:
        """Give the browser its cookie."""
        until = int((self._clock.now() - EPOCH).total_seconds() + HOLDS_S)
        said = f"{until}.{secrets.token_urlsafe(16)}"
        response.set_cookie(
            COOKIE,
            f"{said}.{self._signature(said)}",
            max_age=int(HOLDS_S),
            path=_path(request),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )

    def is_valid(self, cookie: str) -> bool:
        said, _, signature = cookie.rpartition(".")
        if not said or not hmac.compare_digest(signature.encode(), self._signature(said).encode()):
            return False
        return int(said.partition(".")[0]) > (self._clock.now() - EPOCH).total_seconds()

    def _signature(self, said: str) -> str:
        return hmac.new(self._key, said.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def end(request: Request, response: Response) -> None:
    """Take the cookie back."""
    response.delete_cookie(COOKIE, path=_path(request), httponly=True, samesite="strict")


def _path(request: Request) -> str:
    return f"{request.scope.get('root_path', '')}/"
