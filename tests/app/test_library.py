"""The library face, on a real loop and real stores."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from shiftboss import (
    ConfigurationError,
    Context,
    CycleError,
    Dependency,
    DuplicateKey,
    Fatal,
    NotStarted,
    Orchestrator,
    Retry,
    RetryPolicy,
    RunFailed,
    Status,
    UnknownRun,
    UnknownWorker,
    WaitTimeout,
    WorkerDisabled,
    WrongPayload,
)
from shiftboss.core.model import Cause
from shiftboss.errors import AlreadyStarted, Forked, NotAllowed, StoreMissing


@pytest.fixture(params=["memory", "sqlite"])
def boss(request, tmp_path):
    url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'boss.db'}"
    return Orchestrator(url, shutdown_timeout=5)


async def test_a_decorated_function_is_still_the_function_and_can_be_triggered(boss):
    @boss.worker()
    async def send_mail(ctx: Context, to: str, copies: int = 1) -> str:
        return f"{to} x{copies} by {ctx.worker} attempt {ctx.attempt}"

    assert send_mail.name == "send-mail"
    async with boss:
        run = await send_mail.trigger("ada", copies=2)

        assert await run.result(timeout=5) == "ada x2 by send-mail attempt 1"
        assert await run.status() is Status.SUCCEEDED


async def test_a_plain_function_runs_in_a_thread_of_its_own(boss):
    @boss.worker()
    def where() -> str:
        return threading.current_thread().name

    async with boss:
        name = await (await where.trigger()).result(timeout=5)

    assert name != threading.current_thread().name


async def test_a_trigger_by_name_takes_the_payload_as_one_mapping(boss):
    @boss.worker(name="send")
    async def send_mail(to: str, subject: str = "none") -> str:
        return f"{to}: {subject}"

    async with boss:
        run = await boss.trigger("send", {"to": "ada", "subject": "hi"}, key="order-7")
        by_function = await boss.trigger(send_mail, {"to": "eve"})

        assert await run.result(timeout=5) == "ada: hi"
        assert await by_function.result(timeout=5) == "eve: none"


async def test_a_payload_that_does_not_fit_is_refused_at_the_trigger(boss):
    @boss.worker()
    async def send_mail(to: str) -> None: ...

    async with boss:
        with pytest.raises(WrongPayload, match=r"send-mail.*to"):
            await boss.trigger("send-mail", {"to": 7})
        with pytest.raises(WrongPayload):
            await send_mail.trigger()
        with pytest.raises(UnknownWorker, match="did you mean 'send-mail'"):
            await boss.trigger("send-mial")


async def test_the_same_key_is_the_same_run_and_another_payload_is_refused(boss):
    """O5"""

    @boss.worker()
    async def pay(amount: int) -> int:
        return amount

    async with boss:
        first = await pay.options(key="a").trigger(1)
        again = await pay.options(key="a").trigger(1)
        await first.result(timeout=5)
        after_success = await pay.options(key="a").trigger(1)
        with pytest.raises(DuplicateKey, match="another payload"):
            await pay.options(key="a").trigger(2)

    assert first.id == again.id == after_success.id


async def test_a_delayed_trigger_waits_and_a_cancelled_one_never_starts(boss):
    """M2, T4"""
    began = []

    @boss.worker()
    async def job(number: int) -> None:
        began.append(number)

    async with boss:
        later = await job.options(delay="1h").trigger(1)
        at = await job.options(at=datetime.now(UTC) + timedelta(hours=1)).trigger(2)
        cancelled = await later.cancel(reason="not wanted")

        assert cancelled.status is Status.CANCELLED
        assert (await at.info()).status is Status.PENDING
        with pytest.raises(RunFailed, match="cancelled"):
            await later.result(timeout=5)

    assert began == []


async def test_a_running_body_is_cancelled_from_outside(boss):
    """T2, T4"""
    running = asyncio.Event()

    @boss.worker()
    async def slow() -> None:
        running.set()
        await asyncio.sleep(60)

    async with boss:
        run = await slow.trigger()
        await asyncio.wait_for(running.wait(), 5)
        await run.cancel()
        info = await run.wait(timeout=5)

    assert (info.status, info.cause) == (Status.CANCELLED, Cause.CANCELLED)


async def test_bodies_choose_their_outcome(boss):
    """R1, Q1"""
    tries = []

    @boss.worker(max_retries=3)
    async def again() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise Retry(after=0)
        return len(tries)

    @boss.worker(max_retries=3)
    async def hopeless() -> None:
        raise Fatal("the account is closed")

    async with boss:
        assert await (await again.trigger()).result(timeout=5) == 3
        run = await hopeless.trigger()
        with pytest.raises(RunFailed, match="the account is closed"):
            await run.result(timeout=5)
        letters = await boss.dead_letters()

    assert [(letter.run, letter.cause, letter.error_type) for letter in letters] == [
        (run.id, Cause.FATAL, "shiftboss.context.Fatal")
    ]


async def test_a_dead_letter_is_replayed_once_with_the_same_bytes(boss):
    """Q2, Q3"""
    broken = [True]

    @boss.worker(max_retries=0)
    async def job(text: str) -> str:
        if broken[0]:
            raise ValueError("broken")
        return text

    async with boss:
        dead = await job.trigger("ünï ☃")
        with pytest.raises(RunFailed):
            await dead.result(timeout=5)
        broken[0] = False
        replayed = await boss.replay(dead.id)
        with pytest.raises(NotAllowed, match="replayed"):
            await boss.replay(dead.id)

        assert await replayed.result(timeout=5) == "ünï ☃"
        assert (await replayed.info()).digest == (await dead.info()).digest
        assert (await replayed.info()).replay_of == dead.id
        assert await boss.dead_letters() == []


async def test_dead_letters_are_resolved_and_discarded_with_a_note(boss):
    """Q3, A1"""

    @boss.worker(max_retries=0)
    async def job(number: int) -> None:
        raise ValueError(number)

    async with boss:
        runs = [await job.trigger(number) for number in range(2)]
        for run in runs:
            await run.wait(timeout=5)
        resolved = await boss.resolve(runs[0].id, note="paid by hand")
        discarded = await boss.discard(runs[1].id, note="a test")

    assert (resolved.state, resolved.note) == ("resolved", "paid by hand")
    assert discarded.state == "discarded"


async def test_a_disabled_worker_refuses_triggers_unless_forced(boss):
    """K5"""

    @boss.worker()
    async def job() -> str:
        return "ran"

    async with boss:
        await boss.disable("job", reason="maintenance")
        with pytest.raises(WorkerDisabled, match="maintenance"):
            await job.trigger()
        forced = await job.options(force=True).trigger()

        assert await forced.result(timeout=5) == "ran"
        assert (await boss.status()).worker("job").enabled is False
        await boss.enable(job)
        assert await (await job.trigger()).result(timeout=5) == "ran"


async def test_five_dead_runs_in_a_row_disable_the_worker(boss):
    """K4"""

    @boss.worker(max_retries=0)
    async def job() -> None:
        raise ValueError("always")

    async with boss:
        for _ in range(5):
            await (await job.trigger()).wait(timeout=5)
        status = (await boss.status()).worker("job")
        waits = await job.trigger()
        held = await boss.why_run(waits.id)

    assert [hold.gate for hold in held.holds] == ["disabled"]
    assert status.enabled is False
    assert status.disabled is not None
    assert status.disabled.by == "auto"
    assert status.consecutive_failures == 5


async def test_status_has_the_words_of_the_mission(boss):
    """A2, K6"""

    @boss.worker(every="1h", priority="high")
    async def tick() -> None: ...

    async with boss:
        while (await boss.status()).worker("tick").last_success_at is None:
            await asyncio.sleep(0)
        await boss.disable("tick", reason="x")
        status = await boss.status()
        worker = status.worker("tick")

    assert worker.enabled is False
    assert worker.running == 0
    assert worker.consecutive_failures == 0
    assert worker.last_run_at is not None
    assert worker.last_error is None
    assert worker.next_due_at is not None
    assert worker.breaker is None
    assert worker.health == "disabled"
    assert status.workers[0].name == "tick"
    assert [node.slots for node in status.nodes] == [100]


async def test_why_names_what_holds_a_run(boss):
    """A3"""
    release = asyncio.Event()

    @boss.worker()
    async def first() -> None:
        await release.wait()

    @boss.worker(blocks=[first])
    async def second() -> None: ...

    async with boss:
        running = await first.trigger()
        while await running.status() is not Status.RUNNING:
            await asyncio.sleep(0)
        waiting = await second.trigger()
        explained = await boss.why("second")
        by_run = await boss.why_run(waiting.id)
        release.set()
        await waiting.result(timeout=5)

    assert explained is not None
    assert [hold.gate for hold in explained.holds] == ["blocks"]
    assert explained.holds == by_run.holds
    assert f"(run #{running.id})" in str(explained.holds[0])


async def test_result_waits_no_longer_than_it_is_told(boss):
    release = asyncio.Event()

    @boss.worker()
    async def slow() -> int:
        await release.wait()
        return 1

    async with boss:
        run = await slow.trigger()
        with pytest.raises(WaitTimeout, match=f"run {run.id}"):
            await run.result(timeout=0.05)
        release.set()

        assert await run.result(timeout=5) == 1
        with pytest.raises(UnknownRun):
            await boss.wait_for(987654, timeout=5)


async def test_progress_is_stored_while_the_body_runs(boss):
    """H2"""
    go_on = asyncio.Event()

    @boss.worker()
    async def long(ctx: Context) -> None:
        ctx.progress(3, 10, "page 3")
        await go_on.wait()

    async with boss:
        run = await long.trigger()
        while (info := await run.info()).progress is None:
            await asyncio.sleep(0)
        go_on.set()

    assert (info.progress.done, info.progress.total, info.progress.message) == (3, 10, "page 3")
    assert info.heartbeat_at is not None


async def test_a_stopped_orchestrator_starts_again_where_it_was(tmp_path):
    """M4: no second first run; the schedule goes on."""
    boss = Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}")
    runs = []

    @boss.worker(every="1h")
    async def tick(ctx: Context) -> None:
        runs.append(ctx.occurs_at)

    async with boss:
        while not runs:
            await asyncio.sleep(0)
    async with boss:
        status = await boss.status()

    assert len(runs) == 1
    assert status.worker("tick").next_due_at == runs[0] + timedelta(hours=1)


def test_it_can_be_started_on_another_loop(tmp_path):
    boss = Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}")

    @boss.worker()
    async def job() -> int:
        return 1

    async def once() -> int:
        async with boss:
            return await (await job.trigger()).result(timeout=5)

    assert [asyncio.run(once()), asyncio.run(once())] == [1, 1]


async def test_a_second_start_is_refused(boss):
    async with boss:
        with pytest.raises(AlreadyStarted, match="stop it before"):
            await boss.start()
        with pytest.raises(AlreadyStarted):
            boss.register("late", print)


@pytest.mark.parametrize("block", [lambda boss: boss, lambda boss: boss.client(create=True)], ids=["node", "client"])
async def test_a_block_in_which_it_was_stopped_ends_as_it_would(tmp_path, block):
    """G1: what the block raises is not hidden behind a second stop."""
    boss = Orchestrator(tmp_path / "jobs.db")

    async def stopped(error):
        async with block(boss):
            await boss.stop()
            if error is not None:
                raise error

    await stopped(None)
    with pytest.raises(ValueError, match="mine"):
        await stopped(ValueError("mine"))

    assert not boss.is_started


async def test_without_a_start_everything_says_how_to_start(boss):
    @boss.worker()
    async def job() -> None: ...

    with pytest.raises(NotStarted, match="async with boss"):
        await job.trigger()
    with pytest.raises(NotStarted):
        await boss.stop()


def test_nothing_is_opened_and_no_thread_runs_before_the_start(tmp_path):
    before = threading.active_count()
    boss = Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}")

    @boss.worker(every=1)
    async def tick() -> None: ...

    assert threading.active_count() == before
    assert list(tmp_path.iterdir()) == []


async def test_a_fork_after_the_start_is_refused_in_the_child(tmp_path):
    """W4"""
    boss = Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}")

    @boss.worker()
    async def job() -> None: ...

    async with boss:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                boss.opened()
                os.write(writer, b"went on")
            except Forked as error:
                os.write(writer, str(error).encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        said = os.read(reader, 1000).decode()
        os.close(reader)
        os.close(writer)

        assert "forked after" in said
        assert await (await job.trigger()).result(timeout=5) is None


def test_sync_code_has_the_same_methods_and_opens_a_client_by_itself(tmp_path):
    url = f"sqlite:///{tmp_path / 'boss.db'}"
    boss = Orchestrator(url)

    @boss.worker()
    async def double(number: int) -> int:
        return 2 * number

    with pytest.raises(StoreMissing):
        boss.sync.open(wait=0)  # a client creates no store that it was not told to
    boss.sync.start()
    outside = Orchestrator(url)
    run = outside.sync.trigger("double", {"number": 21})

    assert outside.sync.result(run.id, timeout=5) == 42
    assert [w.name for w in outside.sync.status().workers] == ["double"]
    outside.sync.close()
    assert boss.sync.stop().exit_code == 0


async def test_a_client_triggers_and_runs_nothing(tmp_path):
    url = f"sqlite:///{tmp_path / 'boss.db'}"
    ran = []

    def declare(boss: Orchestrator):
        @boss.worker()
        async def job(number: int) -> None:
            ran.append((id(boss), number))

        return job

    node, client = Orchestrator(url), Orchestrator(url)
    declare(node)
    job = declare(client)
    async with node, client.client():
        run = await job.trigger(1)
        await run.result(timeout=5)

    assert ran == [(id(node), 1)]


async def test_a_lifespan_starts_and_stops_it(boss):
    @boss.worker()
    async def job() -> int:
        return 7

    async with boss.lifespan(object()):
        assert await (await job.trigger()).result(timeout=5) == 7
    assert not boss.is_started


async def test_a_cycle_and_an_unknown_name_are_refused_at_the_start(boss):
    """D8"""

    @boss.worker(depends_on=["b"])
    async def a() -> None: ...

    @boss.worker(depends_on=["a"])
    async def b() -> None: ...

    with pytest.raises(CycleError, match="a → b → a"):
        await boss.start()
    other = Orchestrator("memory:")
    other.register("c", lambda: None, depends_on=["nobody"])
    with pytest.raises(ConfigurationError, match="nobody"):
        await other.start()
    assert not boss.is_started


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"evry": 5}, "did you mean 'every'"),
        ({"every": 5, "cron": "* * * * *"}, "cannot be combined"),
        ({"cron": "61 * * * *"}, "61"),
        ({"cron": "* * * * *", "timezone": "Mars/Base"}, "Mars/Base"),
        ({"every": "5 parsecs"}, "5 parsecs"),
        ({"every": -1}, "negative"),
        ({"priority": "urgent"}, "low, normal, high or critical"),
        ({"concurrency": 0}, "concurrency=0"),
        ({"timeout": 0}, "timeout=0"),
        ({"rate": "often"}, "10/m"),
        ({"depends_on": "fetch"}, r"takes a list.*\['fetch'\]"),
        ({"misfire": "never"}, "one, skip, all"),
        ({"continuous": True, "concurrency": 2}, "runs one at a time"),
        ({"fallback": lambda: None}, "breaker"),
        ({"mode": "continuous", "every": 5}, "cannot be combined with"),
        ({"max_retries": -1}, "max_retries=-1"),
        ({"executor": "thread"}, "event loop"),
        ({"uses": {"db": 0}}, "at least 1"),
    ],
)
def test_a_declaration_that_cannot_work_names_the_worker_and_the_remedy(options, said):
    boss = Orchestrator("memory:")

    async def report() -> None: ...

    with pytest.raises(ConfigurationError, match=said) as caught:
        boss.register("report", report, **options)
    assert "report" in str(caught.value)


def test_what_runs_by_itself_must_be_callable_without_a_payload():
    boss = Orchestrator("memory:")

    async def report(day: str) -> None: ...

    with pytest.raises(ConfigurationError, match="runs without a trigger"):
        boss.register("report", report, every="1h")


def test_the_missions_words_and_defaults():
    boss = Orchestrator("memory:")

    async def work() -> None: ...

    boss.register("a", work, mode="scheduled")
    boss.register("b", work)
    a, b = boss.definitions["a"], boss.definitions["b"]

    assert (a.schedule.every_s, a.timeout_s, a.retry.max_retries, a.priority.label, a.max_consecutive_failures) == (
        300.0,
        60.0,
        3,
        "normal",
        5,
    )
    assert (a.concurrency, b.concurrency) == (1, None)
    assert boss.max_concurrency == 100
    assert boss.shutdown_timeout_s == 25.0


async def test_on_failure_run_lets_the_dependent_run_degraded(boss):
    """D5"""
    seen = asyncio.Queue()

    @boss.worker(max_retries=0, every="1h")
    async def upstream() -> None:
        raise ValueError("down")

    @boss.worker(every="1h", depends_on=[Dependency(upstream, on_failure="run")])
    async def downstream(ctx: Context) -> None:
        seen.put_nowait(ctx.degraded)

    async with boss:
        assert await asyncio.wait_for(seen.get(), 5) is True


async def test_a_stop_with_nothing_in_flight_is_quick_and_says_lost_0(boss):
    """G4"""

    @boss.worker(every="1h")
    async def tick() -> None: ...

    await boss.start()
    while (await boss.status()).worker("tick").last_success_at is None:
        await asyncio.sleep(0)
    report = await boss.stop()

    assert (report.drained, report.interrupted, report.lost, report.exit_code) == (0, 0, 0, 0)
    assert "pending 1, lost 0" in str(report)


async def test_an_embedded_stop_leaves_the_claim_of_a_thread_that_goes_on(tmp_path):
    """G2: it is released only after its body has ended, or as the last act of the process."""
    url = f"sqlite:///{tmp_path / 'boss.db'}"
    boss = Orchestrator(url, shutdown_timeout=0.5)
    release = threading.Event()
    began = threading.Event()

    @boss.worker(timeout=None)
    def stuck() -> None:
        began.set()
        release.wait(30)

    await boss.start()
    run = await stuck.trigger()
    await asyncio.to_thread(began.wait, 5)
    report = await boss.stop()
    async with Orchestrator(url).client() as outside:
        info = await outside.run_info(run.id)
    release.set()

    assert (report.stuck, report.exit_code) == (1, 1)
    assert info.status is Status.RUNNING


async def test_a_thread_that_outlived_its_orchestrator_keeps_its_claim_when_that_starts_again_in_the_process(tmp_path):
    """B6, C1: until its node's lease ends nobody may begin its run beside it."""
    boss = Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}", shutdown_timeout=0.5)
    release, began = threading.Event(), threading.Event()
    bodies: list[int] = []

    @boss.worker(timeout=None, concurrency=1)
    def stuck(ctx: Context) -> None:
        bodies.append(ctx.fence)
        began.set()
        release.wait(30)

    @boss.worker()
    async def other() -> None: ...

    await boss.start()
    run = await stuck.trigger()
    await asyncio.to_thread(began.wait, 5)
    before = await run.info()
    await boss.stop()
    async with boss:  # a node that is surely gone is rescued when the next one joins
        await (await other.trigger()).result(timeout=10)
        after = await run.info()
        release.set()

    assert (after.status, after.claim, after.interruptions) == (Status.RUNNING, before.claim, 0)
    assert len(bodies) == 1


async def test_a_run_can_be_awaited_that_another_process_runs(tmp_path):
    """W1, A2: the end is seen by a notification, not by asking again and again."""
    url = f"sqlite:///{tmp_path / 'boss.db'}"
    one, two = Orchestrator(url), Orchestrator(url)

    @one.worker()
    async def here() -> str:
        return "one"

    @two.worker()
    async def there() -> str:
        return "two"

    async with one, two:
        run = await one.trigger("there")

        assert await run.result(timeout=5) == "two"


async def test_zombies_keep_their_slot_until_they_end(tmp_path):
    """B6, T2"""
    boss = Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}")
    release = threading.Event()

    @boss.worker(timeout=0.05, max_retries=0, concurrency=1)
    def stubborn(number: int) -> int:
        if number == 0:
            release.wait(30)
        return number

    async with boss:
        first = await stubborn.trigger(0)
        second = await stubborn.trigger(1)
        while not [run for run in (await boss.status()).running if run.zombie]:
            await asyncio.sleep(0.01)
        held = await boss.why_run(second.id)
        release.set()

        assert (await first.wait(timeout=5)).cause is Cause.TIMEOUT
        assert await second.result(timeout=5) == 1
    assert [hold.gate for hold in held.holds] == ["concurrency"]


async def test_ctx_time_is_the_schedules(boss):
    """D1, O2"""
    seen = asyncio.Queue()

    @boss.worker(every="1h", start="now")
    async def tick(ctx: Context) -> None:
        seen.put_nowait((ctx.occurs_at, ctx.covers_until, ctx.missed, ctx.fence))

    before = time.time()
    async with boss:
        occurs_at, covers_until, missed, fence = await asyncio.wait_for(seen.get(), 5)

    assert abs(occurs_at.timestamp() - before) < 60
    assert covers_until == occurs_at
    assert missed == 0
    assert fence > 0


async def test_old_history_is_pruned_while_it_idles(tmp_path, monkeypatch):
    """A4: finished runs go after their retention, in small batches; what is dead and unresolved stays."""
    from shiftboss.engine import retention
    from shiftboss.ports.faces import HistoryFilter

    monkeypatch.setattr(retention, "EVERY_S", 0.05)
    monkeypatch.setattr(retention, "AGAIN_S", 0.01)
    monkeypatch.setattr(retention, "BATCH", 3)
    boss = Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}", retention=0)

    @boss.worker(max_retries=0)
    async def job(number: int) -> None:
        if number == 0:
            raise ValueError("kept")

    async with boss:
        runs = [await job.trigger(number) for number in range(8)]
        while [run.id for run in await boss.runs(HistoryFilter(limit=100))] != [runs[0].id]:
            await asyncio.sleep(0.01)


def test_run_says_that_it_wants_the_main_thread(tmp_path):
    boss = Orchestrator(f"sqlite:///{tmp_path / 'boss.db'}")
    said: list[Exception] = []

    def call():
        try:
            boss.run()
        except Exception as error:
            said.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()

    assert "main thread" in str(said[0])


async def test_what_a_body_logs_is_kept_with_its_attempt(boss, caplog):
    """The last 1,000 lines, tagged, from coroutines and threads; also while it runs."""
    go_on = asyncio.Event()
    log = logging.getLogger("some.library")
    caplog.set_level(logging.INFO)

    @boss.worker(max_retries=1, retry=RetryPolicy(first_s=0.0))
    async def chatty(ctx: Context) -> None:
        ctx.log.info("attempt %d", ctx.attempt)
        if ctx.attempt == 1:
            for number in range(1100):
                log.info("line %d", number)
            raise ValueError("again")
        await asyncio.to_thread(log.warning, "from a thread")
        await go_on.wait()

    async with boss:
        run = await chatty.trigger()
        while not [line for line in await boss.lines(run.id) if line.attempt == 2 and line.level == "WARNING"]:
            await asyncio.sleep(0.01)
        go_on.set()
        await run.result(timeout=5)
        lines = await boss.lines(run.id)
        first = [line for line in lines if line.attempt == 1]
        second = [line.text for line in lines if line.attempt == 2]
        with pytest.raises(UnknownRun):
            await boss.lines(987654)

    assert [line.text for line in first[-2:]] == ["line 1098", "line 1099"]
    assert len(first) <= 1000
    assert first[0].number > 1
    assert second == ["attempt 2", "from a thread"]
