"""How well is each worker, and the whole?"""

from __future__ import annotations

import pytest
from builders import NOON, a_breaker, a_node, a_record, a_run, a_snapshot, a_worker, after, at

from shiftboss.core.health import (
    WELL,
    Health,
    HealthReason,
    StoreTrouble,
    health_of_all,
    in_a_word,
    is_grave,
    place_of,
    trouble_of_store,
    worker_health,
)
from shiftboss.core.model import BreakerMode, NodeMode, Pause, Sample, Shed, Status
from shiftboss.core.policy import HealthPolicy
from shiftboss.core.value import replace

RUNNING = Status.RUNNING


def ring(good, bad=0, duration_s=1.0):
    return (Sample(True, duration_s),) * good + (Sample(False, duration_s),) * bad


def judge(*runs, now=NOON, due=0, record=None, nodes=(), breakers=(), **worker):
    world = a_snapshot(
        *runs,
        workers=[a_worker(**worker)],
        records={"a": record or a_record(ok=True)},
        nodes=nodes,
        breakers=breakers,
    )
    return worker_health(world, now, "a", live=list(world.nodes), due=due)


class TestStatus:
    """H1: one of six."""

    def test_who_succeeds_is_healthy(self):
        health = judge(record=a_record(ok=True, ring=ring(100)))

        assert (health.status, health.reasons) == (Health.HEALTHY, ())

    def test_who_never_ran_is_unknown(self):
        assert judge(record=a_record()).status is Health.UNKNOWN

    def test_a_disabled_one_says_by_whom_since_when_and_why(self):
        health = judge(disabled="ada")

        assert health.status is Health.DISABLED
        assert [str(reason) for reason in health.reasons] == [
            "a: disabled by ada since 2026-06-01 11:00:00 UTC: for a test; triggers are refused"
        ]

    @pytest.mark.parametrize(
        ("node", "said"),
        [
            (a_node("n1", "other"), "no live node runs it"),
            (a_node("n1", "a", mode=NodeMode.CLIENT), "no live node runs it"),
            (
                replace(a_node("n1"), workers={"a": "x: int"}),
                "the live nodes that run it declare other parameters than the declaration in force",
            ),
        ],
    )
    def test_who_no_live_node_can_run_is_offline(self, node, said):
        health = judge(nodes=[node])

        assert (health.status, [reason.text for reason in health.reasons]) == (Health.OFFLINE, [said])

    def test_who_no_node_can_run_any_more_because_they_end_on_purpose_is_degraded(self):
        draining = a_node("n1", "a", mode=NodeMode.DRAINING)
        health = judge(nodes=[draining])
        beside = judge(nodes=[draining, a_node("n2", "a")])

        assert health.status is Health.DEGRADED
        assert [(reason.fact, reason.text) for reason in health.reasons] == [
            ("draining", "every live node that could run it is draining")
        ]
        assert beside.status is Health.HEALTHY

    def test_a_node_whose_lease_ended_is_no_live_one(self):
        world = a_snapshot(workers=[a_worker()])

        assert worker_health(world, NOON, "a", live=["n2"]).status is Health.OFFLINE

    def test_reasons_stand_worst_first(self):
        """H3, K6"""
        record = a_record(ok=True, ring=ring(90, 10))
        health = judge(a_run(status=RUNNING, heartbeat_at=at("11:50")), record=record, due=200, disabled="ada")

        assert [reason.fact for reason in health.reasons] == ["disabled", "stuck", "failure_rate", "backlog"]


class TestAttempts:
    """H2: over its last 100 attempts, from the 20th on."""

    @pytest.mark.parametrize(
        ("attempts", "status"),
        [
            (ring(96, 4), "healthy"),
            (ring(95, 5), "degraded"),
            (ring(86, 14), "degraded"),
            (ring(85, 15), "unhealthy"),
            (ring(0, 19), "healthy"),
            (ring(0, 20), "unhealthy"),
        ],
    )
    def test_the_failure_rate(self, attempts, status):
        assert judge(record=a_record(ok=True, ring=attempts)).status == status

    def test_it_is_said_in_numbers(self):
        health = judge(record=a_record(ok=True, ring=ring(93, 7)))

        assert health.reasons == (
            HealthReason(Health.DEGRADED, "failure_rate", "7 of the last 100 attempts failed (7%)", "a"),
        )

    @pytest.mark.parametrize(
        ("duration_s", "status"), [(14.9, "healthy"), (15.0, "degraded"), (29.9, "degraded"), (30.0, "unhealthy")]
    )
    def test_the_mean_duration_where_one_is_expected(self, duration_s, status):
        record = a_record(ok=True, ring=ring(20, duration_s=duration_s))

        assert judge(record=record, health=HealthPolicy(expected_duration_s=10.0)).status == status
        assert judge(record=record).status == "healthy"

    def test_all_thresholds_can_be_set(self):
        policy = HealthPolicy(degraded_rate=0.5, unhealthy_rate=0.9, min_attempts=2)

        assert judge(record=a_record(ok=True, ring=ring(1, 1)), health=policy).status == "degraded"
        assert judge(record=a_record(ok=True, ring=ring(6, 4)), health=policy).status == "healthy"

    def test_none_switches_a_question_off(self):
        policy = HealthPolicy(degraded_rate=None, unhealthy_rate=None, max_due=None, heartbeat_timeout_s=None)
        run = a_run(status=RUNNING, heartbeat_at=at("06:00"))

        assert judge(run, record=a_record(ok=True, ring=ring(0, 100)), health=policy, due=5000).status == "healthy"


class TestTroubles:
    """H2: what else makes a worker other than healthy."""

    @pytest.mark.parametrize(("due", "status"), [(100, "healthy"), (101, "degraded")])
    def test_a_backlog(self, due, status):
        assert judge(due=due).status == status

    @pytest.mark.parametrize(("silent_s", "status"), [(60, "healthy"), (61, "unhealthy")])
    def test_a_beating_body_that_is_silent_is_stuck(self, silent_s, status):
        run = a_run(status=RUNNING, heartbeat_at=at("11:50"))

        assert judge(run, now=after(silent_s, at("11:50"))).status == status

    def test_a_body_that_never_beats_is_not_stuck(self):
        assert judge(a_run(status=RUNNING), now=at("20:00")).status == "healthy"

    @pytest.mark.parametrize(("until", "status"), [(after(1), "healthy"), (None, "healthy"), (NOON, "unhealthy")])
    def test_that_the_runs_of_a_paused_worker_wait_is_meant(self, until, status):
        """K7"""
        world = a_snapshot(
            workers=[a_worker(health=HealthPolicy(expect_success_within_s=60.0))],
            records={"a": a_record(ok=True, last_success_at=at("11:00"))},
            nodes=[a_node("n1")],
        )
        world.workers["a"] = replace(world.workers["a"], paused=Pause(by="ada", reason="", since=NOON, until=until))

        assert worker_health(world, NOON, "a", live=list(world.nodes), due=5000).status == status

    def test_no_success_within_the_time_it_is_expected(self):
        policy = HealthPolicy(expect_success_within_s=3600.0)
        record = a_record(ok=True, occurs_at=at("11:00"))

        assert judge(record=record, health=policy, now=NOON).status == "healthy"
        assert [r.text for r in judge(record=record, health=policy, now=after(1)).reasons] == [
            "no success for 3601 s, expected within 3600 s"
        ]

    def test_who_never_succeeded_is_judged_from_its_declaration_on(self):
        policy = HealthPolicy(expect_success_within_s=6 * 3600.0)  # declared at 06:00

        assert judge(record=a_record(), health=policy, now=NOON).status == "unknown"
        assert judge(record=a_record(), health=policy, now=after(1)).status == "unhealthy"

    @pytest.mark.parametrize(
        ("mode", "status"),
        [(BreakerMode.CLOSED, "healthy"), (BreakerMode.OPEN, "degraded"), (BreakerMode.HALF_OPEN, "degraded")],
    )
    def test_a_breaker_that_is_not_closed(self, mode, status):
        assert judge(breaker="x", breakers=[a_breaker("x", mode)]).status == status

    def test_a_zombie(self):
        """B6"""
        health = judge(a_run(status=RUNNING, zombie_since=at("11:59")))

        assert [str(reason) for reason in health.reasons] == [
            "a: run 1 timed out but its code is still running (zombie)"
        ]


class TestSystem:
    """H3: the whole, with its reasons."""

    def whole(self, *workers, letters=None, nodes=(), **facts):
        records = {worker.name: a_record(ok=True) for worker in workers}
        world = a_snapshot(workers=workers, records=records | facts.pop("records", {}), nodes=nodes)
        live = list(world.nodes)
        judged = {name: worker_health(world, NOON, name, live=live) for name in world.workers}
        priority = {name: state.definition.priority for name, state in world.workers.items()}
        ordered = sorted(judged, key=lambda name: place_of(judged[name].status, priority[name], name))
        return health_of_all(
            world,
            {name: judged[name] for name in ordered},
            has_grave=any(is_grave(judged[name].status, priority[name]) for name in judged),
            is_well=all(health.status in WELL for health in judged.values()),
            live=live,
            letters=letters or {},
            **facts,
        )

    BAD = a_record(ok=False, ring=ring(0, 20))
    SO_SO = a_record(ok=True, ring=ring(18, 2))

    def test_all_well_is_healthy(self):
        assert self.whole(a_worker("a"), a_worker("b")).status is Health.HEALTHY

    def test_what_never_ran_is_no_trouble(self):
        assert self.whole(a_worker("a"), records={"a": a_record()}).status is Health.HEALTHY

    @pytest.mark.parametrize(
        ("priority", "status"),
        [("low", "degraded"), ("normal", "degraded"), ("high", "unhealthy"), ("critical", "unhealthy")],
    )
    def test_an_unhealthy_worker_counts_by_its_priority(self, priority, status):
        assert self.whole(a_worker("a", priority=priority), records={"a": self.BAD}).status == status

    @pytest.mark.parametrize(("priority", "status"), [("normal", "degraded"), ("high", "unhealthy")])
    def test_an_offline_one_too(self, priority, status):
        worker = a_worker("a", priority=priority)

        assert self.whole(worker, nodes=[a_node("n1", "other")]).status == status

    def test_while_the_only_node_drains_it_is_draining_and_not_unhealthy(self):
        worker = a_worker("a", priority="critical")
        draining = self.whole(worker, nodes=[a_node("n1", "a", mode=NodeMode.DRAINING)])
        gone = self.whole(worker, nodes=[a_node("n1", "other")])
        unwell = self.whole(worker, nodes=[a_node("n1", "a", mode=NodeMode.DRAINING)], records={"a": self.BAD})

        assert (draining.status, in_a_word(draining.status, draining.reasons)) == (Health.DEGRADED, "draining")
        assert (gone.status, in_a_word(gone.status, gone.reasons)) == (Health.UNHEALTHY, "unhealthy")
        assert in_a_word(unwell.status, unwell.reasons) == "unhealthy"

    def test_a_degraded_and_a_disabled_one_degrade(self):
        assert self.whole(a_worker("a", priority="critical"), records={"a": self.SO_SO}).status is Health.DEGRADED
        assert self.whole(a_worker("a", priority="critical", disabled="ada")).status is Health.DEGRADED

    def test_an_unreachable_store_is_unhealthy_and_stands_first(self):
        health = self.whole(a_worker("a", disabled="ada"), store_trouble="no answer for 5 s")

        assert health.status is Health.UNHEALTHY
        assert str(health.reasons[0]) == "no answer for 5 s"

    def test_a_concern_about_the_store_degrades(self):
        health = self.whole(a_worker("a", disabled="ada"), store_concern="its log has grown")

        assert (health.status, health.reasons[-1].fact, health.reasons[-1].text) == (
            "degraded",
            "store",
            "its log has grown",
        )

    def test_disabled_workers_stand_first_then_the_worst(self):
        """K6"""
        workers = [
            a_worker("fine"),
            a_worker("so-so"),
            a_worker("new"),
            a_worker("bad"),
            a_worker("bad-and-high", priority="high"),
            a_worker("off", priority="low", disabled="ada"),
        ]
        records = {"so-so": self.SO_SO, "bad": self.BAD, "bad-and-high": self.BAD, "new": a_record()}

        health = self.whole(*workers, records=records)

        assert list(health.workers) == ["off", "bad-and-high", "bad", "so-so", "new", "fine"]
        assert [reason.worker for reason in health.reasons] == ["off", "bad-and-high", "bad", "so-so"]

    def test_too_many_open_dead_letters_degrade_and_it_says_so(self):
        """Q4"""
        well = self.whole(a_worker("a"), letters={"a": 6_000, "b": 4_000})
        health = self.whole(a_worker("a"), letters={"a": 6_001, "b": 4_000})

        assert well.status is Health.HEALTHY
        assert health.status is Health.DEGRADED
        assert [str(reason) for reason in health.reasons] == [
            "10001 open dead letters (threshold 10000), most of them of 'a': replay, resolve or discard them"
        ]

    def test_what_a_power_cut_may_take_is_said_and_makes_nothing_worse(self):
        """W1"""
        nodes = [a_node("n1", "a", durability="process"), a_node("n2", "a", durability="power")]
        whole = self.whole(a_worker("a"), nodes=nodes)

        assert whole.status is Health.HEALTHY
        assert [(reason.fact, reason.severity) for reason in whole.reasons] == [("durability", "healthy")]
        assert "durability='process' on host:n1: a power cut may lose the last commits" in str(whole.reasons[0])

    def test_a_node_that_sheds_degrades(self):
        """H4"""
        node = a_node("n1", shed=Shed.LOW, shed_reason="92% of the memory is in use")
        health = self.whole(a_worker("a"), nodes=[node])

        assert health.status is Health.DEGRADED
        assert [str(reason) for reason in health.reasons] == [
            "node host:n1 sheds load: low priority runs are held (92% of the memory is in use)"
        ]


class TestSilentNodes:
    """H3: what others can tell of a store that takes no writes, or of a node that stands still."""

    LEASE_S = 100.0  # now, by the lease clock: a node that renewed at 85 has a lease until 115

    def silent(self, *nodes, known=None):
        world = a_snapshot(workers=[a_worker("a")], nodes=nodes)
        live = list(world.nodes)
        trouble = trouble_of_store(world, live=live, lease_s=self.LEASE_S, known=known)
        whole = health_of_all(world, {}, has_grave=False, is_well=True, live=live, letters={}, lease_s=self.LEASE_S)
        return trouble, [(reason.severity, reason.fact) for reason in whole.reasons]

    def test_a_lease_that_was_renewed_within_15_s_is_nothing(self):
        assert self.silent(a_node("n1", lease_until_s=115.0)) == (None, [])

    def test_one_of_two_nodes_degrades_and_says_nothing_of_the_store(self):
        assert self.silent(a_node("n1", lease_until_s=114.0), a_node("n2", lease_until_s=125.0)) == (
            None,
            [("degraded", "silent")],
        )

    def test_all_of_them_are_trouble_of_the_store(self):
        trouble, _ = self.silent(a_node("n1", lease_until_s=114.0), a_node("n2", lease_until_s=101.0))

        assert str(trouble) == (
            "the store seems to take no work: no live node has renewed its lease for more than 15 s: they are frozen "
            "or cannot write"
        )

    def test_a_client_that_holds_no_lease_for_long_says_nothing(self):
        assert self.silent(a_node("n1", lease_until_s=101.0, mode=NodeMode.CLIENT)) == (None, [])

    def test_what_is_known_goes_first(self):
        known = StoreTrouble("full")

        assert self.silent(a_node("n1", lease_until_s=101.0), known=known)[0] is known
