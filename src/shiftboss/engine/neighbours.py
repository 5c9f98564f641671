"""What the kernel of this machine tells about the processes of other nodes, and what follows from it (C4).

Rules of this file
- Each look asks whether a process lives.  It asks whether a process is frozen only if its lease has ended and this node
  could rescue its runs: a node that was silent itself may still see the others as they were before.
- A node that was frozen a moment ago still counts as frozen: a debugger may stop a process for an instant, and a warden
  that ends what a stopped node has started looks no more often than we do (B7).
"""

from __future__ import annotations

from collections.abc import Sequence

from shiftboss.clock import Clock
from shiftboss.core import fleet
from shiftboss.core.fleet import Processes
from shiftboss.core.model import Node
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.worker import Definition
from shiftboss.logs import get_logger
from shiftboss.ports.store import Store

OF_THEIR_OWN = frozenset(("process", "command"))  # executors whose functions have an interpreter of their own, or none

log = get_logger("shiftboss.engine")


class Neighbours:
    """The neighbours of the node *me*."""

    def __init__(self, store: Store, clock: Clock, me: str) -> None:
        self._store = store
        self._clock = clock
        self._me = me
        self._frozen_s: dict[str, float] = {}  # when each was last seen to be frozen, by the lease clock

    def look(self, snapshot: Snapshot) -> Processes:
        others = [node for node in snapshot.nodes.values() if node.id != self._me]
        dead = frozenset(node.id for node in others if self._store.is_dead(node.id))
        lease_s = self._clock.lease_s()
        me = snapshot.nodes.get(self._me)
        may_rescue = me is not None and fleet.has_settled_in(me, lease_s=lease_s)
        silent = [n for n in others if may_rescue and n.id not in dead and _matters(n, lease_s)]
        seen = {node.id: lease_s for node in silent if self._store.is_frozen(node.id)}
        for node in silent:
            if node.id in seen and node.id not in self._frozen_s:
                self._tell(node)
        before = {node.id: self._frozen_s[node.id] for node in silent if node.id in self._frozen_s}
        self._frozen_s = before | seen
        lately_s = lease_s - fleet.RESCUE_GRACE_S
        return Processes(dead, frozenset(node for node, seen_s in self._frozen_s.items() if seen_s >= lately_s))

    def _tell(self, node: Node) -> None:
        renewed_s = node.lease_until_s - fleet.LEASE_S
        left_s = fleet.left_to_it_until_s(node, is_frozen=True) - self._clock.lease_s()
        log.warning(
            "node %s has been silent for %.0f s although its process is alive: a function may be holding the "
            "interpreter's lock (GIL); it keeps its runs for %.0f s more",
            node.name,
            self._clock.lease_s() - renewed_s,
            max(0.0, left_s),
        )


def can_freeze(node: Node, definitions: Sequence[Definition]) -> bool:
    """Whether a function may freeze that node for longer than its lease, and the node may then keep its runs."""
    kinds = {definition.executor for definition in definitions if definition.name in node.workers}
    return node.freeze_limit_s > 0 and not kinds <= OF_THEIR_OWN


def _matters(node: Node, lease_s: float) -> bool:
    """Whether its lease has ended and it would keep its runs for longer if it is frozen."""
    longest_s = fleet.left_to_it_until_s(node, is_frozen=True)
    return node.lease_until_s < lease_s < longest_s and longest_s > fleet.left_to_it_until_s(node, is_frozen=False)
