"""W9: whatever is given for an option, it is taken rightly or refused by an error of ours, and no store suffers."""

from __future__ import annotations

import contextlib
import inspect
from typing import Any

import msgspec
import pytest
from strange_values import FOR_COLUMNS, VALUES

from shiftboss import Breaker, HealthPolicy, Orchestrator, RetryPolicy, ShiftbossError, command
from shiftboss.app.declaration import WorkerOptions
from shiftboss.app.handle import TriggerOptions
from shiftboss.app.options import CALL, ORCHESTRATOR, TRIGGER, WORKER
from shiftboss.app.orchestrator import Orchestrator as Face
from shiftboss.app.sync import SyncFace
from shiftboss.core.kinds import shown
from shiftboss.core.worker import Definition
from shiftboss.errors import CallerError, ConfigurationError, WaitTimeout
from shiftboss.executors.command import OPTIONS as COMMAND
from shiftboss.ports.faces import HistoryFilter, LetterFilter, WorkerFilter

NEEDS_OTHERS = ("depends_on", "after", "blocks", "uses", "pool")  # judged at the start, with all declarations in sight
OF_NO_STORE = ("authorize", "subscriber", "meter", "close")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    return f"sqlite:///{tmp_path / 'boss.db'}" if request.param == "sqlite" else request.getfixturevalue("place").url


def body() -> int:
    return 7


def app(url: str) -> Orchestrator:
    """What is mended: the same application without the mistake."""
    boss = Orchestrator(url, shutdown_timeout=5)
    boss.register("job", body)
    return boss


def refused(call: Any, *args: Any, **options: Any) -> bool:
    """Whether it was refused, by an error of ours that says something."""
    try:
        call(*args, **options)
    except CallerError:
        return True
    return False


async def is_refused(call: Any, *args: Any, **options: Any) -> bool:
    try:
        await call(*args, **options)
    except (CallerError, WaitTimeout):
        return True
    return False


async def opens_lists_and_runs(url: str) -> None:
    boss = app(url)
    async with boss:
        assert await (await boss.trigger("job")).result(timeout=30) == 7
        await boss.status()
        await boss.health()
        await boss.runs(HistoryFilter(limit=10_000))
        await boss.dead_letters()
        for worker in (await boss.status()).workers:
            await boss.why(worker.name)


# ── the tables have every option ─────────────────────────────────────────────────────────────────────────────────


def test_every_option_has_its_kind():
    own = {"self", "fn", "name"}
    calls = [
        getattr(face, name)
        for face in (Face, SyncFace)
        for name in dir(face)
        if not name.startswith("_") and callable(getattr(face, name)) and name not in ("register", "worker", "lifespan")
    ]
    parameters = {name for call in calls for name in inspect.signature(call).parameters} - own
    # by hints, TRIGGER, `HistoryFilter.read`, `insert`, and for many by `given_triggers`
    judged_elsewhere = {"payload", "options", "wanted", "within", "payloads", "keys"}

    assert set(WORKER) == set(WorkerOptions.__annotations__)
    assert set(TRIGGER) == set(TriggerOptions.__annotations__)
    assert set(ORCHESTRATOR) == set(inspect.signature(Orchestrator).parameters)
    assert parameters - judged_elsewhere == set(CALL)


# ── declarations ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("option", sorted(WORKER))
def test_a_declaration_is_taken_in_its_types_or_refused_by_name(option):
    """W9: what is taken can be written and read again, so nothing else is ever in a store."""
    for value in VALUES:
        boss, said = Orchestrator("memory:"), ""
        try:
            definition = boss.worker(**{"name": "w", option: value})(body).definition
        except ConfigurationError as error:
            said = str(error)
        if said:
            assert "worker" in said, shown(value)
            continue
        written = msgspec.json.encode(definition)
        assert msgspec.json.decode(written, type=Definition) == definition, (option, shown(value))


async def test_a_store_with_all_that_is_taken_opens_lists_and_runs(url):
    boss = app(url)
    number = 0
    for option in sorted(set(WORKER) - {*NEEDS_OTHERS, "name"}):
        for value in VALUES:
            number += not refused(boss.register, f"w-{number}", body, **{option: value})
    async with boss:
        await boss.status()

    assert number > 200
    await opens_lists_and_runs(url)


@pytest.mark.parametrize("option", NEEDS_OTHERS)
async def test_what_only_shows_together_is_refused_at_the_start(option, tmp_path):
    url = f"sqlite:///{tmp_path / 'boss.db'}"
    for value in VALUES:
        boss = app(url)
        if not refused(boss.register, "w", body, **{option: value}):
            with contextlib.suppress(ShiftbossError):
                async with boss:
                    await boss.status()

    await opens_lists_and_runs(url)


@pytest.mark.parametrize("option", sorted(ORCHESTRATOR))
async def test_an_orchestrator_is_made_or_refused(option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'boss.db'}"
    starts = option in ("resources", "code_version", "redact", "max_concurrency")
    for value in VALUES:
        made = []
        given = {"store": url, "shutdown_timeout": 5, option: value}
        if refused(lambda made=made, given=given: made.append(Orchestrator(**given))) or not starts:
            continue
        boss = made[0]
        boss.register("job", body)
        async with boss:
            await boss.status()

    await opens_lists_and_runs(url)


@pytest.mark.parametrize("option", sorted(COMMAND))
def test_a_command_is_made_or_refused(option):
    for value in VALUES:
        made: list[Any] = []
        given = {"argv": ["true"], option: value}
        if not refused(lambda made=made, given=given: made.append(command(**given))):
            definition = Orchestrator("memory:").register("w", made[0]).definition
            assert msgspec.json.decode(msgspec.json.encode(definition), type=Definition) == definition


@pytest.mark.parametrize("kind", [RetryPolicy, HealthPolicy, Breaker])
def test_policies_are_read_in_every_field_also_after_a_replacement(kind):
    fields = getattr(kind, "_fields", None) or kind.__struct_fields__
    option = {RetryPolicy: "retry", HealthPolicy: "health", Breaker: "breaker"}[kind]
    for field in fields:
        for value in VALUES:
            for make in (lambda f=field, v=value: kind(**{f: v}), lambda f=field, v=value: changed(kind(), f, v)):
                with contextlib.suppress(ConfigurationError):
                    definition = Orchestrator("memory:").register("w", body, **{option: make()}).definition
                    assert msgspec.json.decode(msgspec.json.encode(definition), type=Definition) == definition


def changed(policy: Any, field: str, value: Any) -> Any:
    if isinstance(policy, Breaker):
        return policy._replace(**{field: value})
    return msgspec.structs.replace(policy, **{field: value})


# ── triggers and operators' calls ────────────────────────────────────────────────────────────────────────────────


async def test_a_trigger_is_stored_as_asked_or_refused(url):
    boss = app(url)
    (job,) = (boss.register("other", body),)
    taken = 0
    async with boss:
        for option in sorted(set(TRIGGER) - {"within"}):
            for value in VALUES:
                given = {option: value}
                by_handle = await is_refused(lambda given=given: job.options(**given).trigger())
                by_name = await is_refused(boss.trigger, "job", **given)
                assert by_handle == by_name, (option, shown(value))
                taken += not by_name
        for value in VALUES:
            await is_refused(boss.trigger, value)
            await is_refused(boss.trigger, "job", value)

    assert taken > 50
    await opens_lists_and_runs(url)


async def test_an_operators_call_is_carried_out_or_refused(url):
    boss = app(url)
    async with boss:
        done = await boss.trigger("job")
        await done.wait(timeout=30)
        calls: dict[str, Any] = {
            "cancel": lambda value: boss.cancel(value),
            "cancel for": lambda value: boss.cancel(done.id + 1, reason=value),
            "disable": lambda value: boss.disable(value),
            "disable for": lambda value: boss.disable("job", reason=value),
            "enable": lambda value: boss.enable(value),
            "forget": lambda value: boss.forget(value),
            "drain": lambda value: boss.drain(value),
            "prefer": lambda value: boss.prefer(value),
            "prefer for": lambda value: boss.prefer("somewhere:1", value),
            "replay": lambda value: boss.replay(value),
            "replay after": lambda value: boss.replay(done.id, delay=value),
            "resolve": lambda value: boss.resolve(value),
            "resolve with": lambda value: boss.resolve(done.id, note=value),
            "discard": lambda value: boss.discard(value),
            "discard with": lambda value: boss.discard(done.id, note=value),
            "wait_for": lambda value: boss.wait_for(done.id, timeout=value),
            "wait": lambda value: done.wait(timeout=value),
            "set_aside": lambda value: boss.set_aside(value),
            "why": lambda value: boss.why(value),
            "why_run": lambda value: boss.why_run(value),
            "run_info": lambda value: boss.run_info(value),
            "lines": lambda value: boss.lines(value),
            "runs": lambda value: boss.runs(value),
            "dead_letters": lambda value: boss.dead_letters(value),
        }
        for kind, ask in (
            (HistoryFilter, boss.runs),
            (LetterFilter, boss.dead_letters),
            (WorkerFilter, boss.status),
        ):
            for field in kind._fields:
                calls[f"{kind.__name__}.{field}"] = lambda value, k=kind, f=field, ask=ask: ask(k(**{f: value}))
        for name, call in calls.items():
            for value in VALUES if url.startswith("sqlite") else FOR_COLUMNS:
                await boss.enable("job")
                if name == "cancel for":
                    done_id = (await boss.trigger("job", delay="1h")).id
                    await is_refused(boss.cancel, done_id, reason=value)
                else:
                    await is_refused(call, value)

    await opens_lists_and_runs(url)


def test_without_a_loop_it_is_the_same(tmp_path):
    url = f"sqlite:///{tmp_path / 'boss.db'}"
    boss = app(url)
    boss.sync.start()
    try:
        run = boss.sync.trigger("job", delay="1h").id
        for value in VALUES:
            for option in sorted(set(TRIGGER) - {"within"}):
                refused(boss.sync.trigger, "job", **{option: value})
            for call in (boss.sync.why_run, boss.sync.run_info, boss.sync.lines, boss.sync.replay, boss.sync.resolve):
                refused(call, value)
            refused(boss.sync.cancel, run, reason=value)
            refused(boss.sync.disable, "job", reason=value)
            boss.sync.enable("job")
            refused(boss.sync.runs, value)
        boss.sync.status()
    finally:
        boss.sync.stop()
    with app(url).sync as again:
        again.status()
        again.runs(HistoryFilter(limit=10_000))


async def test_none_is_no_reason(url):
    boss = app(url)
    async with boss:
        run = await boss.trigger("job", delay="1h")
        cancelled = await boss.cancel(run.id, reason=None)
        state = await boss.disable("job", reason=None)

    assert cancelled.cancel is not None
    assert cancelled.cancel.reason == ""
    assert state.disabled is not None
    assert state.disabled.reason == ""
