"""The runs that come by themselves: occurrences, what was missed, what waits."""

from __future__ import annotations

import pytest
from builders import (
    FAILED,
    FATAL,
    NOON,
    OK,
    a_definition,
    a_record,
    a_run,
    a_snapshot,
    a_worker,
    after,
    an_occurrence,
    at,
)

from shiftboss.core import control
from shiftboss.core.events import RunSkipped
from shiftboss.core.model import Cancelled, Cause, Interrupted, Origin, Status
from shiftboss.core.occurrence import instants_ahead
from shiftboss.core.schedule import At, jitter_offset_s
from shiftboss.core.settle import expire
from shiftboss.core.value import replace
from shiftboss.core.worker import Misfire, Start


def a_world(now=NOON, **fields):
    """A worker that was declared at *now*, every minute unless it is said otherwise."""
    if "cron" not in fields:
        fields.setdefault("every", 60.0)
    rule = fields.pop("rule", None)
    definition = a_definition("a", **fields)
    world = a_snapshot()
    world.declare(definition if rule is None else replace(definition, schedule=rule, start=Start.NEXT), now=now)
    world.nodes["n1"] = a_snapshot(workers=[a_worker("a")]).nodes["n1"]
    return world


def instants(world):
    return [run.occurs_at for run in world.pending()]


class TestFirst:
    """M3: the first is due at once with every=, at its first instant with cron=."""

    def test_every_starts_now(self):
        (run,) = a_world(every=3600.0).pending()

        assert (run.origin, run.status, run.occurs_at, run.due_at) == (Origin.OCCURRENCE, Status.PENDING, NOON, NOON)

    def test_every_may_start_at_the_next(self):
        assert instants(a_world(every=3600.0, start=Start.NEXT)) == [at("13:00")]

    def test_cron_starts_at_its_first_instant(self):
        assert instants(a_world(cron="30 15 * * *")) == [at("15:30")]

    def test_cron_may_start_now(self):
        world = a_world(cron="30 15 * * *", start=Start.NOW)
        assert instants(world) == [NOON]

        assert world.start() == [101]
        world.settle(101)
        assert instants(world) == [at("15:30")]

    def test_it_carries_what_was_declared(self):
        """T1"""
        world = a_world(priority="high", start_within_s=60.0, deadline_s=30.0)

        (run,) = world.pending()
        assert (int(run.priority), run.give_up_at, run.deadline_at) == (2, after(30), after(30))


class TestSuccession:
    """M3, M4: one occurrence that has not started, fixed-rate from the anchor."""

    def test_they_follow_the_anchor_without_drift(self):
        world = a_world(now=at("12:00:07"))
        seen = []
        for minute in range(4):
            now = after(minute * 60, at("12:00:09"))  # always two seconds late
            (run_id,) = world.start(now)
            seen.append(world.running[run_id].occurs_at)
            world.settle(run_id, OK, after(31, now))

        assert seen == [at("12:00:07"), at("12:01:07"), at("12:02:07"), at("12:03:07")]

    @pytest.mark.parametrize("outcome", [OK, FATAL, Cancelled()])
    def test_every_end_is_followed_by_the_next(self, outcome):
        world = a_world()
        world.start()
        world.settle(101, outcome, after(5))

        assert instants(world) == [after(60)]

    def test_an_interruption_is_no_end(self):
        """R2"""
        world = a_world()
        world.start()
        world.settle(101, Interrupted(), after(5))

        assert [(run.id, run.occurs_at) for run in world.pending()] == [(101, NOON)]

    def test_at_most_one_waits_that_has_not_started(self):
        world = a_world(concurrency=3)
        for second in range(200):
            world.start(after(second))
            unstarted = [run for run in world.pending() if not run.has_started]
            assert len(unstarted) <= 1

        assert len(world.running) == 3

    def test_a_run_by_hand_has_no_successor(self):
        """O5"""
        world = a_world()
        run = world.trigger("a")
        world.start()
        world.settle(101)
        world.start()
        world.settle(run.id)

        assert instants(world) == [after(60)]

    def test_a_cancelled_occurrence_takes_what_passed_with_it(self):
        """D7, O2"""
        world = a_world()
        world.fetched[101] = world.pending()[0]
        cancelled = world.does(control.cancel, after(150), run_id=101, by="ada", reason="")

        assert (cancelled.covers_until, cancelled.missed) == (after(120), 2)
        assert instants(world) == [after(180)]

    def test_one_that_lies_ahead_takes_its_own_instant_only(self):
        world = a_world(start=Start.NEXT)
        world.fetched[101] = world.pending()[0]
        world.does(control.cancel, run_id=101, by="ada", reason="")

        assert instants(world) == [after(120)]

    def test_jitter_moves_the_due_instant_and_not_the_logical_one(self):
        """D1"""
        offset_s = jitter_offset_s("a", 30.0)
        (run,) = a_world(jitter_s=30.0).pending()

        assert 0 < offset_s < 30
        assert (run.occurs_at, run.due_at) == (NOON, after(offset_s))


class TestTakingUp:
    """O2, D7: a starting occurrence takes up every instant up to now."""

    def test_on_time_it_is_alone(self):
        world = a_world()
        world.start(after(59))

        run = world.running[101]
        assert (run.occurs_at, run.covers_until, run.missed) == (NOON, NOON, 0)

    @pytest.mark.parametrize(
        ("late_s", "last_s", "missed"), [(60, 60, 1), (119, 60, 1), (3600, 3600, 60), (86400.5, 86400, 1440)]
    )
    def test_late_it_covers_what_it_missed(self, late_s, last_s, missed):
        world = a_world()
        world.start(after(late_s))

        run = world.running[101]
        assert (run.occurs_at, run.covers_until, run.missed) == (NOON, after(last_s), missed)
        world.settle(101, OK, after(late_s + 1))
        assert instants(world) == [after(last_s + 60)]

    def test_the_number_is_counted_to_ten_thousand(self):
        world = a_world(every=1.0)
        world.start(after(20_000))

        assert (world.running[101].missed, world.running[101].covers_until) == (10_000, after(20_000))

    def test_a_retry_takes_up_nothing(self):
        """D1"""
        world = a_world()
        world.start()
        world.settle(101, FAILED, after(1))
        world.start(after(600))

        run = world.running[101]
        assert (run.attempt, run.occurs_at, run.covers_until, run.missed) == (2, NOON, NOON, 0)

    def test_a_run_by_hand_takes_up_nothing(self):
        world = a_snapshot(a_run(), workers=[a_worker(every=60.0)], records={"a": a_record(anchor_at=NOON)})
        world.start(after(600))

        assert (world.running[1].covers_until, world.running[1].missed) == (None, 0)

    def test_of_a_jittered_schedule_what_is_not_due_yet_is_not_taken_up(self):
        offset_s = jitter_offset_s("a", 300.0)
        world = a_world(jitter_s=300.0)
        assert offset_s > 60  # more than one interval
        world.start(after(offset_s))

        assert (world.running[101].covers_until, world.running[101].missed) == (NOON, 0)

    def test_the_record_says_which_instant_was_covered_last(self):
        world = a_world()
        world.start(after(150))

        assert world.record("a").last_instant == after(120)


class TestMisfireSkip:
    """O2: misfire="skip" drops instants later than the grace."""

    @pytest.mark.parametrize("grace_s", [0.0, 0.2])
    def test_a_second_is_on_time_however_small_the_grace(self, grace_s):
        world = a_world(every=10.0, misfire=Misfire.SKIP, grace_s=grace_s)
        world.start(after(1))

        assert (world.running[101].occurs_at, world.running[101].missed) == (NOON, 0)

    def test_what_is_later_than_a_second_is_dropped_without_a_grace(self):
        world = a_world(every=10.0, misfire=Misfire.SKIP, grace_s=0.0)

        assert world.start(after(1.1)) == []
        assert instants(world) == [after(10)]

    def test_within_the_grace_it_runs_alone(self):
        world = a_world(every=10.0, misfire=Misfire.SKIP, grace_s=60.0)
        assert world.start(after(60)) == [101]

        assert (world.running[101].occurs_at, world.running[101].covers_until) == (NOON, NOON)
        assert world.said(RunSkipped) == []

    def test_what_is_later_is_one_skipped_range(self):
        world = a_world(every=10.0, misfire=Misfire.SKIP, grace_s=60.0)
        assert world.start(after(100)) == [102]

        skipped = world.ended[101]
        assert (skipped.status, skipped.cause) == (Status.SKIPPED, Cause.MISFIRE)
        assert (skipped.occurs_at, skipped.covers_until, skipped.missed) == (NOON, after(30), 3)
        assert world.running[102].occurs_at == after(40)
        (event,) = world.said(RunSkipped)
        assert (event.first, event.last, event.count, event.reason) == (NOON, after(30), 4, Cause.MISFIRE)

    def test_when_all_were_too_late_the_next_one_waits_for_its_instant(self):
        world = a_world(every=3600.0, misfire=Misfire.SKIP, grace_s=60.0)
        assert world.start(at("14:30")) == []

        assert (world.ended[101].covers_until, world.ended[101].missed) == (at("14:00"), 2)
        assert instants(world) == [at("15:00")]

    def test_jitter_is_not_lateness(self):
        offset_s = jitter_offset_s("a", 300.0)
        world = a_world(every=3600.0, misfire=Misfire.SKIP, grace_s=60.0, jitter_s=300.0)
        assert offset_s > 60

        assert world.start(after(offset_s)) == [101]


class TestMisfireAll:
    """O2: misfire="all" runs them one by one, the newest so many."""

    def run_all(self, world, now):
        seen = []
        while started := world.start(now):
            (run_id,) = started
            seen.append(world.running[run_id].occurs_at)
            world.settle(run_id, OK, now)
        return seen

    def test_each_instant_has_its_run(self):
        world = a_world(misfire=Misfire.ALL)

        assert self.run_all(world, after(185)) == [NOON, after(60), after(120), after(180)]
        assert instants(world) == [after(240)]

    def test_beyond_the_limit_the_oldest_are_one_skipped_range(self):
        world = a_world(misfire=Misfire.ALL, misfire_limit=2)

        assert self.run_all(world, after(305)) == [after(240), after(300)]
        skipped = world.ended[101]
        assert (skipped.cause, skipped.covers_until, skipped.missed) == (Cause.MISFIRE, after(180), 3)

    def test_an_expired_one_ends_alone(self):
        """D7"""
        world = a_world(misfire=Misfire.ALL, start_within_s=90.0)
        world.does(expire, after(90), run=world.pending()[0])

        assert (world.ended[101].covers_until, world.ended[101].missed) == (NOON, 0)
        assert instants(world) == [after(60)]


class TestUniqueness:
    """O1: an instant has one occurrence."""

    def test_a_second_declaration_stores_no_second_one(self):
        world = a_world()
        world.declare(a_definition("a", every=60.0), now=after(5))

        assert instants(world) == [NOON]

    def test_no_instant_is_started_twice_and_none_is_left_out(self):
        """O1, O2"""
        world = a_world(concurrency=2)
        covered = []
        for step in range(40):
            now = after(step * 47)
            for run_id in world.start(now):
                run = world.running[run_id]
                covered += [after(s, run.occurs_at) for s in range(0, 60 * run.missed + 1, 60)]
                if step % 3:
                    world.settle(run_id, OK, after(20, now))
            if step % 3 == 0:
                for run_id in list(world.running):
                    world.settle(run_id, FATAL, now)

        assert covered == [after(60 * number) for number in range(len(covered))]
        assert len(covered) > 25


class TestAsUpstreamAndDownstream:
    """D2, D7: a waiting occurrence keeps its instant."""

    def test_a_slow_upstream_does_not_starve_its_dependent(self):
        """D3, D7"""
        workers = [a_worker("a", every=60.0), a_worker("b", every=60.0, depends_on=["a"])]
        records = {"a": a_record(anchor_at=NOON), "b": a_record(anchor_at=NOON)}
        world = a_snapshot(an_occurrence("a"), an_occurrence("b"), workers=workers, records=records)
        assert world.start() == [1]
        assert world.start(after(100)) == []  # a takes 150 s, its 12:01 is stored when it ends

        world.settle(1, OK, after(150))
        (waiting,) = world.pending("b")

        # b's occurrence is that of 12:00: it does not wait for what a owes for 12:01 and 12:02
        assert waiting.occurs_at == NOON
        dependent, upstream = world.start(after(150))
        assert (dependent, world.running[upstream].occurs_at) == (2, after(60))
        assert (world.running[2].covers_until, world.running[2].missed) == (after(120), 2)


class TestEnd:
    """M4: a schedule ends with its last time, after `until`, or when `times` runs have started."""

    def test_nothing_is_scheduled_after_until(self):
        world = a_world(until=after(90))
        for second in (0, 60):
            (run_id,) = world.start(after(second))
            world.settle(run_id, OK, after(second + 1))

        assert instants(world) == []

    def test_until_itself_is_within(self):
        world = a_world(until=after(60))
        world.start()
        world.settle(101, OK, after(1))

        assert instants(world) == [after(60)]

    def test_a_schedule_that_has_ended_before_it_began_stores_nothing(self):
        world = a_world(until=after(-1))

        assert instants(world) == []
        assert world.record("a").anchor_at is None
        assert world.record("a").ended

    def test_a_run_takes_up_nothing_after_until(self):
        """O2"""
        world = a_world(until=after(150))
        world.start()
        world.settle(101, OK, after(1))
        (run_id,) = world.start(after(600))

        assert (world.running[run_id].covers_until, world.running[run_id].missed) == (after(120), 1)
        world.settle(run_id, OK, after(601))
        assert instants(world) == []

    def test_as_many_runs_start_as_times_says(self):
        world = a_world(times=3)
        for second in (0, 60, 120):
            (run_id,) = world.start(after(second))
            world.settle(run_id, FAILED if second == 60 else OK, after(second + 1))
            if second == 60:
                (again,) = world.start(after(119))  # a retry is no other run
                world.settle(again, OK, after(119))

        assert world.record("a").fired == 3
        assert instants(world) == []

    def test_what_did_not_start_does_not_count(self):
        world = a_world(times=1, misfire=Misfire.SKIP, grace_s=0.0)
        world.start(after(30))  # it is dropped: 30 s late

        assert world.record("a").fired == 0
        assert instants(world) == [after(60)]

    def test_runs_are_counted_only_where_there_is_a_limit(self):
        world = a_world()
        world.start()

        assert world.record("a").fired == 0

    def test_times_that_were_written_out_end_with_the_last(self):
        world = a_world(rule=At((at("12:30"), at("15:00"))))
        seen = []
        for now in (at("12:30"), at("15:00")):
            (run_id,) = world.start(now)
            seen.append(world.running[run_id].occurs_at)
            world.settle(run_id, OK, after(1, now))

        assert seen == [at("12:30"), at("15:00")]
        assert instants(world) == []

    def test_times_that_lie_in_the_past_store_nothing(self):
        world = a_world(rule=At((at("11:00"),)))

        assert instants(world) == []

    def test_times_ahead_are_told_as_far_as_they_come(self):
        """A3"""
        world = a_world(every=60.0, until=after(300), times=4)
        definition, record = world.workers["a"].definition, world.record("a")

        ahead = list(instants_ahead(definition, record, waiting=NOON, now=NOON))
        assert ahead == [NOON, after(60), after(120), after(180)]
        ahead = list(instants_ahead(replace(definition, times=None), record, waiting=NOON, now=NOON))
        assert ahead[-1] == after(300)
        fired = replace(record, fired=3, last_instant=after(120))
        assert list(instants_ahead(definition, fired, waiting=None, now=after(130))) == [after(180)]
        assert list(instants_ahead(replace(definition, until=after(10)), fired, waiting=None, now=after(130))) == []
