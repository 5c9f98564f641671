"""What a start is: one change with everything that belongs to it."""

from __future__ import annotations

from builders import (
    FAILED,
    NOON,
    OK,
    a_breaker,
    a_record,
    a_run,
    a_snapshot,
    a_worker,
    after,
    an_occurrence,
    at,
)

from shiftboss.core.events import BreakerHalfOpen, RunSkipped, RunStarted
from shiftboss.core.model import BreakerMode, Cause, Claim, Origin, Status, Verdict
from shiftboss.core.policy import Rate
from shiftboss.core.worker import OnFailure, Upstream


class TestStart:
    """B2, C1: the run is claimed by one node, with a fence."""

    def test_a_started_run_carries_its_claim(self):
        world = a_snapshot(a_run(give_up_at=at("13:00"), deadline_at=at("14:00")))

        assert world.start(after(2)) == [1]

        run = world.running[1]
        assert run.claim == Claim(node="n1", fence=11, at=after(2))
        assert (run.status, run.attempt, run.first_started_at) == (Status.RUNNING, 1, after(2))
        assert (run.give_up_at, run.deadline_at) == (None, at("14:00"))
        assert world.pending() == []
        assert world.record("a").last_run_at == after(2)
        assert world.said(RunStarted) == [RunStarted(at=after(2), worker="a", run=1, node="n1", attempt=1, delay_s=2.0)]

    def test_a_later_attempt_keeps_the_first_start_and_gets_a_larger_fence(self):
        """C5"""
        world = a_snapshot(a_run())
        world.start()
        world.settle(1, FAILED)
        world.start(after(1))

        run = world.running[1]
        assert (run.attempt, run.first_started_at, run.occurs_at) == (2, NOON, NOON)
        assert run.claim.fence > 11

    def test_a_start_takes_a_token(self):
        """B8"""
        world = a_snapshot(a_run(), workers=[a_worker(rate=Rate(count=2, per_s=60.0))])
        world.start()

        record = world.record("a")
        assert (record.tokens, record.tokens_at) == (1.0, NOON)

    def test_a_probe_makes_the_breaker_half_open(self):
        """K2"""
        world = a_snapshot(a_run(), workers=[a_worker(breaker="x")], breakers=[a_breaker("x")])
        world.start(after(30))

        assert world.running[1].claim.probe
        assert world.breakers["x"].mode is BreakerMode.HALF_OPEN
        assert world.said(BreakerHalfOpen) == [BreakerHalfOpen(at=after(30), breaker="x")]

    def test_a_fallback_leaves_the_breaker_open(self):
        """K3"""
        worker = a_worker(breaker="x", fallback=True)
        world = a_snapshot(a_run(), workers=[worker], breakers=[a_breaker("x")])
        world.start()

        run = world.running[1]
        assert (run.claim.fallback, run.degraded) == (True, True)
        assert world.breakers["x"].mode is BreakerMode.OPEN

    def test_degraded_says_how_the_present_attempt_runs(self):
        """D5, K3"""
        worker = a_worker(breaker="x", fallback=True)
        world = a_snapshot(a_run(), workers=[worker], breakers=[a_breaker("x")])
        world.start()
        world.settle(1, FAILED)
        world.start(after(30))

        run = world.running[1]
        assert (run.claim.probe, run.degraded) == (True, False)

    def test_a_run_that_starts_beside_a_failed_upstream_is_degraded(self):
        """D5"""
        edge = Upstream("a", on_failure=OnFailure.RUN)
        workers = [a_worker("a"), a_worker("b", depends_on=[edge])]
        world = a_snapshot(a_run("b"), workers=workers, records={"a": a_record(ok=False)})
        world.start()

        assert world.running[1].degraded


class TestSuccessor:
    """M3: the next occurrence is stored by the start, or by the end while as many as allowed are unfinished."""

    def test_with_room_for_another_it_is_stored_at_the_start(self):
        world = a_snapshot(
            an_occurrence(), workers=[a_worker(every=60.0, concurrency=2)], records={"a": a_record(anchor_at=NOON)}
        )
        world.start()

        (successor,) = world.pending()
        assert (successor.origin, successor.occurs_at, successor.due_at) == (Origin.OCCURRENCE, after(60), after(60))

    def test_without_room_it_is_stored_at_the_end(self):
        world = a_snapshot(an_occurrence(), workers=[a_worker(every=60.0)], records={"a": a_record(anchor_at=NOON)})
        world.start()
        assert world.pending() == []

        world.settle(1, OK, after(5))
        assert [run.occurs_at for run in world.pending()] == [after(60)]

    def test_a_back_off_counts_as_unfinished(self):
        world = a_snapshot(an_occurrence(), workers=[a_worker(every=60.0)], records={"a": a_record(anchor_at=NOON)})
        world.start()
        world.settle(1, FAILED, after(5))

        (retry,) = world.pending()
        assert (retry.id, retry.attempt, retry.occurs_at) == (1, 1, NOON)

        world.start(after(10))
        world.settle(1, OK, after(12))
        assert [run.occurs_at for run in world.pending()] == [after(60)]

    def test_two_may_run_and_the_third_is_stored_by_the_end_of_one(self):
        worker = a_worker(every=60.0, concurrency=2)
        world = a_snapshot(an_occurrence(), workers=[worker], records={"a": a_record(anchor_at=NOON)})
        world.start()
        world.start(after(60))
        assert world.pending() == []

        world.settle(1, OK, after(70))
        assert [run.occurs_at for run in world.pending()] == [after(120)]

    def test_a_retry_of_an_occurrence_stores_none(self):
        world = a_snapshot(
            an_occurrence(), workers=[a_worker(every=60.0, concurrency=3)], records={"a": a_record(anchor_at=NOON)}
        )
        world.start()
        world.settle(1, FAILED, after(1))
        world.start(after(3))

        assert [run.occurs_at for run in world.pending()] == [after(60)]


class TestSkipping:
    """D5: an occurrence whose upstream failed is recorded as skipped."""

    def a_world(self, now=NOON):
        workers = [
            a_worker("a"),
            a_worker("b", every=60.0, depends_on=[Upstream("a", on_failure=OnFailure.SKIP)]),
            a_worker("c", depends_on=[Upstream("b", on_failure=OnFailure.RUN)]),
        ]
        records = {"a": a_record(ok=False), "b": a_record(ok=True, anchor_at=at("11:00"))}
        return a_snapshot(an_occurrence("b"), workers=workers, records=records)

    def test_it_is_recorded_with_its_reason_and_the_next_is_stored(self):
        world = self.a_world()
        assert world.start() == []

        skipped = world.ended[1]
        assert (skipped.status, skipped.cause) == (Status.SKIPPED, Cause.DEPENDENCY_FAILED)
        assert (skipped.covers_until, skipped.missed, skipped.finished_at) == (NOON, 0, NOON)
        assert [run.occurs_at for run in world.pending("b")] == [after(60)]

    def test_instants_that_have_passed_are_one_range(self):
        """O2"""
        world = self.a_world()
        world.start(after(150))

        assert (world.ended[1].covers_until, world.ended[1].missed) == (after(120), 2)
        assert world.said(RunSkipped) == [
            RunSkipped(
                at=after(150),
                worker="b",
                run=1,
                reason=Cause.DEPENDENCY_FAILED,
                first=NOON,
                last=after(120),
                count=3,
            )
        ]
        assert [run.occurs_at for run in world.pending("b")] == [after(180)]

    def test_it_is_no_failure_of_the_worker_but_one_for_those_downstream(self):
        """D2, D5"""
        world = self.a_world()
        world.lane("c").put(a_run("c", id=2))
        world.start()

        assert world.record("b").streak == 0
        assert world.record("b").latest == Verdict(occurs_at=NOON, run=1, ok=False)
        assert world.running[2].degraded
