"""Limits log lines that clients can cause: each kind at once, then once a minute, so that nobody can fill a disk.

Rules of this file
- The first line of a kind is written at once; those within the next minute are counted, and the next line says how
  many.
- All kinds together get a bounded number of lines a minute, and bounded memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

from shiftboss.clock import Clock

EVERY_S = 60.0
MAX_LINES = 60  # a minute, for all kinds
MAX_KNOWN = 1024


class LogThrottle:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # protects everything below: loops in several threads may log
        self._known: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()  # last written when, how many since
        self._minute_s = float("-inf")
        self._lines = 0

    def counted(self, kind: Hashable) -> int | None:
        """How many lines were suppressed before this one; None if this one is suppressed too."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            said_s, unsaid = self._known.pop(kind, (float("-inf"), 0))
            if now_s - self._minute_s >= EVERY_S:
                self._minute_s, self._lines = now_s, 0
            is_said = now_s - said_s >= EVERY_S and self._lines < MAX_LINES
            self._known[kind] = (now_s, 0) if is_said else (said_s, unsaid + 1)
            while len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
            if not is_said:
                return None
            self._lines += 1
            return unsaid


def and_more(unsaid: int) -> str:
    """The end of a line: how many were suppressed."""
    return f"; {unsaid} more like this since the last line" if unsaid else ""
