"""Codes that log a browser in once: a link with one in its fragment is printed where the server was started.

Rules of this file
- A code is taken once, and for a few minutes: a terminal's history and a browser's are read by others later.
- It stands in the fragment, which a browser sends to nobody; no log and no proxy ever has it.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict

from shiftboss.clock import Clock

HOLDS_S = 600.0  # to find the window and click; then there is the token itself
MAX_CODES = 16  # a link for each who asks; the oldest goes first


class LoginCodes:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = (
            threading.Lock()
        )  # protects the codes: they are made by the command's thread and used by the server's
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def new(self) -> str:
        code = secrets.token_urlsafe(24)
        with self._lock:
            self._until[_digest(code)] = self._clock.elapsed_s() + HOLDS_S
            while len(self._until) > MAX_CODES:
                self._until.popitem(last=False)
        return code

    def holds(self, code: str) -> bool:
        """Whether it could still be used."""
        with self._lock:
            return self._clock.elapsed_s() < self._until.get(_digest(code), float("-inf"))

    def use(self, code: str) -> bool:
        """Whether it was good; it is not from now on."""
        with self._lock:
            return self._clock.elapsed_s() < self._until.pop(_digest(code), float("-inf"))


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()
