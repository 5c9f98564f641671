"""Who was refused, said in the log: a person finds out who tries doors, and nobody can fill a disk by trying.

Rules of this file
- The first refusal of its kind from an address is said at once; those within the next minute are counted, and the next
  line says how many there were.
- All addresses together get a bounded number of lines a minute, and a bounded room in memory.
- What came from outside is shortened and printable: no request writes a line of its own.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict

from starlette.types import Scope

from shiftboss.clock import Clock
from shiftboss.logs import get_logger
from shiftboss.web.problems import Problem

ACCESS = frozenset({401, 403, 421, 429})
EXPECTED = frozenset({"no-token"})  # what every browser is told that has not logged in yet
EVERY_S = 60.0
MAX_LINES = 60  # a minute, for all addresses
MAX_KNOWN = 1024
MAX_PATH_CHARS = 200

log = get_logger("shiftboss.web.access")


class Refusals:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # protects everything below: loops in several threads may refuse
        self._known: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()  # said when, how many since
        self._minute_s = float("-inf")
        self._lines = 0

    def note(self, scope: Scope, problem: Problem) -> None:
        """Say it, if it is about access and has not been said a moment ago."""
        if problem.status not in ACCESS:
            return
        client = scope.get("client")
        address = str(client[0]) if client else "somewhere"
        before = self._counted((address, problem.kind))
        if before is None:
            return
        path = "".join(each if each.isprintable() else "?" for each in str(scope.get("path", "")))
        more = f"; {before} more like it since the last line" if before else ""
        log.log(
            logging.INFO if problem.kind in EXPECTED else logging.WARNING,
            "refused (%d %s%s): %s %s from %s%s",
            problem.status,
            problem.kind,
            f", {problem.by}" if problem.by else "",
            scope["method"][:10],
            path[:MAX_PATH_CHARS],
            address,
            more,
        )

    def _counted(self, key: tuple[str, str]) -> int | None:
        """How many went unsaid before this one; None when this one does too."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            said_s, unsaid = self._known.pop(key, (float("-inf"), 0))
            if now_s - self._minute_s >= EVERY_S:
                self._minute_s, self._lines = now_s, 0
            is_said = now_s - said_s >= EVERY_S and self._lines < MAX_LINES
            self._known[key] = (now_s, 0) if is_said else (said_s, unsaid + 1)
            while len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
            if not is_said:
                return None
            self._lines += 1
            return unsaid
