"""Beside each decision of a cycle: what a look at every lane would have decided.

The lists on which lanes wait only save work.  So a decision that asks about nothing but open lists is the same as one
that asks about everything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from shiftboss.core.decide import Decision, decide
from shiftboss.core.fleet import live_nodes
from shiftboss.core.model import NodeMode
from shiftboss.core.room import room_of
from shiftboss.engine.cycle import Cycle

Starts = tuple[list[tuple[int, bool, bool, bool]], list[int]]  # runs with how they start, runs that are skipped


class WholeLooks:
    """Install it with `monkeypatch`; `differences` says where the two disagreed."""

    def __init__(self) -> None:
        self.decisions = 0
        self.grants = 0
        self.asked = 0  # by the lists
        self.differences: list[str] = []
        self._real: Callable[..., Decision | None] = Cycle._decide

    def install(self, patch: Any) -> WholeLooks:
        looks = self

        def decide_twice(cycle: Cycle, now: Any, lanes: Collection[str], **options: Any) -> Decision | None:
            whole = looks._whole(cycle, now, **options)
            decision = looks._real(cycle, now, lanes, **options)
            if whole is not None:
                looks._compare(cycle, whole, decision)
            return decision

        patch.setattr(Cycle, "_decide", decide_twice)
        return self

    def _whole(self, cycle: Cycle, now: Any, *, held: Any = None, load: Callable[..., None]) -> Decision | None:
        node, snapshot = cycle._me(), cycle.snapshot
        if node is None or node.mode is not NodeMode.RUNNING or not cycle.may_start():
            return None
        room = room_of(snapshot, node)
        if room.free <= 0:
            return None
        lies_in = snapshot.relations.partitions
        names = [name for name in snapshot.workers if held is None or lies_in.get(name) in held]
        load(names)
        live = live_nodes(snapshot, boot=cycle.clock.boot, lease_s=cycle.clock.lease_s())
        isolated = [run for lane, run in cycle.agenda.isolated.items() if lane not in names]
        return decide(snapshot, now, node=node, room=room, lanes=names, live=live, isolated=isolated)

    def _compare(self, cycle: Cycle, whole: Decision, decision: Decision | None) -> None:
        expected, actual = _starts(whole), ([], []) if decision is None else _starts(decision)
        self.decisions += 1
        self.grants += len(expected[0])
        self.asked += 0 if decision is None else len(decision.holds) + len(decision.grants)
        if expected != actual:
            node = cycle.node.id if cycle.node is not None else ""
            self.differences.append(f"{cycle.clock.now()} {node}: {actual} instead of {expected}")


def _starts(decision: Decision) -> Starts:
    grants = [(each.run.id, each.probe, each.fallback, each.degraded) for each in decision.grants]
    return grants, [run.id for run in decision.skips]
