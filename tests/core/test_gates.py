"""Why may this run not start now?  One class a gate."""

from __future__ import annotations

from datetime import timedelta

import pytest
from builders import (
    FAILED,
    NOON,
    OK,
    a_breaker,
    a_node,
    a_record,
    a_run,
    a_snapshot,
    a_worker,
    after,
    at,
    gates,
    starts,
)

from shiftboss.core.gates.rate import tokens_at
from shiftboss.core.holds import (
    BreakerIsOpen,
    IsBlocked,
    IsDisabled,
    IsDraining,
    IsFull,
    IsShed,
    NoPermit,
    NotHere,
    OtherVersion,
    RateReached,
)
from shiftboss.core.model import BreakerMode, Disabled, NodeMode, Shed, Status
from shiftboss.core.policy import BreakerPolicy, Rate
from shiftboss.core.value import replace

RUNNING = Status.RUNNING


class TestConcurrency:
    """C1, C6: counted from live claims."""

    def test_a_run_waits_while_as_many_as_allowed_run_anywhere(self):
        world = a_snapshot(
            a_run(status=RUNNING, node="n2", since=at("11:58")), a_run(), workers=[a_worker(concurrency=1)]
        )

        assert world.decide().holds == {2: (IsFull(limit=1, runs=(1,), since=NOON),)}

    def test_one_walk_grants_no_more_than_are_allowed(self):
        world = a_snapshot(a_run(), a_run(), a_run(), workers=[a_worker(concurrency=2)])

        decision = world.decide()

        assert starts(decision) == [1, 2]
        assert decision.holds == {3: (IsFull(limit=2, runs=(1, 2), since=NOON),)}

    def test_a_worker_without_limit_starts_everything(self):
        world = a_snapshot(a_run(), a_run(), a_run(), workers=[a_worker(concurrency=None)])

        assert starts(world.decide()) == [1, 2, 3]

    def test_a_zombie_counts(self):
        """B6"""
        zombie = a_run(status=RUNNING, zombie_since=at("11:59:30"))
        world = a_snapshot(zombie, a_run(), workers=[a_worker(concurrency=1)])

        assert gates(world.decide(), 2) == ["concurrency"]


class TestBlocks:
    """B1: no two that exclude each other ever run at the same time."""

    @pytest.mark.parametrize("side", ["report", "backup"])
    def test_a_run_waits_for_its_blocker_whichever_side_declares_it(self, side):
        workers = [a_worker("report"), a_worker("backup")]
        other = {"report": "backup", "backup": "report"}[side]
        workers = [a_worker(w.name, blocks=(other,)) if w.name == side else w for w in workers]
        world = a_snapshot(a_run("backup", RUNNING), a_run("report"), workers=workers)

        blocked = IsBlocked(by="backup", run=1, node="host:n1", since=NOON)
        assert world.decide().holds == {2: (blocked,)}

        world.settle(1)
        assert starts(world.decide()) == [2]

    def test_one_walk_starts_only_one_of_two(self):
        world = a_snapshot(a_run("a"), a_run("b"), workers=[a_worker("a", blocks=("b",)), a_worker("b")])

        decision = world.decide()

        assert (starts(decision), gates(decision, 2)) == ([1], ["blocks"])

    def test_a_tag_stands_for_all_workers_that_have_it(self):
        workers = [a_worker("a", blocks=("tag:db",)), a_worker("b", tags=("db",)), a_worker("c", tags=("net",))]
        world = a_snapshot(a_run("a", RUNNING), a_run("b"), a_run("c"), workers=workers)

        decision = world.decide()

        assert (starts(decision), gates(decision, 2)) == ([3], ["blocks"])

    def test_a_worker_never_blocks_itself(self):
        worker = a_worker("a", tags=("db",), blocks=("tag:db",))

        assert starts(a_snapshot(a_run("a"), a_run("a"), workers=[worker]).decide()) == [1, 2]

    def test_two_that_only_share_a_blocker_run_together(self):
        workers = [a_worker("a", blocks=("b", "c")), a_worker("b"), a_worker("c")]

        assert starts(a_snapshot(a_run("b"), a_run("c"), workers=workers).decide()) == [1, 2]

    def test_a_zombie_blocks_and_is_named_as_one(self):
        """B6"""
        workers = [a_worker("a", blocks=("b",)), a_worker("b")]
        world = a_snapshot(a_run("a", RUNNING, zombie_since=at("11:59:50")), a_run("b"), workers=workers)

        (hold,) = world.decide().holds[2]

        assert str(hold) == "a: run 1 was told to end, but its body still runs on node host:n1"

    def test_a_blocker_in_back_off_blocks_nothing(self):
        """B5"""
        world = a_snapshot(a_run("a"), a_run("b"), workers=[a_worker("a", blocks=("b",)), a_worker("b")])
        world.start()
        world.settle(1, FAILED)

        assert starts(world.decide(NOON)) == [2]


class TestUses:
    """B9: permits of a named resource, fleet-wide."""

    def test_a_run_waits_until_enough_permits_are_free(self):
        workers = [a_worker("a", uses={"db": 1}), a_worker("b", uses={"db": 2})]
        world = a_snapshot(a_run("a", RUNNING), a_run("b"), workers=workers, resources={"db": 2})

        assert world.decide().holds == {2: (NoPermit(resource="db", wanted=2, free=1, runs=(1,), since=NOON),)}

        world.settle(1)
        assert starts(world.decide()) == [2]

    def test_one_walk_grants_no_more_permits_than_there_are(self):
        world = a_snapshot(*[a_run() for _ in range(4)], workers=[a_worker(uses={"db": 2})], resources={"db": 5})

        decision = world.decide()

        assert (starts(decision), gates(decision, 3)) == ([1, 2], ["uses"])

    def test_a_resource_that_shrank_holds_until_it_fits_again(self):
        world = a_snapshot(a_run(status=RUNNING), a_run(), workers=[a_worker(uses={"db": 2})], resources={"db": 1})

        assert world.decide().holds[2][0].free == -1


class TestRate:
    """B8: a bucket of starts, refilled evenly."""

    TEN_A_MINUTE = Rate(count=10, per_s=60.0)

    def test_a_full_bucket_starts_as_many_at_once(self):
        world = a_snapshot(*[a_run() for _ in range(12)], workers=[a_worker(rate=self.TEN_A_MINUTE)])

        decision = world.decide()

        assert starts(decision) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
        assert decision.holds == {11: (RateReached(count=10, per_s=60.0, until=after(6), since=NOON),)}

    def test_it_refills_evenly(self):
        world = a_snapshot(*[a_run() for _ in range(12)], workers=[a_worker(rate=self.TEN_A_MINUTE)])
        world.start()

        assert world.start(after(5.9)) == []
        assert world.start(after(6)) == [11]
        assert world.start(after(11.9)) == []
        assert world.start(after(12)) == [12]

    def test_retries_count(self):
        world = a_snapshot(a_run(), workers=[a_worker(rate=Rate(count=1, per_s=60.0))])
        world.start()
        world.settle(1, FAILED)
        (retry,) = world.pending()

        (hold,) = world.decide(retry.due_at).holds[1]

        assert hold.gate == "rate"
        assert abs(hold.until - after(60)) < timedelta(milliseconds=1)

    def test_a_clock_that_went_back_refills_nothing(self):
        """B8, O4"""
        used_up = a_record(tokens=0.0, tokens_at=at("13:00"))

        assert tokens_at(used_up, self.TEN_A_MINUTE, NOON) == pytest.approx(0.0, abs=1e-5)


class TestDisabled:
    """K5: only what is forced starts."""

    def test_a_disabled_worker_starts_nothing(self):
        world = a_snapshot(a_run(), workers=[a_worker(disabled="ada")])

        assert world.decide().holds == {1: (IsDisabled(by="ada", reason="for a test", since=at("11:00")),)}

    def test_a_forced_run_passes_this_gate_alone(self):
        world = a_snapshot(
            a_run(forced=True), a_run("b", RUNNING), workers=[a_worker(disabled="ada", blocks=("b",)), a_worker("b")]
        )

        assert gates(world.decide(), 1) == ["blocks"]

        world.settle(2)
        assert starts(world.decide()) == [1]

    PROBATION = Disabled(by="auto", reason="", since=at("11:00"), probation_s=3600.0, probation_until=NOON)

    def test_after_probation_one_run_probes(self):
        world = a_snapshot(a_run(due_at=at("11:00")), a_run(), workers=[a_worker(disabled=self.PROBATION)])

        assert world.decide(after(-1)).holds[1][0].until == NOON
        assert world.decide(after(-1)).look_at == {"a": NOON}

        decision = world.decide()
        assert [(grant.run.id, grant.probe) for grant in decision.grants] == [(1, True)]
        assert gates(decision, 2) == ["disabled"]

    def test_while_a_probe_runs_nothing_is_looked_at_by_time(self):
        world = a_snapshot(a_run(status=RUNNING, probe=True), a_run(), workers=[a_worker(disabled=self.PROBATION)])

        decision = world.decide(after(1))

        assert gates(decision, 2) == ["disabled"]
        assert decision.look_at == {}

    def test_a_probe_of_probation_is_never_the_fallback(self):
        """K3, K5"""
        worker = a_worker(disabled=self.PROBATION, breaker="x", fallback=True)
        world = a_snapshot(a_run(), workers=[worker], breakers=[a_breaker("x")])

        assert gates(world.decide(), 1) == ["breaker"]


class TestBreaker:
    """K2: open holds, half-open lets exactly one probe through."""

    def test_an_open_breaker_holds_until_it_has_cooled_down(self):
        world = a_snapshot(a_run(), workers=[a_worker(breaker="x")], breakers=[a_breaker("x")])

        decision = world.decide()

        assert decision.holds == {1: (BreakerIsOpen(breaker="x", since=NOON, until=after(30)),)}
        assert decision.look_at == {"a": after(30)}

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

        assert [str(hold) for hold in world.decide(after(40)).holds[2]] == ["breaker 'x' is half-open; run 1 probes it"]

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


class TestNode:
    """M7, H4: what one node says for itself."""

    def test_a_node_leaves_workers_that_it_does_not_declare_to_others(self):
        world = a_snapshot(a_run("b"), workers=[a_worker("a"), a_worker("b")], nodes=[a_node("n1", "a")])

        assert world.decide().holds == {1: (NotHere(worker="b", node="host:n1"),)}

    def test_a_node_with_other_parameters_leaves_the_runs_to_others(self):
        world = a_snapshot(a_run(), workers=[a_worker(parameters="to: str")])
        world.nodes["n1"] = replace(world.nodes["n1"], workers={"a": "to: int"})

        assert world.decide().holds == {1: (OtherVersion(node="host:n1"),)}

    def test_a_draining_node_starts_nothing(self):
        world = a_snapshot(a_run(), nodes=[a_node("n1", "a", mode=NodeMode.DRAINING)])

        assert world.decide().holds == {1: (IsDraining(node="host:n1"),)}

    @pytest.mark.parametrize(
        ("level", "started"),
        [(Shed.NOTHING, [4, 3, 2, 1]), (Shed.LOW, [4, 3, 2]), (Shed.NORMAL, [4, 3])],
    )
    def test_a_node_sheds_low_then_normal_and_never_more(self, level, started):
        """H4"""
        runs = [a_run(priority=name) for name in ("low", "normal", "high", "critical")]
        world = a_snapshot(*runs, nodes=[a_node("n1", "a", shed=level, shed_reason="lag")])

        assert starts(world.decide()) == started

    def test_shed_is_held_with_the_reason(self):
        """H4"""
        run = a_run(priority="low")
        (hold,) = a_snapshot(run, nodes=[a_node("n1", "a", shed=Shed.LOW, shed_reason="lag")]).decide().holds[1]

        assert isinstance(hold, IsShed)
        assert str(hold) == "node host:n1 holds back low runs: lag"

    def test_what_a_critical_run_waits_for_is_not_shed(self):
        """D9, H4"""
        workers = [a_worker("a"), a_worker("b", depends_on=["a"])]
        node = a_node("n1", "a", "b", shed=Shed.NORMAL)
        world = a_snapshot(a_run("a", priority="low"), a_run("b", priority="critical"), workers=workers, nodes=[node])

        assert starts(world.decide()) == [1]
