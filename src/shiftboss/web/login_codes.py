"""Codes that log a browser in once: the server prints a link with a code in its fragment when it starts.

Rules of this file
- A code works once, and for a few minutes only: others may later read the history of a terminal or a browser.
- A user who can read a server's token can make a code without asking the server (`shiftboss token link`): such a code
  is signed with the token.  A code from before the server's start is refused, because the server does not know which
  of those were used.
- The code is in the fragment, which a browser sends nowhere; so no log and no proxy ever sees it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from shiftboss.clock import Clock

HOLDS_S = 600.0  # time to find the window and click; after that there is the token itself
MAX_CODES = 16  # a link for each request; the oldest is dropped first
MAX_USED = 1000  # used signed codes that are remembered until they expire; at the bound no further one is accepted
SIGNED = re.compile(r"(t[0-9]{1,12}n[0-9a-f]{24})([0-9a-f]{64})")


def signed_code(token: str, now: datetime) -> str:
    """A code for the server that has *token*, valid from now on."""
    text = f"t{int(now.timestamp())}n{secrets.token_hex(12)}"
    return text + _signature(token, text)


def _signature(token: str, text: str) -> str:
    key = token.encode("utf-8", "surrogatepass")
    return hmac.new(key, b"shiftboss login code\0" + text.encode(), hashlib.sha256).hexdigest()


class LoginCodes:
    def __init__(self, clock: Clock, token: Callable[[], str] | None = None) -> None:
        """*token*: returns the current token, which signs codes; without it no signed code is accepted."""
        self._clock = clock
        self._token = token
        self._since_s = int(clock.now().timestamp())
        self._lock = (
            threading.Lock()
        )  # protects the codes: they are made by the command's thread and used by the server's
        self._until: OrderedDict[bytes, float] = OrderedDict()
        self._used: dict[str, float] = {}  # used signed codes, until they expire

    def new(self) -> str:
        code = secrets.token_urlsafe(24)
        with self._lock:
            self._until[_digest(code)] = self._clock.elapsed_s() + HOLDS_S
            while len(self._until) > MAX_CODES:
                self._until.popitem(last=False)
        return code

    def holds(self, code: str) -> bool:
        """Whether the code can still be used."""
        with self._lock:
            return self._clock.elapsed_s() < self._until.get(_digest(code), float("-inf"))

    def use(self, code: str) -> bool:
        """Use the code up; return whether it was valid."""
        with self._lock:
            if (until_s := self._until.pop(_digest(code), None)) is not None:
                return self._clock.elapsed_s() < until_s
            return self._use_signed(code)

    def _use_signed(self, code: str) -> bool:
        """Holds the lock."""
        match = SIGNED.fullmatch(code)
        if (
            match is None
            or self._token is None
            or not hmac.compare_digest(match[2], _signature(self._token(), match[1]))
        ):
            return False
        now_s, made_s = self._clock.now().timestamp(), int(match[1][1:].partition("n")[0])
        self._used = {each: until_s for each, until_s in self._used.items() if until_s > now_s}
        is_fresh = max(self._since_s, now_s - HOLDS_S) <= made_s <= now_s + 1
        if not is_fresh or match[1] in self._used or len(self._used) >= MAX_USED:
            return False
        self._used[match[1]] = made_s + HOLDS_S
        return True


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()
