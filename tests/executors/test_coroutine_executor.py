"""What is particular about bodies on an event loop."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from shiftboss.context import current
from shiftboss.core.model import Cancelled, Failed, Interrupted, Succeeded, TimedOut
from shiftboss.executors.body import FunctionBody
from shiftboss.executors.coroutine import MAX_BEGUN_AT_ONCE
from shiftboss.ports.executor import StopReason

PATIENCE_S = 20.0
SHORT_S = 0.02


def on_loop(bench, step: Callable[[], Any]) -> Any:
    """Call *step* on the loop and wait for its value."""

    async def call() -> Any:
        return step()

    return asyncio.run_coroutine_threadsafe(call(), bench.loop).result(PATIENCE_S)


def test_a_body_runs_in_a_task_named_after_its_worker(coroutines):
    async def body() -> Any:
        await asyncio.sleep(0)
        return asyncio.current_task().get_name()

    assert coroutines.run(body) == Succeeded(result=b'"tester"')


def test_a_body_may_use_timeouts_and_task_groups(coroutines):
    async def child() -> int:
        await asyncio.sleep(0)
        return current.get().run_id

    async def body() -> Any:
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            children = [group.create_task(child()) for _ in range(3)]
        return len({each.result() for each in children})

    assert coroutines.run(body) == Succeeded(result=b"1")


def test_a_timeout_that_a_body_sets_for_itself_is_a_failure_of_its_own(coroutines):
    async def body() -> None:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    outcome = coroutines.run(body, timeout_s=3600.0)

    assert isinstance(outcome, Failed)
    assert outcome.error.type == "TimeoutError"


def test_a_plain_value_where_a_coroutine_was_expected_is_taken(coroutines):
    started = coroutines.launch(wait_for_ever)
    started.launch.body = FunctionBody(lambda: 5, worker="tester", is_async=True)
    coroutines.executor.start([started.launch])

    assert started.outcome() == Succeeded(result=b"5")


def test_a_second_stop_does_not_cut_the_cleanup_of_a_cancelled_body(coroutines):
    started, cleaning, clean = coroutines.attempt(), threading.Event(), threading.Event()

    async def body() -> None:
        started.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            waiting = asyncio.get_running_loop().run_in_executor(None, clean.wait, PATIENCE_S)
            cleaning.set()
            await waiting
            raise ValueError("the cleanup was finished")

    coroutines.start(body, into=started)
    assert started.entered.wait(PATIENCE_S)

    coroutines.stop(started, StopReason.SHUTDOWN)
    assert cleaning.wait(PATIENCE_S)
    coroutines.stop(started, StopReason.SHUTDOWN)
    coroutines.stop(started, StopReason.LEASE)
    on_loop(coroutines, lambda: None)
    clean.set()

    assert started.outcome() == Interrupted(reason="shutdown")


@pytest.mark.parametrize("again", ["after its grace period", "by a kill"])
def test_a_cleanup_that_takes_too_long_is_cancelled_again(coroutines, again):
    started, cleaning = coroutines.attempt(), threading.Event()
    cancellations = []

    async def body() -> None:
        started.entered.set()
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancellations.append(1)
                cleaning.set()

    coroutines.start(body, into=started, grace_s=0.0 if again == "after its grace period" else 3600.0)
    assert started.entered.wait(PATIENCE_S)
    coroutines.stop(started, StopReason.CANCEL)
    assert cleaning.wait(PATIENCE_S)
    if again == "by a kill":
        coroutines.executor.kill()

    assert started.outcome() == Cancelled()
    assert len(cancellations) == 2


def test_a_body_that_finished_before_its_cancellation_was_delivered_keeps_its_outcome(coroutines):
    started = coroutines.attempt()

    async def body() -> str:
        coroutines.stop(started, StopReason.CANCEL)  # reaches the loop only after this step
        return "done"

    coroutines.start(body, into=started)

    assert started.outcome() == Succeeded(result=b'"done"')
    on_loop(coroutines, lambda: None)
    assert len(started.reports) == 1


def test_a_task_cancelled_by_other_code_is_a_failure_that_says_so(coroutines):
    async def body() -> None:
        asyncio.current_task().cancel("by a stranger")
        await asyncio.Event().wait()

    outcome = coroutines.run(body)

    assert isinstance(outcome, Failed)
    assert (outcome.error.type, outcome.error.message) == ("asyncio.exceptions.CancelledError", "by a stranger")


def test_a_task_cancelled_by_other_code_before_its_first_step_is_reported_too(coroutines):
    attempts = [coroutines.launch(lambda: None) for _ in range(3)]

    def start_and_cancel() -> None:
        coroutines.executor.start([each.launch for each in attempts])
        asyncio.get_running_loop().call_soon(cancel_all)

    def cancel_all() -> None:
        for task in asyncio.all_tasks():
            if task.get_name() == "tester":
                task.cancel()

    on_loop(coroutines, start_and_cancel)

    expected = Interrupted(reason="its task was cancelled by other code on the event loop", began=False)
    assert [each.outcome() for each in attempts] == [expected] * 3


def test_a_large_batch_does_not_keep_the_loop_from_others(coroutines):
    order = []
    release = coroutines.occupy()
    attempts = [coroutines.launch(lambda: order.append("body")) for _ in range(3 * MAX_BEGUN_AT_ONCE)]
    coroutines.executor.start([each.launch for each in attempts])
    coroutines.loop.call_soon_threadsafe(lambda: order.append("other"))
    release()
    for each in attempts:
        each.outcome()

    assert order.index("other") <= MAX_BEGUN_AT_ONCE
    assert len(order) == 3 * MAX_BEGUN_AT_ONCE + 1


def test_one_hop_for_each_call_of_start(coroutines, monkeypatch):
    hops = []
    call = coroutines.loop.call_soon_threadsafe
    monkeypatch.setattr(coroutines.loop, "call_soon_threadsafe", lambda *args: (hops.append(1), call(*args)))
    attempts = [coroutines.launch(lambda: None) for _ in range(50)]

    coroutines.executor.start([each.launch for each in attempts])

    assert len(hops) == 1
    for each in attempts:
        each.outcome()


def test_one_timer_serves_all_timeouts(coroutines, monkeypatch):
    timers = []
    call_later = coroutines.loop.call_later
    monkeypatch.setattr(coroutines.loop, "call_later", lambda *args: timers.append(1) or call_later(*args))

    for _ in range(20):
        coroutines.run(lambda: None, timeout_s=3600.0)

    assert len(timers) == 1


def test_a_timer_that_rings_for_an_attempt_that_ended_is_set_for_the_next(coroutines):
    coroutines.run(lambda: None, timeout_s=SHORT_S)
    later = coroutines.start_waiting(timeout_s=3 * SHORT_S)

    assert isinstance(later.outcome(), TimedOut)


# ── the loop goes away ───────────────────────────────────────────────────────────────────────────────────────────


def pause(bench) -> None:
    """Stop the loop under the executor."""
    threads = [each for each in threading.enumerate() if each.name == "the user's loop"]
    bench.loop.call_soon_threadsafe(bench.loop.stop)
    for thread in threads:
        thread.join(PATIENCE_S)


def end_of(bench) -> None:
    """Stop and close the loop under the executor."""
    pause(bench)
    bench.loop.close()


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


def test_a_closed_loop_interrupts_what_ran_and_what_is_started(coroutines):
    running = coroutines.start_waiting()
    end_of(coroutines)

    late = coroutines.start(wait_for_ever)

    assert late.outcome() == Interrupted(reason="the event loop was closed", began=False)
    assert running.outcome() == Interrupted(reason="the event loop was closed", began=True)


@pytest.mark.parametrize("call", ["stop", "kill", "close"])
def test_a_closed_loop_never_raises_into_the_engine(coroutines, call):
    running = coroutines.start_waiting()
    end_of(coroutines)

    match call:
        case "stop":
            coroutines.stop(running, StopReason.SHUTDOWN)
        case "kill":
            coroutines.executor.kill()
        case _:
            coroutines.executor.close(PATIENCE_S)

    assert running.outcome() == Interrupted(reason="the event loop was closed", began=True)
    assert len(running.reports) == 1


def test_closing_on_the_loop_itself_does_not_wait_for_it(coroutines):
    running = coroutines.start_waiting()

    on_loop(coroutines, lambda: coroutines.executor.close(PATIENCE_S))

    assert running.reports == []


def test_closing_waits_for_the_last_body(coroutines):
    running = coroutines.start_waiting()
    coroutines.stop(running, StopReason.SHUTDOWN)

    coroutines.executor.close(PATIENCE_S)

    assert running.reports != []


def test_attempts_on_a_loop_that_stands_still_are_interrupted_once_when_the_executor_is_closed(coroutines):
    running = coroutines.start_waiting()
    pause(coroutines)

    coroutines.executor.close(PATIENCE_S)

    assert running.outcome() == Interrupted(reason="the event loop was closed", began=True)

    coroutines.loop.run_until_complete(asyncio.sleep(0))  # the body's task is cancelled there, and tells nobody
    coroutines.loop.run_until_complete(asyncio.sleep(0))

    assert asyncio.all_tasks(coroutines.loop) == set()
    assert len(running.reports) == 1


# ── who occupies the loop (H6) ───────────────────────────────────────────────────────────────────────────────────


def test_the_body_that_occupies_the_loop_is_known_from_outside(coroutines):
    occupied, free = threading.Event(), threading.Event()

    async def body() -> None:
        occupied.set()
        free.wait(PATIENCE_S)

    started = coroutines.start(body)
    assert occupied.wait(PATIENCE_S)

    assert coroutines.executor.running() == ("tester", started.launch.run.id)

    free.set()
    started.outcome()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="a task does not show its context before 3.12")
def test_a_task_of_a_body_that_occupies_the_loop_is_known_by_its_body(coroutines):
    occupied, free = threading.Event(), threading.Event()

    async def child() -> None:
        occupied.set()
        free.wait(PATIENCE_S)

    async def body() -> None:
        await asyncio.create_task(child())

    started = coroutines.start(body)
    assert occupied.wait(PATIENCE_S)

    assert coroutines.executor.running() == ("tester", started.launch.run.id)

    free.set()
    started.outcome()


def test_code_that_is_no_body_occupies_the_loop_namelessly(coroutines):
    release = coroutines.occupy()

    assert coroutines.executor.running() is None

    release()
