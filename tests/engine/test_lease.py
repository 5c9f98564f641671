"""What a node may do by its lease, and what it may not any more."""

from __future__ import annotations

import math

import pytest
from worlds import World

from shiftboss.core.fleet import Processes
from shiftboss.core.model import Status
from shiftboss.core.worker import Definition
from shiftboss.engine.lease import Lease, LeaseWatch
from shiftboss.engine.membership import renew
from shiftboss.stores.memory.store import MemoryStore
from shiftboss.testing.clock import US, VirtualClock

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
    mutation, answer = paused.trigger("mail")
    (start,) = paused.turn(mutation).starts
    for _ in range(4):
        clock.advance(10)
        other.turn(renew(other.node, clock))
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
    mutation, _ = silent.trigger("mail")
    silent.turn(mutation)
    clock.advance(31)
    fresh = World(MAIL, store=store, clock=clock, name="fresh")

    clock.advance(5)
    assert (
        fresh.turn(processes=Processes()).starts == []
    )  # the lease ended 6 s ago, but "fresh" has not held its own for 30 s
    for _ in range(3):
        clock.advance(9)
        fresh.turn(renew(fresh.node, clock))
    assert len(fresh.turn(processes=Processes()).starts) == 1


class Told(Exception):
    """The bodies have been told."""


class Sleeper:
    """The watch's sleep in virtual time, in which renewals are committed, or the machine is suspended."""

    def __init__(self, clock: VirtualClock, lease: Lease, *, renewed: dict[float, float], suspended=(math.inf, 0.0)):
        self._clock, self._lease = clock, lease
        self._renewed = dict(sorted(renewed.items()))  # when it was committed → when it was asked for
        self._suspended_at_s, self._suspended_for_s = suspended

    def wait(self, seconds: float) -> bool:
        until_us = self._clock.elapsed_us + max(1, math.ceil(seconds * US))
        if self._clock.elapsed_s() <= self._suspended_at_s < until_us / US:
            until_us += round(self._suspended_for_s * US)
        while self._renewed and next(iter(self._renewed)) * US <= until_us:
            at_s = next(iter(self._renewed))
            self._clock.advance_to_us(round(at_s * US))
            self._lease.renewed(self._renewed.pop(at_s))
        self._clock.advance_to_us(until_us)
        return False


def told_at(**facts) -> float:
    """When a watch tells the bodies of a node that is cut off after these renewals."""
    clock = VirtualClock()
    lease = Lease(clock)

    def tell() -> None:
        raise Told

    with pytest.raises(Told):
        LeaseWatch(lease, tell, wait=Sleeper(clock, lease, **facts).wait).run()
    return clock.elapsed_s()


@pytest.mark.parametrize("first", [0.1, 0.7, 1.0, 1.9, 2.3, 3.3, 4.999])
@pytest.mark.parametrize("then", [(), (9.4,), (10.0, 20.03), (8.0, 17.1, 29.97), (10.0, 20.0, 30.0, 40.0, 56.9)])
def test_a_cut_node_tells_its_bodies_29_s_after_its_last_renewal_whenever_that_was(first, then):
    """C3: 27 s of trust and 2 s in which its engine looks first; not a moment later."""
    asked = [0.0, *(first + each for each in then)]
    renewed = {asked_s + 0.01 * number: asked_s for number, asked_s in enumerate(asked)}

    assert told_at(renewed=renewed) == pytest.approx(asked[-1] + 29.0, abs=1e-5)


@pytest.mark.parametrize("took_s", [5.0, 25.0, 26.2, 26.9])
def test_a_renewal_that_took_long_to_commit_counts_from_when_it_was_asked_for(took_s):
    """C3: also where the trust before it had ended meanwhile."""
    renewed = {0.0: 0.0, 10.0 + took_s: 10.0}

    assert told_at(renewed=renewed) == pytest.approx(39.0 if took_s < 19 else 29.0, abs=1e-5)


@pytest.mark.parametrize("suspended_at_s", [3.0, 26.5, 27.5])
def test_a_machine_that_wakes_up_after_its_trust_has_ended_gives_its_engine_2_s_to_look_first(suspended_at_s):
    """C3: a wait does not count the time in which it was suspended; it is one second at most."""
    woke_at_s = suspended_at_s + 100.0

    told_at_s = told_at(renewed={0.0: 0.0}, suspended=(suspended_at_s, 100.0))
    assert told_at_s - woke_at_s <= 1.0 + 2.0
