"""What a node may do by its lease, and what it may not any more."""

from __future__ import annotations

from worlds import World

from shiftboss.core.fleet import Processes
from shiftboss.core.model import Status
from shiftboss.core.worker import Definition
from shiftboss.engine.lease import Lease
from shiftboss.engine.membership import renewed
from shiftboss.stores.memory import MemoryStore
from shiftboss.testing.clock import VirtualClock

MAIL = Definition(name="mail")


def test_trust_counts_from_before_the_renewal_was_asked_for_and_ends_early():
    """C3: 30 s less 3 s, however long the commit took."""
    clock = VirtualClock()
    lease = Lease(clock)
    asked_s = clock.lease_s()
    clock.advance(4)  # the commit takes its time
    lease.renewed(asked_s)

    assert lease.is_trusted
    clock.advance(22.9)
    assert lease.is_trusted
    clock.advance(0.2)
    assert not lease.is_trusted


def test_a_renewal_is_due_every_ten_seconds():
    """C2"""
    clock = VirtualClock()
    lease = Lease(clock)

    assert lease.renew_in_s == 0
    lease.renewed(clock.lease_s())
    assert lease.renew_in_s == 10
    clock.advance(11)
    assert lease.renew_in_s == 0


def test_without_a_trusted_lease_nothing_is_claimed():
    """C3"""
    world = World(MAIL)
    lease = Lease(world.clock)
    lease.renewed(world.clock.lease_s())
    world.cycle.may_start = lambda: lease.is_trusted
    world.clock.advance(28)
    late, answer = world.trigger("mail")
    turn = world.turn(late)

    assert turn.starts == []
    lease.renewed(world.clock.lease_s())
    assert [start.run.id for start in world.turn().starts] == [answer.value.id]


def test_the_reports_of_a_node_that_was_rescued_are_void():
    """C3, C5: the claim belongs to the other node; one stale report, nothing changed."""
    clock = VirtualClock()
    store = MemoryStore(clock=clock)
    paused = World(MAIL, store=store, clock=clock, name="paused")
    other = World(MAIL, store=store, clock=clock, name="other")
    fact, answer = paused.trigger("mail")
    (start,) = paused.turn(fact).starts
    for _ in range(4):
        clock.advance(10)
        other.turn(renewed(other.node, clock))
    (again,) = other.turn(processes=Processes()).starts
    late = paused.turn(paused.done(start))

    assert again.run.id == start.run.id
    assert again.run.claim.fence > start.run.claim.fence
    assert [type(event).__name__ for event in late.events] == ["StaleReport"]
    other.turn(other.done(again))
    with store.session().read() as reader:
        (run,) = reader.runs([answer.value.id])
    assert (run.status, run.attempt, run.interruptions) == (Status.SUCCEEDED, 1, 1)


def test_nobody_is_rescued_from_before_the_grace_and_before_the_rescuer_has_settled_in():
    """C4"""
    clock = VirtualClock()
    store = MemoryStore(clock=clock)
    silent = World(MAIL, store=store, clock=clock, name="silent")
    fact, _ = silent.trigger("mail")
    silent.turn(fact)
    clock.advance(31)
    fresh = World(MAIL, store=store, clock=clock, name="fresh")

    clock.advance(5)
    assert (
        fresh.turn(processes=Processes()).starts == []
    )  # the lease ended 6 s ago, but "fresh" has not held its own for 30 s
    for _ in range(3):
        clock.advance(9)
        fresh.turn(renewed(fresh.node, clock))
    assert len(fresh.turn(processes=Processes()).starts) == 1
