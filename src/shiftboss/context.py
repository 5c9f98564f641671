"""What a function sees of its run, and how it says how it ended.

Rules of this file
- No method of a context is awaited or blocks; every attribute may be read from any thread.
- What a function reports often is passed on at most once a second, and the latest report is never lost: `flush` passes
  it on, at the engine's tick and again before the attempt is reported.
- Nothing that a function says can make a row that a store refuses: texts are bounded and cleaned, numbers are finite.
  Texts are cut to their kept length after their secrets are masked (`core/bounds.py`).
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
MAX_SECRETS = 10_000  # texts that are read from what a function masks
KEPT_FROM = logging.INFO  # of what `ctx.log` is given


# ── outcomes that a function can choose ──────────────────────────────────────────────────────────────────────────


class Retry(Exception):
    """Raised by a function: this attempt failed, try again.

    *after* (seconds, a `timedelta` or "5m") replaces the back-off, 0 means at once; None keeps the worker's back-off.
    Raised without *after* while the node stops, it hands the run back, and no attempt is used up.

        raise Retry("quota exceeded", after="1m")
    """

    def __init__(self, message: str = "", *, after: Duration | None = None) -> None:
        super().__init__(message)
        self.after_s = None if after is None else kinds.duration(after, name="after")


class Fatal(Exception):
    """Raised by a function: no retry can help.  The run becomes a dead letter at once.

    raise Fatal("the account was closed")
    """


@dataclass(frozen=True, slots=True, init=False)
class Idle:
    """Returned by a continuous worker's function: there was nothing to do, run again after *seconds* (or "30s")."""

    idle_s: float  # how long until the next iteration

    def __init__(self, seconds: Duration) -> None:
        object.__setattr__(self, "idle_s", kinds.duration(seconds, name="Idle"))


class UnfitPayload(Exception):
    """The stored payload does not fit the function (Q1).  Raised while it is decoded, before the function begins."""


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
        """Wait for it at most that long; returns whether it was made."""
        return self._event.wait(seconds)


class Context:
    """The run that a function works on.

    async def fetch(ctx: Context, page: int) -> int:
        ctx.progress(page, 10, "fetching")
    """

    # One is made for every attempt: it keeps only references, and computes everything else on request.
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
        self._newest: Progress | None = None  # the latest that the function reported
        self._said: Progress | None = None  # the latest that was passed on
        self._beat_s = -math.inf  # when anything was last passed on
        self._log: RunLogger | None = None
        self._line_numbers = count(1)

    @property
    def run_id(self) -> int:
        """The run's id."""
        return self._launch.run.id

    @property
    def worker(self) -> str:
        """The worker's name."""
        return self._launch.run.worker

    @property
    def attempt(self) -> int:
        """1 for the first try.  An interrupted attempt is given back and does not count."""
        return self._launch.run.attempt

    @property
    def occurs_at(self) -> datetime:
        """The run's logical time (D1): its scheduled time, or when it was first due.  Retries keep it."""
        return self._launch.run.occurs_at

    @property
    def covers_until(self) -> datetime:
        """The last scheduled time that this run stands for (O2); equals `occurs_at` if it stands for one."""
        run = self._launch.run
        return run.covers_until or run.occurs_at

    @property
    def missed(self) -> int:
        """How many scheduled times this run covers in addition to its own (O2)."""
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
        """The W3C traceparent of this attempt's span, to pass on in calls; None if nothing is traced (extra `otel`)."""
        return self._launch.traceparent

    @property
    def cancelled(self) -> bool:
        """Whether this attempt has been told to end now.  A function in a thread checks this between its steps."""
        return self._cancelled

    @property
    def stopping(self) -> bool:
        """Whether the node has begun to stop: finish soon; what is left after the drain will be interrupted."""
        return self._stopping or self._announcement.made

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Report how far the run is; this is also a heartbeat.  Cheap enough for a tight loop.

        *done* and *total* count in any unit; *total* None: nobody knows how much there is.
        """
        whole = None if total is None or not math.isfinite(total) else float(total)
        part = float(done) if math.isfinite(done) else 0.0
        self._newest = Progress(part, whole, storable(message, RAW_CHARS))
        now_s = self._clock.monotonic_s()
        if now_s - self._beat_s >= SAY_EVERY_S:
            self._beat_s = now_s
            self.flush()

    def heartbeat(self) -> None:
        """Report that the run is alive.  After a first heartbeat more must follow: see `heartbeat_timeout` (H2)."""
        now_s = self._clock.monotonic_s()
        if now_s - self._beat_s >= SAY_EVERY_S:
            self._beat_s = now_s
            self._launch.signal("heartbeat", self._clock.now())
            self.flush()

    def mask(self, *secrets: object) -> None:
        """From now on mask these in everything that is stored of this run, and in its payload wherever that is shown.

            token = fetch_token()
            ctx.mask(token)

        Takes texts, bytes and numbers, and lists and mappings, of which each value is masked.  Empty texts and texts
        shorter than four characters are ignored: they would be masked everywhere.  The store remembers where the
        payload contains a secret, never the secret itself: a secret that is not in the payload must be masked again in
        the next attempt.
        """
        values = tuple({text: None for text in texts_of(secrets) if len(text) >= MIN_CHARS})
        if values:
            self._launch.signal("mask", values)

    @property
    def log(self) -> RunLogger:
        """The logger `shiftboss.worker.NAME`; its records carry worker, run and attempt.

        Its lines are kept with the attempt from INFO up, even if the host's loggers have a higher level.
        """
        if self._log is None:
            self._log = RunLogger(self)
        return self._log

    def __repr__(self) -> str:
        return f"<Context of run {self.run_id} of {self.worker!r}, attempt {self.attempt}>"

    # for executors

    def flush(self) -> None:
        """Pass on the newest progress, unless that was done already.  From any thread."""
        # No lock is needed: `_said` is set after the signal.  A race passes one report on twice, or an older one
        # and leaves `_said` behind `_newest`, which the next flush corrects; none is lost.
        newest = self._newest
        if newest is not self._said:
            self._launch.signal("progress", newest)
            self._said = newest

    def keep_line(self, level: str, text: str, *, left_out: int = 0) -> None:
        """Keep with the attempt a line that its function logged, after *left_out* dropped lines.  From any thread."""
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
        """Whether the node stops, or begins to within *seconds*; waits that long at most."""
        return self.stopping or self._announcement.comes_within(seconds)

    def tell_to_end(self, *, stopping: bool) -> None:
        """Set `cancelled`; and `stopping` if the reason is that the node stops."""
        self._stopping = self._stopping or stopping
        self._cancelled = True


# ── logging ──────────────────────────────────────────────────────────────────────────────────────────────────────

current: ContextVar[Context | None] = ContextVar("shiftboss_context", default=None)
"""The context of the function that runs here; None outside of one."""

is_kept: ContextVar[bool] = ContextVar("shiftboss_is_kept", default=False)
"""Whether what is logged here is kept with its attempt already."""


@contextmanager
def kept_already() -> Iterator[None]:
    """What is logged inside this context manager is not kept again."""
    outer = is_kept.set(True)
    try:
        yield
    finally:
        is_kept.reset(outer)


def masked_here(text: str) -> str:
    """*text* with the secrets of the function that runs here masked; unchanged outside of one."""
    context = current.get()
    return text if context is None else context._launch.masked(text)


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that tags its records; the caller's own `extra` stays (the standard adapter drops it before 3.13).

    Its lines are kept with the attempt from INFO up, whatever levels the host has set; below INFO they are kept if the
    logger's level lets them through.
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
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1  # the function's line, not this one
        with kept_already():
            super().log(level, msg, *args, **kwargs)


def _exc_info(given: Any) -> Any:
    """The `exc_info` as `Logger` reads it."""
    if isinstance(given, BaseException):
        return type(given), given, given.__traceback__
    return given if not given or isinstance(given, tuple) else sys.exc_info()


def text_of(record: logging.LogRecord) -> str:
    """A record's message, with its exception.  Arguments that do not fit are left out: the handlers report that."""
    try:
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{_FORMATTER.formatException(record.exc_info)}"
    except Exception:  # noqa: BLE001  # arguments and exceptions are the user's: a log line must not end a function
        text = repr(record.msg[:RAW_CHARS]) if isinstance(record.msg, str) else type(record.msg).__name__
    return text


_FORMATTER = logging.Formatter()


class RunFilter(logging.Filter):
    """A filter for a handler: it tags each record made inside a function with worker, run and attempt; drops none."""

    def filter(self, record: logging.LogRecord) -> bool:
        context = current.get()
        if context is not None and not hasattr(record, "run"):
            record.worker = context.worker
            record.run = context.run_id
            record.attempt = context.attempt
        return True


def texts_of(secrets: object) -> Iterator[str]:
    """The texts in a secret that a function masks."""
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
    """*text* as a store accepts it: at most *limit* characters, no lone surrogates, no NUL (PostgreSQL has neither)."""
    kept = str(text)[:limit]
    if kept.isascii() and "\0" not in kept:
        return kept
    return kept.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
