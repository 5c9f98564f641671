"""The knobs of a worker, checked once where they are declared.

Rules of this file
- All durations are seconds, here named with their unit; `duration` reads the spellings that people use.
- A policy that cannot work raises `ConfigurationError` when it is made, never later.
"""

from __future__ import annotations

import re
from datetime import timedelta
from enum import IntEnum

from shiftboss.core.value import Value
from shiftboss.errors import ConfigurationError

DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h|d|w)", re.ASCII)
UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

Duration = float | int | str | timedelta


class Priority(IntEnum):
    """P1: four names.  A higher number goes first."""

    LOW = 0
    NORMAL = 1
    HIGH = 2
    CRITICAL = 3

    __hash__ = int.__hash__  # as in `Word`

    @property
    def label(self) -> str:
        """Its name as people write it: "high"."""
        return self.name.lower()


def priority(value: str | int | Priority) -> Priority:
    """A priority by its name.  Raises ConfigurationError."""
    try:
        return Priority[value.upper()] if isinstance(value, str) else Priority(value)
    except (KeyError, ValueError):
        raise ConfigurationError(f"priority={value!r} is unknown; use low, normal, high or critical") from None


def duration(value: Duration, *, name: str) -> float:
    """Seconds of a number, a `timedelta` or a text such as "1h30m", "90s", "250ms", "2d".

    *name* is the option, for the message.  Raises ConfigurationError for anything negative, endless or unreadable.
    """
    match value:
        case bool():
            raise ConfigurationError(f"{name}={value!r} is no duration; give seconds, a timedelta or a text like '90s'")
        case timedelta():
            seconds = value.total_seconds()
        case int() | float():
            seconds = float(value)
        case str():
            seconds = _read_duration(value, name=name)
        case _:
            raise ConfigurationError(f"{name}={value!r} is no duration; give seconds, a timedelta or a text like '90s'")
    if not 0 <= seconds < float("inf"):
        raise ConfigurationError(f"{name}={value!r} is no usable duration; it must be finite and not negative")
    return seconds


def _read_duration(text: str, *, name: str) -> float:
    compact = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", compact, re.ASCII):
        return float(compact)
    parts = list(DURATION.finditer(compact))
    if not parts or "".join(part.group(0) for part in parts).replace(" ", "") != compact.replace(" ", ""):
        raise ConfigurationError(f"{name}={text!r} is not understood; write it like '90s', '5m', '1h30m' or '2d'")
    return sum(float(part["number"]) * UNIT_S[part["unit"]] for part in parts)


class RetryPolicy(Value, frozen=True):
    """R1: `max_retries` beside the first attempt (None: without end); full jitter below min(cap, first × factor^n)."""

    max_retries: int | None = 3
    first_s: float = 1.0  # the first pause, in seconds
    factor: float = 2.0  # what each further pause is multiplied by, from 1 up
    cap_s: float = 300.0  # no pause is longer

    def __post_init__(self) -> None:
        if self.max_retries is not None and self.max_retries < 0:
            raise ConfigurationError(f"max_retries={self.max_retries} is negative; 0 means one attempt and no retry")
        if self.first_s < 0 or self.factor < 1 or self.cap_s < 0:
            raise ConfigurationError("retry back-off needs first ≥ 0, factor ≥ 1 and cap ≥ 0")


class BreakerPolicy(Value, frozen=True):
    """K1, K2: opens after *failures* failed attempts in a row, or at *rate* of the last *window* (from *min_calls* on).

    Open for *cooldown_s*, doubled at each failed probe up to *max_cooldown_s*; *successes* probes close it.
    """

    failures: int = 5
    rate: float | None = None
    window: int = 20
    min_calls: int = 10
    cooldown_s: float = 30.0
    max_cooldown_s: float = 600.0
    successes: int = 1

    def __post_init__(self) -> None:
        if self.failures < 1 or self.successes < 1 or not 1 <= self.min_calls <= self.window:
            raise ConfigurationError("a breaker needs failures ≥ 1, successes ≥ 1 and 1 ≤ min_calls ≤ window")
        if self.rate is not None and not 0 < self.rate <= 1:
            raise ConfigurationError(f"breaker rate={self.rate} must be above 0 and at most 1")
        if not 0 < self.cooldown_s <= self.max_cooldown_s:
            raise ConfigurationError("a breaker needs 0 < cooldown ≤ max_cooldown")


class Rate(Value, frozen=True):
    """B8: a bucket of *count* starts, refilled evenly over *per_s* seconds."""

    count: int
    per_s: float

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 < self.per_s < float("inf"):
            raise ConfigurationError(
                f"a rate of {self.count} starts in {self.per_s:g} s cannot be kept; use ≥ 1 in > 0 s"
            )

    @classmethod
    def parse(cls, text: str) -> Rate:
        """A rate from "10/m", "1/s", "100/h", "5/10s".  Raises ConfigurationError."""
        found = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+(?:\.\d+)?)?\s*(ms|s|m|h|d|w)\s*", text, re.ASCII)
        if not found or int(found[1]) < 1 or float(found[2] or 1) == 0:
            raise ConfigurationError(f"rate={text!r} is not understood; write it like '10/m', '1/s' or '5/10s'")
        return cls(count=int(found[1]), per_s=float(found[2] or 1) * UNIT_S[found[3]])


class HealthPolicy(Value, frozen=True):
    """H2: the thresholds of a worker's health.  None switches a question off."""

    degraded_rate: float | None = 0.05  # share of failed attempts, 0 to 1, from which it is degraded
    unhealthy_rate: float | None = 0.15  # and unhealthy
    min_attempts: int = 20  # with fewer among the last 100 neither shares nor durations are judged
    expected_duration_s: float | None = None  # in seconds; what the two factors multiply
    slow_factor: float = 1.5  # attempts that take so many times that on average: degraded
    very_slow_factor: float = 3.0  # and unhealthy
    max_due: int | None = 100  # more due runs than that: degraded
    heartbeat_timeout_s: float | None = 60.0  # silence of a body that has beaten before: unhealthy
    expect_success_within_s: float | None = None  # no success for longer: unhealthy
