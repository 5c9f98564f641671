"""A node declares its workers and resources, and sees to it that what should be in force is in force (M7).

Rules of this file
- A node declares and joins in one transaction: whoever sees the declarations also sees the node that declared them.
- Each node takes care of its own declarations only: what is to be in force is declared by some live node.
- A node remembers its declarations as the store knew them last, for a store that has lost them (by a restore).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from shiftboss.clock import Clock
from shiftboss.core import fleet
from shiftboss.core.declarations import Declaration, Declarations, keys_of, keys_of_sizes
from shiftboss.core.fleet import LEASE_S, live_nodes
from shiftboss.core.model import Node
from shiftboss.core.prevail import NO_DECLARATIONS, NOTHING_OWED, Owed, declaring, not_holding, owed
from shiftboss.core.reconcile import Declarer, declare
from shiftboss.core.snapshot import Change, Snapshot, merged
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition
from shiftboss.engine.mutation import Answer, Mutation, Needs
from shiftboss.errors import CallerError
from shiftboss.logs import get_logger

log = get_logger("shiftboss.engine")

AGAIN_S = LEASE_S  # after a refusal: by then somebody has had the time to read why


def declaring_node(node: Node, definitions: Sequence[Definition], resources: Mapping[str, int]) -> Node:
    """*node* with the keys of what it declares."""
    version = node.code_version
    return replace(node, declares=keys_of(definitions, version), resources=keys_of_sizes(resources, version))


class Declaring:
    """The declarations of one node."""

    def __init__(
        self,
        node: Node,
        definitions: Sequence[Definition],
        resources: Mapping[str, int],
        clock: Clock,
        *,
        is_dead: Callable[[str], bool] = lambda node_id: False,
    ) -> None:
        self._node_id = node.id
        self._definitions = {definition.name: definition for definition in definitions}
        self._resources = dict(resources)
        self._clock = clock
        self._is_dead = is_dead
        self._remembered: dict[tuple[str, str], Declaration] = {}
        self._seen: tuple[object, ...] | None = None  # when nothing of this node was out of force
        self._again_at_s = float("-inf")

    def joins(self, node: Node, answer: Answer) -> Mutation:
        """The node declares everything and joins.  The answer is a refusal if `declare` refuses."""
        rule = partial(self._join, node=node)
        return Mutation(rule, Needs(lanes=tuple(self._definitions)), answer)

    def again(self, node: Node, what: Owed | None = None) -> Mutation:
        """The node declares *what* again, or everything; a refusal is logged."""
        workers = tuple(self._definitions) if what is None else what.workers
        resources = tuple(self._resources) if what is None else what.resources
        rule = partial(self._declare_again, node=node, workers=workers, resources=resources)
        return Mutation(rule, Needs(lanes=workers))

    def owed(self, snapshot: Snapshot, node: Node) -> Owed:
        """What the node has to declare again now, according to the snapshot."""
        seen = (snapshot, snapshot.declared, node.declares, node.resources)
        if seen == self._seen:  # with many workers it is much to look through each second
            return NOTHING_OWED
        self._remember(snapshot, node)
        other = not_holding(snapshot, node)
        self._seen = None if other else seen
        if not other or self._clock.monotonic_s() < self._again_at_s:
            return NOTHING_OWED
        return owed(snapshot, other, node=node, live=self._live(snapshot))

    # within a turn

    def _join(
        self, snapshot: Snapshot, now: datetime, *, ids: Iterator[int], node: Node
    ) -> tuple[Change, tuple[str, ...]]:
        clock = self._clock
        node = replace(node, boot=clock.boot)
        declared, changed = self._declare(snapshot, now, ids, node, tuple(self._definitions), tuple(self._resources))
        joined, _ = fleet.join(snapshot, now, node=node, lease_s=clock.lease_s())
        return merged((declared, joined)), changed

    def _declare_again(
        self,
        snapshot: Snapshot,
        now: datetime,
        *,
        ids: Iterator[int],
        node: Node,
        workers: Sequence[str],
        resources: Sequence[str],
    ) -> tuple[Change, tuple[str, ...]]:
        try:
            return self._declare(snapshot, now, ids, node, workers, resources)
        except CallerError as error:
            self._again_at_s = self._clock.monotonic_s() + AGAIN_S
            log.error("this node's declarations should apply now but cannot: %s; retrying in %g s", error, AGAIN_S)  # noqa: TRY400  # the message says all
            raise

    def _declare(
        self,
        snapshot: Snapshot,
        now: datetime,
        ids: Iterator[int],
        node: Node,
        workers: Sequence[str],
        resources: Sequence[str],
    ) -> tuple[Change, tuple[str, ...]]:
        others = tuple(each for each in declaring(snapshot.nodes.values(), self._live(snapshot)) if each.id != node.id)
        return declare(
            snapshot,
            now,
            ids=ids,
            definitions=[self._definitions[name] for name in workers],
            resources={name: self._resources[name] for name in resources},
            by=Declarer(node, others, self._remembered),
        )

    def _live(self, snapshot: Snapshot) -> frozenset[str]:
        live = live_nodes(snapshot, boot=self._clock.boot, lease_s=self._clock.lease_s())
        return frozenset(node for node in live if node == self._node_id or not self._is_dead(node))

    def _remember(self, snapshot: Snapshot, node: Node) -> None:
        for name, key in node.declares.items():
            state = snapshot.workers.get(name)
            if state is not None:
                self._keep(("worker", name), key, state.declarations)
        for name, key in node.resources.items():
            self._keep(("resource", name), key, snapshot.size_declarations.get(name, NO_DECLARATIONS))

    def _keep(self, place: tuple[str, str], key: str, declarations: Declarations) -> None:
        declaration, before = declarations.find(key), self._remembered.get(place)
        if declaration is not None and (before is None or before.number < declaration.number):
            self._remembered[place] = declaration
