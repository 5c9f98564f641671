"""Which parts of a shared store the next transaction asks for.

Rules of this file
- Alone, a node takes everything it could use.  Where it meets others it takes fewer at a time, and first what it has
  wanted longest: so none starves, and nodes swap their parts instead of taking turns with all of them.
- The first of what is asked for is waited for when it was missed before, or is the only one while others are about; but
  not for long, and one that was waited for in vain is left in peace for a while: somebody stands still with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from shiftboss.core.graph import PARTS

LEFT_IN_PEACE_S = 1.0


class Choice(NamedTuple):
    """What to ask for, in this order, and whether to wait for the first of it."""

    parts: list[int]
    waits: bool


class Appetite:
    """How much to take, learnt from what could be had."""

    def __init__(self, elapsed_s: Callable[[], float]) -> None:
        self._elapsed_s = elapsed_s
        self._most = PARTS
        self._turn = 0
        self._wanted_since: dict[int, int] = {}  # part → the turn
        self._missed: set[int] = set()  # asked for, and not to be had
        self._peace_until_s: dict[int, float] = {}

    @property
    def is_alone(self) -> bool:
        """Whether nobody was met of late."""
        return self._most == PARTS

    def choose(self, wanted: Collection[int]) -> Choice:
        """Those of *wanted* to ask for now."""
        self._turn += 1
        now_s = self._elapsed_s()
        self._peace_until_s = {part: until_s for part, until_s in self._peace_until_s.items() if until_s > now_s}
        stuck = [part for part in wanted if part in self._peace_until_s]
        since = {part: self._wanted_since.setdefault(part, self._turn) for part in wanted}
        parts = sorted(since.keys() - set(stuck), key=lambda part: (since[part], part not in self._missed, part))
        parts = parts[: self._most]
        waits = bool(parts) and (parts[0] in self._missed or (len(parts) == 1 and not self.is_alone))
        return Choice(parts + stuck, waits)

    def learn(self, choice: Choice, held: Collection[int]) -> None:
        """What was to be had of it."""
        missed = [part for part in choice.parts if part not in held]
        for part in held:
            self._wanted_since.pop(part, None)
            self._peace_until_s.pop(part, None)
        self._missed.difference_update(held)
        self._missed.update(missed)
        if choice.waits and choice.parts[0] not in held:
            self._peace_until_s[choice.parts[0]] = self._elapsed_s() + LEFT_IN_PEACE_S
        if missed:
            self._most = max(1, (len(choice.parts) + 1) // 2)
        else:
            self._most = min(PARTS, self._most + 1)
