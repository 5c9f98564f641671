"""One span for each attempt, linked to what triggered it, current inside its body wherever that runs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import psycopg
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from shiftboss import Context, Fatal, Orchestrator, RetryPolicy, command
from shiftboss.trace import RemoteSpan, current_traceparent, span_context

PATIENCE_S = 30.0
AT_ONCE = RetryPolicy(max_retries=2, first_s=0.001)


@pytest.fixture(scope="module")
def exporter() -> Iterator[InMemorySpanExporter]:
    """A provider is set once in a process; that of these tests must not be that of all others."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "_TRACER_PROVIDER", provider)
        yield kept
    provider.shutdown()


@pytest.fixture
def spans(exporter):
    """Spans of attempts, in the order of their ends."""
    exporter.clear()

    def ended(worker: str = ""):
        found = [span for span in exporter.get_finished_spans() if span.instrumentation_scope.name == "shiftboss"]
        return [span for span in found if worker in ("", span.attributes["shiftboss.worker"])]

    return ended


def name_of(span) -> str:
    """Its traceparent."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def links_of(span) -> list[str]:
    return [name_of(trace.NonRecordingSpan(link.context)) for link in span.links]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def boss(request, tmp_path) -> Orchestrator:
    match request.param:
        case "memory":
            url = "memory:"
        case "sqlite":
            url = f"sqlite:///{tmp_path / 'boss.db'}"
        case _:
            url = request.getfixturevalue("place").url
    return Orchestrator(url, shutdown_timeout=5)


async def test_an_attempt_is_a_trace_of_its_own_linked_to_its_trigger(boss, spans):
    @boss.worker()
    async def mail(ctx: Context, to: str) -> str | None:
        return ctx.traceparent

    async with boss:
        with trace.get_tracer("shop").start_as_current_span("POST /order") as order:
            handle = await mail.options(key="order-7").trigger("ada")
        run = await handle.wait(timeout=PATIENCE_S)

    (span,) = spans("mail")
    assert run.traceparent == name_of(order)
    assert links_of(span) == [name_of(order)]
    assert span.parent is None
    assert span.context.trace_id != order.get_span_context().trace_id
    assert (span.name, span.kind, span.status.status_code) == ("run mail", SpanKind.CONSUMER, StatusCode.UNSET)
    assert json.loads(run.result) == name_of(span)
    assert {
        "shiftboss.run.id": run.id,
        "shiftboss.attempt": 1,
        "shiftboss.run.origin": "trigger",
        "shiftboss.run.key": "order-7",
        "shiftboss.outcome": "succeeded",
        "messaging.system": "shiftboss",
        "messaging.operation.type": "process",
        "messaging.destination.name": "mail",
        "messaging.message.id": str(run.id),
    }.items() <= span.attributes.items()


async def test_what_nothing_triggered_has_no_link_and_is_no_message(boss, spans):
    done = asyncio.Event()

    @boss.worker(every="1h")
    async def tick() -> None:
        done.set()

    async with boss:
        await asyncio.wait_for(done.wait(), PATIENCE_S)

    (span,) = spans("tick")
    assert (span.links, span.kind) == ((), SpanKind.INTERNAL)
    assert not [name for name in span.attributes if name.startswith("messaging.")]


async def test_every_attempt_of_a_run_links_to_its_trigger_and_says_how_it_ended(boss, spans):
    @boss.worker(retry=AT_ONCE)
    async def moody(ctx: Context, password: str) -> None:
        if ctx.attempt < 3:
            raise ValueError(f"no entry with {password}")

    async with boss:
        with trace.get_tracer("shop").start_as_current_span("click") as click:
            handle = await moody.trigger("sesame-1234")
        await handle.wait(timeout=PATIENCE_S)

    first, second, third = spans("moody")
    assert [span.attributes["shiftboss.attempt"] for span in (first, second, third)] == [1, 2, 3]
    assert [links_of(span) for span in (first, second, third)] == [[name_of(click)]] * 3
    assert (first.status.status_code, third.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    assert first.attributes["error.type"] == "ValueError"
    (event,) = first.events
    assert event.name == "exception"
    assert event.attributes["exception.type"] == "ValueError"
    assert "no entry with" in event.attributes["exception.message"]
    assert "in moody" in event.attributes["exception.stacktrace"]
    assert "sesame-1234" not in str(first.to_json())  # secrets are masked, as in what is stored


@pytest.mark.parametrize(
    ("how", "outcome", "status"),
    [
        ("fatal", "fatal", StatusCode.ERROR),
        ("slow", "timeout", StatusCode.ERROR),
        ("cancel", "cancelled", StatusCode.UNSET),
        ("stop", "interrupted", StatusCode.UNSET),
    ],
)
async def test_the_outcome_is_said(tmp_path, spans, how, outcome, status):
    boss = Orchestrator("memory:", shutdown_timeout=0.4)
    began = asyncio.Event()

    @boss.worker(max_retries=0, timeout=0.05 if how == "slow" else None)
    async def job() -> None:
        began.set()
        if how == "fatal":
            raise Fatal("no use")
        await asyncio.Event().wait()

    async with boss:
        handle = await job.trigger()
        await began.wait()
        if how == "cancel":
            await boss.cancel(handle.id)
        if how != "stop":
            await handle.wait(timeout=PATIENCE_S)

    (span,) = spans("job")
    assert span.attributes["shiftboss.outcome"] == outcome
    assert span.status.status_code is status


async def test_what_a_body_triggers_and_what_comes_after_it_link_to_its_span(boss, spans):
    @boss.worker()
    async def first() -> int:
        return (await second.trigger()).id

    @boss.worker()
    def second() -> None: ...

    arrived = asyncio.Event()

    @boss.worker(after=[second])
    async def third() -> None:
        arrived.set()

    async with boss:
        await (await first.trigger()).wait(timeout=PATIENCE_S)
        await asyncio.wait_for(arrived.wait(), PATIENCE_S)

    (one,), (two,), (three,) = spans("first"), spans("second"), spans("third")
    assert links_of(two) == [name_of(one)]
    assert links_of(three) == [name_of(two)]


async def test_a_replay_links_to_the_trigger_of_what_it_replays(boss, spans):
    @boss.worker(max_retries=0)
    async def job() -> None:
        raise ValueError("no")

    async with boss:
        with trace.get_tracer("shop").start_as_current_span("click") as click:
            handle = await job.trigger()
        await handle.wait(timeout=PATIENCE_S)
        await (await boss.replay(handle.id)).wait(timeout=PATIENCE_S)

    assert [links_of(span) for span in spans("job")] == [[name_of(click)]] * 2


async def test_spans_that_a_body_makes_are_children_of_the_attempt(tmp_path, spans, exporter):
    boss = Orchestrator("memory:")

    @boss.worker()
    async def on_the_loop() -> None:
        with trace.get_tracer("body").start_as_current_span("coroutine"):
            await asyncio.sleep(0)

    @boss.worker()
    def in_a_thread() -> None:
        with trace.get_tracer("body").start_as_current_span("thread"):
            assert threading.current_thread() is not threading.main_thread()

    async with boss:
        for worker in (on_the_loop, in_a_thread):
            await (await worker.trigger()).result(timeout=PATIENCE_S)
        assert current_traceparent() is None

    parents = {span.name: span.parent for span in exporter.get_finished_spans()}
    (loop,), (thread,) = spans("on-the-loop"), spans("in-a-thread")
    assert parents["coroutine"].span_id == loop.context.span_id
    assert parents["thread"].span_id == thread.context.span_id


async def test_a_command_finds_its_span_in_its_environment(spans, monkeypatch):
    monkeypatch.setenv("TRACEPARENT", "of whoever started the node")
    boss = Orchestrator("memory:")
    boss.register("say", command([sys.executable, "-c", "import os; print(os.environ['TRACEPARENT'], end='')"]))

    async with boss:
        result = await (await boss.trigger("say")).result(timeout=PATIENCE_S)

    (span,) = spans("say")
    assert result["stdout"] == name_of(span)


async def test_a_child_has_it_in_its_context_its_environment_and_as_parent_of_its_spans(spans, tmp_path, monkeypatch):
    (tmp_path / "traced_child.py").write_text(CHILD)
    monkeypatch.syspath_prepend(str(tmp_path))
    import traced_child

    boss = traced_child.boss
    async with boss:
        result = await (await boss.trigger("inside")).result(timeout=PATIENCE_S)
        again = await (await boss.trigger("inside")).result(timeout=PATIENCE_S)

    first, second = spans("inside")
    assert result == [name_of(first)] * 3
    assert again == [name_of(second)] * 3


CHILD = """
import os
from opentelemetry import trace
from shiftboss import Context, Orchestrator
from shiftboss.trace import current_traceparent

boss = Orchestrator("memory:", process_slots=1)

@boss.worker(executor="process")
def inside(ctx: Context) -> list:
    return [ctx.traceparent, os.environ.get("TRACEPARENT"), current_traceparent()]
"""


async def test_a_trigger_within_a_transaction_carries_it_too(place, spans):
    boss = Orchestrator(place.url)

    @boss.worker()
    async def mail() -> None: ...

    async with boss:
        async with await psycopg.AsyncConnection.connect(place.cluster.url) as connection:
            with trace.get_tracer("shop").start_as_current_span("checkout") as checkout:
                promised = await mail.options(within=connection).trigger()
        await promised.wait(timeout=PATIENCE_S)

    (span,) = spans("mail")
    assert links_of(span) == [name_of(checkout)]


@pytest.mark.parametrize("text", ["", "no trace", f"00-{'0' * 32}-{'0' * 16}-01", f"01-{'a' * 32}-{'b' * 16}-01", None])
def test_what_is_no_traceparent_is_no_trace_and_no_error(text, exporter):
    assert span_context(text) is None
    RemoteSpan(text or "").enter()


WITHOUT = """
import asyncio, sys
from shiftboss import Context, Orchestrator

boss = Orchestrator("memory:")

@boss.worker()
async def job(ctx: Context):
    return ctx.traceparent

async def main():
    async with boss:
        assert await (await job.trigger()).result(timeout=30) is None
        {meanwhile}
        assert await (await job.trigger()).result(timeout=30) is None

asyncio.run(main())
assert {check}
"""


@pytest.mark.parametrize(
    ("meanwhile", "check"),
    [
        ("", "not [name for name in sys.modules if name.startswith('opentelemetry')]"),  # nobody traces: not imported
        ("import opentelemetry.trace", "'opentelemetry.sdk' not in sys.modules"),  # imported, no provider set
    ],
)
def test_where_nobody_traces_nothing_is_made(meanwhile, check):
    program = WITHOUT.format(meanwhile=meanwhile or "pass", check=check)

    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ, timeout=60)
