"""What a node does once a second, because no time is known for it in advance.

Rules of this file
- A node that is alone and idle needs no ticks, and sleeps longer.
- A tick decides nothing: what it finds becomes a mutation of the next turn, or the processes of which that turn rescues
  runs.
"""

from __future__ import annotations

from shiftboss.core import fleet
from shiftboss.core.model import Node
from shiftboss.engine.load import Load
from shiftboss.engine.neighbours import Neighbours, can_freeze
from shiftboss.engine.presence import Presence
from shiftboss.engine.state import EngineState

TICK_S = 1.0  # for signs of life of neighbours, loop lag, memory


class Ticks:
    """Of a node; a client has none."""

    def __init__(self, state: EngineState, *, load: Load, presence: Presence, neighbours: Neighbours) -> None:
        self._store = state.store
        self._clock = state.clock
        self._node = state.node
        self._cycle = state.cycle
        self._inbox = state.inbox
        self._running = state.running
        self._executors = state.setup.executors
        self._can_freeze = state.node is not None and can_freeze(state.node, state.setup.definitions)
        self._load = load
        self._presence = presence
        self._neighbours = neighbours
        self._ticked_s = float("-inf")

    def tick_if_due(self) -> fleet.Processes | None:
        """Measure lag, shed, and look for neighbours that are gone (returned if runs of any can be rescued)."""
        now_s = self._clock.monotonic_s()
        if self._node is None or now_s - self._ticked_s < TICK_S:
            return None
        self._ticked_s = now_s
        if self._can_freeze:
            self._store.show_life(self._node.id)
        for executor in self._executors.values():
            executor.flush()
        self._running.flush()
        self._load.look(now_s)
        owed = self._presence.owed_declarations()
        if owed is not None:
            self._inbox.put(owed)
        return self._processes_to_rescue(self._node)

    def _processes_to_rescue(self, node: Node) -> fleet.Processes | None:
        snapshot = self._cycle.snapshot
        processes = self._neighbours.look(snapshot)
        me = snapshot.nodes.get(node.id, node)
        lost = fleet.lost_nodes(snapshot, me=me, lease_s=self._clock.lease_s(), processes=processes)
        return processes if lost else None

    @property
    def due_in_s(self) -> float:
        """Seconds until the next tick; infinite if none is needed."""
        needs_ticks = len(self._cycle.snapshot.nodes) > 1 or len(self._running) > 0 or self._store.tight
        return self._ticked_s + TICK_S - self._clock.monotonic_s() if needs_ticks else float("inf")
