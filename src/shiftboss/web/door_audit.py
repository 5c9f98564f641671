"""What is done at the door stands in the audit: log-ins, log-outs, refusals, changes of who may come in (A1).

Rules of this file
- No request waits for it, and none fails because of it: the engine keeps what a store does not take, and tries again.
- Refusals are counted and written as one row a minute: of strangers one for all of them, with the addresses that came
  most; of those whose name is known one each, up to a bound.  Nobody fills a store by trying.
- A browser that has yet to log in is no news by itself.
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
EXPECTED = frozenset({"no-token"})  # what a browser is told before it logs in …
MANY = 100  # … and so often in a minute no browser asks
MAX_NAMES = 10  # rows a minute of people whose name is known; the others share one
MAX_ADDRESSES = 1000  # that are told apart in a minute
SHOWN_ADDRESSES = 5
OTHERS = "others"

Note = Callable[..., None]


class DoorAudit:
    """Of one server."""

    def __init__(self, boss: Orchestrator) -> None:
        self._boss = boss
        self.refusals = RefusalCounter(boss.clock, self._note)

    def logged_in(self, scope: Scope, access: Access) -> None:
        role = access.role.name.lower()
        self._note("log in", by=access.name, after=f"{role} from {address_of(scope)}")

    def logged_out(self, scope: Scope, access: Access) -> None:
        self._note("log out", by=access.name, after=f"from {address_of(scope)}")

    def access_changed(self, before: str, after: str) -> None:
        """Who may come in is read anew."""
        self._note("access changed", by="", before=before, after=after)

    def _note(self, action: str, *, by: str, before: str = "", after: str = "") -> None:
        with suppress(ShiftbossError):  # not started, or stopping: nothing can be kept
            self._boss.opened().note(action, by=by, before=before, after=after)


class RefusalCounter:
    """Counts what is refused, and notes it: the first at once, then what came in each minute."""

    def __init__(self, clock: Clock, note: Note) -> None:
        self._clock = clock
        self._note = note
        self._lock = threading.Lock()  # protects everything below: loops in several threads may refuse
        self._kinds: Counter[str] = Counter()  # of strangers
        self._addresses: Counter[str] = Counter()
        self._known: dict[str, Counter[str]] = {}  # name → kinds
        self._noted_s = float("-inf")
        self._loop: asyncio.AbstractEventLoop | None = None  # that will look again

    def count(self, scope: Scope, problem: Problem) -> None:
        """On the server's loop."""
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
        """Note what has been counted; nothing where that is no news."""
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
