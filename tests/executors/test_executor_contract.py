"""What every executor promises, whatever it runs bodies on."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import threading
from datetime import UTC, datetime, timedelta

import pytest

from shiftboss.context import Context, Fatal, Idle, Retry, RunFilter, current
from shiftboss.core.model import Cancelled, Failed, Interrupted, Succeeded, TimedOut, Unfit
from shiftboss.ports.executor import StopReason

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PATIENCE_S = 20.0
SHORT_S = 0.02

# ── ends of its own ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_returned_value_is_kept_as_json(bench):
    outcome = bench.run(lambda: {"pages": 3})

    assert outcome == Succeeded(result=b'{"pages":3}')


def test_a_body_that_returns_nothing_has_succeeded_with_nothing(bench):
    assert bench.run(lambda: None) == Succeeded()


def test_a_body_may_ask_to_be_left_alone_for_a_while(bench):
    assert bench.run(lambda: Idle("30s")) == Succeeded(idle_s=30.0)


def test_the_payload_becomes_the_arguments(bench):
    def body(to: str, copies: int = 2) -> list[object]:
        return [to, copies]

    assert bench.run(body, payload=b'{"to":"ada"}') == Succeeded(result=b'["ada",2]')


def test_a_body_with_a_context_gets_it_beside_its_arguments(bench):
    def body(ctx: Context, to: str) -> list[object]:
        return [ctx.worker, to]

    assert bench.run(body, payload=b'{"to":"ada"}') == Succeeded(result=b'["tester","ada"]')


def test_a_payload_that_does_not_fit_never_enters_the_body(bench):
    entered = threading.Event()

    def body(to: str) -> None:
        entered.set()

    outcome = bench.run(body, payload=b'{"to":5}')

    assert isinstance(outcome, Unfit)
    assert "worker 'tester', which takes (to: str)" in outcome.error.message
    assert "Expected `str`, got `int`" in outcome.error.message
    assert not entered.is_set()


def test_a_missing_payload_does_not_fit_a_body_that_needs_one(bench):
    def body(to: str) -> None: ...

    outcome = bench.run(body)

    assert isinstance(outcome, Unfit)
    assert "needs 'to'" in outcome.error.message


def test_an_exception_is_a_failure_with_class_message_and_a_traceback_that_begins_at_the_body(bench):
    def body() -> None:
        json.loads("{")

    outcome = bench.run(body)

    assert isinstance(outcome, Failed)
    assert outcome.error.type == "json.decoder.JSONDecodeError"
    assert outcome.error.message.startswith("Expecting property name")
    assert 'json.loads("{")' in outcome.error.traceback
    assert "shiftboss/executors" not in outcome.error.traceback
    assert (outcome.fatal, outcome.retry_after_s) == (False, None)


def test_a_body_says_when_it_wants_to_be_tried_again(bench):
    def body() -> None:
        raise Retry("quota", after="2m")

    outcome = bench.run(body)

    assert isinstance(outcome, Failed)
    assert (outcome.fatal, outcome.retry_after_s, outcome.error.message) == (False, 120.0, "quota")


def test_a_body_says_that_no_retry_can_help(bench):
    def body() -> None:
        raise Fatal("the account was closed")

    outcome = bench.run(body)

    assert isinstance(outcome, Failed)
    assert outcome.fatal


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_no_exception_of_a_body_ends_more_than_its_attempt(bench, kind):
    def body() -> None:
        raise kind

    outcome = bench.run(body)

    assert isinstance(outcome, Failed)
    assert outcome.error.type.endswith(kind.__name__)
    assert bench.run(lambda: "still here") == Succeeded(result=b'"still here"')


def test_an_exception_that_cannot_be_shown_is_still_a_failure(bench):
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

        __repr__ = __str__

    def body() -> None:
        raise Broken

    outcome = bench.run(body)

    assert isinstance(outcome, Failed)
    assert outcome.error.type.endswith("Broken")
    assert outcome.error.message == "(no message: its __str__ raised RuntimeError)"
    assert "raise Broken" in outcome.error.traceback


def test_a_result_that_cannot_be_encoded_does_not_spoil_the_run(bench):
    """W6."""
    outcome = bench.run(lambda: threading.Lock())

    assert outcome == Succeeded(
        result_error="it cannot be encoded (NotImplementedError: _thread.lock cannot be written as JSON)"
    )


def test_the_fallback_runs_in_the_bodys_place_when_the_claim_says_so(bench):
    def body(to: str, copies: int = 1) -> str:
        raise AssertionError

    def fallback(ctx: Context, to: str) -> str:
        return f"later, {to}"

    outcome = bench.run(body, payload=b'{"to":"ada"}', by_fallback=True, options={"fallback": fallback})

    assert outcome == Succeeded(result=b'"later, ada"')


# ── timeouts ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_attempt_past_its_timeout_has_timed_out_and_shows_where_it_was(bench):
    outcome = bench.start_waiting(timeout_s=SHORT_S).outcome()

    assert isinstance(outcome, TimedOut)
    assert outcome.error.type == "TimeoutError"
    assert outcome.error.message == "did not end within its timeout of 0.02 s"
    assert "wait_in_a_thread" in outcome.error.traceback or "wait_on_the_loop" in outcome.error.traceback
    assert "shiftboss/executors" not in outcome.error.traceback


def test_a_body_that_swallows_its_timeout_and_returns_has_still_timed_out(bench):
    outcome = bench.start_waiting(lambda: "done after all", timeout_s=SHORT_S).outcome()

    assert isinstance(outcome, TimedOut)
    assert "returned later, but that does not count" in outcome.error.message


def test_a_body_that_answers_its_timeout_with_another_exception_has_still_timed_out(bench):
    def end() -> None:
        raise ValueError

    assert isinstance(bench.start_waiting(end, timeout_s=SHORT_S).outcome(), TimedOut)


@pytest.mark.parametrize("error", [None, ValueError])
def test_a_body_that_ended_past_its_timeout_has_timed_out_though_nobody_could_tell_it_meanwhile(bench, error):
    """T1: it blocked the loop, or kept the interpreter's lock."""

    def body() -> str:
        bench.clock.advance(61.0)
        if error is not None:
            raise error
        return "done at last"

    assert isinstance(bench.run(body, timeout_s=60.0), TimedOut)


def test_the_earliest_timeout_is_seen_though_a_later_one_was_set_before(bench):
    late = bench.start_waiting(timeout_s=3600.0)
    early = bench.start_waiting(timeout_s=SHORT_S)

    assert isinstance(early.outcome(), TimedOut)
    assert not late.reports

    bench.stop(late, StopReason.CANCEL)

    assert late.outcome() == Cancelled()


def test_each_of_many_timeouts_is_seen(bench):
    for _ in range(5):
        assert isinstance(bench.start_waiting(timeout_s=SHORT_S).outcome(), TimedOut)


# ── being told to stop ───────────────────────────────────────────────────────────────────────────────────────────


def raises_value_error() -> None:
    raise ValueError("on the way out")


@pytest.mark.parametrize("end", [None, lambda: "done after all", raises_value_error])
def test_a_run_that_was_cancelled_is_cancelled_whatever_its_body_made_of_it(bench, end):
    attempt = bench.start_waiting(end)

    bench.stop(attempt, StopReason.CANCEL)

    assert attempt.outcome() == Cancelled()


@pytest.mark.parametrize("reason", [StopReason.SHUTDOWN, StopReason.LEASE])
def test_a_body_that_obeys_the_nodes_end_was_interrupted(bench, reason):
    attempt = bench.start_waiting()

    bench.stop(attempt, reason)

    assert attempt.outcome() == Interrupted(reason=reason.value, began=True)


def test_a_body_that_still_finishes_during_a_shutdown_has_succeeded(bench):
    attempt = bench.start_waiting(lambda: "just in time")

    bench.stop(attempt, StopReason.SHUTDOWN)

    assert attempt.outcome() == Succeeded(result=b'"just in time"')


def test_a_body_that_fails_by_itself_during_a_shutdown_has_failed(bench):
    attempt = bench.start_waiting(raises_value_error)

    bench.stop(attempt, StopReason.SHUTDOWN)

    outcome = attempt.outcome()
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "ValueError"


def test_a_body_that_says_when_to_come_again_is_heard_also_during_a_shutdown(bench):
    def end() -> None:
        raise Retry(after=90)

    attempt = bench.start_waiting(end)

    bench.stop(attempt, StopReason.SHUTDOWN)

    outcome = attempt.outcome()
    assert isinstance(outcome, Failed)
    assert outcome.retry_after_s == 90.0


def test_a_body_that_was_broken_off_says_fatal_and_is_heard(bench):
    def end() -> None:
        try:
            raise asyncio.CancelledError
        except asyncio.CancelledError:
            raise Fatal("half written")  # noqa: B904  # the chain is what is tested

    attempt = bench.start_waiting(end)

    bench.stop(attempt, StopReason.SHUTDOWN)

    outcome = attempt.outcome()
    assert isinstance(outcome, Failed)
    assert outcome.fatal


def test_what_is_raised_while_the_stop_unwinds_the_body_is_an_interruption(bench):
    def end() -> None:
        try:
            raise asyncio.CancelledError
        finally:
            raise ConnectionError("the rollback failed")

    attempt = bench.start_waiting(end)

    bench.stop(attempt, StopReason.SHUTDOWN)

    assert attempt.outcome() == Interrupted(reason="shutdown")


def test_an_operators_cancel_outranks_a_shutdown(bench):
    free = threading.Event()
    attempt = bench.attempt()
    bench.start(stubborn(bench, free, attempt.entered), into=attempt)
    assert attempt.entered.wait(PATIENCE_S)

    for reason in (StopReason.SHUTDOWN, StopReason.CANCEL, StopReason.LEASE):
        bench.stop(attempt, reason)
    free.set()

    assert attempt.outcome() == Cancelled()


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (StopReason.CANCEL, Cancelled()),
        (StopReason.SHUTDOWN, Interrupted(reason="shutdown", began=False)),
        (StopReason.LEASE, Interrupted(reason="lease", began=False)),
    ],
)
def test_an_attempt_stopped_before_its_body_was_entered_never_began(bench, reason, expected):
    release = bench.occupy()
    attempt = bench.attempt()
    bench.start(attempt.entered.set, into=attempt)

    bench.stop(attempt, reason)
    release()

    assert attempt.outcome() == expected
    assert bench.run(lambda: None) == Succeeded()
    assert not attempt.entered.is_set()
    assert attempt.reports == [(expected, 0.0)]


def test_stopping_what_has_ended_or_never_was_changes_nothing(bench):
    attempt = bench.start(lambda: 1)
    expected = attempt.outcome()

    for reason in StopReason:
        bench.stop(attempt, reason)
    bench.executor.stop(4711, 1, StopReason.CANCEL)
    bench.executor.kill()

    assert bench.run(lambda: None) == Succeeded()
    assert [outcome for outcome, _ in attempt.reports] == [expected]


def test_a_stop_for_an_older_claim_of_the_run_is_not_for_this_one(bench):
    attempt = bench.start_waiting(lambda: 1)
    run = attempt.launch.run

    bench.executor.stop(run.id, run.claim.fence - 1, StopReason.CANCEL)
    assert attempt.kinds == []
    bench.stop(attempt, StopReason.SHUTDOWN)

    assert attempt.outcome() == Succeeded(result=b"1")


def test_killing_tells_every_body(bench):
    attempts = [bench.start_waiting() for _ in range(2)]

    bench.executor.kill()
    for attempt in attempts:
        attempt.stop_reason.set()

    assert [attempt.outcome() for attempt in attempts] == [Interrupted(reason="shutdown")] * 2


def test_a_body_that_goes_on_after_its_stop_is_a_zombie_until_it_really_ends(bench):
    free = threading.Event()

    attempt = bench.start(stubborn(bench, free), timeout_s=SHORT_S, grace_s=0.0)
    attempt.wait_for("zombie")

    run = attempt.launch.run
    assert [(*key, type(said)) for key, (said, _) in bench.executor.unended().items()] == [
        (run.id, run.claim.fence, TimedOut)
    ]
    assert attempt.reports == []

    free.set()

    assert isinstance(attempt.outcome(), TimedOut)
    assert attempt.kinds == ["zombie"]
    assert bench.executor.unended() == {}


def test_a_cancelled_body_that_goes_on_past_its_grace_is_a_zombie_too(bench):
    free = threading.Event()
    attempt = bench.attempt()

    bench.start(stubborn(bench, free, attempt.entered), into=attempt, grace_s=0.0)
    assert attempt.entered.wait(PATIENCE_S)
    bench.stop(attempt, StopReason.CANCEL)
    attempt.wait_for("zombie")
    free.set()

    assert attempt.outcome() == Cancelled()
    assert attempt.kinds == ["zombie"]


@pytest.mark.parametrize("reason", [StopReason.SHUTDOWN, StopReason.LEASE])
def test_a_body_that_only_the_end_of_its_node_has_told_to_end_is_no_zombie_which_would_have_failed(bench, reason):
    """B6, R2"""
    free = threading.Event()
    attempt = bench.attempt()
    bench.start(stubborn(bench, free, attempt.entered), into=attempt, grace_s=0.0)
    assert attempt.entered.wait(PATIENCE_S)

    bench.stop(attempt, reason)
    other = bench.start(stubborn(bench, free), timeout_s=SHORT_S, grace_s=0.0)
    other.wait_for("zombie")  # later than the first would have been

    outcomes = {key: said for key, (said, _) in bench.executor.unended().items()}
    assert outcomes[attempt.launch.run.id, attempt.launch.run.claim.fence] == Interrupted(reason="its process ended")
    assert attempt.kinds == []
    free.set()


@pytest.mark.parametrize("reason", list(StopReason))
def test_a_body_past_its_timeout_has_timed_out_also_within_its_grace_and_whatever_it_is_told_then(bench, reason):
    """B6, T3: should its process end now."""
    free, told = threading.Event(), threading.Event()
    attempt = bench.start(stubborn(bench, free, told=told), timeout_s=SHORT_S, grace_s=PATIENCE_S)
    assert told.wait(PATIENCE_S)

    bench.stop(attempt, reason)
    ((said, lasted_s),) = bench.executor.unended().values()
    free.set()

    assert isinstance(said, TimedOut)
    assert lasted_s >= SHORT_S


def stubborn(bench, free, entered=None, told=None):
    """A body that goes on until *free*, whatever it is told."""
    entered, told = entered or threading.Event(), told or threading.Event()

    async def on_the_loop() -> None:
        waiting = asyncio.get_running_loop().run_in_executor(None, free.wait, PATIENCE_S)
        entered.set()
        while not waiting.done():
            try:
                await asyncio.shield(waiting)
            except asyncio.CancelledError:
                told.set()

    def in_a_thread(ctx: Context) -> None:
        entered.set()
        while not ctx.cancelled and not free.wait(0.005):
            pass
        told.set()
        free.wait(PATIENCE_S)

    return in_a_thread if bench.kind == "thread" else on_the_loop


# ── what is said meanwhile ───────────────────────────────────────────────────────────────────────────────────────


def test_the_context_tells_the_body_about_its_run(bench):
    found = []

    def body(ctx: Context) -> None:
        found.append(
            (ctx.run_id, ctx.worker, ctx.attempt, ctx.occurs_at, ctx.covers_until, ctx.missed, ctx.last_success_at)
        )
        found.append((ctx.fence, ctx.degraded, ctx.cancelled, ctx.stopping))

    attempt = bench.start(
        body, attempt=3, covers_until=NOON + timedelta(hours=2), missed=2, degraded=True, occurs_at=NOON
    )
    attempt.outcome()

    run = attempt.launch.run
    assert found == [
        (run.id, "tester", 3, NOON, NOON + timedelta(hours=2), 2, NOON - timedelta(days=1)),
        (run.claim.fence, True, False, False),
    ]


def test_progress_is_passed_on_at_once_and_its_last_word_before_the_report(bench):
    def body(ctx: Context) -> None:
        for page in range(1, 101):
            ctx.progress(page, 100, "reading")

    attempt = bench.start(body)
    attempt.outcome()

    assert attempt.progress[0] == 1.0
    assert attempt.progress[-1] == 100.0
    assert len(attempt.progress) < 10


def test_the_last_word_is_also_passed_on_when_the_engine_asks_for_it(bench):
    attempt = bench.attempt()

    def body(ctx: Context) -> None:
        ctx.progress(1)
        ctx.progress(2)
        attempt.entered.set()
        assert attempt.stop_reason.wait(PATIENCE_S)

    bench.start(body, into=attempt)
    assert attempt.entered.wait(PATIENCE_S)

    bench.executor.flush()

    assert attempt.progress == [1.0, 2.0]

    attempt.stop_reason.set()
    attempt.outcome()

    assert attempt.progress == [1.0, 2.0]


def test_an_announced_shutdown_is_seen_by_running_bodies_and_later_ones(bench):
    attempt, seen = bench.attempt(), []

    def body(ctx: Context) -> None:
        attempt.entered.set()
        assert attempt.stop_reason.wait(PATIENCE_S)
        seen.append((ctx.stopping, ctx.cancelled))

    bench.start(body, into=attempt)
    assert attempt.entered.wait(PATIENCE_S)
    bench.executor.announce()
    attempt.stop_reason.set()
    attempt.outcome()
    bench.run(lambda ctx: seen.append((ctx.stopping, ctx.cancelled)))

    assert seen == [(True, False), (True, False)]


def test_a_body_told_to_stop_for_a_shutdown_sees_both_flags(bench):
    seen = []
    attempt = bench.start_waiting(lambda: seen.append((current.get().cancelled, current.get().stopping)))

    bench.stop(attempt, StopReason.SHUTDOWN)
    attempt.outcome()

    assert seen == [(True, True)]


def test_ordinary_log_lines_inside_a_body_are_tagged_with_its_run(bench, caplog):
    caplog.handler.addFilter(RunFilter())

    attempt = bench.start(lambda: logging.getLogger("elsewhere").warning("inside"), attempt=2)
    attempt.outcome()
    logging.getLogger("elsewhere").warning("outside")

    inside, outside = [each for each in caplog.records if each.name == "elsewhere"]
    assert (inside.worker, inside.run, inside.attempt) == ("tester", attempt.launch.run.id, 2)
    assert not hasattr(outside, "run")


def test_what_a_body_does_to_its_context_variables_stays_with_it(bench):
    mood = contextvars.ContextVar("mood", default="calm")

    bench.run(lambda: mood.set("furious") and None)

    assert bench.run(lambda: str(mood.get())) == Succeeded(result=b'"calm"')


# ── many, and the end ────────────────────────────────────────────────────────────────────────────────────────────


def test_each_of_a_thousand_attempts_is_reported_once(bench):
    attempts = [bench.launch(lambda: None) for _ in range(1000)]

    bench.executor.start(attempt.launch for attempt in attempts)

    assert {attempt.outcome() for attempt in attempts} == {Succeeded()}
    bench.executor.close(PATIENCE_S)
    assert {len(attempt.reports) for attempt in attempts} == {1}


def test_the_duration_is_that_of_the_body_without_its_waiting(bench):
    release = bench.occupy()
    attempt = bench.start(lambda: bench.clock.advance(300))
    bench.clock.advance(3600)
    release()
    attempt.outcome()

    ((_, duration_s),) = attempt.reports
    assert 300 <= duration_s < 3600


def test_a_polite_body_hands_its_run_back_while_the_node_stops(bench):
    def body(ctx: Context) -> None:
        if ctx.stopping:
            raise Retry

    bench.executor.announce()

    assert bench.run(body) == Interrupted(reason="shutdown")


def test_other_code_that_cancels_while_the_node_stops_makes_no_failure(bench):
    def body() -> None:
        raise asyncio.CancelledError

    bench.executor.announce()

    assert bench.run(body) == Interrupted(reason="shutdown")


def test_an_own_failure_while_the_node_stops_is_a_failure(bench):
    bench.executor.announce()

    assert isinstance(bench.run(raises_value_error), Failed)


def test_a_closed_executor_enters_no_body(bench):
    bench.executor.close(PATIENCE_S)
    attempt = bench.attempt()
    bench.start(attempt.entered.set, into=attempt)

    assert attempt.outcome() == Interrupted(reason="its executor is closed", began=False)
    assert not attempt.entered.is_set()


def test_an_executor_can_be_opened_again_after_it_was_closed(bench):
    bench.executor.announce()
    bench.executor.close(PATIENCE_S)
    bench.executor.open()

    assert bench.run(lambda ctx: ctx.stopping) == Succeeded(result=b"false")
