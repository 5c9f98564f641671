"""What a node does to its own row: it renews its lease, sheds and leaves (it joins when it declares: declaring.py).

Rules of this file
- In a transaction with some partitions, a node writes only its own row; to write another node's row takes the whole
  store.
- The lease clock is read inside the transaction: a node that waited for the lock must not get time that has passed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from shiftboss.clock import Clock
from shiftboss.core import fleet
from shiftboss.core.events import NodeDrained
from shiftboss.core.model import Node, Shed
from shiftboss.core.snapshot import NOTHING, Change, Snapshot
from shiftboss.core.value import replace
from shiftboss.engine.mutation import NO_WORKER, Mutation
from shiftboss.engine.shutdown import ShutdownReport


def renew(node: Node, clock: Clock) -> Mutation:
    return Mutation(partial(_renew, node=node, clock=clock), worker=NO_WORKER)


def shed(node_id: str, level: Shed, reason: str) -> Mutation:
    return Mutation(partial(_shed, node_id=node_id, level=level, reason=reason))


def leave(node: Node, report: ShutdownReport) -> Mutation:
    return Mutation(partial(_leave, node=node, report=report))


def _renew(snapshot: Snapshot, now: datetime, *, ids: Iterator[int], node: Node, clock: Clock) -> tuple[Change, Node]:
    return fleet.renew(snapshot, now, node=replace(node, boot=clock.boot), lease_s=clock.lease_s())


def _shed(
    snapshot: Snapshot, now: datetime, *, ids: Iterator[int], node_id: str, level: Shed, reason: str
) -> tuple[Change, None]:
    node = snapshot.nodes.get(node_id)
    if node is None or node.unreadable is not None:  # the next renewal rewrites it
        return NOTHING, None
    return fleet.shed(snapshot, now, node=node, level=level, reason=reason)[0], None


def _leave(
    snapshot: Snapshot, now: datetime, *, ids: Iterator[int], node: Node, report: ShutdownReport
) -> tuple[Change, None]:
    change, _ = fleet.leave(snapshot, now, node=node)
    drained = NodeDrained(
        at=now,
        node=node.id,
        drained=report.drained,
        interrupted=report.interrupted,
        waiting=report.waiting,
        lost=report.lost,
    )
    return replace(change, events=(drained, *change.events)), None
