"""Where facts wait for the next cycle.

Rules of this file
- Any thread puts, only the engine's takes; putting rings the bell once, however many arrive before it is heard.
- After `close` nothing is taken in: a caller learns at once that nobody will answer.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from shiftboss.engine.fact import Fact
from shiftboss.errors import NotStarted

MAX_FACTS = 1000  # a cycle's batch: about 20 ms of rules, so that a lease renewal never waits long


class Inbox:
    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._facts: deque[Fact] = deque()
        self._lock = threading.Lock()  # protects the pair (deque, heard)
        self._heard = False
        self._closed = False

    def put(self, fact: Fact) -> None:
        """Raises NotStarted once closed."""
        with self._lock:
            if self._closed:
                raise NotStarted("the orchestrator has stopped; start it, or open a client, before you call it")
            self._facts.append(fact)
            ring, self._heard = not self._heard, True
        if ring:
            self._ring()

    def take(self) -> list[Fact]:
        """The oldest facts, at most a cycle's batch."""
        with self._lock:
            count = min(MAX_FACTS, len(self._facts))
            facts = [self._facts.popleft() for _ in range(count)]
            self._heard = bool(self._facts)
            return facts

    def put_back(self, facts: list[Fact]) -> None:
        """Facts that could not be applied yet go first again."""
        with self._lock:
            self._facts.extendleft(reversed(facts))

    def close(self) -> list[Fact]:
        """Take nothing in any more; what was still waiting is handed over."""
        with self._lock:
            self._closed = True
            facts = list(self._facts)
            self._facts.clear()
            return facts

    def __len__(self) -> int:
        return len(self._facts)
