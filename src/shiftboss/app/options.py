"""The options of every call, and the kind of each: the one place where they are converted and validated.

Rules of this file
- The library, `boss.sync`, the command and the HTTP API all read their options by these tables.
- An option that is not in a table does not exist; a test compares the tables with the signatures.
- A mistake that shows only in several options together (`every=` beside `cron=`) is found where they are combined.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from msgspec import Raw, Struct

from shiftboss.app import scheduling
from shiftboss.core import address
from shiftboss.core.audit import Head
from shiftboss.core.kinds import (
    AT_LEAST_ONE,
    NAME_TEXT,
    Duration,
    Kind,
    Table,
    callable_,
    duration,
    flag,
    instant,
    is_storable,
    made_of,
    many,
    one_of,
    optional,
    remark,
    run_id,
    shown,
    size,
    sizes_by_name,
    text,
    whole,
    word,
)
from shiftboss.core.opaque import KEY_ID
from shiftboss.core.policy import BreakerPolicy, Rate, RetryPolicy, health_policy, priority
from shiftboss.core.schedules.zone import timezone_name
from shiftboss.core.secret_values import MIN_CHARS
from shiftboss.core.unreadable import Unreadable
from shiftboss.core.worker import Misfire, Mode, OnFailure, Start, Upstream
from shiftboss.errors import ConfigurationError, UnknownWorker
from shiftboss.executors.command import Command

Payload = Mapping[str, Any] | Raw | None  # parameters by name, or ready-made JSON, which is stored as it is
Named = Any  # a worker by its name, its function, or what the decorator returned


# ── workers by whatever names them ───────────────────────────────────────────────────────────────────────────────


def worker_name(fn: Callable[..., Any] | Command) -> str:
    """The function's name, with hyphens in place of underscores."""
    name = getattr(fn, "__name__", None) or getattr(getattr(fn, "func", None), "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        raise ConfigurationError(f"{shown(fn)} has no name of its own; give name='…'")
    return name.strip("_").replace("_", "-")


def named(value: Named, /, *, name: str) -> str:
    """The name of the worker that *value* stands for.  Raises UnknownWorker for a text that no worker can be named."""
    if isinstance(value, str):
        as_text = str.__str__(value)
        if not is_storable(as_text) or len(as_text) > 2 * MAX_NAME_CHARS:
            raise UnknownWorker(f"{shown(as_text)} cannot be the name of a worker")
        return as_text
    own = getattr(value, "name", None)
    if isinstance(own, str) and (callable(value) or isinstance(value, Struct)):
        return own
    if callable(value):
        return worker_name(value)
    raise ConfigurationError(f"{name}={shown(value)} is not a worker; give its name or its function")


def name_of(value: Named) -> str:
    """The name of the worker that a call is about.  Raises ConfigurationError, UnknownWorker."""
    return named(value, name="worker")


def known_run(value: Any) -> int:
    """The id of the run that a call is about.  Raises ConfigurationError, UnknownRun."""
    return run_id(value, name="run_id")


MAX_NAME_CHARS = 128


# ── values that users build ──────────────────────────────────────────────────────────────────────────────────────


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
    max_cooldown: Duration = 600.0  # each failed probe doubles the cooldown, up to this
    successes: int = 1  # probes in a row that close it

    def policy(self) -> BreakerPolicy:
        """Raises ConfigurationError for a field of a wrong type or value."""
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


class SecretValue:
    """A secret by its value, for `redact=`: masked wherever it occurs, in every form.  It is never stored."""

    __slots__ = ("_value",)

    def __init__(self, value: str, /) -> None:
        if not isinstance(value, str) or len(value) < MIN_CHARS:
            raise ConfigurationError(
                f"SecretValue(…) takes a string of at least {MIN_CHARS} characters; shorter ones occur in too many "
                "texts"
            )
        self._value = str.__str__(value)

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "SecretValue(…)"


class OwnBreaker(NamedTuple):
    """`breaker=` as it was read: the breaker's name (None: the worker's), and its policy if one was given."""

    name: str | None
    policy: BreakerPolicy | None


# ── kinds of their own ───────────────────────────────────────────────────────────────────────────────────────────


def _breaker(value: Any, /, *, name: str) -> OwnBreaker | None:
    match value:
        case None | False:
            return None
        case True:
            return OwnBreaker(None, BreakerPolicy())
        case str():
            return OwnBreaker(NAME_TEXT(value, name=name), None)
        case Breaker():
            try:
                own = None if value.name is None else NAME_TEXT(value.name, name="name")
                return OwnBreaker(own, value.policy())
            except ConfigurationError as error:
                raise ConfigurationError(f"{name}=Breaker(…): {error}") from error
        case _:
            raise ConfigurationError(f"{name}={shown(value)} is not understood; give True, a name or Breaker(…)")


def _upstream(edge: Any, /, *, name: str) -> Upstream:
    if not isinstance(edge, Dependency):
        return Upstream(_declared(edge, name=name))
    fresh, max_age_s = edge.fresh is True, None
    if not isinstance(edge.fresh, bool):
        max_age_s = duration(edge.fresh, name=f"{name}.fresh")
    on_failure = one_of(OnFailure)(edge.on_failure, name=f"{name}.on_failure")
    return Upstream(
        _declared(edge.worker, name=f"{name}.worker"), fresh=fresh, max_age_s=max_age_s, on_failure=on_failure
    )


def _declared(value: Any, /, *, name: str) -> str:
    """A worker named in a declaration: a text that no worker can be named is a mistake there."""
    try:
        return NAME_TEXT(named(value, name=name), name=name)
    except UnknownWorker as error:
        raise ConfigurationError(f"{name}: {error}") from error


def _workers(kind: Kind[Any]) -> Kind[tuple[Any, ...]]:
    listed = many(kind)

    def read(value: Any, /, *, name: str) -> tuple[Any, ...]:
        is_one = isinstance(value, (str, Dependency)) or (callable(value) and not isinstance(value, Iterable))
        if is_one:
            only = _declared(getattr(value, "worker", value), name=name)
            raise ConfigurationError(f"{name}= takes a list; write {name}=[{only!r}]")
        return listed(value, name=name)

    return read


def _exceptions(value: Any, /, *, name: str) -> tuple[type[BaseException], ...]:
    return (_exception(value, name=name),) if isinstance(value, type) else many(_exception)(value, name=name)


def _exception(value: Any, /, *, name: str) -> type[BaseException]:
    if not (isinstance(value, type) and issubclass(value, BaseException)):
        raise ConfigurationError(f"{name}={shown(value)} is not an exception class; give one, such as TimeoutError")
    return value


def _fallback(value: Any, /, *, name: str) -> Any:
    return value if isinstance(value, Command) else callable_(value, name=name)


def _redacted(value: Any, /, *, name: str) -> str | re.Pattern[str] | SecretValue:
    """The name of a secret, a pattern of secrets, or a secret itself."""
    if isinstance(value, SecretValue):
        return value
    if isinstance(value, re.Pattern):
        if not isinstance(value.pattern, str):
            raise ConfigurationError(f"{name}={shown(value)} is a pattern for bytes; give one for strings")
        return value
    return NAME_TEXT(value, name=name)


def _store(value: Any, /, *, name: str) -> str:
    given = value if isinstance(value, str) else _path_text(value)
    try:
        return text(4096)(given, name=name)
    except ConfigurationError:
        if isinstance(given, int | float):
            raise
        what = address.shown(given) if isinstance(given, str) else type(given).__name__  # never shows a password
        raise ConfigurationError(
            f"{name}={what!r} is not an address; give a string such as sqlite:///jobs.db or "
            "postgresql://user@host/database"
        ) from None


def _path_text(value: Any) -> Any:
    from pathlib import PurePath  # 3 ms of import, only for those who give a path

    return str(value) if isinstance(value, PurePath) else value


def _clock(value: Any, /, *, name: str) -> Any:
    if not all(callable(getattr(value, method, None)) for method in ("now", "monotonic_s", "elapsed_s", "lease_s")):
        raise ConfigurationError(
            f"{name}={shown(value)} is not a clock; leave it out, or give one of shiftboss.testing"
        )
    return value


MIN_DIGEST_KEY_BYTES = 16
TRIAL = b"shiftboss: what was encoded must come back as it was"


def _codec(value: Any, /, *, name: str) -> Any:
    """Tries the codec once: one that does not work is found before anything is stored with it."""
    methods = (getattr(value, method, None) for method in ("encode", "decode"))
    if isinstance(value, type) or not all(callable(method) for method in methods):
        raise ConfigurationError(
            f"{name}={shown(value)} is not a codec; give shiftboss.codec.AesGcmCodec(…), or your own"
        )
    kind = type(value).__name__
    key_ids, digest_keys = getattr(value, "key_ids", None), getattr(value, "digest_keys", None)
    if not _all_are(key_ids, lambda each: isinstance(each, str) and KEY_ID.fullmatch(each) is not None):
        raise ConfigurationError(
            f"{name}={kind}: key_ids must be the ids of its keys, newest first: each at most 64 letters, digits, '.', "
            "'_' and '-'"
        )
    if not _all_are(digest_keys, lambda each: isinstance(each, bytes) and len(each) >= MIN_DIGEST_KEY_BYTES):
        raise ConfigurationError(
            f"{name}={kind}: digest_keys must be secrets of at least {MIN_DIGEST_KEY_BYTES} bytes, newest first"
        )
    try:
        encoded = value.encode(TRIAL)
        decoded = value.decode(encoded) if isinstance(encoded, bytes) else None
    except Exception as error:
        raise ConfigurationError(f"{name}={kind} raised {type(error).__name__} in a test call: {error}") from error
    if not isinstance(encoded, bytes):
        problem = "its encode returned no bytes"
    elif TRIAL in encoded:
        problem = "its encode left the text readable"
    elif decoded != TRIAL:
        problem = "its decode did not return what its encode was given"
    else:
        return value
    raise ConfigurationError(f"{name}={kind} failed a test call: {problem}; shiftboss stores nothing with it")


def _all_are(values: Any, is_one: Callable[[Any], bool]) -> bool:
    return (
        isinstance(values, Sequence)
        and not isinstance(values, str | bytes)
        and len(values) > 0
        and all(map(is_one, values))
    )


def anything(value: Any, /, *, name: str) -> Any:
    """An option that is checked by the code that receives it."""
    return value


# ── the tables ───────────────────────────────────────────────────────────────────────────────────────────────────

WORKER = Table(
    name=NAME_TEXT,
    mode=one_of(Mode),
    every=scheduling.distance,
    cron=scheduling.CRON,
    at=scheduling.MOMENTS,
    on_calendar=scheduling.EVENTS,
    rrule=scheduling.RULE,
    anchor=scheduling.moment,
    calendar=scheduling.calendar,
    timezone=timezone_name,
    until=optional(scheduling.moment),
    times=optional(AT_LEAST_ONE),
    continuous=flag,
    start=one_of(Start),
    jitter=duration,
    misfire=one_of(Misfire),
    grace=duration,
    misfire_limit=AT_LEAST_ONE,
    pause=duration,
    priority=priority,
    timeout=optional(duration),
    start_within=optional(duration),
    deadline=optional(duration),
    cancel_grace=duration,
    concurrency=optional(AT_LEAST_ONE),
    patience=duration,
    max_retries=optional(whole()),
    retry=made_of(RetryPolicy, remedy="give RetryPolicy(…), or leave it out"),
    retry_on=_exceptions,
    no_retry_on=_exceptions,
    breaker=_breaker,
    fallback=optional(_fallback),
    max_consecutive_failures=optional(AT_LEAST_ONE),
    fatal_counts=optional(flag),
    probation=optional(duration),
    depends_on=_workers(_upstream),
    after=_workers(_declared),
    blocks=_workers(_declared),
    tags=many(NAME_TEXT),
    uses=sizes_by_name,
    rate=Rate.parse,
    health=health_policy,
    expected_duration=optional(duration),
    heartbeat_timeout=optional(duration),
    expect_success_within=optional(duration),
    at_most_once=flag,
    key_ttl=duration,
    max_payload=size,
    executor=text(),
    pool=anything,  # checked by `PoolBody`: an Executor, or a function that makes one
    pool_slots=optional(AT_LEAST_ONE),
    max_runs_per_child=AT_LEAST_ONE,
    max_memory=optional(size),
)

TRIGGER = Table(
    key=optional(text()),
    delay=optional(duration),
    at=optional(instant),
    priority=optional(priority),
    force=flag,
    within=anything,  # checked by `insert`: the connection of a driver
)

ORCHESTRATOR = Table(
    store=optional(_store),
    max_concurrency=AT_LEAST_ONE,
    process_slots=optional(AT_LEAST_ONE),
    command_slots=AT_LEAST_ONE,
    resources=optional(sizes_by_name),
    shutdown_timeout=duration,
    freeze_limit=optional(duration),
    retention=duration,
    letter_retention=duration,
    audit_retention=duration,
    max_dead_letters=whole(),
    durability=optional(word("power", "process")),
    code_version=remark,
    redact=many(_redacted),
    codec=optional(_codec),
    clock=optional(_clock),
)

CALL = Table(
    worker=named,
    run_id=run_id,
    node=text(),
    rows=optional(many(made_of(Unreadable, remedy="give what `unreadable` named"), most=100_000)),
    reason=remark,
    note=remark,
    heads=many(made_of(Head, remedy="give Head(digest), with its row where that is known")),
    action=text(64),
    about=optional(text(128)),
    before=remark,
    after=remark,
    delay=duration,
    until=scheduling.pause_end,
    timeout=optional(duration),
    wait=duration,
    create=flag,
    question=callable_,
    subscriber=callable_,
    meter=callable_,
    close=callable_,
    authorize=optional(callable_),
)
