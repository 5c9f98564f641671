"""The stored state is made to agree with what a starting node declares."""

from __future__ import annotations

import pytest
from builders import (
    NOON,
    OK,
    a_breaker,
    a_definition,
    a_record,
    a_run,
    a_snapshot,
    a_worker,
    after,
    an_iteration,
    an_occurrence,
    at,
)

from shiftboss.core.events import RunEnded, WorkerDeclared
from shiftboss.core.model import BreakerMode, BreakerState, Cause, Disabled, Origin, Status
from shiftboss.core.policy import BreakerPolicy
from shiftboss.core.schedule import At, jitter_offset_s
from shiftboss.core.value import replace
from shiftboss.core.worker import Start
from shiftboss.errors import ConfigurationError, CycleError

HOURLY = {"every": 3600.0}
RUNNING = Status.RUNNING


class TestNewest:
    """M7: the newest declaration of a worker or resource holds in the whole fleet."""

    def test_a_new_worker_is_stored_with_its_first_run(self):
        world = a_snapshot()
        changed = world.declare(a_definition("a", **HOURLY), a_definition("b"), a_definition("c", continuous=True))

        assert changed == ("a", "b", "c")
        assert [(run.worker, run.origin, run.due_at) for name in "abc" for run in world.pending(name)] == [
            ("a", Origin.OCCURRENCE, NOON),
            ("c", Origin.ITERATION, NOON),
        ]
        assert world.said(WorkerDeclared) == [WorkerDeclared(at=NOON, worker=name) for name in "abc"]
        assert world.workers["a"].declared_at == NOON

    def test_a_changed_one_replaces_what_is_stored_and_says_what_changed(self):
        world = a_snapshot(workers=[a_worker("a", priority="low")])
        changed = world.declare(a_definition("a", priority="high", timeout_s=5.0))

        assert changed == ("a",)
        assert world.workers["a"].definition == a_definition("a", priority="high", timeout_s=5.0)
        assert world.said(WorkerDeclared) == [WorkerDeclared(at=NOON, worker="a", changed=("priority", "timeout_s"))]

    def test_the_same_declaration_changes_nothing(self):
        world = a_snapshot(an_occurrence(), workers=[a_worker("a", **HOURLY)], records={"a": a_record(anchor_at=NOON)})

        assert world.declare(a_definition("a", **HOURLY), now=after(5)) == ()
        assert world.events == []
        assert [run.id for run in world.pending()] == [1]

    def test_disabled_streak_and_breaker_stay(self):
        disabled = Disabled(by="ada", reason="broken", since=at("11:00"))
        world = a_snapshot(
            workers=[a_worker("a", disabled=disabled, breaker="x")],
            records={"a": a_record(streak=3)},
            breakers=[a_breaker("x", failures=5)],
        )
        world.declare(a_definition("a", breaker="x", breaker_policy=BreakerPolicy(failures=9)))

        assert (world.workers["a"].disabled, world.record("a").streak) == (disabled, 3)
        assert world.breakers["x"] == a_breaker("x", failures=5, policy=BreakerPolicy(failures=9))

    def test_a_breaker_exists_from_the_declaration_on(self):
        """K1"""
        world = a_snapshot()
        world.declare(a_definition("a", breaker="x"), a_definition("b", breaker="y", breaker_policy=BreakerPolicy(2)))

        assert world.breakers == {
            "x": BreakerState(name="x", mode=BreakerMode.CLOSED),
            "y": BreakerState(name="y", policy=BreakerPolicy(failures=2)),
        }

    def test_the_newest_size_of_a_resource_holds(self):
        """B9"""
        world = a_snapshot(workers=[a_worker("a", uses={"db": 2})], resources={"db": 2, "net": 1})
        world.declare(a_definition("b"), resources={"db": 5})

        assert world.resources == {"db": 5, "net": 1}

    def test_workers_that_are_not_declared_are_left_alone(self):
        world = a_snapshot(a_run("old"), workers=[a_worker("old")])
        world.declare(a_definition("new"))

        assert set(world.workers) == {"old", "new"}
        assert [run.id for run in world.pending("old")] == [1]


class TestSchedule:
    """M4: a changed schedule replaces the occurrence that has not started."""

    def a_world(self, *runs, **worker):
        record = a_record(anchor_at=at("06:00"), last_instant=at("11:00"))
        return a_snapshot(*runs, workers=[a_worker("a", **(worker or HOURLY))], records={"a": record})

    def test_the_waiting_occurrence_gives_way_to_the_new_schedule(self):
        world = self.a_world(an_occurrence(due_at=at("13:00")))
        world.declare(a_definition("a", cron="30 15 * * *"))

        assert (world.ended[1].status, world.ended[1].cause) == (Status.SKIPPED, Cause.REPLACED)
        assert [(event.run, event.status, event.cause) for event in world.said(RunEnded)] == [
            (1, Status.SKIPPED, Cause.REPLACED)
        ]
        assert [run.occurs_at for run in world.pending()] == [at("15:30")]
        assert world.record("a").latest is None

    @pytest.mark.parametrize(
        ("rule", "instants"),
        [
            ({"cron": "0 */2 * * *"}, ["14:00", "18:00"]),
            ({"every": 600.0}, ["12:00"]),
        ],
    )
    def test_it_leaves_out_what_was_cancelled_ahead_and_waits_for_nothing_else(self, rule, instants):
        """M4, O1: somebody cancelled 16:00 of a schedule that came once in a while."""
        record = a_record(anchor_at=at("06:00"), last_instant=at("16:00"))
        world = a_snapshot(workers=[a_worker("a", every=36_000.0)], records={"a": record})
        world.declare(a_definition("a", **rule))
        first = [run.occurs_at for run in world.pending()]
        for instant in instants[1:]:
            world.start(at("14:00"))
            world.settle(next(iter(world.running)), OK, at("14:01"))
            first += [run.occurs_at for run in world.pending()]
            assert first[-1] == at(instant)

        assert first == [at(instant) for instant in instants]

    def test_the_new_schedule_has_its_own_anchor(self):
        world = self.a_world(an_occurrence(due_at=at("13:00")))
        world.declare(a_definition("a", every=600.0), now=at("12:03"))
        world.start(at("12:03"))
        (run_id,) = world.running
        world.settle(run_id, OK, at("12:04"))

        assert [run.occurs_at for run in world.pending()] == [at("12:13")]

    def test_what_has_started_stays(self):
        world = self.a_world(an_occurrence(attempt=1, due_at=at("12:10")))
        world.declare(a_definition("a", cron="30 15 * * *"))

        assert [(run.id, run.status) for run in world.pending()] == [(1, "pending"), (101, "pending")]

    def test_triggers_stay(self):
        world = self.a_world(a_run(), an_occurrence(due_at=at("13:00")))
        world.declare(a_definition("a", cron="30 15 * * *"))

        assert [run.id for run in world.pending()] == [1, 101]

    def test_a_restart_does_not_reset_it(self):
        world = self.a_world(an_occurrence(due_at=at("13:00")))
        world.declare(a_definition("a", **HOURLY), now=at("12:34"))

        assert [(run.id, run.due_at) for run in world.pending()] == [(1, at("13:00"))]

    def test_a_worker_that_is_no_longer_scheduled_has_no_occurrence(self):
        """M1"""
        world = self.a_world(an_occurrence(due_at=at("13:00")))
        world.declare(a_definition("a"))

        assert world.pending() == []

    def test_a_running_occurrence_of_the_old_schedule_is_followed_by_the_new_one_only(self):
        world = self.a_world(an_occurrence(status=RUNNING, due_at=at("12:00")))
        world.declare(a_definition("a", cron="30 15 * * *"))
        world.settle(1, OK, after(5))

        assert [run.occurs_at for run in world.pending()] == [at("15:30")]

    def test_scheduled_becomes_continuous(self):
        """M1, M5"""
        world = self.a_world(an_occurrence(due_at=at("13:00")))
        world.declare(a_definition("a", continuous=True))

        assert [(run.origin, run.due_at) for run in world.pending()] == [(Origin.ITERATION, NOON)]

    def test_continuous_becomes_scheduled(self):
        """M1"""
        world = self.a_world(an_iteration(due_at=after(60)), continuous=True)
        world.declare(a_definition("a", start=Start.NEXT, **HOURLY))

        assert [(run.origin, run.due_at) for run in world.pending()] == [(Origin.OCCURRENCE, at("13:00"))]

    def test_the_waiting_occurrence_follows_priority_and_jitter(self):
        world = self.a_world(an_occurrence(due_at=at("13:00")))
        world.declare(a_definition("a", jitter_s=30.0, priority="high", **HOURLY))

        (run,) = world.pending()
        assert (run.id, int(run.priority), run.occurs_at) == (1, 2, at("13:00"))
        assert run.due_at == after(jitter_offset_s("a", 30.0), at("13:00"))

    def test_an_earlier_end_removes_the_waiting_occurrence(self):
        world = self.a_world(an_occurrence(due_at=at("13:00")))
        world.declare(a_definition("a", **HOURLY, until=at("11:59")))

        assert (world.ended[1].status, world.ended[1].cause) == (Status.SKIPPED, Cause.REPLACED)
        assert world.pending() == []

    def test_a_later_end_goes_on_from_now(self):
        """What would have come while the schedule had ended was never scheduled."""
        world = self.a_world(**HOURLY, until=at("11:30"))
        world.records["a"] = replace(world.record("a"), ended=True)
        world.declare(a_definition("a", **HOURLY, until=at("23:00")), now=at("15:30"))

        assert [run.occurs_at for run in world.pending()] == [at("16:00")]

    def test_more_times_go_on_where_the_count_was(self):
        record = a_record(anchor_at=at("06:00"), last_instant=at("11:00"), fired=2, ended=True)
        world = a_snapshot(workers=[a_worker("a", **HOURLY, times=2)], records={"a": record})
        world.declare(a_definition("a", **HOURLY, times=3))

        assert [run.occurs_at for run in world.pending()] == [at("13:00")]
        assert world.record("a").fired == 2

    def test_another_schedule_counts_anew(self):
        record = a_record(anchor_at=at("06:00"), last_instant=at("11:00"), fired=2, ended=True)
        world = a_snapshot(workers=[a_worker("a", **HOURLY, times=2)], records={"a": record})
        world.declare(a_definition("a", every=1800.0, times=2))

        assert world.record("a").fired == 0
        assert [run.occurs_at for run in world.pending()] == [NOON]

    def test_a_waiting_occurrence_leaves_a_schedule_whose_zone_has_no_time_for_it(self):
        """O3: a calendar of its rule may have lost the day since."""
        rule = At((at("14:00"),))
        world = self.a_world(an_occurrence(due_at=at("13:00"), by_calendar=True), cron="@daily")
        state = world.workers["a"]
        world.workers["a"] = replace(state, definition=replace(state.definition, schedule=rule))
        world.declare(replace(a_definition("a", cron="@daily"), schedule=rule))

        assert [run.occurs_at for run in world.pending()] == [at("14:00")]
        assert world.declare(replace(a_definition("a", cron="@daily"), schedule=rule), now=at("14:30")) == ()

    @pytest.mark.parametrize(("until", "instants"), [(None, ["14:00"]), ("13:30", [])])
    def test_a_waiting_occurrence_moves_to_a_time_that_is_left_before_the_end(self, until, instants):
        """M4, O3"""
        ends = None if until is None else at(until)
        definition = replace(a_definition("a", cron="@daily", until=ends), schedule=At((at("14:00"),)))
        world = self.a_world(an_occurrence(due_at=at("13:00"), by_calendar=True), cron="@daily")
        world.workers["a"] = replace(world.workers["a"], definition=definition)
        world.declare(definition)

        assert [f"{run.occurs_at:%H:%M}" for run in world.pending()] == instants

    def test_a_waiting_occurrence_is_removed_where_no_time_is_left(self):
        """M4, O3"""
        definition = replace(a_definition("a", cron="@daily"), schedule=At((at("09:00"),)))
        world = self.a_world(an_occurrence(due_at=at("13:00"), by_calendar=True), cron="@daily")
        world.workers["a"] = replace(world.workers["a"], definition=definition)
        world.declare(definition)

        assert world.pending() == []
        assert (world.ended[1].status, world.ended[1].cause) == (Status.SKIPPED, Cause.REPLACED)
        assert [(each.run, each.status, each.cause) for each in world.said(RunEnded)] == [
            (1, Status.SKIPPED, Cause.REPLACED)
        ]

    def test_a_higher_concurrency_stores_the_successor_of_what_runs(self):
        """M3"""
        world = self.a_world(an_occurrence(status=RUNNING, due_at=at("11:00")))
        world.declare(a_definition("a", concurrency=2, **HOURLY))

        assert [run.occurs_at for run in world.pending()] == [at("12:00")]


class TestRefusal:
    """D8: unknown names and cycles are refused at start, stored edges included."""

    def test_a_cycle_over_a_stored_worker_is_refused_with_its_path(self):
        world = a_snapshot(workers=[a_worker("stored", depends_on=["b"]), a_worker("b")])

        with pytest.raises(CycleError, match="b → stored → b"):
            world.declare(a_definition("b", after=("stored",)))
        assert world.events == []

    def test_an_unknown_name_is_refused_with_the_nearest(self):
        with pytest.raises(
            ConfigurationError, match="'b': depends_on names 'fetsh', which is unknown; did you mean 'fetch'"
        ):
            a_snapshot(workers=[a_worker("fetch")]).declare(a_definition("b", depends_on=["fetsh"]))

    def test_a_stored_worker_is_known(self):
        world = a_snapshot(workers=[a_worker("stored", tags=("db",))])

        world.declare(a_definition("b", depends_on=["stored"], blocks=("tag:db",)))

    def test_a_stored_worker_that_names_a_forgotten_one_is_no_error_of_the_one_that_starts(self):
        world = a_snapshot(workers=[a_worker("stored", depends_on=["forgotten"], blocks=("tag:gone",))])

        assert world.declare(a_definition("b", depends_on=["stored"])) == ("b",)

    def test_a_resource_that_is_too_small_for_a_stored_worker_is_no_error_either(self):
        """B9"""
        world = a_snapshot(workers=[a_worker("stored", uses={"db": 3})], resources={"db": 3})
        world.declare(a_definition("b", uses={"db": 1}), resources={"db": 1})

        assert world.resources == {"db": 1}

    def test_more_than_a_resource_has_is_refused(self):
        """B9"""
        with pytest.raises(ConfigurationError, match="'b' uses 2 concurrency slots of 'db', which has only 1"):
            a_snapshot().declare(a_definition("b", uses={"db": 2}), resources={"db": 1})
