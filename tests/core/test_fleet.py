"""Nodes: leases, and whose runs may be rescued."""

from __future__ import annotations

import pytest
from builders import NOON, a_node, a_snapshot, unreadable

from shiftboss.core import fleet
from shiftboss.core.events import NodeJoined, NodeLeft, NodeShedding
from shiftboss.core.fleet import Processes
from shiftboss.core.model import NodeMode, Shed
from shiftboss.core.snapshot import NOTHING
from shiftboss.core.value import replace


def renew(world, node, lease_s):
    change, answer = fleet.renew(world, NOON, node=node, lease_s=lease_s)
    world.apply(change)
    assert world.nodes[node.id] == answer
    return answer


def test_good_leases_last_longer_by_what_nobody_could_renew_in():
    """O4, W8"""
    good, just, over = (a_node(f"n{n}", lease_until_s=until_s) for n, until_s in enumerate((130.0, 100.0, 99.9)))
    broken = unreadable(a_node("n3", lease_until_s=130.0), "node")
    change, _ = fleet.leases_held(a_snapshot(nodes=[good, just, over, broken]), lease_s=100.0, for_s=20.0)

    assert {node.id: node.lease_until_s for node in change.nodes} == {"n0": 150.0, "n1": 120.0}


class TestLease:
    """C2: 30 s, renewed every 10 s."""

    def test_a_node_joins_with_a_fresh_lease(self):
        world = a_snapshot()
        node = a_node("n9", lease_until_s=0.0)
        change, joined = fleet.join(world, NOON, node=node, lease_s=100.0)
        world.apply(change)

        assert (joined.lease_until_s, joined.held_since_s) == (130.0, 100.0)
        assert world.nodes["n9"] == joined
        assert world.events == [NodeJoined(at=NOON, node="n9", name="host:n9")]

    def test_a_renewal_extends_it_and_holds_on(self):
        node = a_node(lease_until_s=130.0, held_since_s=100.0)

        after_it = renew(a_snapshot(nodes=[node]), node, 110.0)

        assert (after_it.lease_until_s, after_it.held_since_s) == (140.0, 100.0)

    def test_after_a_gap_it_is_held_anew(self):
        """C4"""
        node = a_node(lease_until_s=130.0, held_since_s=100.0)

        assert renew(a_snapshot(nodes=[node]), node, 131.0).held_since_s == 131.0

    def test_after_a_rescue_or_a_reboot_it_is_held_anew(self):
        """C4"""
        node = a_node(held_since_s=100.0)

        assert renew(a_snapshot(nodes=[a_node("n2")]), node, 110.0).held_since_s == 110.0
        assert renew(a_snapshot(nodes=[replace(node, boot="boot-0")]), node, 110.0).held_since_s == 110.0

    def test_a_node_that_was_told_to_drain_keeps_that(self):
        """G1"""
        node = a_node()
        world = a_snapshot(nodes=[replace(node, mode=NodeMode.DRAINING)])

        assert renew(world, node, 110.0).mode is NodeMode.DRAINING

    @pytest.mark.parametrize(
        ("boot", "lease_s", "live"),
        [("boot-1", 129.9, True), ("boot-1", 130.0, False), ("boot-2", 100.0, False)],
    )
    def test_it_is_live_until_its_lease_ends_and_within_its_boot(self, boot, lease_s, live):
        world = a_snapshot(nodes=[a_node("n1", lease_until_s=130.0)])

        assert fleet.live_nodes(world, boot=boot, lease_s=lease_s) == (frozenset({"n1"}) if live else frozenset())

    def test_a_node_that_leaves_leaves_nothing(self):
        world = a_snapshot()
        node = world.nodes["n1"]
        change, _ = fleet.leave(world, NOON, node=node)
        world.apply(change)

        assert world.nodes == {}
        assert world.events == [NodeLeft(at=NOON, node="n1", name="host:n1", lost=False)]
        assert fleet.leave(world, NOON, node=node) == (NOTHING, None)


class TestRescuing:
    """C4: who may rescue whom, and when."""

    ME = a_node("me", held_since_s=100.0, lease_until_s=200.0)
    OTHER = a_node("other", lease_until_s=130.0, freeze_limit_s=300.0)

    def lost(self, *, lease_s, me=ME, other=OTHER, dead=(), frozen=()):
        world = a_snapshot(nodes=[me, other])
        processes = Processes(dead=frozenset(dead), frozen=frozenset(frozen))
        return [node.id for node in fleet.lost_nodes(world, me=me, lease_s=lease_s, processes=processes)]

    def test_only_when_the_lease_ended_more_than_five_seconds_ago(self):
        assert self.lost(lease_s=135.0) == []
        assert self.lost(lease_s=135.1) == ["other"]

    def test_only_by_one_that_has_held_its_own_for_thirty(self):
        young = replace(self.ME, held_since_s=110.0)

        assert self.lost(lease_s=139.9, me=young) == []
        assert self.lost(lease_s=140.0, me=young) == ["other"]

    def test_at_once_when_its_process_is_surely_gone(self):
        young = replace(self.ME, held_since_s=101.0)

        assert self.lost(lease_s=101.0, me=young, dead={"other"}) == ["other"]

    def test_at_once_after_a_reboot(self):
        """C2"""
        assert self.lost(lease_s=1.0, other=replace(self.OTHER, boot="boot-0")) == ["other"]

    def test_a_frozen_one_when_its_limit_since_the_last_renewal_is_over(self):
        """The last renewal was at 100."""
        assert self.lost(lease_s=400.0, frozen={"other"}) == []
        assert self.lost(lease_s=400.1, frozen={"other"}) == ["other"]
        assert self.lost(lease_s=200.0, frozen={"somebody else"}) == ["other"]

    @pytest.mark.parametrize("limit_s", [0.0, 10.0, 35.0])
    def test_no_limit_is_shorter_than_a_lease_and_its_grace(self, limit_s):
        other = replace(self.OTHER, freeze_limit_s=limit_s)

        assert self.lost(lease_s=135.0, other=other, frozen={"other"}) == []
        assert self.lost(lease_s=135.1, other=other, frozen={"other"}) == ["other"]

    def test_a_reboot_and_the_end_of_its_process_count_for_more(self):
        assert self.lost(lease_s=150.0, dead={"other"}, frozen={"other"}) == ["other"]
        assert self.lost(lease_s=1.0, other=replace(self.OTHER, boot="boot-0"), frozen={"other"}) == ["other"]

    def test_bodies_end_a_second_before_others_may_begin(self):
        """B7"""
        assert fleet.bodies_end_s(100.0) == 134.0
        assert fleet.bodies_end_at_last_s(100.0, freeze_limit_s=300.0) == 399.0
        assert fleet.bodies_end_at_last_s(100.0, freeze_limit_s=0.0) == 134.0

    def test_never_oneself(self):
        assert self.lost(lease_s=500.0, other=replace(self.OTHER, lease_until_s=999.0), dead={"me"}) == []


def test_shedding_is_kept_with_its_reason_and_said():
    """H4"""
    world = a_snapshot()
    change, node = fleet.shed(world, NOON, node=world.nodes["n1"], level=Shed.LOW, reason="lag")
    world.apply(change)

    assert (node.shed, node.shed_reason, world.nodes["n1"]) == (Shed.LOW, "lag", node)
    assert world.events == [NodeShedding(at=NOON, node="n1", level="low", reason="lag")]
