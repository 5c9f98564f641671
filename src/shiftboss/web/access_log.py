"""Logs refused requests and counts them for the audit, so that an operator sees who tries to get in.

Rules of this file
- The first refusal of its kind from an address is logged at once, further ones once a minute with their number.  Lines
  and memory have a bound (`log_throttle.py`), so that nobody can fill a disk.
- Text from outside is shortened and made printable: no request can forge a line.
"""

from __future__ import annotations

import logging

from starlette.types import Scope

from shiftboss.clock import Clock
from shiftboss.logs import get_logger
from shiftboss.web.addresses import address_of
from shiftboss.web.door_audit import RefusalCounter
from shiftboss.web.log_throttle import LogThrottle, and_more
from shiftboss.web.problems import Problem

ACCESS = frozenset({401, 403, 421, 429})
EXPECTED = frozenset({"no-token"})  # what every browser gets before it logs in
MAX_PATH_CHARS = 200

log = get_logger("shiftboss.web.access")


class AccessLog:
    def __init__(self, clock: Clock, counts: RefusalCounter) -> None:
        self._throttle = LogThrottle(clock)
        self._counts = counts

    def note(self, scope: Scope, problem: Problem) -> None:
        """Log *problem* if it is about access and was not logged a moment ago."""
        if problem.status not in ACCESS:
            return
        self._counts.count(scope, problem)
        address = address_of(scope)
        unsaid = self._throttle.counted((address, problem.kind))
        if unsaid is None:
            return
        path = "".join(each if each.isprintable() else "?" for each in str(scope.get("path", "")))
        log.log(
            logging.INFO if problem.kind in EXPECTED else logging.WARNING,
            "refused (%d %s%s): %s %s from %s%s",
            problem.status,
            problem.kind,
            f", {problem.by}" if problem.by else "",
            scope["method"][:10],
            path[:MAX_PATH_CHARS],
            address,
            and_more(unsaid),
        )
