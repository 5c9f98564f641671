"""Is this node short of something?  It names the function that blocks the loop, and sheds by priority (H4, H6).

Rules of this file
- How fast the store is shows in its own part of a turn; a large fan-out takes as long as many turns.
- Only a change is written: a node that stays as it was costs no transaction.
"""

from __future__ import annotations

from shiftboss.core.shed import Pressures, Shedding, shed
from shiftboss.engine import membership
from shiftboss.engine.state import EngineState
from shiftboss.logs import get_logger

log = get_logger("shiftboss.engine")


class Load:
    def __init__(self, state: EngineState) -> None:
        self._watchdog = state.setup.watchdog
        self._memory_share = state.setup.memory_share
        self._node = state.node
        self._cycle = state.cycle
        self._inbox = state.inbox
        self._slowest_turn_s = 0.0
        self._shedding = Shedding()

    @property
    def lag_s(self) -> float:
        """For how long the event loop has not answered."""
        return self._watchdog.lag_s if self._watchdog is not None else 0.0

    def turned(self, duration_s: float, *, batches: float) -> None:
        """A turn took so long, with so many full batches of mutations."""
        store_s = (duration_s - self._cycle.own_s) / max(1.0, batches)
        self._slowest_turn_s = max(self._slowest_turn_s, store_s)

    def look(self, now_s: float) -> None:
        if self._watchdog is not None:
            blocked = self._watchdog.check(now_s)
            if blocked is not None:
                log.warning(*blocked.worded())
        node = self._cycle.snapshot.nodes.get(self._node.id) if self._node is not None else None
        if node is None:
            return
        pressures = Pressures(
            loop_lag_s=self.lag_s, memory_share=self._memory_share() or 0.0, store_s=self._slowest_turn_s
        )
        self._slowest_turn_s = 0.0
        self._shedding = shed(self._shedding, pressures)
        level, reason = self._shedding.level, self._shedding.reason
        if (level, reason) != (node.shed, node.shed_reason):
            self._inbox.put(membership.shed(node.id, level, reason))
