"""Runs that die in a row switch their worker off, and what switches it on again."""

from __future__ import annotations

import pytest
from builders import (
    AT_ONCE,
    BOOM,
    FAILED,
    FATAL,
    NO_RETRY,
    NOON,
    OK,
    TIMED_OUT,
    a_breaker,
    a_node,
    a_record,
    a_run,
    a_snapshot,
    a_worker,
    after,
    an_occurrence,
    at,
)

from shiftboss.core import control
from shiftboss.core.autodisable import counts
from shiftboss.core.events import RunSkipped, WorkerDisabled, WorkerEnabled
from shiftboss.core.health import worker_health
from shiftboss.core.model import (
    BreakerMode,
    BreakerState,
    Cancelled,
    Cause,
    Disabled,
    Error,
    Failed,
    Interrupted,
    Status,
    Unfit,
)
from shiftboss.core.settle import expire, rescue
from shiftboss.core.value import replace
from shiftboss.errors import WorkerDisabled as Refused

RUNNING = Status.RUNNING
AUTO = Disabled(by="auto", reason="5 died", since=at("11:00"), probation_s=3600.0, probation_until=NOON)


class TestDisabling:
    """K4: so many dead runs in a row."""

    def test_the_fifth_dead_run_in_a_row_disables_with_the_reason(self):
        world = a_snapshot(a_run(status=RUNNING, id=7, attempt=4), records={"a": a_record(streak=4)})
        world.settle(7, FAILED)

        assert world.workers["a"].disabled == Disabled(
            by="auto",
            reason="5 runs failed in a row (last: #7): ValueError: boom",
            since=NOON,
            error=Error("ValueError", "boom"),
            run=7,
            probation_s=3600.0,
            probation_until=at("13:00"),
        )
        assert world.record("a").streak == 5

    def test_a_single_run_is_no_row_of_runs(self):
        workers = [a_worker("a", max_consecutive_failures=1)]
        world = a_snapshot(a_run(status=RUNNING, id=7, attempt=4), workers=workers)
        world.settle(7, FAILED)

        assert world.workers["a"].disabled.reason == "run #7 failed: ValueError: boom"

    def test_the_event_names_the_workers_that_this_starves(self):
        workers = [a_worker("a"), a_worker("b", depends_on=["a"]), a_worker("c", after=("b",)), a_worker("d")]
        world = a_snapshot(a_run("a", RUNNING, attempt=4), workers=workers, records={"a": a_record(streak=4)})
        world.settle(1, FAILED)

        (event,) = world.said(WorkerDisabled)
        assert (event.worker, event.by, event.run, event.starves) == ("a", "auto", 1, ("b", "c"))
        assert (event.accepts, event.probe_at) == (True, at("13:00"))

    @pytest.mark.parametrize(
        ("worker", "streak"),
        [
            (a_worker(), 4),
            (a_worker(fatal_counts=True), 5),
            (a_worker(every=60.0), 5),
            (a_worker(continuous=True), 5),
            (a_worker(every=60.0, fatal_counts=False), 4),
        ],
    )
    def test_bad_input_harms_its_sender_and_not_a_worker_that_is_only_triggered(self, worker, streak):
        """K4: unless that is asked for."""
        world = a_snapshot(a_run(status=RUNNING), workers=[worker], records={"a": a_record(streak=4)})
        world.settle(1, FATAL)

        assert world.ended[1].cause is Cause.FATAL
        assert (world.record("a").streak, world.workers["a"].disabled is not None) == (streak, streak == 5)

    @pytest.mark.parametrize(
        ("cause", "counted"),
        [
            (Cause.ERROR, True),
            (Cause.TIMEOUT, True),
            (Cause.LOST, True),
            (Cause.CRASH, True),
            (Cause.CRASH_LOOP, True),
            (Cause.FATAL, True),
            (Cause.EXPIRED, False),
            (Cause.UNFIT, False),
            (Cause.CANCELLED, False),
            (Cause.INTERRUPTED, False),
            (Cause.RESCUED, False),
            (Cause.DEPENDENCY_FAILED, False),
        ],
    )
    def test_what_says_that_the_worker_fails_counts_and_what_says_something_else_does_not(self, cause, counted):
        """K4"""
        assert counts(a_worker(fatal_counts=True).definition, cause) is counted
        assert counts(a_worker(fatal_counts=False).definition, cause) is (counted and cause is not Cause.FATAL)

    @pytest.mark.parametrize("outcome", [FAILED, TIMED_OUT, Failed(BOOM, crashed=True)])
    def test_a_run_that_died_of_a_mistake_of_a_timeout_or_with_its_child_counts(self, outcome):
        """K4, R4"""
        worker = a_worker(retry=NO_RETRY)
        world = a_snapshot(a_run(status=RUNNING), workers=[worker], records={"a": a_record(streak=4)})
        world.settle(1, outcome)

        assert (world.record("a").streak, world.workers["a"].disabled.by) == (5, "auto")

    def test_a_run_that_must_not_be_tried_again_and_was_lost_counts(self):
        """K4, C7"""
        world = a_snapshot(
            a_run(status=RUNNING),
            workers=[a_worker(at_most_once=True)],
            nodes=[a_node("n1"), a_node("n2")],
            records={"a": a_record(streak=4)},
        )
        world.does(rescue, node=world.nodes["n1"], by="n2", process_is_gone=True)

        assert (world.ended[1].cause, world.workers["a"].disabled.by) == (Cause.LOST, "auto")

    def test_retries_are_not_counted_dead_runs_are(self):
        world = a_snapshot(a_run(), workers=[a_worker(retry=AT_ONCE, max_consecutive_failures=2)])
        for _ in range(4):
            world.start()
            world.settle(1, FAILED)

        assert (world.record("a").streak, world.workers["a"].disabled) == (1, None)

    @pytest.mark.parametrize("outcome", [Unfit(BOOM), Cancelled(), Interrupted()])
    def test_other_ends_do_not_count(self, outcome):
        world = a_snapshot(a_run(status=RUNNING), records={"a": a_record(streak=4)})
        world.settle(1, outcome)

        assert (world.record("a").streak, world.workers["a"].disabled) == (4, None)

    def test_expired_ones_do_not_count(self):
        world = a_snapshot(a_run(give_up_at=NOON), records={"a": a_record(streak=4)})
        world.does(expire, run=world.pending()[0])

        assert (world.record("a").streak, world.workers["a"].disabled) == (4, None)

    def test_a_crash_loop_counts(self):
        """C8"""
        run = a_run(status=RUNNING, rescues=4)
        world = a_snapshot(run, nodes=[a_node("n1"), a_node("n2")], records={"a": a_record(streak=4)})
        world.does(rescue, node=world.nodes["n1"], by="n2", process_is_gone=False)

        assert world.workers["a"].disabled.by == "auto"

    def test_a_success_in_between_starts_the_count_anew(self):
        runs = [a_run(status=RUNNING), a_run(status=RUNNING, attempt=4)]
        world = a_snapshot(*runs, records={"a": a_record(streak=4)})
        world.settle(1, OK)
        world.settle(2, FAILED)

        assert (world.record("a").streak, world.workers["a"].disabled) == (1, None)

    def test_it_can_be_switched_off(self):
        worker = a_worker(max_consecutive_failures=None)
        world = a_snapshot(a_run(status=RUNNING, attempt=4), workers=[worker], records={"a": a_record(streak=99)})
        world.settle(1, FAILED)

        assert world.workers["a"].disabled is None

    def test_who_is_disabled_by_a_person_stays_so(self):
        worker = a_worker(disabled="ada")
        world = a_snapshot(a_run(status=RUNNING, attempt=4), workers=[worker], records={"a": a_record(streak=4)})
        world.settle(1, FAILED)

        assert world.workers["a"].disabled.by == "ada"

    def test_its_other_runs_in_progress_go_on(self):
        runs = [a_run(status=RUNNING, attempt=4), a_run(status=RUNNING)]
        world = a_snapshot(*runs, records={"a": a_record(streak=4)})
        world.settle(1, FAILED)

        assert world.workers["a"].disabled is not None
        assert list(world.running) == [2]


class TestForcing:
    """K5: the success of a forced run enables what was disabled automatically."""

    def forced(self, outcome, *, disabled=AUTO, **fields):
        run = a_run(status=RUNNING, forced=True, **fields)
        world = a_snapshot(run, workers=[a_worker(disabled=disabled)], records={"a": a_record(streak=5)})
        world.settle(1, outcome)
        return world

    def test_its_success_enables(self):
        world = self.forced(OK)

        assert (world.workers["a"].disabled, world.record("a").streak) == (None, 0)
        assert world.said(WorkerEnabled) == [WorkerEnabled(at=NOON, worker="a", run=1, by="auto")]

    def test_its_failure_does_not(self):
        assert self.forced(FATAL).workers["a"].disabled == AUTO

    def test_what_a_person_disabled_stays_disabled(self):
        assert self.forced(OK, disabled="ada").workers["a"].disabled.by == "ada"

    def test_the_success_of_a_fallback_proves_nothing(self):
        """K3"""
        assert self.forced(OK, fallback=True).workers["a"].disabled == AUTO

    def test_the_success_of_an_attempt_that_was_in_progress_does_not_enable(self):
        world = a_snapshot(a_run(status=RUNNING), workers=[a_worker(disabled=AUTO)])
        world.settle(1, OK)

        assert world.workers["a"].disabled == AUTO

    def test_instants_that_passed_are_recorded_as_one_range(self):
        """K5, O2"""
        worker = a_worker(every=600.0, concurrency=2, disabled=AUTO)
        runs = [a_run(status=RUNNING, forced=True), an_occurrence(due_at=at("11:10"))]
        world = a_snapshot(*runs, workers=[worker], records={"a": a_record(anchor_at=at("11:10"))})
        world.settle(1, OK, at("12:05"))

        skipped = world.ended[2]
        assert (skipped.status, skipped.cause) == (Status.SKIPPED, Cause.DISABLED)
        assert (skipped.covers_until, skipped.missed) == (at("12:00"), 5)
        assert [run.occurs_at for run in world.pending()] == [at("12:10")]


class TestProbation:
    """K5: after probation one run may probe; its success enables, its failure doubles the wait."""

    def a_world(self, **disabled):
        world = a_snapshot(a_run(), a_run(), workers=[a_worker(disabled=replace(AUTO, **disabled), retry=AT_ONCE)])
        assert world.start() == [1]
        return world

    def test_its_success_enables(self):
        world = self.a_world()
        world.settle(1, OK)

        assert world.workers["a"].disabled is None
        assert world.start() == [2]

    @pytest.mark.parametrize("outcome", [FATAL, Unfit(BOOM), Cancelled(), Interrupted()])
    def test_one_that_says_nothing_about_the_worker_decides_nothing_and_the_next_run_probes_at_once(self, outcome):
        world = self.a_world()
        world.settle(1, outcome, after(5))

        assert (world.workers["a"].disabled, world.record("a").streak) == (AUTO, 0)
        assert len(world.start(after(5))) == 1

    def test_a_fatal_one_counts_where_that_was_asked_for_and_where_the_worker_runs_by_itself(self):
        for asked_for in ({"fatal_counts": True}, {"every": 60.0, "concurrency": None}):
            world = a_snapshot(a_run(), workers=[a_worker(disabled=AUTO, **asked_for)])
            world.start()
            world.settle(1, FATAL, after(5))

            assert world.workers["a"].disabled.probation_until == after(7205)

    @pytest.mark.parametrize("outcome", [FAILED, TIMED_OUT])
    def test_its_failure_doubles_the_wait(self, outcome):
        world = self.a_world()
        world.settle(1, outcome, after(5))

        disabled = world.workers["a"].disabled
        assert (disabled.probation_s, disabled.probation_until) == (7200.0, after(7205))
        assert world.start(after(7204)) == []
        assert len(world.start(after(7205))) == 1

    def test_a_probe_that_is_lost_for_good_counts_as_failed(self):
        """C8"""
        world = a_snapshot(a_run(rescues=4), workers=[a_worker(disabled=AUTO)], nodes=[a_node("n1"), a_node("n2")])
        world.start()
        world.does(rescue, node=world.nodes["n1"], by="n2", process_is_gone=False)

        assert world.workers["a"].disabled.probation_s == 7200.0

    @pytest.mark.parametrize("outcome", [Cancelled(), Interrupted()])
    def test_after_any_other_end_the_next_run_probes(self, outcome):
        """R2"""
        world = self.a_world()
        world.settle(1, outcome, after(5))

        assert world.workers["a"].disabled == AUTO
        assert len(world.start(after(5))) == 1

    def test_it_waits_no_longer_than_a_day(self):
        world = self.a_world(probation_s=60_000.0)
        world.settle(1, FAILED)

        assert world.workers["a"].disabled.probation_s == 86_400.0

    def test_without_probation_only_a_person_enables(self):
        worker = a_worker(probation_s=None, retry=NO_RETRY)
        world = a_snapshot(a_run(), workers=[worker], records={"a": a_record(streak=4)})
        world.start()
        world.settle(1, FAILED)

        disabled = world.workers["a"].disabled
        assert (disabled.probation_s, disabled.probation_until) == (None, None)

    def test_what_a_person_disabled_has_none(self):
        world = a_snapshot(a_run(), workers=[a_worker(disabled="ada")])

        assert world.start(after(10 * 86_400)) == []


class TestAccepting:
    """K5: what is only triggered accepts while failures keep it disabled: its runs wait, and go on after the probe."""

    def test_a_trigger_waits_with_a_hold_that_says_when_it_is_probed(self):
        world = a_snapshot(workers=[a_worker(disabled=AUTO)])
        run = world.trigger("a", at("11:30"))

        (hold,) = world.why(run, at("11:30")).holds
        assert (hold.gate, hold.by, hold.until, run.forced) == ("disabled", "auto", NOON, False)

    def test_after_the_probe_they_all_go_on(self):
        world = a_snapshot(workers=[a_worker(disabled=AUTO)])
        for _ in range(3):
            world.trigger("a", at("11:30"))
        assert world.start() == [101]
        world.settle(101, OK)

        assert world.start() == [102, 103]

    def test_a_key_finds_the_run_that_waits(self):
        world = a_snapshot(workers=[a_worker(disabled=AUTO)])
        run = world.trigger("a", key="k")
        world.keyed[("a", "k")] = run

        assert world.trigger("a", key="k").id == run.id

    def test_runs_after_another_worker_wait_too_two_of_them(self):
        """M6"""
        workers = [a_worker("b"), a_worker("a", after=("b",), disabled=AUTO)]
        world = a_snapshot(*(a_run("b", RUNNING) for _ in range(3)), workers=workers)
        for number in (1, 2, 3):
            world.settle(number, OK)

        assert [run.caused_by for run in world.pending("a")] == [1, 3]
        assert world.said(RunSkipped) == []

    @pytest.mark.parametrize(
        "worker",
        [a_worker(disabled="ada"), a_worker(every=60.0, disabled=AUTO), a_worker(continuous=True, disabled=AUTO)],
    )
    def test_others_refuse_as_they_did(self, worker):
        world = a_snapshot(workers=[worker])

        with pytest.raises(Refused, match="enable it, or trigger with force=True"):
            world.trigger("a")

    @pytest.mark.parametrize(
        ("worker", "said"),
        [
            (a_worker(disabled=AUTO), "; triggers are accepted and wait for a test run at 2026-06-01 12:00:00 UTC"),
            (
                a_worker(disabled=replace(AUTO, probation_until=None)),
                "; triggers are accepted and wait until it is enabled",
            ),
            (a_worker(every=60.0, disabled=AUTO), "; triggers are refused"),
        ],
    )
    def test_its_health_says_what_becomes_of_triggers(self, worker, said):
        world = a_snapshot(workers=[worker])

        health = worker_health(world, NOON, "a", live=frozenset({"n1"}), due=0)
        assert health.reasons[0].text.endswith(f"5 died{said}")


class TestEnabling:
    """K5: enable() resets streak and breaker, and records what passed."""

    def test_it_resets_streak_and_breaker(self):
        worker = a_worker(breaker="x", disabled=AUTO)
        breaker = a_breaker("x", opened_at=at("11:00"), failures=5)
        world = a_snapshot(workers=[worker], records={"a": a_record(streak=5)}, breakers=[breaker])
        world.does(control.enable, name="a", by="ada")

        assert (world.workers["a"].disabled, world.record("a").streak) == (None, 0)
        assert world.breakers["x"] == BreakerState(name="x", opened_at=NOON)

    def test_a_closed_breaker_forgets_what_it_had_counted(self):
        breaker = a_breaker("x", BreakerMode.CLOSED, failures=4)
        world = a_snapshot(workers=[a_worker(breaker="x", disabled=AUTO)], breakers=[breaker])
        world.does(control.enable, name="a", by="ada")

        assert world.breakers["x"].failures == 0

    def test_attempts_from_before_count_for_nothing(self):
        """K2"""
        world = a_snapshot(a_run(status=RUNNING), workers=[a_worker(breaker="x")], breakers=[a_breaker("x")])
        world.does(control.enable, after(1), name="a", by="ada")
        world.settle(1, FAILED, after(2))

        assert world.breakers["x"].failures == 0

    def test_instants_that_passed_are_recorded_as_one_range(self):
        """K5, O2"""
        worker = a_worker(every=3600.0, disabled="ada")
        record = a_record(anchor_at=at("06:00"), last_instant=at("10:00"))
        world = a_snapshot(an_occurrence(due_at=at("11:00")), workers=[worker], records={"a": record})
        world.does(control.enable, at("14:30"), name="a", by="ada")

        skipped = world.ended[1]
        assert (skipped.cause, skipped.occurs_at) == (Cause.DISABLED, at("11:00"))
        assert (skipped.covers_until, skipped.missed) == (at("14:00"), 3)
        assert [run.occurs_at for run in world.pending()] == [at("15:00")]
        (event,) = world.said(RunSkipped)
        assert (event.first, event.last, event.count) == (at("11:00"), at("14:00"), 4)

    def test_an_instant_that_has_just_come_has_passed(self):
        """K5"""
        worker, records = a_worker(every=3600.0, disabled="ada"), {"a": a_record(anchor_at=at("06:00"))}
        world = a_snapshot(an_occurrence(due_at=NOON), workers=[worker], records=records)
        world.does(control.enable, name="a", by="ada")

        assert (world.ended[1].cause, world.ended[1].covers_until) == (Cause.DISABLED, NOON)
        assert [run.occurs_at for run in world.pending()] == [at("13:00")]

    def test_an_instant_that_lies_ahead_stays(self):
        worker = a_worker(every=3600.0, disabled="ada")
        world = a_snapshot(an_occurrence(due_at=at("13:00")), workers=[worker])
        world.does(control.enable, name="a", by="ada")

        assert [run.id for run in world.pending()] == [1]

    def test_pending_triggers_stay_and_start(self):
        world = a_snapshot(a_run(), workers=[a_worker(disabled="ada")])
        world.does(control.enable, name="a", by="ada")

        assert world.start() == [1]

    def test_a_started_occurrence_stays_for_its_retry(self):
        worker = a_worker(every=3600.0, disabled="ada")
        world = a_snapshot(an_occurrence(attempt=1), workers=[worker])
        world.does(control.enable, after(1), name="a", by="ada")

        assert [run.id for run in world.pending()] == [1]
