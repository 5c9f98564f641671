"""Functions on pools of others: threads, spawned processes, and a real Dask cluster on the loopback interface.

Nothing here sleeps: it waits for what is to happen, at most PATIENCE_S.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

from shiftboss import Context, Orchestrator
from shiftboss.clock import SystemClock
from shiftboss.core.model import (
    Cancelled,
    Claim,
    Failed,
    Interrupted,
    Origin,
    Outcome,
    Run,
    Status,
    Succeeded,
    TimedOut,
    Unfit,
)
from shiftboss.core.policy import Priority
from shiftboss.core.worker import Definition
from shiftboss.errors import ConfigurationError
from shiftboss.executors.pool import PoolBody, PoolExecutor
from shiftboss.ports.executor import Launch, StopReason

PATIENCE_S = 60.0
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

BODIES = '''
"""Bodies that a child can import."""
import os
import time
from pathlib import Path

from shiftboss import Fatal, Orchestrator, Retry

boss = Orchestrator("memory:")


def where(word: str = "none") -> list:
    return [word, os.getpid()]


def options(key: str, workers: str, retries: int) -> list:
    return [key, workers, retries]


def retry() -> None:
    raise Retry("quota", after="2m")


def fatal() -> None:
    raise Fatal("closed")


def fails() -> None:
    raise ValueError("no such page")


def dies() -> None:
    os._exit(3)


def waits(folder: str, name: str = "waits") -> str:
    """Says that it began and waits for the word to end."""
    (Path(folder) / f"{name}-began").write_text("")
    until = time.monotonic() + 60
    while not (Path(folder) / f"{name}-go").exists() and time.monotonic() < until:
        time.sleep(0.01)
    return name


@boss.worker()
def decorated(word: str) -> str:
    return word
'''


@pytest.fixture
def bodies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "bodies_of_a_pool.py").write_text(BODIES)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("bodies_of_a_pool")
    del sys.modules["bodies_of_a_pool"]


def until(fact: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not fact():
        assert time.monotonic() < end, f"{what} did not come true"
        pause.wait(0.01)


class Started:
    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.reports: list[Outcome] = []
        self.signals: list[str] = []
        self.reported = threading.Event()
        launch.report = self._report
        launch.signal = lambda kind, value: self.signals.append(kind)

    def _report(self, outcome: Outcome, duration_s: float) -> None:
        self.reports.append(outcome)
        self.reported.set()

    def outcome(self) -> Outcome:
        assert self.reported.wait(PATIENCE_S), "no report came"
        return self.reports[0]


class Bench:
    def __init__(self, pool: Any, *, slots: int | None = None) -> None:
        self.pool = pool
        self.executor = PoolExecutor("pool:tester", pool, SystemClock(), slots=slots)
        self.executor.open()
        self._ids = iter(range(1, 10_000))

    def start(
        self,
        fn: Callable[..., Any],
        *,
        payload: bytes | None = None,
        timeout_s: float | None = None,
        grace_s: float = 60.0,
        fallback: Callable[..., Any] | None = None,
    ) -> Started:
        number = next(self._ids)
        run = Run(
            id=number,
            worker="tester",
            origin=Origin.TRIGGER,
            status=Status.RUNNING,
            priority=Priority.NORMAL,
            created_at=NOON,
            due_at=NOON,
            occurs_at=NOON,
            attempt=1,
            payload=payload,
            claim=Claim(node="node-1", fence=1000 + number, at=NOON, fallback=fallback is not None),
        )
        started = Started(
            Launch(
                run=run,
                definition=Definition("tester", cancel_grace_s=grace_s),
                body=PoolBody(fn, worker="tester", pool=self.pool, fallback=fallback),
                report=lambda outcome, duration_s: None,
                signal=lambda kind, value: None,
                timeout_s=timeout_s,
            )
        )
        self.executor.start([started.launch])
        return started

    def run(self, fn: Callable[..., Any], **options: Any) -> Outcome:
        return self.start(fn, **options).outcome()

    def stop(self, started: Started, reason: StopReason) -> None:
        run = started.launch.run
        self.executor.stop(run.id, run.claim.fence, reason)


def threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2)


def processes() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


@pytest.fixture(scope="module")
def dask() -> Iterator[Executor]:
    """Two worker processes on the loopback interface."""
    distributed = pytest.importorskip(
        "distributed", reason="dask.distributed is not installed: pip install distributed"
    )
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": "127.0.0.1:0"}
    with (
        distributed.LocalCluster(
            host="127.0.0.1", worker_dashboard_address="127.0.0.1:0", **options, silence_logs=50
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        assert all("127.0.0.1" in address for address in client.scheduler_info()["workers"])
        yield client.get_executor(pure=False, retries=0)


@pytest.fixture(params=["threads", "processes", "dask"])
def bench(request: pytest.FixtureRequest, bodies: ModuleType) -> Iterator[Bench]:
    if request.param == "dask":
        pool = request.getfixturevalue("dask")
        pool._client.run(_use_folder, str(Path(bodies.__file__).parent))  # the cluster is older than this test's module
        made = Bench(pool, slots=2)
    else:
        made = Bench({"threads": threads, "processes": processes}[request.param])
    yield made
    made.executor.kill()
    made.executor.close(PATIENCE_S)


def _use_folder(folder: str) -> None:
    import sys

    sys.path[:] = [folder, *(entry for entry in sys.path if entry != folder)]
    sys.modules.pop("bodies_of_a_pool", None)


# ── every pool ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_payload_becomes_the_arguments_of_the_plain_function(bench, bodies):
    outcome = bench.run(bodies.where, payload=b'{"word":"ada"}')

    assert isinstance(outcome, Succeeded)
    assert outcome.result.startswith(b'["ada",')
    assert isinstance(bench.run(bodies.where), Succeeded)


def test_parameters_may_be_named_like_options_of_a_pool(bench, bodies):
    outcome = bench.run(bodies.options, payload=b'{"key":"k","workers":"w","retries":5}')

    assert outcome == Succeeded(b'["k","w",5]')


def test_the_same_arguments_twice_are_two_executions(bench, bodies, tmp_path):
    payload = b'{"folder":"' + str(tmp_path).encode() + b'"}'
    (tmp_path / "waits-go").write_text("")
    began = tmp_path / "waits-began"

    bench.run(bodies.waits, payload=payload)
    began.unlink()
    bench.run(bodies.waits, payload=payload)

    assert began.exists()


def test_an_exception_is_a_failure_with_its_class_and_message(bench, bodies):
    outcome = bench.run(bodies.fails)

    assert isinstance(outcome, Failed)
    assert (outcome.error.type, outcome.error.message, outcome.fatal) == ("ValueError", "no such page", False)
    assert "in fails" in outcome.error.traceback


def test_retry_and_fatal_mean_what_they_mean_elsewhere(bench, bodies):
    assert bench.run(bodies.retry).retry_after_s == 120.0
    assert bench.run(bodies.fatal).fatal


def test_a_payload_that_does_not_fit_is_never_submitted(bench, bodies):
    assert isinstance(bench.run(bodies.where, payload=b'{"word":5}'), Unfit)


def test_the_fallback_runs_in_the_functions_place(bench, bodies):
    outcome = bench.run(bodies.fails, fallback=bodies.where)

    assert isinstance(outcome, Succeeded)


def test_a_function_that_the_decorator_has_hidden_is_found(bench, bodies):
    assert bench.run(bodies.decorated.fn, payload=b'{"word":"found"}') == Succeeded(b'"found"')


def test_what_runs_past_its_timeout_is_a_zombie_until_it_really_ends(bench, bodies, tmp_path):
    attempt = bench.start(bodies.waits, payload=f'{{"folder":"{tmp_path}"}}'.encode(), timeout_s=0.2, grace_s=0.0)
    until((tmp_path / "waits-began").exists, "its begin")
    until(lambda: attempt.signals, "the word that it is a zombie")

    run = attempt.launch.run
    assert (attempt.signals, attempt.reports) == (["zombie"], [])
    assert [(*key, type(said)) for key, (said, _) in bench.executor.unended().items()] == [
        (run.id, run.claim.fence, TimedOut)
    ]

    (tmp_path / "waits-go").write_text("")

    assert isinstance(attempt.outcome(), TimedOut)
    assert bench.executor.unended() == {}


@pytest.mark.parametrize(
    ("reason", "expected"), [(StopReason.CANCEL, Cancelled()), (StopReason.SHUTDOWN, Succeeded(b'"waits"'))]
)
def test_what_has_begun_is_reported_only_when_it_has_ended(bench, bodies, tmp_path, reason, expected):
    attempt = bench.start(bodies.waits, payload=f'{{"folder":"{tmp_path}"}}'.encode(), grace_s=0.0)
    until((tmp_path / "waits-began").exists, "its begin")

    bench.stop(attempt, reason)
    if reason is StopReason.CANCEL:
        until(lambda: attempt.signals == ["zombie"], "the word that it is a zombie")
    assert attempt.reports == []
    (tmp_path / "waits-go").write_text("")

    assert attempt.outcome() == expected


def test_each_of_many_attempts_is_reported_once(bench, bodies):
    attempts = [bench.start(bodies.where) for _ in range(60)]

    assert {type(each.outcome()) for each in attempts} == {Succeeded}
    assert {len(each.reports) for each in attempts} == {1}


def test_a_closed_executor_submits_nothing(bench, bodies):
    bench.executor.close(PATIENCE_S)

    assert bench.run(bodies.where) == Interrupted(reason="its executor is closed", began=False)


def test_a_dask_cluster_runs_them_in_its_two_processes(dask, bodies):
    dask._client.run(_use_folder, str(Path(bodies.__file__).parent))
    bench = Bench(dask, slots=2)

    outcomes = [each.outcome() for each in [bench.start(bodies.where) for _ in range(40)]]
    bench.executor.close(PATIENCE_S)

    pids = {json.loads(outcome.result)[1] for outcome in outcomes}
    assert len(pids) == 2
    assert os.getpid() not in pids


# ── pools of the standard library ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("reason", "expected"),
    [(StopReason.CANCEL, Cancelled()), (StopReason.SHUTDOWN, Interrupted(reason="shutdown", began=False))],
)
def test_what_has_not_begun_in_the_pool_is_withdrawn(bodies, tmp_path, reason, expected):
    bench = Bench(lambda: ThreadPoolExecutor(1))
    first = bench.start(bodies.waits, payload=f'{{"folder":"{tmp_path}"}}'.encode())
    until((tmp_path / "waits-began").exists, "its begin")
    second = bench.start(bodies.where)
    until(lambda: second.launch.run.id in {run for run, _ in bench.executor._attempts}, "the second")

    bench.stop(second, reason)

    assert second.outcome() == expected
    assert first.reports == []

    (tmp_path / "waits-go").write_text("")
    first.outcome()
    bench.executor.close(PATIENCE_S)


class Hesitant(ThreadPoolExecutor):
    """Takes a second call only when it is let."""

    def __init__(self) -> None:
        super().__init__(2)
        self.asked_again, self.may = threading.Event(), threading.Event()
        self._calls = 0

    def submit(self, *call: Any, **arguments: Any) -> Any:
        self._calls += 1
        if self._calls > 1:
            self.asked_again.set()
            assert self.may.wait(PATIENCE_S)
        return super().submit(*call, **arguments)


def test_what_has_begun_and_was_told_to_end_is_never_reported_as_not_begun(bodies, tmp_path):
    """Nor when its executor is closed before its own thread has seen that."""
    pool = Hesitant()
    bench = Bench(pool)
    begun = bench.start(bodies.waits, payload=f'{{"folder":"{tmp_path}"}}'.encode())
    until((tmp_path / "waits-began").exists, "its begin")
    second = bench.start(bodies.where)
    assert pool.asked_again.wait(PATIENCE_S)

    bench.stop(begun, StopReason.SHUTDOWN)
    bench.executor.close(0.0)

    assert begun.reports == []
    pool.may.set()
    (tmp_path / "waits-go").write_text("")
    assert (begun.outcome(), type(second.outcome())) == (Succeeded(b'"waits"'), Succeeded)
    pool.shutdown()


def test_a_pool_whose_child_died_is_made_anew_where_a_factory_made_it(bodies):
    bench = Bench(processes)

    broken = bench.run(bodies.dies)
    again = bench.run(bodies.where)
    bench.executor.close(PATIENCE_S)

    assert isinstance(broken, Failed)
    assert broken.error.type == "concurrent.futures.process.BrokenProcessPool"
    assert isinstance(again, Succeeded)


def test_a_given_pool_that_is_broken_fails_its_attempts_and_the_remedy_is_said(bodies):
    with processes() as pool:
        bench = Bench(pool)
        bench.run(bodies.dies)
        outcome = bench.run(bodies.where)
        bench.executor.close(PATIENCE_S)

    assert isinstance(outcome, Failed)
    assert "Give pool= a function that makes the pool" in outcome.error.traceback


def test_only_a_pool_that_a_factory_made_is_shut_down_at_the_end(bodies):
    made = []

    def factory() -> Executor:
        made.append(threads())
        return made[0]

    own = Bench(factory)
    own.executor.close(PATIENCE_S)
    with threads() as given:
        Bench(given).executor.close(PATIENCE_S)

        assert given.submit(int).result() == 0
    with pytest.raises(RuntimeError, match="after shutdown"):
        made[0].submit(int)


def test_slots_are_those_of_the_pool_unless_they_are_given():
    with ThreadPoolExecutor(3) as pool:
        assert Bench(pool).executor.slots == 3
        assert Bench(pool, slots=1).executor.slots == 1


def test_a_stuck_child_of_a_pool_of_ours_does_not_outlive_it(bodies, tmp_path):
    pools = []

    def factory() -> Executor:
        pools.append(processes())
        return pools[0]

    bench = Bench(factory)
    bench.start(bodies.waits, payload=f'{{"folder":"{tmp_path}"}}'.encode())
    until((tmp_path / "waits-began").exists, "its begin")
    children = list(pools[0]._processes.values())

    bench.executor.close(PATIENCE_S)

    # Not `join`: the pool's own thread waits for them as well, and only one of the two is told.
    until(lambda: not any(psutil.pid_exists(child.pid) for child in children), "their ends")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (None, Interrupted(reason="shutdown")),
        (StopReason.LEASE, Interrupted(reason="lease")),
        (StopReason.CANCEL, Cancelled()),
    ],
)
def test_killing_ends_the_processes_of_a_pool_of_ours_and_what_they_ran(bodies, tmp_path, told, expected):
    bench = Bench(processes)
    attempt = bench.start(bodies.waits, payload=f'{{"folder":"{tmp_path}"}}'.encode())
    until((tmp_path / "waits-began").exists, "its begin")
    if told is not None:
        bench.stop(attempt, told)

    bench.executor.kill()

    assert attempt.outcome() == expected
    bench.executor.close(PATIENCE_S)


def test_a_zombie_that_is_killed_with_its_pool_has_timed_out(bodies, tmp_path):
    bench = Bench(processes)
    payload = f'{{"folder":"{tmp_path}"}}'.encode()
    attempt = bench.start(bodies.waits, payload=payload, timeout_s=3.0, grace_s=0.0)  # starting a child counts
    until((tmp_path / "waits-began").exists, "its begin")
    until(lambda: attempt.signals, "the word that it is a zombie")

    bench.executor.kill()

    assert isinstance(attempt.outcome(), TimedOut)
    bench.executor.close(PATIENCE_S)


def test_a_pool_that_was_given_is_not_killed(bodies, tmp_path):
    with processes() as pool:
        bench = Bench(pool)
        attempt = bench.start(bodies.waits, payload=f'{{"folder":"{tmp_path}"}}'.encode())
        until((tmp_path / "waits-began").exists, "its begin")

        bench.executor.kill()
        (tmp_path / "waits-go").write_text("")

        assert attempt.outcome() == Succeeded(b'"waits"')
        bench.executor.close(PATIENCE_S)


# ── declaring ────────────────────────────────────────────────────────────────────────────────────────────────────


def with_context(ctx: Context) -> None: ...
async def asynchronous() -> None: ...
def plain() -> int:
    return os.getpid()


@pytest.mark.parametrize(
    ("fn", "options", "said"),
    [
        (with_context, {"pool": threads}, "gets no context; drop that parameter"),
        (asynchronous, {"pool": threads}, "a pool runs plain functions"),
        (plain, {"pool": 4}, "pool=4 is neither a concurrent.futures.Executor"),
        (plain, {"pool": threads, "pool_slots": 0}, "pool_slots=0 is out of range"),
        (plain, {"pool_slots": 2}, "pool_slots= is for pool= only"),
        (plain, {"pool": threads, "executor": "thread"}, "cannot be combined"),
    ],
)
def test_what_a_declaration_gets_wrong_is_said_with_the_remedy(fn, options, said):
    with pytest.raises(ConfigurationError, match=said):
        Orchestrator("memory:").register("tester", fn, **options)


async def test_a_worker_with_a_pool_runs_on_it():
    boss = Orchestrator("memory:")
    in_thread = boss.register("in-thread", plain, pool=threads)
    in_process = boss.register("in-process", os.getpid, pool=processes)

    async with boss:
        here = await (await in_thread.trigger()).result(timeout=PATIENCE_S)
        elsewhere = await (await in_process.trigger()).result(timeout=PATIENCE_S)

    assert here == os.getpid() != elsewhere


async def test_a_factory_that_makes_no_pool_is_refused_at_the_start():
    boss = Orchestrator("memory:")
    boss.register("tester", plain, pool=lambda: None)

    with pytest.raises(ConfigurationError, match="which is not an Executor"):
        await boss.start()
