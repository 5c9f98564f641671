"""Which parts of a shared store the next transaction asks for.

Rules of this file
- Alone, a node takes everything it could use.  Where it meets others it takes fewer at a time, another choice each
  turn, and so several nodes work beside each other instead of taking turns.
- A part that was missed three times is waited for, alone and not for long; then it is left in peace for a second.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from shiftboss.core.graph import PARTS

MISSES = 3  # in a row, before a part is waited for
LEFT_IN_PEACE_S = 1.0  # a part that was waited for in vain: somebody stands still with it


class Appetite:
    """How much to take, learnt from what could be had."""

    def __init__(self, elapsed_s: Callable[[], float]) -> None:
        self._elapsed_s = elapsed_s
        self._most = PARTS
        self._missed: dict[int, int] = {}
        self._turn = 0
        self._waits_after_s = float("-inf")

    @property
    def is_alone(self) -> bool:
        """Whether nobody was met of late."""
        return self._most == PARTS

    def choose(self, wanted: Collection[int]) -> list[int]:
        """Those of *wanted* to ask for now; a single one is waited for."""
        self._turn += 1
        longest = max(wanted, key=self._misses, default=None)
        if longest is not None and self._misses(longest) >= MISSES and self._elapsed_s() >= self._waits_after_s:
            return [longest]
        return sorted(wanted, key=lambda part: (-self._misses(part), (part * 31 + self._turn) % PARTS))[: self._most]

    def learn(self, asked: Collection[int], held: Collection[int]) -> None:
        """What was to be had of what was asked for."""
        missed = [part for part in asked if part not in held]
        for part in held:
            self._missed.pop(part, None)
        for part in missed:
            self._missed[part] = self._misses(part) + 1
        if not missed:
            self._most = min(PARTS, 2 * self._most)
        elif len(asked) > 1:
            self._most = max(1, len(asked) // 2)
        else:
            self._missed[missed[0]] = 0
            self._waits_after_s = self._elapsed_s() + LEFT_IN_PEACE_S

    def _misses(self, part: int) -> int:
        return self._missed.get(part, 0)
