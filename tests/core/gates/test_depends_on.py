"""May a run start, as far as its upstreams are concerned?"""

from __future__ import annotations

import pytest
from builders import (
    NOON,
    a_breaker,
    a_record,
    a_run,
    a_snapshot,
    a_worker,
    after,
    an_occurrence,
    at,
    gates,
    starts,
)

from shiftboss.core import subject
from shiftboss.core.holds import (
    UpstreamFailed,
    UpstreamOwes,
    UpstreamStale,
)
from shiftboss.core.model import BreakerMode, Status
from shiftboss.core.worker import OnFailure, Upstream

RUNNING = Status.RUNNING

EXAMPLES = [  # a hold; its scope, its subject, whether it ends by itself; its sentence
    (UpstreamOwes(upstream="u", run=5, state="running"), ("component", "u", True), "waiting for u (run #5 is running)"),
    (
        UpstreamOwes(upstream="u", run=5, state="pending, not yet due", until=NOON),
        ("component", "u", False),
        "waiting for u (run #5 is pending, not yet due)",
    ),
    (
        UpstreamFailed(upstream="u", why="it is disabled by ada"),
        ("component", "u", False),
        "waiting for u: it is disabled by ada",
    ),
    (UpstreamStale(upstream="u", why="it has never run"), ("component", "u", False), "waiting for u: it has never run"),
]


class TestDependsOn:
    """D2: no unfinished upstream run of the same or an earlier instant, and its latest one succeeded."""

    def a_pair(self, *runs, a=None, b=None, **facts):
        facts.setdefault("records", {"a": a_record(ok=True)})
        workers = [a or a_worker("a"), b or a_worker("b", depends_on=["a"])]
        return a_snapshot(*runs, workers=workers, **facts)

    def test_a_run_starts_when_nothing_is_owed_and_the_latest_succeeded(self):
        assert starts(self.a_pair(a_run("b")).decide()) == [1]

    @pytest.mark.parametrize(
        ("owed", "state"),
        [
            (a_run("a", due_at=at("12:05"), occurs_at=at("11:30")), "pending, not yet due"),
            (a_run("a", due_at=at("12:05"), occurs_at=at("11:30"), attempt=2), "waiting to retry after attempt 2"),
            (a_run("a", RUNNING, due_at=NOON, since=NOON), "running"),
        ],
    )
    def test_a_pending_a_running_and_a_retried_upstream_run_are_waited_for(self, owed, state):
        world = self.a_pair(owed, a_run("b"))

        (hold,) = world.decide().holds[2]

        assert (type(hold), hold.upstream, hold.run, hold.state) == (UpstreamOwes, "a", 1, state)

    def test_the_end_of_a_back_off_is_when_it_may_change(self):
        owed = a_run("a", due_at=at("12:05"), occurs_at=at("11:30"), attempt=1)
        decision = self.a_pair(owed, a_run("b")).decide()

        assert decision.holds[2][0].until == at("12:05")
        assert decision.open_at == {subject.upstream("a"): at("12:05")}

    def test_an_upstream_run_of_a_later_instant_is_not_waited_for(self):
        world = self.a_pair(a_run("a", RUNNING, due_at=at("12:00:01")), a_run("b", due_at=NOON))

        assert starts(world.decide(at("12:01"))) == [2]

    def test_at_the_same_instant_the_upstream_goes_first(self):
        world = self.a_pair(an_occurrence("b"), an_occurrence("a"))

        decision = world.decide()

        assert starts(decision) == [2]
        assert gates(decision, 1) == ["depends_on"]

    def test_a_run_that_the_same_walk_started_is_waited_for(self):
        world = self.a_pair(a_run("a", priority="critical"), a_run("b"))

        (hold,) = world.decide().holds[2]

        assert hold.state == "running"

    def test_a_failed_upstream_holds_by_default(self):
        """D5"""
        world = self.a_pair(a_run("b"), records={"a": a_record(ok=False, run=7, last_error_at=at("11:30"))})

        why = "its latest run #7 did not succeed"
        assert world.decide().holds == {1: (UpstreamFailed(upstream="a", run=7, why=why, since=NOON),)}

    def test_an_upstream_that_never_ran_holds_and_says_so(self):
        """D6"""
        world = self.a_pair(a_run("b"), records={})

        assert world.decide().holds == {1: (UpstreamStale(upstream="a", why="it has never run", since=NOON),)}

    def test_a_forgotten_upstream_holds_and_says_so(self):
        """D6"""
        world = a_snapshot(a_run("b"), workers=[a_worker("b", depends_on=["gone"])])

        assert [str(hold) for hold in world.decide().holds[1]] == ["waiting for gone: it is no longer registered"]

    def test_every_upstream_has_its_own_hold(self):
        """A3"""
        workers = [a_worker("a"), a_worker("c"), a_worker("b", depends_on=["a", "c"])]
        world = a_snapshot(a_run("b"), a_run("a", RUNNING), workers=workers)

        assert [str(hold) for hold in world.decide().holds[1]] == [
            "waiting for a (run #2 is running)",
            "waiting for c: it has never run",
        ]


class TestCadences:
    """D3: hourly and daily workers, busy upstreams."""

    def test_an_hourly_worker_is_held_by_a_daily_upstream_only_around_its_own_run(self):
        workers = [a_worker("daily"), a_worker("hourly", depends_on=["daily"])]
        records = {"daily": a_record(ok=True)}
        tomorrow = an_occurrence("daily", due_at=at("12:00"))
        world = a_snapshot(an_occurrence("hourly", due_at=at("11:00")), tomorrow, workers=workers, records=records)

        assert starts(world.decide(at("11:00"))) == [1]

        world = a_snapshot(an_occurrence("hourly", due_at=at("13:00")), tomorrow, workers=workers, records=records)
        assert gates(world.decide(at("13:00")), 1) == ["depends_on"]

    def test_a_busy_upstream_cannot_starve(self):
        """D3, D7: what it is asked for later is of a later instant."""
        workers = [a_worker("busy"), a_worker("b", depends_on=["busy"])]
        later_ones = [a_run("busy", RUNNING, due_at=at("12:01")), a_run("busy", due_at=at("12:02"))]
        world = a_snapshot(a_run("b"), *later_ones, workers=workers, records={"busy": a_record(ok=True)})

        assert 1 in starts(world.decide(at("12:05")))


class TestFreshness:
    """D4: the upstream must have succeeded recently enough."""

    def a_world(self, edge, **success):
        workers = [a_worker("a"), a_worker("b", depends_on=[edge])]
        records = {"a": a_record(ok=True, occurs_at=at("11:00")), "b": a_record(ok=True, **success)}
        return a_snapshot(a_run("b"), workers=workers, records=records)

    def test_fresh_needs_a_success_since_the_start_of_the_last_success(self):
        edge = Upstream("a", fresh=True)

        assert starts(self.a_world(edge, occurs_at=at("10:59")).decide()) == [1]
        assert starts(self.a_world(edge, occurs_at=at("11:00")).decide()) == [1]
        (hold,) = self.a_world(edge, occurs_at=at("11:01")).decide().holds[1]
        assert hold.why == "it has not succeeded since this worker last started a run that succeeded"

    def test_the_first_run_takes_any_success(self):
        workers = [a_worker("a"), a_worker("b", depends_on=[Upstream("a", fresh=True)])]
        world = a_snapshot(a_run("b"), workers=workers, records={"a": a_record(ok=True)})

        assert starts(world.decide()) == [1]

    def test_a_success_may_have_a_greatest_age(self):
        assert starts(self.a_world(Upstream("a", max_age_s=3600.0)).decide(NOON)) == [1]

        (hold,) = self.a_world(Upstream("a", max_age_s=3600.0)).decide(after(1)).holds[1]
        assert str(hold) == "waiting for a: its last success is older than 3600 s"


class TestOnFailure:
    """D5: wait, skip or run."""

    def a_world(self, on_failure, run, **facts):
        edge = Upstream("a", on_failure=on_failure)
        facts.setdefault("records", {"a": a_record(ok=False)})
        upstream = facts.pop("upstream", a_worker("a"))
        return a_snapshot(run, workers=[upstream, a_worker("b", depends_on=[edge])], **facts)

    def test_run_lets_it_run_degraded(self):
        decision = self.a_world(OnFailure.RUN, a_run("b")).decide()

        assert [(grant.run.id, grant.degraded) for grant in decision.grants] == [(1, True)]

    def test_skip_records_the_occurrence_as_skipped(self):
        decision = self.a_world(OnFailure.SKIP, an_occurrence("b")).decide()

        assert [run.id for run in decision.skips] == [1]
        assert (decision.grants, decision.holds) == ([], {})

    @pytest.mark.parametrize("run", [a_run("b"), an_occurrence("b", attempt=1)])
    def test_skip_lets_other_runs_wait(self, run):
        decision = self.a_world(OnFailure.SKIP, run).decide()

        assert (decision.skips, gates(decision, 1)) == ([], ["depends_on"])

    def test_an_occurrence_is_skipped_although_a_run_by_hand_waits_before_it(self):
        world = self.a_world(OnFailure.SKIP, a_run("b", due_at=at("11:30")))
        world.lane("b").put(an_occurrence("b", id=2))

        decision = world.decide()

        assert [run.id for run in decision.skips] == [2]
        assert gates(decision, 1) == ["depends_on"]

    def test_a_disabled_worker_skips_nothing(self):
        """K5"""
        edge = Upstream("a", on_failure=OnFailure.SKIP)
        workers = [a_worker("a"), a_worker("b", depends_on=[edge], disabled="ada")]
        decision = a_snapshot(an_occurrence("b"), workers=workers, records={"a": a_record(ok=False)}).decide()

        assert (decision.skips, gates(decision, 1)) == ([], ["disabled"])

    def test_a_disabled_upstream_is_judged_at_once_although_its_runs_wait(self):
        """D6"""
        disabled = {"upstream": a_worker("a", disabled="ada"), "records": {"a": a_record(ok=True)}}
        held = self.a_world(OnFailure.WAIT, a_run("b"), **disabled)
        held.lane("a").put(a_run("a", id=9, due_at=at("11:00")))
        degraded = self.a_world(OnFailure.RUN, a_run("b"), **disabled)

        assert [str(hold) for hold in held.decide().holds[1]] == ["waiting for a: it is disabled by ada"]
        assert [grant.degraded for grant in degraded.decide().grants] == [True]

    def test_the_running_attempt_of_a_disabled_upstream_is_waited_for(self):
        """D6"""
        world = self.a_world(OnFailure.RUN, a_run("b"), upstream=a_worker("a", disabled="ada"))
        world.running = {9: a_run("a", RUNNING, id=9)}
        world.running_by = {"a": dict(world.running)}

        assert [str(hold) for hold in world.decide().holds[1]] == ["waiting for a (run #9 is running)"]

    @pytest.mark.parametrize("mode", [BreakerMode.OPEN, BreakerMode.HALF_OPEN])
    def test_an_upstream_whose_breaker_is_not_closed_is_judged_at_once(self, mode):
        """D6"""
        facts = {"breakers": [a_breaker("mailer", mode)], "records": {"a": a_record(ok=True)}}
        world = self.a_world(OnFailure.WAIT, a_run("b"), upstream=a_worker("a", breaker="mailer"), **facts)

        (hold,) = world.decide().holds[1]

        assert hold.why == f"its breaker mailer is {mode.replace('_', '-')}"

    def test_a_fallback_of_the_upstream_holds_no_dependent(self):
        """K3"""
        upstream = a_worker("a", breaker="mailer", fallback=True)
        facts = {"breakers": [a_breaker("mailer")], "records": {"a": a_record(ok=True)}}

        assert starts(self.a_world(OnFailure.WAIT, a_run("b"), upstream=upstream, **facts).decide()) == [1]
