"""K2, K3: an open breaker holds its workers; half-open, one run probes; a fallback covers for it."""

from __future__ import annotations

from builders import (
    NOON,
    OK,
    a_breaker,
    a_run,
    a_snapshot,
    a_worker,
    after,
    at,
    gates,
)

from shiftboss.core import subject
from shiftboss.core.holds import (
    BreakerIsOpen,
)
from shiftboss.core.model import BreakerMode, Status
from shiftboss.core.policy import BreakerPolicy

RUNNING = Status.RUNNING

EXAMPLES = [  # a hold; its scope, its subject, whether it ends by itself; its sentence
    (BreakerIsOpen(breaker="x"), ("component", "x", False), "breaker x is open"),
    (
        BreakerIsOpen(breaker="x", probe=3),
        ("component", "x", False),
        "breaker x is half-open, with run #3 as its test call",
    ),
]


class TestBreaker:
    """K2: open holds, half-open lets exactly one probe through."""

    def test_an_open_breaker_holds_until_it_has_cooled_down(self):
        world = a_snapshot(a_run(), workers=[a_worker(breaker="x")], breakers=[a_breaker("x")])

        decision = world.decide()

        assert decision.holds == {1: (BreakerIsOpen(breaker="x", since=NOON, until=after(30)),)}
        assert decision.open_at == {subject.breaker("x"): after(30)}

    def test_then_exactly_one_run_of_all_that_share_it_probes(self):
        workers = [a_worker("a", breaker="x"), a_worker("b", breaker="x")]
        world = a_snapshot(a_run("a"), a_run("b"), workers=workers, breakers=[a_breaker("x")])

        decision = world.decide(after(30))

        assert [(grant.run.id, grant.probe) for grant in decision.grants] == [(1, True)]
        assert decision.holds == {2: (BreakerIsOpen(breaker="x", since=NOON, probe=1),)}
        assert decision.look_at == {}

    def test_the_probe_is_the_first_run_that_passes_all_other_gates(self):
        workers = [a_worker("a", breaker="x", depends_on=["u"]), a_worker("b", breaker="x"), a_worker("u")]
        world = a_snapshot(a_run("a"), a_run("b"), workers=workers, breakers=[a_breaker("x")])

        decision = world.decide(after(30))

        assert [(grant.run.id, grant.probe) for grant in decision.grants] == [(2, True)]
        assert gates(decision, 1) == ["depends_on"]

    def test_a_probe_on_another_node_holds_the_rest(self):
        running = a_run("a", RUNNING, node="n2", probe=True, since=after(30))
        breaker = a_breaker("x", BreakerMode.HALF_OPEN)
        world = a_snapshot(running, a_run("a"), workers=[a_worker("a", breaker="x")], breakers=[breaker])

        assert [str(hold) for hold in world.decide(after(40)).holds[2]] == [
            "breaker x is half-open, with run #1 as its test call"
        ]

    def test_after_a_probe_that_ended_otherwise_the_next_run_probes(self):
        breaker = a_breaker("x", BreakerMode.HALF_OPEN)
        world = a_snapshot(a_run("a"), workers=[a_worker("a", breaker="x")], breakers=[breaker])

        assert [grant.probe for grant in world.decide(after(40)).grants] == [True]

    def test_a_probe_of_an_earlier_opening_probes_nothing(self):
        old = a_run("a", RUNNING, probe=True, since=at("11:50"))
        world = a_snapshot(old, a_run("a"), workers=[a_worker("a", breaker="x")], breakers=[a_breaker("x")])

        assert [grant.run.id for grant in world.decide(after(30)).grants] == [2]

    def test_a_fallback_runs_while_it_is_open(self):
        """K3"""
        worker = a_worker("a", breaker="x", fallback=True)
        world = a_snapshot(a_run("a"), a_run("a"), workers=[worker], breakers=[a_breaker("x")])

        assert [(g.run.id, g.probe, g.fallback) for g in world.decide().grants] == [(1, False, True), (2, False, True)]

    def test_with_a_fallback_one_probes_and_the_rest_falls_back(self):
        """K3"""
        worker = a_worker("a", breaker="x", fallback=True)
        world = a_snapshot(a_run("a"), a_run("a"), workers=[worker], breakers=[a_breaker("x")])

        grants = world.decide(after(30)).grants

        assert [(g.run.id, g.probe, g.fallback) for g in grants] == [(1, True, False), (2, False, True)]

    def test_a_closed_breaker_holds_nothing(self):
        world = a_snapshot(a_run(), workers=[a_worker(breaker="x")], breakers=[a_breaker("x", BreakerMode.CLOSED)])

        assert [(g.run.id, g.probe) for g in world.decide().grants] == [(1, False)]

    def test_several_successes_may_be_needed_one_probe_at_a_time(self):
        breaker = a_breaker("x", policy=BreakerPolicy(successes=2))
        world = a_snapshot(a_run(), a_run(), a_run(), workers=[a_worker(breaker="x")], breakers=[breaker])

        assert world.start(after(30)) == [1]
        world.settle(1, OK, after(31))
        assert world.start(after(31)) == [2]
        world.settle(2, OK, after(32))
        assert world.breakers["x"].mode is BreakerMode.CLOSED
