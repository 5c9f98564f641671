"""How often something may be done: a few times in a row, and from then on evenly.

Rules of this file
- It only computes; the caller waits, or leaves it.  Times are those of a monotonic clock.
"""

from __future__ import annotations


class Pace:
    """At most *burst* times in a row; then once in *gap_s*.  A pause of *burst* gaps restores all of it."""

    def __init__(self, gap_s: float, *, burst: int) -> None:
        self._gap_s = gap_s
        self._ahead_s = gap_s * (burst - 1)
        self._next_s = float("-inf")  # when the next one was due if they came evenly

    def left_s(self, now_s: float) -> float:
        """Seconds until it may be done; 0: now."""
        return max(0.0, self._next_s - self._ahead_s - now_s)

    def took(self, now_s: float) -> None:
        """It is done now."""
        self._next_s = max(self._next_s, now_s) + self._gap_s
