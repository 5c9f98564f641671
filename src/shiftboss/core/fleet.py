"""Nodes: how they join, hold their lease and leave, and whose runs may be rescued (C2 to C4).

Rules of this file
- A lease is counted in seconds of the store's lease clock and belongs to one boot of that machine.
- A node that is told to stop trusting its lease claims and starts nothing more; no other node decides that for it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from shiftboss.core.events import NodeJoined, NodeLeft, NodeShedding
from shiftboss.core.model import Node, NodeMode, Shed
from shiftboss.core.pattern import lazy_pattern
from shiftboss.core.snapshot import NOTHING, Change, Snapshot
from shiftboss.core.value import Value, replace

LEASE_S = 30.0  # C2: three missed beats of 10 s; shorter made slow disks look dead
RENEW_S = 10.0
SILENT_S = 15.0  # one renewal is missing and half the lease is gone: a busy moment does not explain that
TRUST_MARGIN_S = 3.0  # C3: the node stops before others may think that its lease has ended
RESCUE_GRACE_S = 5.0  # C4: allows for differing clocks and slow commits of the node that seems dead
BOOTED = lazy_pattern(r"booted-(-?\d+)")  # the wall time of a boot, in seconds since 1970
BOOT_TOLERANCE_S = 20  # small corrections of the clock add up; no machine boots twice within 20 s
FREEZE_LIMIT_S = 300.0  # C4: longer than any C call that is intended; after an hour of freeze a rescue is no worse
HELD_S = 1.0  # a shorter time fits into the grace of a rescue
KILL_S = 1.0  # B7: functions that can be killed are killed this long before a rescue; finding a tree takes 50 ms


def bodies_end_s(asked_s: float) -> float:
    """B7: when the functions of a node end that went silent after asking for its last renewal at *asked_s*."""
    return asked_s + LEASE_S + RESCUE_GRACE_S - KILL_S


def bodies_end_at_last_s(asked_s: float, *, freeze_limit_s: float) -> float:
    """The same for a node whose neighbours can all see that it still lives."""
    return max(bodies_end_s(asked_s), asked_s + freeze_limit_s - KILL_S)


def join(snapshot: Snapshot, now: datetime, *, node: Node, lease_s: float) -> tuple[Change, Node]:
    """A node begins to hold its lease."""
    joined = replace(node, lease_until_s=lease_s + LEASE_S, held_since_s=lease_s)
    return Change(nodes=(joined,), events=(NodeJoined(at=now, node=node.id, name=node.name),)), joined


def renew(snapshot: Snapshot, now: datetime, *, node: Node, lease_s: float) -> tuple[Change, Node]:
    """Extend the lease; a node that was rescued meanwhile begins a new lease, and its old claims are gone."""
    stored = snapshot.nodes.get(node.id)
    is_gapless = (
        stored is not None
        and stored.unreadable is None
        and is_same_boot(stored.boot, node.boot)
        and stored.lease_until_s >= lease_s
    )
    held_since_s = stored.held_since_s if stored is not None and is_gapless else lease_s
    renewed = replace(node, lease_until_s=lease_s + LEASE_S, held_since_s=held_since_s)
    if stored is not None and stored.mode is NodeMode.DRAINING:  # another process asked for it
        renewed = replace(renewed, mode=NodeMode.DRAINING)
    return Change(nodes=(renewed,)), renewed


def leases_held(snapshot: Snapshot, *, lease_s: float, for_s: float) -> tuple[Change, None]:
    """O4: nobody could renew while the store was put right, from *lease_s* on: good leases last so much longer."""
    if for_s < HELD_S:
        return NOTHING, None
    good = (node for node in snapshot.nodes.values() if node.unreadable is None and node.lease_until_s >= lease_s)
    return Change(nodes=tuple(replace(node, lease_until_s=node.lease_until_s + for_s) for node in good)), None


def leave(snapshot: Snapshot, now: datetime, *, node: Node) -> tuple[Change, None]:
    """The last act of a node: nothing of it stays in the store."""
    if node.id not in snapshot.nodes:
        return NOTHING, None
    return Change(gone_nodes=(node.id,), events=(NodeLeft(at=now, node=node.id, name=node.name),)), None


def shed(snapshot: Snapshot, now: datetime, *, node: Node, level: Shed, reason: str) -> tuple[Change, Node]:
    """H4: hold back runs by priority from now on."""
    changed = replace(node, shed=level, shed_reason=reason)
    event = NodeShedding(at=now, node=node.id, level=level.value, reason=reason)
    return Change(nodes=(changed,), events=(event,)), changed


def is_same_boot(one: str, other: str) -> bool:
    """Whether two nodes count elapsed time from the same start of their machine.

    Without an id of its own a boot is identified by its wall time (clock.py), which drifts a little with the clock.
    """
    if one == other:
        return True
    when, others = BOOTED.fullmatch(one), BOOTED.fullmatch(other)
    return when is not None and others is not None and abs(int(when[1]) - int(others[1])) <= BOOT_TOLERANCE_S


def is_live(node: Node, *, boot: str, lease_s: float) -> bool:
    """Whether its lease is good now; a node whose row cannot be read does not count as live (W8)."""
    return is_same_boot(node.boot, boot) and node.lease_until_s > lease_s and node.unreadable is None


def live_nodes(snapshot: Snapshot, *, boot: str, lease_s: float) -> frozenset[str]:
    return frozenset(node.id for node in snapshot.nodes.values() if is_live(node, boot=boot, lease_s=lease_s))


def able_nodes(snapshot: Snapshot, name: str, *, live: Collection[str]) -> list[Node]:
    """The live nodes that declare the worker and could run it, even if they shed or drain just now."""
    return [
        node
        for node in snapshot.nodes.values()
        if node.id in live and node.mode is not NodeMode.CLIENT and name in node.workers
    ]


def silent_nodes(snapshot: Snapshot, *, live: Collection[str], lease_s: float) -> tuple[Node, ...]:
    """The live nodes that have not renewed their lease for 15 s: they stand still, or cannot write."""
    return tuple(
        node
        for node in snapshot.nodes.values()
        if node.id in live and node.mode is not NodeMode.CLIENT and is_silent(node, lease_s=lease_s)
    )


def is_silent(node: Node, *, lease_s: float) -> bool:
    return node.lease_until_s - lease_s < LEASE_S - SILENT_S


class Processes(Value, frozen=True):
    """What the kernel of this machine knows about the processes of other nodes; nothing about those in neither set."""

    dead: frozenset[str] = frozenset()  # surely gone
    frozen: frozenset[str] = frozenset()  # they live, are neither stopped nor traced, and let their lease end


def lost_nodes(snapshot: Snapshot, *, me: Node, lease_s: float, processes: Processes) -> tuple[Node, ...]:
    """C4: the nodes whose runs *me* may rescue now.

    At once: nodes whose process is surely gone, and nodes of another boot, whose leases ended with that boot.  Others
    from 5 s after their lease on, frozen ones from their `freeze_limit` on, and only if *me* has held a lease for 30 s.
    Of a node whose row cannot be read, nobody knows when its lease ends (W8): it may live and rewrite its row when it
    renews.
    """
    settled_in = has_settled_in(me, lease_s=lease_s)

    def is_lost(node: Node) -> bool:
        if node.id in processes.dead or node.unreadable is not None or me.unreadable is not None:
            return node.id in processes.dead
        if not is_same_boot(node.boot, me.boot):
            return True
        return settled_in and left_to_it_until_s(node, is_frozen=node.id in processes.frozen) < lease_s

    return tuple(node for node in snapshot.nodes.values() if node.id != me.id and is_lost(node))


def has_settled_in(me: Node, *, lease_s: float) -> bool:
    """Whether *me* has held its lease long enough to judge others: each of them has had time to renew since."""
    return lease_s - me.held_since_s >= LEASE_S


def left_to_it_until_s(node: Node, *, is_frozen: bool) -> float:
    """Until when a silent node keeps its runs: 5 s beyond its lease, a frozen one until its `freeze_limit` is over."""
    by_lease_s = node.lease_until_s + RESCUE_GRACE_S
    return max(by_lease_s, node.lease_until_s - LEASE_S + node.freeze_limit_s) if is_frozen else by_lease_s
