"""A browser's session: a cookie in exchange for the token, which no script can read and no other site can send.

Rules of this file
- Nothing is kept: the cookie says until when it holds and is signed with the token, so it survives a restart and ends
  when the token is changed.
- A session lasts for elapsed time, whatever the wall clock is set to (O4); over a reboot, and for another machine that
  has the same token, there is wall time alone.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from starlette.requests import Request
from starlette.responses import Response

from shiftboss.clock import Clock
from shiftboss.core.fleet import is_same_boot
from shiftboss.core.value import EPOCH

COOKIE = "shiftboss_session"
HOLDS_S = 12 * 3600.0  # a working day
PARTS = 4  # until when by wall and by elapsed time, which boot that counts from, chance


class Sessions:
    def __init__(self, token: str, clock: Clock) -> None:
        self._key = hashlib.sha256(b"shiftboss session\0" + token.encode("utf-8", "surrogatepass")).digest()
        self._clock = clock

    def begin(self, request: Request, response: Response) -> None:
        """Give the browser its cookie."""
        until, elapsed_until = int(self._wall_s() + HOLDS_S), int(self._clock.elapsed_s() + HOLDS_S)
        said = f"{until}.{elapsed_until}.{self._clock.machine_boot}.{secrets.token_urlsafe(16)}"
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
        parts = said.split(".")
        if len(parts) != PARTS:  # an older version signed it: one logs in again
            return False
        until, elapsed_until, boot, _ = parts
        if is_same_boot(boot, self._clock.machine_boot):
            return int(elapsed_until) > self._clock.elapsed_s()
        return int(until) > self._wall_s()

    def _wall_s(self) -> float:
        return (self._clock.now() - EPOCH).total_seconds()

    def _signature(self, said: str) -> str:
        return hmac.new(self._key, said.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def end(request: Request, response: Response) -> None:
    """Take the cookie back."""
    response.delete_cookie(COOKIE, path=_path(request), httponly=True, samesite="strict")


def _path(request: Request) -> str:
    return f"{request.scope.get('root_path', '')}/"
