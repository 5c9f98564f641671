"""From what people write beside a function to a `Definition` and a `Body`.

Rules of this file
- Everything that one declaration can get wrong is said here, with the worker's name and the remedy.
- Defaults live in `Definition` and the policies; here are only those that depend on other options.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

from shiftboss.app.bodies import AnyBody, executor_of, make_body
from shiftboss.core.policy import BreakerPolicy, Duration, HealthPolicy, Priority, Rate, RetryPolicy, duration, priority
from shiftboss.core.schedule import Cron, Every, Schedule
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition, Misfire, Mode, OnFailure, Start, Upstream
from shiftboss.errors import ConfigurationError, did_you_mean
from shiftboss.executors.body import FunctionBody
from shiftboss.executors.command import Command
from shiftboss.executors.entry import entry_of
from shiftboss.ports import Body

if TYPE_CHECKING:
    from concurrent.futures import Executor

MAX_DOC_CHARS = 200  # of a command line, in lists
DEFAULT_EVERY_S = 300.0  # of mode="scheduled" without every= or cron=
PriorityName = Literal["low", "normal", "high", "critical"]
Exceptions = type[BaseException] | Iterable[type[BaseException]]
Named = Any  # a worker by its name, its function, or what the decorator made of it


class Breaker(NamedTuple):
    """K1, K2: when a circuit breaker opens and how it closes.  Workers that give the same `name` share one.

    Opens after `failures` failed attempts in a row, or when `rate` of the last `window` attempts failed (from
    `min_calls` on).  Durations are seconds, a timedelta or a text like "30s".
    """

    name: str | None = None
    failures: int = 5
    rate: float | None = None
    window: int = 20
    min_calls: int = 10
    cooldown: Duration = 30.0  # how long it stays open before a probe
    max_cooldown: Duration = 600.0  # doubled at each failed probe up to this
    successes: int = 1  # probes in a row that close it

    def policy(self) -> BreakerPolicy:
        return BreakerPolicy(
            failures=self.failures,
            rate=self.rate,
            window=self.window,
            min_calls=self.min_calls,
            cooldown_s=duration(self.cooldown, name="cooldown"),
            max_cooldown_s=duration(self.max_cooldown, name="max_cooldown"),
            successes=self.successes,
        )


class Dependency(NamedTuple):
    """One edge of `depends_on` with conditions (D4, D5).

    `fresh=True`: the upstream must have succeeded since this worker's last successful start; `fresh="1h"`: its last
    success must not be older than that.  `on_failure`: "wait" (default), "skip" or "run".
    """

    worker: Named  # the upstream: its name or its function
    fresh: bool | Duration = False  # whether its success must be new, or how old it may be
    on_failure: Literal["wait", "skip", "run"] = "wait"


class WorkerOptions(TypedDict, total=False):
    """What `worker(…)` and `register(…)` accept.  Durations: seconds, a timedelta, or a text like "1h30m"."""

    name: str
    mode: Literal["scheduled", "continuous", "triggered"]
    every: Duration
    cron: str
    timezone: str
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
    max_payload: int
    executor: Literal["coroutine", "thread", "process"]
    pool: Executor | Callable[[], Executor]
    pool_slots: int
    max_runs_per_child: int
    max_memory: int | str | None


OPTIONS = frozenset(WorkerOptions.__annotations__)
PLAIN = (
    "misfire_limit",
    "concurrency",
    "max_consecutive_failures",
    "at_most_once",
    "max_runs_per_child",
)  # as they are
DURATIONS = ("jitter", "grace", "pause", "cancel_grace", "patience", "key_ttl")
FOR_PROCESSES = ("max_runs_per_child", "max_memory")
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG])?(?:i?B)?", re.IGNORECASE)  # 1 KB is 1024 bytes, as ulimit has it
OPTIONAL_DURATIONS = ("timeout", "start_within", "deadline", "probation")  # None: no limit


def worker_name(fn: Callable[..., Any] | Command) -> str:
    """The function's name with hyphens."""
    name = getattr(fn, "__name__", None) or getattr(getattr(fn, "func", None), "__name__", None)
    if name is None or name == "<lambda>":
        raise ConfigurationError(f"{fn!r} has no name of its own; give name='…'")
    return str(name).strip("_").replace("_", "-")


def name_of(named: Named) -> str:
    """The worker's name of whatever people name it by."""
    if isinstance(named, str):
        return named
    own = getattr(named, "name", None)
    if isinstance(own, str):
        return own
    if callable(named):
        return worker_name(named)
    raise ConfigurationError(f"{named!r} names no worker; give its name or its function")


def declare(fn: Callable[..., Any] | Command, options: Mapping[str, Any]) -> tuple[Definition, Body]:
    """Check *options* and make the definition and the body.  Raises ConfigurationError."""
    name = options.get("name") or worker_name(fn)
    unknown = sorted(set(options) - OPTIONS)
    if unknown:
        hint = did_you_mean(unknown[0], OPTIONS)
        raise ConfigurationError(f"worker {name!r}: there is no option {unknown[0]!r}; {hint}")
    body = make_body(fn, name, options)
    try:
        definition = _definition(name, body, options)
    except ConfigurationError as error:
        said = str(error)
        raise ConfigurationError(said if name in said else f"worker {name!r}: {said}") from error
    if definition.runs_by_itself and not body.takes_nothing_required:
        raise ConfigurationError(
            f"worker {name!r} runs by itself, so it must be callable without a payload; "
            f"give its parameters {body.signature} defaults"
        )
    doc = str(fn)[:MAX_DOC_CHARS] if isinstance(fn, Command) else (getattr(fn, "__doc__", None) or "").strip()
    doc = doc.partition("\n")[0]
    return replace(definition, parameters=body.parameters, doc=doc), body


def _definition(name: str, body: AnyBody, options: Mapping[str, Any]) -> Definition:
    mode, schedule = _mode(options)
    after = tuple(name_of(other) for other in _list(options, "after"))
    given: dict[str, Any] = {option: options[option] for option in PLAIN if option in options}
    for option in DURATIONS:
        if option in options:
            given[f"{option}_s"] = duration(options[option], name=option)
    for option in OPTIONAL_DURATIONS:
        if option in options:
            value = options[option]
            given[f"{option}_s"] = None if value is None else duration(value, name=option)
    if given.get("timeout_s") == 0:
        raise ConfigurationError("timeout=0 lets nothing run; give a duration, or None for no limit")
    given.setdefault("concurrency", None if mode is Mode.TRIGGERED else 1)
    breaker, breaker_policy = _breaker(name, options.get("breaker", False))
    return Definition(
        name=name,
        mode=mode,
        schedule=schedule,
        start=_start(options, mode, schedule),
        misfire=_choice(Misfire, options, "misfire", Misfire.ONE),
        priority=priority(options.get("priority", Priority.NORMAL)),
        retry=_retry(options, mode),
        breaker=breaker,
        breaker_policy=breaker_policy,
        fallback=options.get("fallback") is not None,
        depends_on=tuple(_upstream(edge) for edge in _list(options, "depends_on")),
        after=after,
        blocks=tuple(name_of(other) for other in _list(options, "blocks")),
        tags=tuple(options.get("tags", ())),
        uses=dict(options.get("uses", {})),
        rate=Rate.parse(options["rate"]) if "rate" in options else None,
        health=_health(options),
        max_payload_bytes=options.get("max_payload", 1 << 20),
        executor=_executor(body, options),
        max_memory_bytes=_memory(options.get("max_memory")),
        **given,
    )


def _mode(options: Mapping[str, Any]) -> tuple[Mode, Schedule | None]:
    """M1: one mode, by its word or by what is given."""
    kinds = [word for word in ("every", "cron", "continuous") if options.get(word)]
    if len(kinds) > 1:
        raise ConfigurationError(f"{kinds[0]}= and {kinds[1]}= exclude each other; a worker has one mode")
    implied = {"every": Mode.SCHEDULED, "cron": Mode.SCHEDULED, "continuous": Mode.CONTINUOUS}
    mode = _choice(Mode, options, "mode", implied[kinds[0]] if kinds else Mode.TRIGGERED)
    if kinds and mode is not implied[kinds[0]]:
        raise ConfigurationError(f"mode={mode.value!r} does not go with {kinds[0]}=; drop one of them")
    if "timezone" in options and "cron" not in options:
        raise ConfigurationError("timezone= is for cron= only; every= counts elapsed time")
    if "pause" in options and mode is not Mode.CONTINUOUS:
        raise ConfigurationError("pause= is for continuous=True only; every= sets the interval of a scheduled worker")
    if mode is not Mode.SCHEDULED:
        return mode, None
    if "cron" in options:
        return mode, Cron(options["cron"], options.get("timezone", "UTC"))
    return mode, Every(duration(options.get("every", DEFAULT_EVERY_S), name="every"))


def _start(options: Mapping[str, Any], mode: Mode, schedule: Schedule | None) -> Start:
    """M3: every= starts at once, cron= at its first instant."""
    if "start" in options and mode is not Mode.SCHEDULED:
        raise ConfigurationError("start= is for scheduled workers only")
    start: Start = _choice(Start, options, "start", Start.NOW if isinstance(schedule, Every) else Start.NEXT)
    return start


def _retry(options: Mapping[str, Any], mode: Mode) -> RetryPolicy:
    """R1, M5: a continuous worker is retried without end unless max_retries is set."""
    policy: RetryPolicy = options.get("retry", RetryPolicy())
    if "max_retries" in options:
        return replace(policy, max_retries=options["max_retries"])
    if mode is Mode.CONTINUOUS and "retry" not in options:
        return replace(policy, max_retries=None)
    if options.get("at_most_once"):
        return replace(policy, max_retries=0)
    return policy


def _breaker(worker: str, given: bool | str | Breaker) -> tuple[str | None, BreakerPolicy | None]:
    match given:
        case False | None:
            return None, None
        case True:
            return worker, BreakerPolicy()
        case str():
            return given, None
        case Breaker():
            return given.name or worker, given.policy()
        case _:
            raise ConfigurationError(f"breaker={given!r} is not understood; give True, a name or Breaker(…)")


def _upstream(edge: Named) -> Upstream:
    if not isinstance(edge, Dependency):
        return Upstream(name_of(edge))
    fresh, max_age_s = edge.fresh is True, None
    if not isinstance(edge.fresh, bool):
        max_age_s = duration(edge.fresh, name="fresh")
    try:
        on_failure = OnFailure(edge.on_failure)
    except ValueError:
        raise ConfigurationError(f"on_failure={edge.on_failure!r} is unknown; use wait, skip or run") from None
    return Upstream(name_of(edge.worker), fresh=fresh, max_age_s=max_age_s, on_failure=on_failure)


def _health(options: Mapping[str, Any]) -> HealthPolicy:
    policy: HealthPolicy = options.get("health", HealthPolicy())
    for option in ("expected_duration", "heartbeat_timeout", "expect_success_within"):
        if option in options:
            value = options[option]
            policy = replace(policy, **{f"{option}_s": None if value is None else duration(value, name=option)})
    return policy


def _executor(body: AnyBody, options: Mapping[str, Any]) -> str:
    if (decided := executor_of(body)) is not None:
        return decided
    fitting = "coroutine" if body.is_async else "thread"
    chosen = options.get("executor", fitting)
    known = ("coroutine", "thread", "process")
    if chosen not in known:
        raise ConfigurationError(f"executor={chosen!r} is unknown; {did_you_mean(str(chosen), known)}")
    if chosen == "process" and isinstance(body, FunctionBody):
        entry_of(body)  # refuses what a child could not import
        return "process"
    for option in FOR_PROCESSES:
        if options.get(option) is not None:
            raise ConfigurationError(f"{option}= is for executor='process' only; add it, or drop {option}=")
    if chosen != fitting:
        kind = "an async function runs on the event loop" if body.is_async else "a plain function runs in a thread"
        raise ConfigurationError(f"executor={chosen!r} cannot run this function: {kind}")
    return str(chosen)


def _memory(given: int | str | None) -> int | None:
    """Bytes, as a number or as "512MB"."""
    if given is None or (isinstance(given, int) and not isinstance(given, bool)):
        return given
    found = SIZE.fullmatch(given.strip()) if isinstance(given, str) else None
    if found is None:
        raise ConfigurationError(f"max_memory={given!r} is not understood; give bytes, or a text like '512MB' or '2GB'")
    return int(float(found[1]) * 1024 ** " KMG".index((found[2] or " ").upper()))


def _list(options: Mapping[str, Any], option: str) -> list[Named]:
    value = options.get(option, ())
    if isinstance(value, str) or (callable(value) and not isinstance(value, Iterable)) or isinstance(value, Dependency):
        raise ConfigurationError(
            f"{option}= takes a list; write {option}=[{name_of(getattr(value, 'worker', value))!r}]"
        )
    return list(value)


def _choice(kind: Any, options: Mapping[str, Any], option: str, default: Any) -> Any:
    value = options.get(option, default)
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(member.value for member in kind)
        raise ConfigurationError(f"{option}={value!r} is unknown; use {names}") from None
