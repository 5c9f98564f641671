"""Makes a `Definition` and a `Body` of the options that people write beside a function.

Rules of this file
- Everything that a single declaration can get wrong is reported here, with the worker's name and the remedy.
- Defaults are in `Definition` and the policies; here are only those that depend on other options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from shiftboss.app import scheduling
from shiftboss.app.bodies import AnyBody, executor_of, make_body
from shiftboss.app.options import WORKER, Breaker, Named, OwnBreaker, worker_name
from shiftboss.app.scheduling import Calendar, LocalTime
from shiftboss.context import storable
from shiftboss.core.kinds import Duration
from shiftboss.core.policy import HealthPolicy, Priority, RetryPolicy
from shiftboss.core.schedule import Every, Schedule
from shiftboss.core.value import replace
from shiftboss.core.worker import PROBATION_OF_TRIGGERED_S, PROBATION_S, Definition, Mode, Start
from shiftboss.errors import ConfigurationError, did_you_mean
from shiftboss.executors.body import FunctionBody
from shiftboss.executors.body_ref import body_ref_of
from shiftboss.executors.command import Command
from shiftboss.ports.executor import Body

if TYPE_CHECKING:
    from concurrent.futures import Executor

MAX_DOC_CHARS = 200  # of the first line of a docstring or command, in lists
RETRY, HEALTH = RetryPolicy(), HealthPolicy()  # workers with the same policies share them
NO_USES: dict[str, int] = {}  # nobody writes into it; an empty dict takes 64 bytes
DEFAULT_EVERY_S = 300.0  # for mode="scheduled" without every= or cron=
PriorityName = Literal["low", "normal", "high", "critical"]
Exceptions = type[BaseException] | Iterable[type[BaseException]]


class WorkerOptions(TypedDict, total=False):
    """What `worker(…)` and `register(…)` accept.  Durations: seconds, a timedelta, or a text like "1h30m"."""

    name: str
    mode: Literal["scheduled", "continuous", "triggered"]
    every: Duration
    cron: str | Iterable[str]
    at: LocalTime | Iterable[LocalTime]
    on_calendar: str | Iterable[str]
    rrule: str
    anchor: LocalTime
    calendar: Calendar | None
    timezone: str | tzinfo
    until: LocalTime | None
    times: int | None
    continuous: bool
    start: Literal["now", "next"]
    jitter: Duration
    misfire: Literal["one", "skip", "all"]
    grace: Duration
    misfire_limit: int
    pause: Duration
    priority: PriorityName | Priority
    timeout: Duration | None
    start_within: Duration | None
    deadline: Duration | None
    cancel_grace: Duration
    concurrency: int | None
    patience: Duration
    max_retries: int | None
    retry: RetryPolicy
    retry_on: Exceptions
    no_retry_on: Exceptions
    breaker: bool | str | Breaker
    fallback: Callable[..., Any] | Command
    max_consecutive_failures: int | None
    fatal_counts: bool | None
    probation: Duration | None
    depends_on: Iterable[Named]
    after: Iterable[Named]
    blocks: Iterable[Named]
    tags: Iterable[str]
    uses: Mapping[str, int]
    rate: str
    health: HealthPolicy
    expected_duration: Duration
    heartbeat_timeout: Duration | None
    expect_success_within: Duration
    at_most_once: bool
    key_ttl: Duration
    max_payload: int | str
    executor: Literal["coroutine", "thread", "process"]
    pool: Executor | Callable[[], Executor]
    pool_slots: int
    max_runs_per_child: int
    max_memory: int | str | None


AS_THEY_ARE = (
    "misfire",
    "misfire_limit",
    "times",
    "priority",
    "concurrency",
    "max_consecutive_failures",
    "fatal_counts",
    "depends_on",
    "after",
    "blocks",
    "tags",
    "uses",
    "rate",
    "at_most_once",
    "max_runs_per_child",
)
DURATIONS = (
    "jitter",
    "grace",
    "pause",
    "cancel_grace",
    "patience",
    "key_ttl",
    "timeout",
    "start_within",
    "deadline",
    "probation",
)
OF_HEALTH = ("expected_duration", "heartbeat_timeout", "expect_success_within")
SIZES = {"max_payload": "max_payload_bytes", "max_memory": "max_memory_bytes"}
FOR_PROCESSES = ("max_runs_per_child", "max_memory")


def declare(fn: Callable[..., Any] | Command, options: Mapping[str, Any]) -> tuple[Definition, Body]:
    """Check *options* and make the definition and the body of them.  Raises ConfigurationError."""
    if "name" in options:
        name: str = WORKER.read_one("name", options["name"], of="a worker")
    else:
        name = worker_name(fn)
    options = WORKER.read(options, of=f"worker {name!r}")
    body = make_body(fn, name, options)
    try:
        definition = _definition(name, body, options)
    except ConfigurationError as error:
        text = str(error)
        raise ConfigurationError(text if repr(name) in text else f"worker {name!r}: {text}") from error
    if definition.runs_by_itself and not body.takes_nothing_required:
        raise ConfigurationError(
            f"worker {name!r} runs without a trigger, so without a payload; give its parameters {body.signature} "
            "defaults"
        )
    doc = str(fn) if isinstance(fn, Command) else str(getattr(fn, "__doc__", None) or "").strip()
    doc = storable(doc.partition("\n")[0], MAX_DOC_CHARS)
    return replace(definition, parameters=body.parameters, doc=doc), body


def _definition(name: str, body: AnyBody, options: Mapping[str, Any]) -> Definition:
    mode, schedule = _mode(options)
    given: dict[str, Any] = {option: options[option] for option in AS_THEY_ARE if option in options}
    given |= {f"{option}_s": options[option] for option in DURATIONS if option in options}
    given |= {field: options[option] for option, field in SIZES.items() if option in options}
    if given.get("timeout_s") == 0:
        raise ConfigurationError("timeout=0 allows no run; give a duration, or None for no limit")
    given.setdefault("uses", NO_USES)
    given.setdefault("concurrency", None if mode is Mode.TRIGGERED else 1)
    given.setdefault("probation_s", PROBATION_OF_TRIGGERED_S if mode is Mode.TRIGGERED else PROBATION_S)
    breaker: OwnBreaker | None = options.get("breaker")
    return Definition(
        name=name,
        mode=mode,
        schedule=schedule,
        until=scheduling.end_of(options),
        start=_start(options, mode, schedule),
        retry=_retry(options, mode),
        breaker=None if breaker is None else breaker.name or name,
        breaker_policy=None if breaker is None else breaker.policy,
        fallback=options.get("fallback") is not None,
        health=_health(options),
        executor=_executor(body, options),
        **given,
    )


def _mode(options: Mapping[str, Any]) -> tuple[Mode, Schedule | None]:
    """M1: one mode, given by name or implied by another option."""
    kind = scheduling.kind_of(options)
    if kind is not None and options.get("continuous"):
        raise ConfigurationError(f"{kind}= and continuous= cannot be combined; a worker has one mode")
    implied = Mode.SCHEDULED if kind is not None else Mode.CONTINUOUS if options.get("continuous") else None
    mode: Mode = options.get("mode", implied or Mode.TRIGGERED)
    if implied is not None and mode is not implied:
        raise ConfigurationError(
            f"mode={mode.value!r} cannot be combined with {kind or 'continuous'}=; drop one of them"
        )
    if "pause" in options and mode is not Mode.CONTINUOUS:
        raise ConfigurationError("pause= is for continuous=True only; every= sets the interval of a scheduled worker")
    if mode is Mode.SCHEDULED and kind is None:
        options = {**options, "every": scheduling.Distance(DEFAULT_EVERY_S, days=0)}
    return mode, scheduling.schedule_of(options)


def _start(options: Mapping[str, Any], mode: Mode, schedule: Schedule | None) -> Start:
    """M3: a plain every= starts at once, any other schedule at its first scheduled time."""
    if "start" in options and mode is not Mode.SCHEDULED:
        raise ConfigurationError("start= is for scheduled workers only")
    start: Start = options.get("start", Start.NOW if isinstance(schedule, Every) else Start.NEXT)
    return start


def _retry(options: Mapping[str, Any], mode: Mode) -> RetryPolicy:
    """R1, M5: a continuous worker is retried without limit unless max_retries is set."""
    policy: RetryPolicy = options.get("retry", RETRY)
    if "max_retries" in options:
        return replace(policy, max_retries=options["max_retries"])
    if mode is Mode.CONTINUOUS and "retry" not in options:
        return replace(policy, max_retries=None)
    if options.get("at_most_once"):
        return replace(policy, max_retries=0)
    return policy


def _health(options: Mapping[str, Any]) -> HealthPolicy:
    policy: HealthPolicy = options.get("health", HEALTH)
    own = {f"{option}_s": options[option] for option in OF_HEALTH if option in options}
    return replace(policy, **own) if own else policy


def _executor(body: AnyBody, options: Mapping[str, Any]) -> str:
    if (decided := executor_of(body)) is not None:
        return decided
    fitting = "coroutine" if body.is_async else "thread"
    chosen = options.get("executor", fitting)
    known = ("coroutine", "thread", "process")
    if chosen not in known:
        raise ConfigurationError(f"executor={chosen!r} is unknown; {did_you_mean(str(chosen), known)}")
    if chosen == "process" and isinstance(body, FunctionBody):
        body_ref_of(body)  # refuses a function that a child could not import
        return "process"
    for option in FOR_PROCESSES:
        if options.get(option) is not None:
            raise ConfigurationError(f"{option}= is for executor='process' only; add it, or drop {option}=")
    if chosen != fitting:
        kind = "an async function runs on the event loop" if body.is_async else "a plain function runs in a thread"
        raise ConfigurationError(f"executor={chosen!r} cannot run this function: {kind}")
    return str(chosen)
