"""A finished attempt is folded into the state of its run and its worker."""

from __future__ import annotations

from typing import Any

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
    World,
    a_record,
    a_run,
    a_snapshot,
    a_worker,
    after,
    an_iteration,
    at,
)

from shiftboss.core.events import AttemptEnded, RunEnded, StaleReport
from shiftboss.core.model import (
    Attempt,
    Cancelled,
    CancelRequest,
    Cause,
    ClockMark,
    Error,
    Failed,
    Interrupted,
    Origin,
    Outcome,
    Report,
    Sample,
    Status,
    Succeeded,
    Unfit,
    Verdict,
)
from shiftboss.core.policy import RetryPolicy
from shiftboss.core.settle import back_off_s, expire, settle
from shiftboss.core.snapshot import Change

RUNNING = Status.RUNNING
UNFIT = Unfit(Error(type="ValidationError"))
CANCEL = CancelRequest(by="ada", at=NOON)


class TestAcceptance:
    """C5: a report counts only while the claim is its sender's."""

    @pytest.mark.parametrize(("node", "fence"), [("n2", 1), ("n1", 2), ("n1", 0)])
    def test_a_stale_report_changes_nothing_and_is_an_event(self, node, fence):
        world = a_snapshot(a_run(status=RUNNING, node="n1", fence=1))
        report = Report(1, node, fence, OK, duration_s=1.0)

        change, accepted = settle(world, NOON, ids=world.ids, report=report)

        stale = StaleReport(at=NOON, worker="a", run=1, node=node, fence=fence)
        assert (change, accepted) == (Change(events=(stale,)), False)

    def test_a_report_about_a_run_that_waits_again_is_stale(self):
        world = a_snapshot(a_run())

        change, accepted = settle(world, NOON, ids=world.ids, report=Report(1, "n1", 1, OK, duration_s=1.0))

        assert (change.runs, accepted) == ((), False)

    def test_the_same_report_is_accepted_once(self):
        """W2"""
        world = a_snapshot(a_run(status=RUNNING))
        report = Report(1, "n1", 1, OK, duration_s=1.0)

        assert world.does(settle, report=report)
        assert not world.does(settle, report=report)


class TestSuccess:
    """S: running → succeeded."""

    def test_the_run_ends_with_its_result_and_its_attempt(self):
        world = a_snapshot(a_run(status=RUNNING, since=at("11:59")))
        world.settle(1, Succeeded(result=b"42"), NOON, duration_s=59.5)

        run = world.ended[1]
        assert (run.status, run.result, run.claim, run.finished_at) == (Status.SUCCEEDED, b"42", None, NOON)
        assert run.attempts == (Attempt(number=1, node="n1", started_at=at("11:59"), ended_at=NOON, duration_s=59.5),)
        assert world.running == {}

    def test_the_worker_remembers_it(self):
        """D2, D4, H2"""
        world = a_snapshot(
            a_run(status=RUNNING, since=at("11:59")), records={"a": a_record(ok=False, streak=3, failed_iterations=2)}
        )
        world.settle(1, OK, NOON, duration_s=2.0)

        record = world.record("a")
        assert record.latest == Verdict(occurs_at=NOON, run=1, ok=True)
        assert (record.last_success_at, record.last_success_started_at) == (NOON, at("11:59"))
        assert (record.streak, record.failed_iterations, record.ring) == (0, 0, (Sample(True, 2.0),))

    def test_it_is_an_event(self):
        world = a_snapshot(a_run(status=RUNNING))
        world.settle(1, OK, duration_s=2.0)

        assert world.said(RunEnded) == [
            RunEnded(at=NOON, worker="a", run=1, node="n1", status=Status.SUCCEEDED, duration_s=2.0, attempt=1)
        ]


class TestVerdict:
    """D2: the latest is the one with the greatest instant, then id, among those that started."""

    def latest(self, attempt, outcome=OK, **record):
        world = a_snapshot(attempt, records={"a": a_record(**record)})
        world.settle(1, outcome)
        return world.record("a").latest

    def test_a_later_instant_takes_the_place_of_an_earlier_one(self):
        run = a_run(status=RUNNING, due_at=at("11:30"))

        assert self.latest(run, ok=False, occurs_at=at("11:00")) == Verdict(at("11:30"), 1, True)
        assert self.latest(run, ok=False, occurs_at=at("11:31"), run=9) == Verdict(at("11:31"), 9, False)

    def test_of_one_instant_the_greater_id_counts(self):
        run = a_run(status=RUNNING, due_at=at("11:30"), id=5)
        world = a_snapshot(run, records={"a": a_record(ok=False, occurs_at=at("11:30"), run=6)})
        world.settle(5)

        assert world.record("a").latest == Verdict(at("11:30"), 6, False)

    def test_a_cancelled_one_counts_as_failed(self):
        assert self.latest(a_run(status=RUNNING), Cancelled(), ok=True) == Verdict(NOON, 1, False)

    def test_a_dead_one_counts_as_failed(self):
        assert self.latest(a_run(status=RUNNING), FATAL, ok=True) == Verdict(NOON, 1, False)

    def test_one_that_never_started_does_not_count(self):
        world = a_snapshot(a_run(give_up_at=NOON), records={"a": a_record(ok=True, run=9)})
        world.does(expire, run=world.pending()[0])

        assert world.record("a").latest == Verdict(at("11:00"), 9, True)

    def test_a_retry_is_no_verdict_yet(self):
        assert self.latest(a_run(status=RUNNING), FAILED, ok=True, run=9) == Verdict(at("11:00"), 9, True)


class TestRetry:
    """R1: up to four attempts, with a back-off that is repeatable."""

    def test_a_failed_attempt_waits_for_its_retry(self):
        """M2, R3"""
        world = a_snapshot(a_run(status=RUNNING, give_up_at=None, deadline_at=at("13:00"), rescues=3))
        world.settle(1, FAILED, duration_s=1.5)

        (run,) = world.pending()
        assert (run.status, run.claim, run.attempt, run.error, run.rescues) == (Status.PENDING, None, 1, BOOM, 0)
        assert run.due_at == after(back_off_s(RetryPolicy(), 1, 1))
        assert run.occurs_at == NOON  # D1: kept
        assert run.give_up_at == at("13:00")  # the deadline holds for the retry
        assert [(a.number, a.cause, a.error) for a in run.attempts] == [(1, Cause.ERROR, BOOM)]
        assert world.said(AttemptEnded) == [
            AttemptEnded(
                at=NOON, worker="a", run=1, node="n1", attempt=1, cause=Cause.ERROR, error=BOOM, retry_at=run.due_at
            )
        ]

    def test_three_retries_mean_four_attempts(self):
        world = a_snapshot(a_run(), workers=[a_worker(retry=AT_ONCE)])
        for _ in range(4):
            assert world.start() == [1]
            world.settle(1, FAILED)

        run = world.ended[1]
        assert (run.status, run.cause, run.attempt) == (Status.DEAD, Cause.ERROR, 4)
        assert [attempt.number for attempt in run.attempts] == [1, 2, 3, 4]

    def test_no_retry_is_possible_too(self):
        world = a_snapshot(a_run(status=RUNNING), workers=[a_worker(retry=NO_RETRY)])
        world.settle(1, FAILED)

        assert world.ended[1].status is Status.DEAD

    def test_a_fatal_error_is_not_retried(self):
        world = a_snapshot(a_run(status=RUNNING))
        world.settle(1, FATAL)

        assert (world.ended[1].status, world.ended[1].cause) == (Status.DEAD, Cause.FATAL)

    def test_the_body_may_say_when(self):
        world = a_snapshot(a_run(status=RUNNING))
        world.settle(1, Failed(BOOM, retry_after_s=90.0))

        assert world.pending()[0].due_at == after(90)

    def test_a_timeout_is_a_failed_attempt_and_is_retried(self):
        """T4"""
        world = a_snapshot(a_run(status=RUNNING))
        world.settle(1, TIMED_OUT)

        (run,) = world.pending()
        assert (run.attempts[0].cause, run.attempt) == (Cause.TIMEOUT, 1)
        assert world.record("a").ring == (Sample(False, 1.0),)

    def test_a_body_that_timed_out_has_timed_out_whatever_it_did_afterwards(self):
        """T3"""
        world = a_snapshot(a_run(status=RUNNING), workers=[a_worker(retry=NO_RETRY)])
        world.settle(1, TIMED_OUT)

        assert (world.ended[1].status, world.ended[1].cause) == (Status.DEAD, Cause.TIMEOUT)

    def test_a_retry_beyond_the_deadline_is_none(self):
        """T1"""
        run = a_run(status=RUNNING, deadline_at=after(60))
        world = a_snapshot(run)
        world.settle(1, Failed(BOOM, retry_after_s=60.0))

        assert (world.ended[1].status, world.ended[1].cause) == (Status.DEAD, Cause.ERROR)

    def test_the_jitter_comes_from_run_and_attempt(self):
        assert back_off_s(RetryPolicy(), 7, 2) == back_off_s(RetryPolicy(), 7, 2)
        assert back_off_s(RetryPolicy(), 7, 2) != back_off_s(RetryPolicy(), 8, 2)
        assert back_off_s(RetryPolicy(), 7, 2) != back_off_s(RetryPolicy(), 7, 3) / 2

    @pytest.mark.parametrize(
        ("attempt", "ceiling"), [(1, 1.0), (2, 2.0), (5, 16.0), (9, 256.0), (10, 300.0), (5000, 300.0)]
    )
    def test_it_is_spread_below_a_ceiling_that_doubles_up_to_the_cap(self, attempt, ceiling):
        waits = [back_off_s(RetryPolicy(), run, attempt) for run in range(1000)]

        assert 0 <= min(waits) < 0.02 * ceiling
        assert 0.98 * ceiling < max(waits) < ceiling
        assert sum(waits) / 1000 == pytest.approx(ceiling / 2, rel=0.1)


class TestIterations:
    """M5: one unfinished iteration; its end writes the next."""

    PUMP = a_worker(continuous=True, pause_s=5.0)

    def test_the_next_is_due_after_the_pause(self):
        world = a_snapshot(an_iteration(status=RUNNING), workers=[self.PUMP])
        world.settle(1, OK)

        (following,) = world.pending()
        assert (following.origin, following.due_at, following.occurs_at) == (Origin.ITERATION, after(5), after(5))

    def test_idle_backs_off_politely(self):
        world = a_snapshot(an_iteration(status=RUNNING), workers=[self.PUMP])
        world.settle(1, Succeeded(idle_s=30.0))

        assert world.pending()[0].due_at == after(30)

    def test_iterations_start_at_least_ten_milliseconds_apart(self):
        world = a_snapshot(an_iteration(status=RUNNING, since=NOON), workers=[a_worker(continuous=True)])
        world.settle(1, OK, after(0.001))

        assert world.pending()[0].due_at == after(0.010)

    def test_a_failing_one_is_retried_without_end(self):
        world = a_snapshot(an_iteration(), workers=[a_worker(continuous=True)])
        now = NOON
        for _ in range(60):
            assert world.start(now) == [1]
            world.settle(1, FAILED, now)
            now = world.pending()[0].due_at

        (run,) = world.pending()
        assert (run.attempt, run.occurs_at) == (60, NOON)
        assert [attempt.number for attempt in run.attempts] == list(range(11, 61)), "Q2: the newest fifty"
        assert world.record("a").failed_iterations == 60

    def test_after_a_dead_one_the_next_comes_after_the_longest_back_off(self):
        world = a_snapshot(an_iteration(status=RUNNING), workers=[self.PUMP])
        world.settle(1, FATAL)

        assert world.ended[1].status is Status.DEAD
        assert world.pending()[0].due_at == after(300)

    def test_a_run_by_hand_writes_none(self):
        world = a_snapshot(a_run(status=RUNNING), an_iteration(due_at=after(60)), workers=[self.PUMP])
        world.settle(1, OK)

        assert [run.id for run in world.pending()] == [2]

    def test_a_cancelled_one_is_followed_by_the_next(self):
        world = a_snapshot(an_iteration(status=RUNNING), workers=[self.PUMP])
        world.settle(1, Cancelled())

        assert world.pending()[0].due_at == after(5)


class TestAfter:
    """M6: a success makes a run of every worker that comes after, in the same transaction."""

    WORKERS = (a_worker("a"), a_worker("b", after=("a",), priority="high"))

    def test_each_success_makes_one(self):
        world = a_snapshot(a_run("a", RUNNING), workers=self.WORKERS)
        world.settle(1, OK)

        (run,) = world.pending("b")
        assert (run.origin, run.occurs_at, run.due_at, run.caused_by) == (Origin.AFTER, NOON, NOON, 1)
        assert (run.payload, int(run.priority)) == (None, 2)

    @pytest.mark.parametrize("outcome", [FAILED, FATAL, Cancelled(), Interrupted(), UNFIT])
    def test_other_ends_make_none(self, outcome):
        world = a_snapshot(a_run("a", RUNNING), workers=self.WORKERS)
        world.settle(1, outcome)

        assert world.pending("b") == []

    def test_at_most_two_wait_and_the_second_moves_to_each_further_success(self):
        runs = [a_run("a", RUNNING) for _ in range(4)]
        world = a_snapshot(*runs, workers=self.WORKERS)
        for run_id in (1, 2, 3, 4):
            world.settle(run_id, OK, after(run_id))

        first, second = world.pending("b")
        assert (first.occurs_at, first.due_at, first.caused_by) == (after(1), after(1), 1)
        assert (second.occurs_at, second.due_at, second.caused_by) == (after(4), after(4), 4)

    def test_a_started_one_leaves_room_for_another(self):
        world = a_snapshot(*[a_run("a", RUNNING) for _ in range(3)], workers=self.WORKERS)
        world.settle(1, OK, after(1))
        world.start(after(1))
        world.settle(2, OK, after(2))
        world.settle(3, OK, after(3))

        assert [run.caused_by for run in world.pending("b")] == [2, 3]

    def test_a_disabled_worker_gets_them_as_skipped(self):
        """K5"""
        workers = [a_worker("a"), a_worker("b", after=("a",), disabled="ada")]
        world = a_snapshot(a_run("a", RUNNING), workers=workers)
        world.settle(1, OK)

        assert world.pending("b") == []
        assert {run.worker: (run.status, run.cause) for run in world.ended.values()} == {
            "a": (Status.SUCCEEDED, None),
            "b": (Status.SKIPPED, Cause.DISABLED),
        }
        assert world.record("b").latest is None


class TestCancelling:
    """T4: an operator's cancel is no failure."""

    @pytest.mark.parametrize("outcome", [Cancelled(), FAILED, TIMED_OUT, Interrupted()])
    def test_a_run_that_was_cancelled_ends_as_cancelled_whatever_its_body_did(self, outcome):
        world = a_snapshot(a_run(status=RUNNING, cancel=CANCEL), records={"a": a_record(streak=4)})
        world.settle(1, outcome)

        run = world.ended[1]
        assert (run.status, run.cause, run.cancel) == (Status.CANCELLED, Cause.CANCELLED, CANCEL)
        record = world.record("a")
        assert (record.streak, record.ring, record.last_error) == (4, (), None)

    def test_a_body_that_finished_all_the_same_has_succeeded(self):
        world = a_snapshot(a_run(status=RUNNING, cancel=CANCEL))
        world.settle(1, OK)

        assert world.ended[1].status is Status.SUCCEEDED


class TestInterruption:
    """R2, G2: it is no attempt."""

    def test_it_keeps_its_place_in_the_queue_however_often(self):
        """P2"""
        world = a_snapshot(a_run(due_at=at("11:00")))
        for minute in (1, 2):
            world.start(after(60 * minute))
            world.settle(1, Interrupted(), after(60 * minute + 5))

            (waiting,) = world.pending()
            assert (waiting.ranks_from, waiting.due_at) == (at("11:00"), after(60 * minute + 5))

    def test_a_retry_queues_up_anew(self):
        """P2: with its old place it would go before the new runs of its worker, and fail again before they start."""
        world = a_snapshot(a_run(due_at=at("11:00")))
        world.start(NOON)
        world.settle(1, Interrupted(), after(5))
        world.start(after(5))
        world.settle(1, FAILED, after(6))

        (waiting,) = world.pending()
        assert waiting.ranks_from == waiting.due_at > after(6)

    def test_the_attempt_is_given_back(self):
        run = a_run(status=RUNNING, attempt=3, deadline_at=at("13:00"))
        world = a_snapshot(run, records={"a": a_record(streak=2)})
        world.settle(1, Interrupted(reason="shutdown"), after(5))

        assert [(said.attempt, said.cause, said.retry_at) for said in world.said(AttemptEnded)] == [
            (3, Cause.INTERRUPTED, after(5))
        ]

        (waiting,) = world.pending()
        assert (waiting.attempt, waiting.interruptions, waiting.due_at) == (2, 1, after(5))
        assert (waiting.give_up_at, waiting.occurs_at, waiting.claim) == (at("13:00"), NOON, None)
        assert [a.cause for a in waiting.attempts] == [Cause.INTERRUPTED]
        record = world.record("a")
        assert (record.streak, record.ring, record.latest) == (2, (), None)

    def test_it_leaves_the_count_of_rescues(self):
        """C8"""
        world = a_snapshot(a_run(status=RUNNING, rescues=3))
        world.settle(1, Interrupted())

        assert world.pending()[0].rescues == 3

    def test_at_most_once_means_dead_when_the_body_had_begun(self):
        """C7"""
        world = a_snapshot(a_run(status=RUNNING), workers=[a_worker(at_most_once=True)])
        world.settle(1, Interrupted(began=True))

        assert (world.ended[1].status, world.ended[1].cause) == (Status.DEAD, Cause.LOST)

    def test_and_pending_again_when_it_had_not(self):
        """C7"""
        world = a_snapshot(a_run(status=RUNNING), workers=[a_worker(at_most_once=True)])
        world.settle(1, Interrupted(began=False))

        assert world.pending()[0].status is Status.PENDING

    def test_at_most_once_is_never_retried(self):
        """C7"""
        world = a_snapshot(a_run(status=RUNNING), workers=[a_worker(at_most_once=True)])
        world.settle(1, FAILED)

        assert (world.ended[1].status, world.ended[1].cause) == (Status.DEAD, Cause.ERROR)


def crash(how: str = "SIGSEGV") -> Failed:
    return Failed(Error(type="shiftboss.ChildDied", message=how), crashed=True)


def settled(*outcomes: Outcome, **of_worker: Any) -> World:
    """A run whose attempts end by *outcomes*, one after another, its back-off skipped."""
    world = a_snapshot(a_run(), workers=[a_worker(**of_worker)])
    now = NOON
    for outcome in outcomes:
        assert world.start(now) == [1]
        world.settle(1, outcome, now)
        now = max(now, world.pending()[0].due_at) if world.pending() else now
    return world


class TestCrashes:
    """R4: a body that ends its process."""

    def test_one_is_a_failed_attempt_with_its_true_cause_and_is_retried(self):
        world = settled(crash(), retry=RetryPolicy(max_retries=3))

        (run,) = world.pending()
        assert (run.attempts[0].cause, run.attempts[0].error.message) == (Cause.CRASH, "SIGSEGV")

    @pytest.mark.parametrize(
        ("outcomes", "max_retries", "cause"),
        [
            ([crash()], 0, Cause.CRASH),
            ([FAILED, crash()], 1, Cause.CRASH),
            ([crash(), crash()], 1, Cause.CRASH_LOOP),
            ([FAILED, crash(), crash()], 2, Cause.CRASH_LOOP),
            ([crash(), crash(), FAILED], 2, Cause.ERROR),
            ([crash(), TIMED_OUT, crash()], 2, Cause.CRASH),
            ([crash(), Interrupted(reason="shutdown"), crash()], 1, Cause.CRASH_LOOP),
            ([crash()] * 5, None, Cause.CRASH_LOOP),
            ([crash()] * 5, 20, Cause.CRASH_LOOP),
        ],
    )
    def test_again_and_again_it_is_a_crash_loop(self, outcomes, max_retries, cause):
        world = settled(*outcomes, retry=RetryPolicy(max_retries=max_retries))

        assert (world.ended[1].status, world.ended[1].cause) == (Status.DEAD, cause)
        assert world.letters[1].cause is cause
        assert world.record("a").streak == 1

    def test_its_letter_says_how_often_and_how_last(self):
        world = settled(crash(), crash("exit code 1"), retry=RetryPolicy(max_retries=1))

        error = world.ended[1].error
        assert error.type == "shiftboss.ChildDied"
        assert error.message == "the function crashed its process 2 times in a row; the last time: exit code 1"

    def test_at_most_once_is_dead_as_lost(self):
        """C7"""
        world = settled(crash(), at_most_once=True, retry=RetryPolicy(max_retries=3))

        assert world.ended[1].cause is Cause.LOST


@pytest.mark.parametrize(("key", "set_us"), [("k", 60_000_000), (None, 0)])
def test_a_success_with_a_key_keeps_how_far_the_clock_was_set_by_then(key, set_us):
    """O4, O5: so its key is known for as long as it would have been."""
    world = a_snapshot(a_run(status=RUNNING, key=key))
    world.clock = ClockMark("boot-1", 0, 60_000_000)
    world.settle(1, OK)

    assert world.ended[1].clock_set_us == set_us
