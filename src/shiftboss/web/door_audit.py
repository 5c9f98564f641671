"""Audits access: log-ins, log-outs, refusals, and changes of who has access (A1).

Rules of this file
- No request waits for the audit, and none fails because of it: the engine keeps rows that a store does not take, and
  tries again.
- Refusals are counted and written as rows once a minute: one row for all strangers, with the most frequent addresses;
  one for each known name, up to a bound.  So nobody can fill a store by trying.
- A browser that has not logged in yet is not worth a row by itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from starlette.types import Scope

from shiftboss.app.orchestrator import Orchestrator
from shiftboss.clock import Clock
from shiftboss.errors import ShiftbossError
from shiftboss.web.access import Access
from shiftboss.web.addresses import address_of
from shiftboss.web.problems import Problem

EVERY_S = 60.0
EXPECTED = frozenset({"no-token"})  # what a browser gets before it logs in …
MANY = 100  # … but no browser gets that so often in a minute
MAX_NAMES = 10  # rows a minute for known names; further names share one
MAX_ADDRESSES = 1000  # counted separately in a minute
SHOWN_ADDRESSES = 5
OTHERS = "others"

Note = Callable[..., None]


class DoorAudit:
    """The access audit of one server."""

    def __init__(self, boss: Orchestrator) -> None:
        self._boss = boss
        self.refusals = RefusalCounter(boss.clock, self._note)

    def logged_in(self, scope: Scope, access: Access) -> None:
        role = access.role.name.lower()
        self._note("log in", by=access.name, after=f"{role} from {address_of(scope)}")

    def logged_out(self, scope: Scope, access: Access) -> None:
        self._note("log out", by=access.name, after=f"from {address_of(scope)}")

    def access_changed(self, before: str, after: str) -> None:
        """The access file has changed."""
        self._note("access changed", by="", before=before, after=after)

    def _note(self, action: str, *, by: str, before: str = "", after: str = "") -> None:
        with suppress(ShiftbossError):  # not started, or stopping: the row is lost
            self._boss.opened().note(action, by=by, before=before, after=after)


class RefusalCounter:
    """Counts refusals and has them stored: the first at once, then those of each minute together."""

    def __init__(self, clock: Clock, note: Note) -> None:
        self._clock = clock
        self._note = note
        self._lock = threading.Lock()  # protects everything below: loops in several threads may refuse
        self._kinds: Counter[str] = Counter()  # of strangers
        self._addresses: Counter[str] = Counter()
        self._known: dict[str, Counter[str]] = {}  # name → kinds
        self._noted_s = float("-inf")
        self._loop: asyncio.AbstractEventLoop | None = None  # the loop on which the next write is scheduled

    def count(self, scope: Scope, problem: Problem) -> None:
        """Called on the server's loop."""
        with self._lock:
            if problem.by:
                name = problem.by if problem.by in self._known or len(self._known) < MAX_NAMES else OTHERS
                self._known.setdefault(name, Counter())[problem.kind] += 1
            else:
                self._kinds[problem.kind] += 1
                address = address_of(scope)
                is_told = address in self._addresses or len(self._addresses) < MAX_ADDRESSES
                self._addresses[address if is_told else OTHERS] += 1
            left_s = self._noted_s + EVERY_S - self._clock.monotonic_s()
        if left_s <= 0:
            self.write()
        else:
            self._look_in(left_s)

    def write(self) -> None:
        """Store the counted refusals, if they are worth a row."""
        with self._lock:
            kinds, addresses, known = self._kinds, self._addresses, self._known
            is_news = known or kinds.keys() - EXPECTED or kinds.total() >= MANY
            if not is_news:
                return
            self._kinds, self._addresses, self._known = Counter(), Counter(), {}
            self._noted_s = self._clock.monotonic_s()
        if kinds:
            self._note("refused", by="", after=f"{_counts(kinds)} from {_most(addresses)}")
        for name, of_kinds in known.items():
            self._note("refused", by="" if name == OTHERS else name, after=_counts(of_kinds))

    def _look_in(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._loop is not None and not self._loop.is_closed():
                return
            self._loop = loop
        loop.call_later(seconds, self._look)

    def _look(self) -> None:
        with self._lock:
            self._loop = None
        self.write()


def _counts(kinds: Counter[str]) -> str:
    return ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items()))


def _most(addresses: Counter[str]) -> str:
    first = addresses.most_common(SHOWN_ADDRESSES)
    more = len(addresses) - len(first)
    shown = ", ".join(f"{address} ({count})" for address, count in first)
    return f"{shown} and {more} more addresses" if more else shown
