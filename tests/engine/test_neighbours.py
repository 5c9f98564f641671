"""What a node makes of what the kernel tells about the processes of others."""

from __future__ import annotations

import logging

import pytest
from builders import a_definition, a_node, a_snapshot

from shiftboss.core.fleet import Processes
from shiftboss.core.value import replace
from shiftboss.engine.neighbours import Neighbours, can_freeze
from shiftboss.stores.memory.store import MemoryStore
from shiftboss.testing.clock import VirtualClock

BESIDE = ("early", "frozen", "stopped")


class Kernel(MemoryStore):
    """Tells what the test says."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock=clock)
        self.asked: list[str] = []

    def is_frozen(self, node: str) -> bool:
        self.asked.append(node)
        return super().is_frozen(node)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock("2026-03-01")


@pytest.fixture
def kernel(clock: VirtualClock) -> Kernel:
    return Kernel(clock)


def a_world(clock: VirtualClock):
    now_s = clock.lease_s()
    left_s = {"me": 30.0, "early": 1.0, "frozen": -1.0, "stopped": -1.0}
    return a_snapshot(
        nodes=[
            a_node(id, lease_until_s=now_s + left, held_since_s=now_s - 60, freeze_limit_s=300.0)
            for id, left in left_s.items()
        ]
    )


def test_who_is_frozen_is_asked_only_of_others_whose_lease_has_ended(clock: VirtualClock, kernel: Kernel):
    """C4"""
    kernel.frozen.update(("me", "early", "frozen"))
    processes = Neighbours(kernel, clock, "me").look(a_world(clock))

    assert processes == Processes(frozen=frozenset({"frozen"}))
    assert sorted(kernel.asked) == ["frozen", "stopped"]


def test_who_was_silent_itself_asks_and_says_nothing(
    clock: VirtualClock, kernel: Kernel, caplog: pytest.LogCaptureFixture
):
    """C4: it may not have seen yet that the others are there."""
    world = a_world(clock)
    kernel.frozen.add("frozen")
    me = replace(world.nodes["me"], held_since_s=clock.lease_s() - 1.0)
    seen = Neighbours(kernel, clock, "me").look(a_snapshot(nodes=[me, *(world.nodes[each] for each in BESIDE)]))

    assert (seen, kernel.asked, caplog.messages) == (Processes(), [], [])


def test_without_a_limit_nobody_asks(clock: VirtualClock, kernel: Kernel):
    """C4"""
    world = a_snapshot(nodes=[a_node(id, lease_until_s=clock.lease_s() - 1.0) for id in ("me", "frozen")])
    kernel.frozen.add("frozen")

    assert Neighbours(kernel, clock, "me").look(world) == Processes()
    assert kernel.asked == []


@pytest.mark.parametrize(("since_s", "asked"), [(0.0, False), (0.001, True), (269.999, True), (270.0, False)])
def test_it_is_asked_from_the_end_of_a_lease_until_the_runs_are_left_to_nobody(clock, kernel, since_s, asked):
    """C4: five minutes after the last renewal."""
    now_s = clock.lease_s()
    me = a_node("me", lease_until_s=now_s + 30, held_since_s=now_s - 60)
    world = a_snapshot(nodes=[me, a_node("frozen", lease_until_s=now_s - since_s, freeze_limit_s=300.0)])
    Neighbours(kernel, clock, "me").look(world)

    assert (kernel.asked == ["frozen"]) is asked


def test_who_was_seen_to_be_frozen_is_so_for_five_seconds_more(clock: VirtualClock, kernel: Kernel):
    """C4, B7"""
    world, neighbours = a_world(clock), Neighbours(kernel, clock, "me")
    kernel.frozen.add("frozen")
    seen = [neighbours.look(world).frozen]
    kernel.frozen.clear()  # stopped
    for seconds in (4.9, 0.2):
        clock.advance(seconds)
        seen.append(neighbours.look(world).frozen)

    assert seen == [{"frozen"}, {"frozen"}, set()]


def test_a_freeze_is_said_once(clock: VirtualClock, kernel: Kernel, caplog: pytest.LogCaptureFixture):
    world, neighbours = a_world(clock), Neighbours(kernel, clock, "me")
    kernel.frozen.add("frozen")
    with caplog.at_level(logging.WARNING, "shiftboss"):
        for _ in range(3):
            neighbours.look(world)

    assert caplog.messages == [
        "node host:frozen has been silent for 31 s although its process is alive: a function may be holding the "
        "interpreter's lock (GIL); it keeps its runs for 269 s more"
    ]


@pytest.mark.parametrize(
    ("executors", "can"),
    [
        ((), False),
        (("process",), False),
        (("command",), False),
        (("process", "command"), False),
        (("thread",), True),
        (("process", "command", "coroutine"), True),
    ],
)
def test_only_a_body_in_the_process_of_its_node_can_freeze_it(executors, can):
    """C4: others have an interpreter of their own, or none."""
    definitions = [a_definition(kind, executor=kind) for kind in executors]

    assert can_freeze(a_node("n1", *executors, freeze_limit_s=300.0), definitions) is can


def test_what_a_node_declares_and_does_not_run_cannot_freeze_it():
    """C4"""
    definitions = [a_definition("mine", executor="process"), a_definition("theirs", executor="thread")]

    assert not can_freeze(a_node("n1", "mine", freeze_limit_s=300.0), definitions)
    assert can_freeze(a_node("n1", "theirs", freeze_limit_s=300.0), definitions)


def test_without_a_limit_the_lease_alone_decides():
    """C4: so nobody need know whether it is frozen."""
    assert not can_freeze(a_node("n1", "mine", freeze_limit_s=0.0), [a_definition("mine", executor="thread")])
    assert can_freeze(a_node("n1", "mine", freeze_limit_s=0.5), [a_definition("mine", executor="thread")])
