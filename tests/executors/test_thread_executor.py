"""What is particular about bodies in threads."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from types import FunctionType
from typing import Any

import pytest

from shiftboss.core.model import Failed, Succeeded, TimedOut
from shiftboss.executors.failure import stack_of
from shiftboss.ports.executor import StopReason

PATIENCE_S = 20.0
SHORT_S = 0.02


BEFORE: set[threading.Thread] = set()  # of others: what an earlier test has opened and not closed


@pytest.fixture(autouse=True)
def _others() -> None:
    BEFORE.clear()
    BEFORE.update(threading.enumerate())


def ours() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith("shiftboss-") and each not in BEFORE]


def test_no_thread_runs_before_the_first_attempt(threads):
    assert ours() == []


def test_a_thread_is_made_for_an_attempt_and_used_again(threads):
    idents = {threads.run(lambda: threading.get_ident()).result for _ in range(5)}

    assert len(idents) <= 2
    assert len(ours()) <= 3  # two slots, one watch


def test_a_thread_bears_its_workers_name_and_is_a_daemon(threads):
    outcome = threads.run(lambda: [threading.current_thread().name, threading.current_thread().daemon])

    assert outcome == Succeeded(result=b'["shiftboss-tester",true]')


def test_no_more_bodies_run_at_once_than_there_are_slots(threads):
    running, most, lock, full = [], [], threading.Lock(), threading.Event()

    def body() -> None:
        with lock:
            running.append(1)
            most.append(len(running))
            if len(running) == 2:
                full.set()
        assert full.wait(PATIENCE_S)
        with lock:
            running.pop()

    attempts = [threads.launch(body) for _ in range(10)]
    threads.executor.start(each.launch for each in attempts)

    assert {each.outcome() for each in attempts} == {Succeeded()}
    assert max(most) == 2


def test_a_body_past_its_timeout_keeps_its_slot_until_it_ends(threads):
    free, entered = threading.Event(), threading.Event()
    stuck = [threads.start(free.wait, timeout_s=SHORT_S) for _ in range(2)]
    for each in stuck:
        each.wait_for("zombie")

    waiting = threads.start(entered.set)
    assert not entered.is_set()
    assert waiting.reports == []
    free.set()

    assert waiting.outcome() == Succeeded()
    assert all(isinstance(each.outcome(), TimedOut) for each in stuck)


def test_a_timeout_shows_the_stack_of_the_body_at_that_moment(threads):
    free = threading.Event()

    def deep_inside() -> None:
        free.wait(PATIENCE_S)

    def body() -> None:
        deep_inside()

    started = threads.start(body, timeout_s=SHORT_S)
    started.wait_for("zombie")
    free.set()

    error = started.outcome().error
    assert "in deep_inside" in error.traceback
    assert "threading.py" in error.traceback
    assert "shiftboss/executors" not in error.traceback


def test_the_stack_of_a_body_that_is_just_speaking_ends_at_the_body():
    def call(fn):
        return fn()

    def say():
        return stack_of(sys._getframe())

    ours = {"__name__": "shiftboss.executors.child_main", "stack_of": stack_of, "sys": sys}
    call, say = FunctionType(call.__code__, ours), FunctionType(say.__code__, ours)

    def body():
        return say()

    found = call(body)

    assert "in body" in found
    assert "in say" not in found
    assert "in call" not in found


def test_a_zombie_that_is_cancelled_has_still_timed_out(threads):
    free = threading.Event()
    started = threads.start(free.wait, timeout_s=SHORT_S)
    started.wait_for("zombie")

    threads.stop(started, StopReason.CANCEL)
    free.set()

    assert isinstance(started.outcome(), TimedOut)
    assert started.kinds == ["zombie"]


def test_an_async_function_in_a_thread_is_a_failure_with_the_remedy(threads):
    async def body() -> None: ...

    started = threads.launch(body)
    threads.executor.start([started.launch])

    outcome = started.outcome()
    assert isinstance(outcome, Failed)
    assert "executor='coroutine'" in outcome.error.message


def test_an_idle_thread_keeps_nothing_of_the_last_body_alive(threads):
    gone = threading.Event()

    class Result:
        def __del__(self) -> None:
            gone.set()

    def body() -> Any:
        return Result()

    threads.run(body)

    assert gone.wait(PATIENCE_S)


def test_when_the_system_gives_no_thread_the_attempt_fails_and_later_ones_run(threads, monkeypatch, caplog):
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        outcome = threads.run(lambda: 1)

    assert isinstance(outcome, Failed)
    assert outcome.error.message == "can't start new thread"
    assert "no new thread could be started" in caplog.text
    assert threads.run(lambda: 1) == Succeeded(result=b"1")


def test_when_the_system_gives_no_further_thread_attempts_wait_for_those_there_are(threads, monkeypatch):
    free = threading.Event()
    first = threads.start(free.wait)

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        second = threads.start(lambda: 2)
    free.set()

    assert first.outcome() == Succeeded(result=b"true")
    assert second.outcome() == Succeeded(result=b"2")


def test_closing_sends_every_thread_home(threads):
    threads.run(lambda: None)

    threads.executor.close(PATIENCE_S)

    assert ours() == []


def test_closing_does_not_wait_for_a_body_that_never_ends_and_it_reports_if_it_does(threads):
    free = threading.Event()
    stuck = threads.start(free.wait, timeout_s=SHORT_S)
    stuck.wait_for("zombie")

    threads.executor.close(0.0)

    assert stuck.reports == []
    free.set()
    assert isinstance(stuck.outcome(), TimedOut)


def test_a_stuck_thread_counts_against_the_slots_of_the_executor_opened_again(threads):
    free = threading.Event()
    stuck = threads.start(free.wait, timeout_s=SHORT_S)
    stuck.wait_for("zombie")
    threads.executor.close(0.0)

    threads.executor.open()

    assert threads.run(lambda: 1, timeout_s=3600.0) == Succeeded(result=b"1")
    assert list(threads.executor.unended()) == [(stuck.launch.run.id, stuck.launch.run.claim.fence)]
    free.set()
    assert isinstance(stuck.outcome(), TimedOut)


@pytest.mark.parametrize("closing", ["close", "no close"])
def test_a_process_ends_though_a_body_never_does(closing):
    code = f"""
        import threading
        from datetime import UTC, datetime
        from shiftboss.clock import SystemClock
        from shiftboss.core.model import Claim, Origin, Priority, Run, Status
        from shiftboss.core.worker import Definition
        from shiftboss.executors.body import FunctionBody
        from shiftboss.executors.thread import ThreadExecutor
        from shiftboss.ports.executor import Launch

        entered, now = threading.Event(), datetime.now(UTC)

        def body():
            entered.set()
            threading.Event().wait()

        run = Run(1, "stuck", Origin.TRIGGER, Status.RUNNING, Priority.NORMAL, now, now, now, claim=Claim("n", 1, now))
        executor = ThreadExecutor(1, SystemClock())
        executor.open()
        executor.start([Launch(run, Definition("stuck"), FunctionBody(body, worker="stuck"), print, print, 60.0)])
        entered.wait()
        if {closing == "close"}:
            executor.close(0.0)
        print("the end")
        """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "the end\n", "")
