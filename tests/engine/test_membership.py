"""What a node writes about itself: its lease, what it sheds, its end."""

from __future__ import annotations

from itertools import count

from builders import NOON, a_node, a_snapshot, after, unreadable

from shiftboss.core.events import NodeDrained, StoreRestored
from shiftboss.core.model import Shed
from shiftboss.core.snapshot import NOTHING
from shiftboss.engine.membership import leave, renew, shed
from shiftboss.engine.mutation import NO_WORKER
from shiftboss.engine.restored import LOOKED_AT, restored_in
from shiftboss.engine.shutdown import ShutdownReport
from shiftboss.testing.clock import VirtualClock


def applied(mutation, world):
    return mutation.rule(world, NOON, ids=count(101))


def test_a_renewal_lasts_thirty_seconds_from_when_the_transaction_reads_the_clock():
    """C2: who waited for the lock is not given time that has passed; and the boot is today's."""
    clock = VirtualClock(boot="boot-2")
    mutation = renew(a_node("n1"), clock)
    clock.advance(100)
    change, _ = applied(mutation, a_snapshot(nodes=[a_node("n1")]))
    (node,) = change.nodes

    assert (node.lease_until_s, node.boot) == (130.0, "boot-2")
    assert mutation.worker == NO_WORKER, "it concerns nobody else"


def test_what_it_sheds_is_stored_with_the_reason():
    """H4"""
    change, _ = applied(shed("n1", Shed.LOW, "memory"), a_snapshot(nodes=[a_node("n1")]))
    (node,) = change.nodes

    assert (node.shed, node.shed_reason) == (Shed.LOW, "memory")


def test_a_row_that_is_gone_or_cannot_be_read_is_left_to_the_next_renewal():
    """W8"""
    hidden = a_snapshot(nodes=[unreadable(a_node("n1"), "nodes", "n1")])

    assert applied(shed("n1", Shed.LOW, "memory"), hidden) == (NOTHING, None)
    assert applied(shed("n2", Shed.LOW, "memory"), a_snapshot(nodes=[a_node("n1")])) == (NOTHING, None)


def test_it_leaves_with_its_report():
    """G4"""
    report = ShutdownReport(drained=1, interrupted=2, waiting=3, lost=4)
    change, _ = applied(leave(a_node("n1"), report), a_snapshot(nodes=[a_node("n1")]))

    assert change.events[0] == NodeDrained(at=NOON, node="n1", drained=1, interrupted=2, waiting=3, lost=4)
    assert change.gone_nodes == ("n1",)


class Events:
    """A store's events, by their numbers."""

    def __init__(self, events):
        self.events = events

    def last_event(self):
        return max(self.events, default=0)

    def events_after(self, after, limit):
        return [(n, self.events[n]) for n in sorted(self.events) if n > after][:limit]


def restored(events):
    source = Events(events)
    reader = type("Reader", (), {"last_event": lambda self: source.last_event()})()
    reader.events = lambda *, after, limit: source.events_after(after, limit)
    return restored_in(reader)


def test_the_newest_restore_of_the_last_thousand_events_is_found():
    """C9"""
    first, second = (StoreRestored(at=after(n), reason=str(n), epoch=n) for n in (1, 2))
    other = NodeDrained(at=NOON, node="n1", drained=0, interrupted=0, waiting=0, lost=0)

    assert LOOKED_AT == 1000
    assert restored({}) is None
    assert restored({1: other}) is None
    assert restored({1: first, 2: second, 3: other}) == second
    assert restored({1: first, 1000: other}) == first
    assert restored({1: first, 1001: other}) is None
