"""A worker as it is declared: its mode, its relations and its policies, all of it storable.

Rules of this file
- A `Definition` contains no function, so any process can read, compare and judge it.
- Mistakes within one declaration are refused here; mistakes that need the other declarations, in `graph.py`.
"""

from __future__ import annotations

import re
from datetime import datetime

from shiftboss.core.pattern import lazy_pattern
from shiftboss.core.policy import BreakerPolicy, HealthPolicy, Priority, Rate, RetryPolicy
from shiftboss.core.schedule import Schedule
from shiftboss.core.value import Value, Word
from shiftboss.errors import ConfigurationError

NAME = lazy_pattern(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?", re.ASCII)
TAG_PREFIX = "tag:"
PROBATION_S = 3600.0  # K5: a failing worker is worth a new attempt an hour later
PROBATION_OF_TRIGGERED_S = 30.0  # somebody waits for its accepted triggers; as long as the cooldown of a breaker
DEFAULT_TIMEOUT_S = 60.0  # T1: long for most functions, short for one that hangs
# The options by which something can hold a worker's runs.  Without any of them no gate needs to be asked
# (core/graph.py).
HOLDING = frozenset({"concurrency", "rate", "depends_on", "blocks", "uses", "breaker"})


class Mode(Word):
    """M1."""

    SCHEDULED = "scheduled"
    CONTINUOUS = "continuous"
    TRIGGERED = "triggered"


class Start(Word):
    """M3: the first scheduled run is due at once, or at the first scheduled time."""

    NOW = "now"
    NEXT = "next"


class Misfire(Word):
    """O2."""

    ONE = "one"
    SKIP = "skip"
    ALL = "all"


class OnFailure(Word):
    """D5: what a run does if its upstream's latest run has failed."""

    WAIT = "wait"
    SKIP = "skip"
    RUN = "run"


class Upstream(Value, frozen=True):
    """One edge of depends_on (D2, D4, D5).  `max_age_s` limits the age of the upstream's last success."""

    worker: str
    fresh: bool = False
    max_age_s: float | None = None
    on_failure: OnFailure = OnFailure.WAIT


class Definition(Value, frozen=True):
    """Everything that is declared about a worker.  Durations are in seconds; None means no limit, unless noted."""

    name: str
    mode: Mode = Mode.TRIGGERED
    schedule: Schedule | None = None
    start: Start = Start.NEXT
    jitter_s: float = 0.0
    misfire: Misfire = Misfire.ONE
    grace_s: float = 60.0
    misfire_limit: int = 100
    until: datetime | None = None  # M4: nothing is scheduled after it
    times: int | None = None  # M4: how many scheduled runs there are; None: no limit
    pause_s: float = 0.0
    priority: Priority = Priority.NORMAL
    timeout_s: float | None = DEFAULT_TIMEOUT_S
    start_within_s: float | None = None
    deadline_s: float | None = None
    cancel_grace_s: float = 5.0
    concurrency: int | None = None  # runs at the same time in the whole fleet; None: no limit
    patience_s: float = 30.0  # B4
    retry: RetryPolicy = RetryPolicy()
    breaker: str | None = None  # the name of its breaker; workers may share one
    breaker_policy: BreakerPolicy | None = None
    fallback: bool = False
    max_consecutive_failures: int | None = 5
    fatal_counts: bool | None = None  # K4; None: depends on the mode
    probation_s: float | None = PROBATION_S
    depends_on: tuple[Upstream, ...] = ()
    after: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()  # names and "tag:NAME"
    tags: tuple[str, ...] = ()
    uses: dict[str, int] = {}
    rate: Rate | None = None
    health: HealthPolicy = HealthPolicy()
    at_most_once: bool = False
    key_ttl_s: float = 86400.0
    max_payload_bytes: int = 1 << 20
    executor: str = "coroutine"
    max_runs_per_child: int = 1000  # executor="process": limits what a library leaks
    max_memory_bytes: int | None = None  # executor="process": resident memory of the child
    parameters: str = ""  # what the function takes: nodes with other parameters leave its runs to others (M7)
    doc: str = ""
    redact: tuple[str, ...] = ()  # names of secrets besides the usual ones, for what is stored and shown of its runs
    redact_patterns: tuple[str, ...] = ()  # the same for patterns of secrets

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"worker name {self.name!r} is not usable; use at most 128 letters, digits, '-', '_' and '.'"
            )
        if (self.mode is Mode.SCHEDULED) != (self.schedule is not None):
            raise ConfigurationError(
                f"worker {self.name!r}: every=, cron= or another schedule goes with a scheduled worker, which needs one"
            )
        if self.mode is not Mode.SCHEDULED and (self.until, self.times) != (None, None):
            raise ConfigurationError(f"worker {self.name!r}: until= and times= end a schedule; it has none")
        if self.concurrency is not None and self.concurrency < 1:
            raise ConfigurationError(
                f"worker {self.name!r}: concurrency={self.concurrency} allows no run; use at least 1"
            )
        if self.mode is Mode.CONTINUOUS and self.concurrency != 1:
            raise ConfigurationError(f"worker {self.name!r}: a continuous worker runs one at a time; drop concurrency=")
        if self.fallback and self.breaker is None:
            raise ConfigurationError(f"worker {self.name!r}: fallback= runs while a breaker is open; add breaker=True")
        if self.max_consecutive_failures is not None and self.max_consecutive_failures < 1:
            raise ConfigurationError(
                f"worker {self.name!r}: max_consecutive_failures must be at least 1, or None for never"
            )
        for resource, permits in self.uses.items():
            if permits < 1:
                raise ConfigurationError(
                    f"worker {self.name!r}: uses={{{resource!r}: {permits}}} must take at least 1 concurrency slot"
                )
        if self.max_runs_per_child < 1:
            raise ConfigurationError(f"worker {self.name!r}: max_runs_per_child={self.max_runs_per_child} must be ≥ 1")
        if self.max_memory_bytes is not None and self.max_memory_bytes < 1:
            raise ConfigurationError(f"worker {self.name!r}: max_memory must be at least 1 byte, or None for no limit")
        if self.misfire_limit < 1:
            raise ConfigurationError(f"worker {self.name!r}: misfire_limit={self.misfire_limit} must be ≥ 1")

    @property
    def can_be_stopped(self) -> bool:
        """T2: whether its executor can end a function by force; that of a thread or a pool cannot."""
        return self.executor != "thread" and not self.in_pool

    @property
    def in_pool(self) -> bool:
        """Whether it runs in a pool that is not ours."""
        return self.executor.startswith("pool:")

    @property
    def counts_fatal(self) -> bool:
        """K4: for a worker that is only triggered, the payload may be to blame, and then only its sender is harmed."""
        return self.mode is not Mode.TRIGGERED if self.fatal_counts is None else self.fatal_counts

    @property
    def runs_by_itself(self) -> bool:
        """Whether its runs come without a payload: by schedule, by iteration or after another worker."""
        return self.mode is not Mode.TRIGGERED or bool(self.after)
