"""Where facts wait for the next cycle.

Rules of this file
- Any thread puts, only the engine's takes; putting rings the bell once, however many arrive before it is heard.
- Without a lock: a deque's append and popleft are atomic.  `_heard` is lowered before the facts are taken and asked
  after one was put, so whoever finds it raised has put early enough.
- After `close` nothing is taken in: a caller learns at once that nobody will answer.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable

from shiftboss.engine.fact import Fact
from shiftboss.errors import NotStarted

MAX_FACTS = 1000  # a cycle's batch: about 20 ms of rules, so that a lease renewal never waits long


class Inbox:
    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._facts: deque[Fact] = deque()
        self._heard = False  # somebody has rung since the last take
        self._came_back = 0  # of those that wait; only the engine's thread counts
        self._closed = False

    def put(self, fact: Fact) -> None:
        """Raises NotStarted once closed."""
        self._facts.append(fact)
        if self._closed:
            self._withdraw(fact)
        elif not self._heard:
            self._heard = True
            self._ring()

    def _withdraw(self, fact: Fact) -> None:
        """Raises NotStarted, unless `close` found the fact after all and has it answered."""
        with contextlib.suppress(ValueError):
            self._facts.remove(fact)
            raise NotStarted("the orchestrator has stopped; start it, or open a client, before you call it")

    def take(self) -> list[Fact]:
        """The oldest facts, at most a cycle's batch beside those that were put back."""
        self._heard = False
        facts = self._facts
        most, self._came_back = MAX_FACTS + self._came_back, 0
        return [facts.popleft() for _ in range(min(most, len(facts)))]

    def put_back(self, facts: list[Fact]) -> None:
        """Facts that could not be applied yet go first again, and take nobody's place."""
        self._facts.extendleft(reversed(facts))
        self._came_back += len(facts)

    def close(self) -> list[Fact]:
        """Take nothing in any more; what was still waiting is handed over."""
        self._closed = True
        facts = []
        with contextlib.suppress(IndexError):
            while True:
                facts.append(self._facts.popleft())
        return facts

    def __len__(self) -> int:
        return len(self._facts)
