"""A bench for executors: starts attempts, collects what is said about them, and waits for it.

No test here sleeps: it waits for a signal or a report, at most PATIENCE_S, which passes only where something is broken.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shiftboss.clock import SystemClock
from shiftboss.context import Context, Retry
from shiftboss.core.model import Claim, Origin, Outcome, Run, Status
from shiftboss.core.policy import Priority
from shiftboss.core.worker import Definition
from shiftboss.executors.body import FunctionBody
from shiftboss.executors.coroutine import CoroutineExecutor
from shiftboss.executors.thread import ThreadExecutor
from shiftboss.ports.executor import Executor, Launch, StopReason

PATIENCE_S = 20.0
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHORT_S = 0.02  # a real timer is part of what is tested: the shortest that is surely one


class Started:
    """One attempt, and everything that was said about it."""

    launch: Launch

    def __init__(self) -> None:
        self.reports: list[tuple[Outcome, float]] = []
        self.signals: list[tuple[str, Any]] = []
        self.entered = threading.Event()
        self.stop_reason = threading.Event()  # for bodies in threads: `ctx.cancelled` has been set
        self.heard = threading.Condition()

    def report(self, outcome: Outcome, duration_s: float) -> None:
        with self.heard:
            self.reports.append((outcome, duration_s))
            self.heard.notify_all()

    def signal(self, kind: str, value: Any) -> None:
        with self.heard:
            self.signals.append((kind, value))
            self.heard.notify_all()
        if kind == "zombie":
            self.stop_reason.set()

    def outcome(self) -> Outcome:
        with self.heard:
            assert self.heard.wait_for(lambda: self.reports, PATIENCE_S), "no report came"
            return self.reports[0][0]

    def wait_for(self, kind: str) -> None:
        with self.heard:
            assert self.heard.wait_for(lambda: kind in self.kinds, PATIENCE_S), f"no signal {kind!r} came"

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.signals]

    @property
    def progress(self) -> list[Any]:
        return [value.done for kind, value in self.signals if kind == "progress"]


class SteppedClock(SystemClock):
    """The machine's clock, and a step ahead of it for every `advance`."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s

    def advance(self, seconds: float) -> None:
        self.ahead_s += seconds


class Bench:
    """An executor under test, and bodies of its kind."""

    def __init__(self, executor: Executor, clock: SteppedClock, loop: asyncio.AbstractEventLoop | None) -> None:
        self.executor = executor
        self.clock = clock
        self.kind = executor.kind
        self.loop = loop
        self._ids = iter(range(1, 1_000_000))

    def attempt(self) -> Started:
        """An attempt for `start(…, into=…)`, where the body speaks of it: it may run before `start` returns."""
        return Started()

    def launch(
        self,
        fn: Callable[..., Any],
        *,
        payload: bytes | None = None,
        timeout_s: float | None = None,
        grace_s: float = 60.0,
        by_fallback: bool = False,
        options: dict[str, Any] | None = None,
        into: Started | None = None,
        **of_run: Any,
    ) -> Started:
        """An attempt, not started.  A plain *fn* is made async for an executor of coroutines."""
        number = next(self._ids)
        fn = fn if self.kind == "thread" or asyncio.iscoroutinefunction(fn) else made_async(fn)
        fields: dict[str, Any] = {"attempt": 1, "payload": payload, "occurs_at": NOON} | of_run
        run = Run(
            id=number,
            worker="tester",
            origin=Origin.TRIGGER,
            status=Status.RUNNING,
            priority=Priority.NORMAL,
            created_at=NOON,
            due_at=NOON,
            claim=Claim(node="node-1", fence=1000 + number, at=NOON, fallback=by_fallback),
            **fields,
        )
        started = into or Started()
        started.launch = Launch(
            run=run,
            definition=Definition("tester", cancel_grace_s=grace_s),
            body=FunctionBody(fn, worker="tester", **options or {}),
            report=started.report,
            signal=started.signal,
            timeout_s=timeout_s,
            last_success_at=NOON - timedelta(days=1),
        )
        return started

    def start(self, fn: Callable[..., Any], **options: Any) -> Started:
        started = self.launch(fn, **options)
        self.executor.start([started.launch])
        return started

    def run(self, fn: Callable[..., Any], **options: Any) -> Outcome:
        return self.start(fn, **options).outcome()

    def start_waiting(self, end: Callable[[], Any] | None = None, **options: Any) -> Started:
        """Start a body that goes on until it is told to stop, and then ends by *end*; obediently, without one."""
        started = self.attempt()

        async def wait_on_the_loop() -> Any:
            started.entered.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if end is None:
                    raise
            return end()

        def wait_in_a_thread(ctx: Context) -> Any:
            started.entered.set()
            assert started.stop_reason.wait(PATIENCE_S)
            assert ctx.cancelled
            if end is None:
                raise Retry
            return end()

        body = wait_in_a_thread if self.kind == "thread" else wait_on_the_loop
        self.start(body, into=started, **options)
        assert started.entered.wait(PATIENCE_S)
        return started

    def stop(self, started: Started, reason: StopReason) -> None:
        run = started.launch.run
        self.executor.stop(run.id, run.claim.fence, reason)
        started.stop_reason.set()

    def occupy(self) -> Callable[[], None]:
        """Keep the executor from entering bodies until the answer is called."""
        free, occupied = threading.Event(), threading.Event()

        def wait() -> None:
            occupied.set()
            assert free.wait(PATIENCE_S)

        if self.loop is not None:
            self.loop.call_soon_threadsafe(wait)
        else:
            self.executor.start([self.launch(wait).launch for _ in range(self.executor.slots)])
        assert occupied.wait(PATIENCE_S)
        return free.set


def made_async(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return call


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="the user's loop")
    thread.start()
    yield loop
    if loop.is_running():
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
    loop.close()


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def coroutines(loop: asyncio.AbstractEventLoop, clock: SteppedClock) -> Iterator[Bench]:
    executor = CoroutineExecutor(loop, 100, clock)
    executor.open()
    yield Bench(executor, clock, loop)
    executor.kill()
    executor.close(PATIENCE_S)


@pytest.fixture
def threads(clock: SteppedClock) -> Iterator[Bench]:
    executor = ThreadExecutor(2, clock)
    executor.open()
    yield Bench(executor, clock, None)
    executor.close(PATIENCE_S)


@pytest.fixture(params=["coroutines", "threads"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """Each executor in turn."""
    found: Bench = request.getfixturevalue(request.param)
    return found
