"""What a body sees of its run, and how it says how it ended.

Rules of this file
- No call of a context is awaited or blocks; every attribute may be read from any thread.
- What a body says often is passed on at most once a second, and the last word is never lost: `flush` passes it on, by
  the engine's tick and again before the attempt is reported.
- Nothing a body says can make a row that a store refuses: texts are bounded and cleaned, numbers are finite.  They are
  cut to what is kept once their secrets are masked (`core/bounds.py`).
"""

from __future__ import annotations

import logging
import math
import sys
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any

from shiftboss.clock import Clock
from shiftboss.core import kinds
from shiftboss.core.bounds import MAX_LINE_CHARS, RAW_CHARS
from shiftboss.core.kinds import Duration
from shiftboss.core.model import LogLine, Progress
from shiftboss.core.secret_values import MIN_CHARS
from shiftboss.logs import get_logger
from shiftboss.ports.executor import Launch

SAY_EVERY_S = 1.0  # a person reads progress; more often would only write rows
MAX_SECRETS = 10_000  # looked at in what a body masks
KEPT_FROM = logging.INFO  # of what is said by `ctx.log`


# ── outcomes that a body can choose ──────────────────────────────────────────────────────────────────────────────


class Retry(Exception):
    """Raised by a body: this attempt failed, try again.

    *after* (seconds, a `timedelta` or "5m") replaces the back-off, 0 means at once; None keeps the worker's back-off.
    Raised without *after* while the node stops, it hands the run back, and no attempt is used up.

        raise Retry("quota exceeded", after="1m")
    """

    def __init__(self, message: str = "", *, after: Duration | None = None) -> None:
        super().__init__(message)
        self.after_s = None if after is None else kinds.duration(after, name="after")


class Fatal(Exception):
    """Raised by a body: no retry can help.  The run is dead-lettered at once.

    raise Fatal("the account was closed")
    """


@dataclass(frozen=True, slots=True, init=False)
class Idle:
    """Returned by a continuous body: there was nothing to do, come again after *seconds* (or "30s")."""

    idle_s: float  # how long

    def __init__(self, seconds: Duration) -> None:
        object.__setattr__(self, "idle_s", kinds.duration(seconds, name="Idle"))


class UnfitPayload(Exception):
    """The stored payload does not fit the function (Q1).  Raised while it is decoded, before the body is entered."""


# ── the context ──────────────────────────────────────────────────────────────────────────────────────────────────


class Announcement:
    """Shared by all contexts of an executor: whether the node has begun to stop (G1)."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def made(self) -> bool:
        return self._event.is_set()

    def make(self) -> None:
        self._event.set()

    def comes_within(self, seconds: float) -> bool:
        """Wait for it that long at most."""
        return self._event.wait(seconds)


class Context:
    """The run that a body works on.

    async def fetch(ctx: Context, page: int) -> int:
        ctx.progress(page, 10, "fetching")
    """

    # One is made for every attempt: it only keeps references, whatever can be computed is computed when asked for.
    __slots__ = (
        "_announcement",
        "_beat_s",
        "_cancelled",
        "_clock",
        "_launch",
        "_line_numbers",
        "_log",
        "_newest",
        "_said",
        "_stopping",
    )

    def __init__(self, launch: Launch, clock: Clock, announcement: Announcement) -> None:
        self._launch = launch
        self._clock = clock
        self._announcement = announcement
        self._cancelled = False
        self._stopping = False
        self._newest: Progress | None = None  # what the body said last
        self._said: Progress | None = None  # what was passed on last
        self._beat_s = -math.inf  # when anything was passed on last
        self._log: RunLogger | None = None
        self._line_numbers = count(1)

    @property
    def run_id(self) -> int:
        """Of this run."""
        return self._launch.run.id

    @property
    def worker(self) -> str:
        """Its worker's name."""
        return self._launch.run.worker

    @property
    def attempt(self) -> int:
        """1 for the first try.  An interrupted attempt is given back and does not count."""
        return self._launch.run.attempt

    @property
    def occurs_at(self) -> datetime:
        """The logical instant of the run (D1): of its schedule, or when it was first due.  Retries keep it."""
        return self._launch.run.occurs_at

    @property
    def covers_until(self) -> datetime:
        """The last instant that this run stands for (O2); `occurs_at` where it stands for one."""
        run = self._launch.run
        return run.covers_until or run.occurs_at

    @property
    def missed(self) -> int:
        """How many instants this run took up beside its own (O2)."""
        return self._launch.run.missed

    @property
    def last_success_at(self) -> datetime | None:
        """When a run of this worker last succeeded, as of the start of this one; None if none ever did."""
        return self._launch.last_success_at

    @property
    def fence(self) -> int:
        """Larger than that of every earlier attempt: let your own store refuse writes with a smaller one (C7)."""
        claim = self._launch.run.claim
        return claim.fence if claim is not None else 0

    @property
    def degraded(self) -> bool:
        """Whether this runs although an upstream failed (D5), or as the fallback (K3)."""
        return self._launch.run.degraded

    @property
    def traceparent(self) -> str | None:
        """W3C's name of this attempt's span, for what the body calls; None where nothing is traced (extra `otel`)."""
        return self._launch.traceparent

    @property
    def cancelled(self) -> bool:
        """Whether this attempt has been told to end now.  A body in a thread looks here between its steps."""
        return self._cancelled

    @property
    def stopping(self) -> bool:
        """Whether the node has begun to stop: finish soon; what is left after the drain will be interrupted."""
        return self._stopping or self._announcement.made

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Say how far the run is.  A heartbeat as well.  Free to call in a tight loop."""
        whole = None if total is None or not math.isfinite(total) else float(total)
        part = float(done) if math.isfinite(done) else 0.0
        self._newest = Progress(part, whole, storable(message, RAW_CHARS))
        now_s = self._clock.monotonic_s()
        if now_s - self._beat_s >= SAY_EVERY_S:
            self._beat_s = now_s
            self.flush()

    def heartbeat(self) -> None:
        """Say that the run is alive.  A body that beats once is held to it: see `heartbeat_timeout` (H2)."""
        now_s = self._clock.monotonic_s()
        if now_s - self._beat_s >= SAY_EVERY_S:
            self._beat_s = now_s
            self._launch.signal("heartbeat", self._clock.now())
            self.flush()

    def mask(self, *secrets: object) -> None:
        """From now on mask these in everything that is stored of this run, and in its payload wherever that is shown.

            token = fetch_token()
            ctx.mask(token)

        Texts, bytes and numbers; of lists and mappings each value.  What is empty or shorter than four characters is
        left alone: it would be masked everywhere.  The store remembers where the payload has one, never the secret
        itself: of what is not in the payload, the next attempt has to say so again.
        """
        values = tuple({text: None for text in texts_of(secrets) if len(text) >= MIN_CHARS})
        if values:
            self._launch.signal("mask", values)

    @property
    def log(self) -> RunLogger:
        """The logger `shiftboss.worker.NAME`; its records carry worker, run and attempt.

        What it says is kept with the attempt from INFO up, also where the host's loggers say less.
        """
        if self._log is None:
            self._log = RunLogger(self)
        return self._log

    def __repr__(self) -> str:
        return f"<Context of run {self.run_id} of {self.worker!r}, attempt {self.attempt}>"

    # for executors

    def flush(self) -> None:
        """Pass on the newest progress if it has not been.  From any thread."""
        # Without a lock: `_said` is set after the signal, so a race repeats a word, or says an older one and leaves
        # `_said` behind `_newest` for the next flush to mend; none is lost.
        newest = self._newest
        if newest is not self._said:
            self._launch.signal("progress", newest)
            self._said = newest

    def keep_line(self, level: str, text: str, *, left_out: int = 0) -> None:
        """Keep a line that the body logged with its attempt, after *left_out* others.  From any thread."""
        run = self._launch.run
        if left_out:
            self._line_numbers = count(next(self._line_numbers) + left_out)
        line = LogLine(
            run=run.id,
            fence=self.fence,
            number=next(self._line_numbers),
            attempt=run.attempt,
            at=self._clock.now(),
            level=level,
            text=storable(text, RAW_CHARS),
        )
        self._launch.signal("log", line)

    def stops_within(self, seconds: float) -> bool:
        """Whether the node stops, or begins to within that."""
        return self.stopping or self._announcement.comes_within(seconds)

    def tell_to_end(self, *, stopping: bool) -> None:
        """Set `cancelled`, and `stopping` where it is the node that ends."""
        self._stopping = self._stopping or stopping
        self._cancelled = True


# ── logging ──────────────────────────────────────────────────────────────────────────────────────────────────────

current: ContextVar[Context | None] = ContextVar("shiftboss_context", default=None)
"""The context of the body that runs here; None outside of one."""

is_kept: ContextVar[bool] = ContextVar("shiftboss_is_kept", default=False)
"""Whether what is logged here is kept with its attempt already."""


@contextmanager
def kept_already() -> Iterator[None]:
    """What is logged meanwhile is not kept again."""
    outer = is_kept.set(True)
    try:
        yield
    finally:
        is_kept.reset(outer)


def masked_here(text: str) -> str:
    """*text* as what the body that runs here may say it; as it is outside of one."""
    context = current.get()
    return text if context is None else context._launch.masked(text)


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that tags its records; the caller's own `extra` stays (the standard adapter drops it before 3.13).

    What it says is kept with the attempt from INFO up, whatever levels the host has set, and below that where the
    logger's level lets it through.
    """

    def __init__(self, context: Context) -> None:
        run = context._launch.run
        tags = {"worker": run.worker, "run": run.id, "attempt": run.attempt}
        super().__init__(get_logger(f"shiftboss.worker.{run.worker}"), tags)
        self._context = context

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        is_enabled = self.isEnabledFor(level)
        if is_enabled or level >= KEPT_FROM:
            record = logging.LogRecord(self.logger.name, level, "", 0, msg, args, _exc_info(kwargs.get("exc_info")))
            self._context.keep_line(record.levelname, text_of(record))
        if not is_enabled:
            return
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1  # the body's line, not this one
        with kept_already():
            super().log(level, msg, *args, **kwargs)


def _exc_info(given: Any) -> Any:
    """As `Logger` reads it."""
    if isinstance(given, BaseException):
        return type(given), given, given.__traceback__
    return given if not given or isinstance(given, tuple) else sys.exc_info()


def text_of(record: logging.LogRecord) -> str:
    """What it says, with its exception.  Arguments that do not fit are left out: its handlers say so."""
    try:
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{_FORMATTER.formatException(record.exc_info)}"
    except Exception:  # noqa: BLE001  # arguments and exceptions are the user's: a log line must not end a body
        text = repr(record.msg[:RAW_CHARS]) if isinstance(record.msg, str) else type(record.msg).__name__
    return text


_FORMATTER = logging.Formatter()


class RunFilter(logging.Filter):
    """Put on a handler, tags each record made inside a body with worker, run and attempt; drops none."""

    def filter(self, record: logging.LogRecord) -> bool:
        context = current.get()
        if context is not None and not hasattr(record, "run"):
            record.worker = context.worker
            record.run = context.run_id
            record.attempt = context.attempt
        return True


def texts_of(secrets: object) -> Iterator[str]:
    """The texts in a secret that a body masks."""
    waiting = [secrets]
    for _ in range(MAX_SECRETS):
        if not waiting:
            return
        match waiting.pop():
            case str() as text:
                yield storable(text, len(text))
            case bytes() | bytearray() as data:
                yield data.decode("utf-8", "backslashreplace")
            case Mapping() as mapping:
                waiting.extend(mapping.values())
            case list() | tuple() | set() | frozenset() as several:
                waiting.extend(several)
            case None | bool():
                pass
            case other:
                yield storable(other, MAX_LINE_CHARS)


def storable(text: object, limit: int) -> str:
    """*text* as a store takes it: at most *limit* characters, no lone surrogates, no NUL (PostgreSQL has neither)."""
    kept = str(text)[:limit]
    if kept.isascii() and "\0" not in kept:
        return kept
    return kept.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
