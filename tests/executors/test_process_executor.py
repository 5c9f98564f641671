"""Bodies in child processes: the contract of every executor as far as it can be seen across the border, and poison.

The contract suite's bodies are closures over the test, which no other process can import; its sentences stand here
again, with bodies from `process_bodies.py`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from process_table import gone
from shiftboss import ConfigurationError, Orchestrator
from shiftboss.context import RunFilter
from shiftboss.core.model import Cancelled, Failed, Interrupted, Succeeded, TimedOut, Unfit
from shiftboss.core.policy import RetryPolicy
from shiftboss.core.value import replace
from shiftboss.executors import function_ref
from shiftboss.executors.process import ProcessExecutor
from shiftboss.executors.warden import MARK
from shiftboss.ports.executor import StopReason

HERE = Path(__file__).parent
PATIENCE_S = 60.0  # two cores that others use as well
TIMEOUT_S = 60.0  # on a clock that is stepped past it


def _load() -> Any:
    """Under a name that no entry of sys.path leads to: children find it by its file."""
    spec = importlib.util.spec_from_file_location("process_bodies", HERE / "process_bodies.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["process_bodies"] = module
    spec.loader.exec_module(module)
    return module


bodies = _load()


class Processes:
    """A bench whose executor has one child unless told otherwise."""

    def __init__(self, maker: Any, executor: ProcessExecutor) -> None:
        self._maker = maker
        self.executor = executor

    def let_time_pass(self, seconds: float) -> None:
        self._maker.clock.advance(seconds)
        self.executor.stop(0, 0, StopReason.CANCEL)  # nobody's: it wakes who serves the children

    def launch(self, fn: Any, *, max_runs: int = 1000, max_memory: int | None = None, **options: Any) -> Any:
        started = self._maker.launch(fn, **options)
        started.launch.definition = replace(
            started.launch.definition, max_runs_per_child=max_runs, max_memory_bytes=max_memory
        )
        return started

    def start(self, fn: Any, **options: Any) -> Any:
        started = self.launch(fn, **options)
        self.executor.start([started.launch])
        return started

    def enter(self, fn: Any, **options: Any) -> Any:
        """Start a body that beats once when it is entered."""
        started = self.start(fn, **options)
        wait_for(started, lambda: "heartbeat" in started.kinds)
        return started

    def run(self, fn: Any, **options: Any) -> Any:
        return outcome(self.start(fn, **options))

    def stop(self, started: Any, reason: StopReason) -> None:
        run = started.launch.run
        self.executor.stop(run.id, run.claim.fence, reason)

    def order(self, action: Callable[[], object]) -> None:
        """Let the thread that serves the children do something, in its turn."""
        with self.executor._lock:
            self.executor._put(action)

    @contextlib.contextmanager
    def deaf(self) -> Iterator[None]:
        """What is wanted of that thread meanwhile it does in one go, and hears no child before that."""
        waits, goes_on = threading.Event(), threading.Event()
        self.order(lambda: (waits.set(), goes_on.wait(PATIENCE_S)))
        assert waits.wait(PATIENCE_S)
        yield
        goes_on.set()


def until(fact: Callable[[], object]) -> None:
    ends_at, pause = time.monotonic() + PATIENCE_S, threading.Event()
    while not fact() and time.monotonic() < ends_at:
        pause.wait(0.01)


def wait_for(started: Any, condition: Any) -> None:
    with started.heard:
        assert started.heard.wait_for(lambda: condition() or started.reports, PATIENCE_S)
        assert condition(), started.reports


def outcome(started: Any) -> Any:
    with started.heard:
        assert started.heard.wait_for(lambda: started.reports, PATIENCE_S), "no report came"
    return started.reports[0][0]


def children() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if MARK in each.environ()]


@pytest.fixture(params=[1])
def processes(request, threads, clock) -> Iterator[Processes]:
    executor = ProcessExecutor(request.param, clock)
    executor.open()
    others = set(psutil.Process().children())
    yield Processes(threads, executor)
    ours = set(psutil.Process().children()) - others
    executor.close(PATIENCE_S)
    assert gone(each.pid for each in ours)


# ── ends of its own ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "options", "expected"),
    [
        (bodies.pages, {}, Succeeded(result=b'{"pages":3}')),
        (bodies.nothing, {}, Succeeded()),
        (bodies.idle, {}, Succeeded(idle_s=30.0)),
        (
            bodies.unkept,
            {},
            Succeeded(
                result_error="it cannot be encoded (NotImplementedError: _thread.lock cannot be written as JSON)"
            ),
        ),
        (bodies.letter, {"payload": b'{"to":"ada"}'}, Succeeded(result=b'["ada",2]')),
        (bodies.with_context, {"payload": b'{"to":"ada"}'}, Succeeded(result=b'["tester","ada"]')),
        (bodies.on_a_loop, {}, Succeeded(result=b'"tester"')),
        (bodies.closes_stdout, {}, Succeeded(result=b'"living on"')),
        (
            bodies.with_context,
            {"payload": b'{"to":"ada"}', "by_fallback": True, "options": {"fallback": bodies.fallback}},
            Succeeded(result=b'["later","ada"]'),
        ),
    ],
)
def test_what_a_body_returns_comes_back(processes, body, options, expected):
    assert processes.run(body, **options) == expected


def test_a_payload_that_does_not_fit_never_enters_the_body(processes):
    found = processes.run(bodies.letter, payload=b'{"to":5}')

    assert isinstance(found, Unfit)
    assert "worker 'tester', which takes (to: str, copies: int = …)" in found.error.message


def test_an_exception_is_a_failure_with_class_message_and_a_traceback_that_begins_at_the_body(processes):
    found = processes.run(bodies.fails)

    assert isinstance(found, Failed)
    assert (found.error.type, found.error.message) == ("ValueError", "on purpose")
    assert 'raise ValueError("on purpose")' in found.error.traceback
    assert "shiftboss/executors" not in found.error.traceback


def test_a_body_says_whether_a_retry_can_help(processes):
    assert processes.run(bodies.asks_for_a_retry).retry_after_s == 120.0
    assert processes.run(bodies.gives_up).fatal
    assert not processes.run(bodies.raises_known).fatal
    assert processes.run(bodies.raises_known, options={"no_retry_on": bodies.Known}).fatal
    assert processes.run(bodies.raises_known, options={"retry_on": KeyError}).fatal


def test_an_exception_that_cannot_be_shown_is_still_a_failure(processes):
    found = processes.run(bodies.raises_broken)

    assert isinstance(found, Failed)
    assert found.error.type.endswith("Broken")
    assert found.error.message == "(no message: its __str__ raised RuntimeError)"


def test_the_context_tells_the_body_about_its_run(processes):
    started = processes.start(bodies.facts, attempt=3, missed=2, degraded=True)
    run = started.launch.run
    result = (
        f'[{run.id},3,{run.claim.fence},2,"2026-03-01 12:00:00+00:00","2026-02-28 12:00:00+00:00",true,false,false]'
    )

    assert outcome(started) == Succeeded(result=result.encode())


def test_what_a_body_does_to_its_context_variables_stays_with_it(processes):
    assert [processes.run(bodies.is_furious).result for _ in range(2)] == [b'"calm"'] * 2


def test_a_module_that_cannot_be_imported_is_a_failure(processes, tmp_path, monkeypatch):
    file = tmp_path / "vanishing.py"
    file.write_text("def body(): ...\n")
    spec = importlib.util.spec_from_file_location("vanishing", file)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "vanishing", module)
    spec.loader.exec_module(module)
    file.write_text("raise RuntimeError('no import')\n")

    found = processes.run(module.body)

    assert isinstance(found, Failed)
    assert found.error.message == "no import"


# ── what is said meanwhile ───────────────────────────────────────────────────────────────────────────────────────


def test_progress_is_passed_on_at_once_and_its_last_word_before_the_report(processes):
    started = processes.start(bodies.speaks)
    outcome(started)

    assert (started.progress[0], started.progress[-1]) == (1.0, 100.0)
    assert len(started.progress) < 10


def test_the_last_word_is_also_passed_on_while_the_body_goes_on(processes):
    started = processes.start(bodies.speaks_and_waits)

    wait_for(started, lambda: started.progress == [1.0, 2.0])


def test_log_records_are_those_of_the_node_and_carry_the_run(processes, caplog):
    caplog.handler.addFilter(RunFilter())
    started = processes.start(bodies.logs, attempt=2)
    outcome(started)

    inside, caught = [each for each in caplog.records if each.name in ("elsewhere", "shiftboss.worker.tester")]
    assert (inside.getMessage(), inside.levelno, inside.page) == ("inside 5", logging.WARNING, 7)
    assert (inside.worker, inside.run, inside.attempt) == ("tester", started.launch.run.id, 2)
    assert inside.pathname.endswith("process_bodies.py")
    assert caught.getMessage() == "caught"
    assert caught.exc_text.startswith("    Traceback")


def test_an_announced_shutdown_is_seen_by_running_bodies_and_later_ones(processes):
    started = processes.enter(bodies.waits_for_the_announcement)

    processes.executor.announce()

    assert outcome(started) == Succeeded(result=b"[true,false]")
    assert processes.run(bodies.hands_back) == Interrupted(reason="shutdown")


# ── children ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_child_is_kept_and_used_again(processes):
    assert len({processes.run(bodies.pid).result for _ in range(5)}) == 1


@pytest.mark.parametrize("processes", [2], indirect=True)
def test_a_run_goes_to_the_child_that_has_its_body(processes):
    first = processes.run(bodies.pid).result
    busy = processes.enter(bodies.waits_for_the_announcement)
    processes.run(bodies.nothing)  # in another, made later
    processes.executor.announce()
    outcome(busy)

    assert processes.run(bodies.pid).result == first


@pytest.mark.parametrize("processes", [2], indirect=True)
@pytest.mark.parametrize("body", [bodies.exits, bodies.faults])
def test_a_body_that_ended_its_child_is_not_given_one_of_others_while_there_may_be_another(processes, body):
    processes.run(body)
    pid = processes.run(bodies.pid).result

    assert isinstance(processes.run(body), Failed)
    assert processes.run(bodies.pid).result == pid


def test_a_child_is_replaced_after_its_runs(processes):
    pids = [processes.run(bodies.pid, max_runs=2).result for _ in range(4)]

    assert pids[0] == pids[1] != pids[2] == pids[3]


def test_a_child_that_has_grown_is_replaced_after_its_run(processes):
    first = processes.run(bodies.grows, max_memory=4 << 30).result
    processes.run(bodies.nothing, max_memory=1 << 20)

    assert processes.run(bodies.pid).result != first


def test_each_of_many_attempts_is_reported_once(processes):
    attempts = [processes.launch(bodies.nothing) for _ in range(300)]

    processes.executor.start(each.launch for each in attempts)

    assert {outcome(each) for each in attempts} == {Succeeded()}
    processes.executor.close(PATIENCE_S)
    assert {len(each.reports) for each in attempts} == {1}


def test_a_closed_executor_enters_no_body_and_can_be_opened_again(processes):
    started = processes.enter(bodies.sleeps)
    waiting = processes.start(bodies.nothing)
    processes.executor.close(PATIENCE_S)
    late = processes.start(bodies.nothing)

    assert outcome(started) == Interrupted(reason="shutdown")
    assert outcome(waiting) == Interrupted(reason="shutdown", began=False)
    assert outcome(late) == Interrupted(reason="its executor is closed", began=False)

    processes.executor.open()

    assert processes.run(bodies.nothing) == Succeeded()


# ── being told to stop ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (StopReason.CANCEL, Cancelled()),
        (StopReason.SHUTDOWN, Interrupted(reason="shutdown")),
        (StopReason.LEASE, Interrupted(reason="lease")),
    ],
)
@pytest.mark.parametrize("body", [bodies.enters_and_waits, bodies.waits_on_a_loop, bodies.spins])
def test_a_body_that_is_stopped_ends_by_the_reason(processes, reason, expected, body):
    started = processes.enter(body)

    processes.stop(started, reason)

    assert outcome(started) == expected
    assert processes.run(bodies.nothing) == Succeeded()


def test_a_stopped_body_tidies_up_within_its_grace_and_sees_both_flags(processes, tmp_path):
    file = tmp_path / "seen"
    started = processes.enter(bodies.waits_and_tidies_up, payload=f'{{"file":"{file}"}}'.encode())

    processes.stop(started, StopReason.SHUTDOWN)

    assert outcome(started) == Interrupted(reason="shutdown")
    assert file.read_text() == "True True"


def test_a_body_that_still_finishes_has_succeeded_in_a_shutdown_and_not_in_a_cancel(processes):
    for reason, expected in (
        (StopReason.SHUTDOWN, Succeeded(result=b'"just in time"')),
        (StopReason.CANCEL, Cancelled()),
    ):
        started = processes.enter(bodies.waits_until_told)
        processes.stop(started, reason)

        assert outcome(started) == expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [(StopReason.CANCEL, Cancelled()), (StopReason.LEASE, Interrupted(reason="lease", began=False))],
)
def test_an_attempt_stopped_before_its_body_was_entered_never_began(processes, reason, expected):
    first = processes.enter(bodies.sleeps)
    second = processes.start(bodies.nothing)

    processes.stop(second, reason)

    assert outcome(second) == expected
    assert not first.reports


def test_an_operators_cancel_outranks_a_shutdown(processes):
    started = processes.enter(bodies.swallows)

    for reason in (StopReason.SHUTDOWN, StopReason.CANCEL, StopReason.LEASE):
        processes.stop(started, reason)
    processes.executor.kill()

    assert outcome(started) == Cancelled()


def test_a_cancel_that_comes_when_the_body_has_ended_and_was_not_heard_of_still_cancels(processes, tmp_path):
    file = tmp_path / "ended"
    started = processes.enter(bodies.returns_when_told, payload=f'{{"file":"{file}"}}'.encode())

    with processes.deaf():  # or the end is heard between the two, and the cancel is too late
        processes.stop(started, StopReason.SHUTDOWN)
        processes.order(lambda: until(file.exists))
        processes.stop(started, StopReason.CANCEL)

    assert outcome(started) == Cancelled()


def test_a_cancel_that_comes_when_the_end_was_heard_of_is_too_late(processes):
    started = processes.enter(bodies.waits_until_told)

    processes.stop(started, StopReason.SHUTDOWN)
    assert outcome(started) == Succeeded(result=b'"just in time"')
    processes.stop(started, StopReason.CANCEL)

    assert processes.run(bodies.nothing) == Succeeded()
    assert len(started.reports) == 1


def test_killing_ends_every_body_by_force(processes):
    started = processes.enter(bodies.swallows)

    processes.executor.kill()

    assert outcome(started) == Interrupted(reason="shutdown")


def test_stopping_what_has_ended_changes_nothing(processes):
    started = processes.start(bodies.pid)
    pid = outcome(started).result

    for reason in StopReason:
        processes.stop(started, reason)
    processes.executor.kill()

    assert processes.run(bodies.pid).result == pid
    assert len(started.reports) == 1


def test_a_term_that_the_node_did_not_announce_is_not_for_the_body(processes):
    started = processes.enter(bodies.waits_for_the_announcement)
    (child,) = children()

    child.send_signal(signal.SIGTERM)
    processes.executor.announce()

    assert outcome(started) == Succeeded(result=b"[true,false]")


# ── poison ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("body", [bodies.spins, bodies.sleeps, bodies.waits_on_a_loop])
def test_a_hanging_body_times_out_and_shows_where_it_was(processes, body):
    started = processes.enter(body, timeout_s=TIMEOUT_S)

    processes.let_time_pass(TIMEOUT_S)

    found = outcome(started)
    assert isinstance(found, TimedOut)
    assert found.error.message == "did not end within its timeout of 60 s"
    assert f"in {body.__name__}" in found.error.traceback
    assert "shiftboss/executors" not in found.error.traceback
    assert processes.run(bodies.nothing) == Succeeded()


@pytest.mark.parametrize("body", [bodies.backtracks, bodies.swallows, bodies.swallows_on_a_loop])
def test_a_body_that_hears_nothing_is_killed_after_its_grace(processes, body):
    started = processes.enter(body, grace_s=0.1)
    (child,) = children()

    processes.stop(started, StopReason.CANCEL)

    assert outcome(started) == Cancelled()
    assert gone([child.pid])
    assert processes.run(bodies.nothing) == Succeeded()


def test_a_body_that_could_not_be_told_and_returns_past_its_timeout_has_timed_out(processes):
    """T3"""
    started = processes.enter(bodies.is_deaf_for_a_while, timeout_s=TIMEOUT_S)

    processes.let_time_pass(TIMEOUT_S)

    found = outcome(started)
    assert isinstance(found, TimedOut)
    assert "it returned later, but that does not count" in found.error.message


def test_a_body_killed_after_its_timeout_has_timed_out(processes):
    started = processes.enter(bodies.swallows, timeout_s=TIMEOUT_S, grace_s=0.1)

    processes.let_time_pass(TIMEOUT_S)

    found = outcome(started)
    assert isinstance(found, TimedOut)
    assert "in swallows" in found.error.traceback
    assert found.error.traceback.endswith("(killed: it did not end within its grace period after SIGTERM)")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (bodies.exits, "exit code 1"),
        (bodies.exits_well, "exit code 0"),
        (bodies.faults, "SIGSEGV"),
        (bodies.aborts, "SIGABRT"),
        (bodies.is_killed, "SIGKILL"),
    ],
)
def test_a_child_that_dies_is_a_failure_that_says_of_what_and_the_next_run_has_another(processes, body, message):
    found = processes.run(body)

    assert isinstance(found, Failed)
    assert (found.error.type, found.error.message, found.crashed) == ("shiftboss.ChildDied", message, True)
    assert processes.run(bodies.nothing) == Succeeded()


def test_sys_exit_is_a_failure_and_the_child_lives_on(processes):
    pid = processes.run(bodies.pid).result
    found = processes.run(bodies.leaves)

    assert isinstance(found, Failed)
    assert found.error.type == "SystemExit"
    assert processes.run(bodies.pid).result == pid


def test_a_body_that_takes_too_much_memory_is_killed(processes):
    found = processes.run(bodies.hoards, max_memory=200 << 20)

    assert isinstance(found, Failed)
    assert found.error.message == "killed above max_memory (209,715,200 bytes)"
    assert processes.run(bodies.nothing) == Succeeded()


def test_a_body_that_closes_its_socket_is_ended(processes):
    found = processes.run(bodies.closes_everything)

    assert isinstance(found, Failed)
    assert found.error.message == "exit code 1"
    assert processes.run(bodies.nothing) == Succeeded()


@pytest.fixture(params=[False, True], ids=["same session", "setsid"])
def family(request, tmp_path):
    """A payload for bodies that start processes, and the file that gets their pids."""
    file = tmp_path / "pids"
    return json.dumps({"setsid": request.param, "file": str(file)}).encode(), file


def test_processes_that_a_run_leaves_behind_end_with_it_and_with_its_child(processes, family):
    payload, file = family

    child = processes.run(bodies.leaves_processes, payload=payload).result

    assert gone([child, *file.read_text().split()])


def test_nothing_is_left_of_a_stopped_body_that_started_processes(processes, family):
    payload, file = family
    started = processes.enter(bodies.starts_processes_and_waits, payload=payload, grace_s=0.1)

    processes.stop(started, StopReason.CANCEL)

    assert outcome(started) == Cancelled()
    assert gone(file.read_text().split())


def test_nothing_is_left_of_a_child_that_died_and_had_started_processes(processes, family):
    payload, file = family

    assert processes.run(bodies.starts_processes_and_dies, payload=payload).error.message == "exit code 9"
    assert gone(file.read_text().split())


# ── in an orchestrator ───────────────────────────────────────────────────────────────────────────────────────────

NODE = """
import asyncio, sys
from shiftboss import Orchestrator, Context
sys.path.insert(0, {here!r})
import process_bodies as bodies

boss = Orchestrator("memory:", process_slots=2)
spins = boss.register("spins", bodies.starts_processes_and_spins, executor="process", timeout=None)

@boss.worker(executor="process", max_runs_per_child=5, max_memory="1GB")
def double(number: int) -> int:
    return 2 * number

async def main():
    async with boss:
        run = await double.trigger(21)
        print(await run.result(timeout=60), flush=True)
        if {more}:
            await spins.trigger(setsid=True, file={file!r})
            await asyncio.Event().wait()

if __name__ == "__main__":
    asyncio.run(main())
"""


def start_node(tmp_path: Path, *, more: bool) -> subprocess.Popen[str]:
    script = tmp_path / "node.py"
    script.write_text(NODE.format(here=str(HERE), file=str(tmp_path / "pids"), more=more))
    return subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_worker_of_a_script_runs_in_a_child(tmp_path):
    node = start_node(tmp_path, more=False)
    output, errors = node.communicate(timeout=PATIENCE_S)
    ended = subprocess.CompletedProcess(node.args, node.returncode, output, errors)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "42\n", "")


def test_no_child_outlives_a_node_that_was_killed(tmp_path):
    file = tmp_path / "pids"
    node = start_node(tmp_path, more=True)
    until_s = time.monotonic() + PATIENCE_S
    while not (file.exists() and len(file.read_text().split()) == 3):
        assert node.poll() is None
        assert time.monotonic() < until_s
        time.sleep(0.01)  # another process writes it
    family = psutil.Process(node.pid).children(recursive=True)

    node.kill()
    node.communicate()

    assert len(family) >= 2  # the child, the warden, and what is still below them
    assert gone([*(each.pid for each in family), *file.read_text().split()])


async def test_a_body_that_kills_its_child_again_and_again_is_a_dead_letter_as_a_crash_loop():
    """R4"""
    orchestrator = boss()
    retry = RetryPolicy(max_retries=2, first_s=0.001)
    fatal = orchestrator.register("fatal", bodies.faults, executor="process", retry=retry)
    calm = orchestrator.register("calm", bodies.pid, executor="process")

    async with orchestrator:
        dead = await (await fatal.trigger()).wait(timeout=PATIENCE_S)
        assert await (await calm.trigger()).result(timeout=PATIENCE_S)

    assert (dead.status, dead.cause) == ("dead", "crash_loop")
    assert [attempt.error.message for attempt in dead.attempts] == ["SIGSEGV"] * 3


def boss() -> Orchestrator:
    return Orchestrator("memory:")


def test_what_no_child_could_import_is_refused_where_it_is_declared():
    def local() -> None: ...

    for fn in (local, lambda: None, functools.partial(bodies.letter, copies=3), [].clear):
        with pytest.raises(
            ConfigurationError, match=r"worker 'odd': a child process cannot import .* at the top level of"
        ):
            boss().register("odd", fn, executor="process")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_memory": "much", "executor": "process"}, "max_memory='much' is not understood"),
        ({"max_memory": 0, "executor": "process"}, "max_memory=0 is out of range; it must be at least 1 byte"),
        ({"max_runs_per_child": 0, "executor": "process"}, "max_runs_per_child=0 is out of range"),
        ({"max_memory": "1GB"}, "max_memory= is for executor='process' only"),
        ({"max_runs_per_child": 5}, "max_runs_per_child= is for executor='process' only"),
    ],
)
def test_options_of_children_are_checked(options, message):
    with pytest.raises(ConfigurationError, match=message):
        boss().register("odd", bodies.nothing, **options)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("512MB", 512 << 20), ("1.5 GiB", 3 << 29), ("2g", 2 << 30), (7, 7), ("100", 100), (None, None)],
)
def test_a_ceiling_is_bytes_or_a_text(given, expected):
    worker = boss().register("heavy", bodies.nothing, executor="process", max_memory=given)

    assert worker.definition.max_memory_bytes == expected


def test_no_slots_are_refused():
    with pytest.raises(ConfigurationError, match="process_slots=0 is out of range"):
        Orchestrator("memory:", process_slots=0)


async def test_an_orchestrator_does_not_start_in_a_child(monkeypatch):
    monkeypatch.setattr(function_ref, "in_child", True)

    with pytest.raises(ConfigurationError, match='under if __name__ == "__main__":'):
        await boss().start()


async def test_without_psutil_the_start_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    orchestrator = boss()
    orchestrator.register("heavy", bodies.nothing, executor="process", max_memory="1GB")

    with pytest.raises(ConfigurationError, match=r"pip install 'shiftboss\[process\]'"):
        await orchestrator.start()
