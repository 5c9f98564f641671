"""The policies of a worker, checked once when they are declared.

Rules of this file
- All durations are in seconds, and the names of the fields say so.
- A policy that cannot work, or has a field of the wrong type, raises `ConfigurationError` when it is made, by its
  constructor or by `replace`, and never later.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Any

from shiftboss.core.kinds import (
    AT_LEAST_ONE,
    MAX_DURATION_S,
    RATE,
    UNIT_S,
    duration,
    number,
    optional,
    read_fields,
    shown,
    whole,
)
from shiftboss.core.value import Value, replace
from shiftboss.errors import ConfigurationError

MAX_FACTOR = 1e6  # of a back-off, or of a duration compared to the expected one: larger factors make no difference


class Priority(IntEnum):
    """P1: the four priorities.  A higher number goes first."""

    LOW = 0
    NORMAL = 1
    HIGH = 2
    CRITICAL = 3

    __hash__ = int.__hash__  # as in `Word`

    @property
    def label(self) -> str:
        """Its name as people write it: "high"."""
        return self.name.lower()


BY_LABEL = {member.label: member for member in Priority}


def priority(value: Any, /, *, name: str = "priority") -> Priority:
    """A priority by its name.  Raises ConfigurationError."""
    if isinstance(value, Priority):
        return value
    level = BY_LABEL.get(value.lower()) if isinstance(value, str) else None
    if level is None:
        raise ConfigurationError(f"{name}={shown(value)} is unknown; use low, normal, high or critical")
    return level


class RetryPolicy(Value, frozen=True):
    """R1: `max_retries` besides the first attempt (None: no limit); full jitter below min(cap, first × factor^n)."""

    max_retries: int | None = 3
    first_s: float = 1.0  # the first pause, in seconds
    factor: float = 2.0  # each further pause is longer by this factor, which is 1 or more
    cap_s: float = 300.0  # no pause is longer

    def __post_init__(self) -> None:
        read_fields(self, RETRY)


RETRY = {
    "max_retries": optional(whole()),
    "first_s": duration,
    "factor": number(1, MAX_FACTOR),
    "cap_s": duration,
}


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
        read_fields(self, BREAKER)
        if self.min_calls > self.window:
            raise ConfigurationError(
                f"a breaker with min_calls={self.min_calls} and window={self.window} never opens by its rate; "
                "use min_calls ≤ window"
            )
        if not 0 < self.cooldown_s <= self.max_cooldown_s:
            raise ConfigurationError(
                f"a breaker with cooldown={self.cooldown_s:g} s and max_cooldown={self.max_cooldown_s:g} s cannot be; "
                "use 0 < cooldown ≤ max_cooldown"
            )


BREAKER = {
    "failures": AT_LEAST_ONE,
    "rate": optional(number(0, 1, above=True)),
    "window": whole(1, 10_000),
    "min_calls": AT_LEAST_ONE,
    "cooldown_s": duration,
    "max_cooldown_s": duration,
    "successes": AT_LEAST_ONE,
}


class Rate(Value, frozen=True):
    """B8: a bucket of *count* starts that is refilled evenly over *per_s* seconds."""

    count: int
    per_s: float

    def __post_init__(self) -> None:
        read_fields(self, PACE)

    @classmethod
    def parse(cls, text: Any, /, *, name: str = "rate") -> Rate:
        """A rate from "10/m", "1/s", "100/h", "5/10s".  Raises ConfigurationError."""
        pattern = r"\s*(\d{1,15})\s*/\s*(\d{1,15}(?:\.\d{1,15})?)?\s*(ms|s|m|h|d|w)\s*"
        match = re.fullmatch(pattern, text, re.ASCII) if isinstance(text, str) else None
        if not match or int(match[1]) < 1 or float(match[2] or 1) == 0:
            raise ConfigurationError(f"{name}={shown(text)} is not understood; write it like '10/m', '1/s' or '5/10s'")
        try:
            return cls(count=int(match[1]), per_s=float(match[2] or 1) * UNIT_S[match[3]])
        except ConfigurationError as error:
            raise ConfigurationError(f"{name}={shown(text)} cannot be kept: {error}") from error


PACE = {"count": AT_LEAST_ONE, "per_s": number(0, MAX_DURATION_S, above=True)}


class HealthPolicy(Value, frozen=True):
    """H2: the thresholds of a worker's health.  None switches a check off.

    `health_policy` checks the fields when the policy is given to a worker, and not before.
    """

    degraded_rate: float | None = 0.05  # share of failed attempts, 0 to 1, from which it is degraded
    unhealthy_rate: float | None = 0.15  # and unhealthy
    min_attempts: int = 20  # with fewer attempts among the last 100, neither failures nor durations are judged
    expected_duration_s: float | None = None  # in seconds; the two factors multiply it
    slow_factor: float = 1.5  # from this multiple of it on average: degraded
    very_slow_factor: float = 3.0  # and unhealthy
    max_due: int | None = 100  # with more due runs: degraded
    heartbeat_timeout_s: float | None = 60.0  # silence of a function that has sent a heartbeat before: unhealthy
    expect_success_within_s: float | None = None  # no success for longer than that: unhealthy


HEALTH = {
    "degraded_rate": optional(RATE),
    "unhealthy_rate": optional(RATE),
    "min_attempts": AT_LEAST_ONE,
    "expected_duration_s": optional(duration),
    "slow_factor": number(0, MAX_FACTOR, above=True),
    "very_slow_factor": number(0, MAX_FACTOR, above=True),
    "max_due": optional(whole()),
    "heartbeat_timeout_s": optional(duration),
    "expect_success_within_s": optional(duration),
}


def health_policy(value: Any, /, *, name: str) -> HealthPolicy:
    """The policy with each field in its type.  Raises ConfigurationError."""
    if not isinstance(value, HealthPolicy):
        raise ConfigurationError(f"{name}={shown(value)} is not understood; give HealthPolicy(…), or leave {name}= out")
    policy = replace(value)
    try:
        read_fields(policy, HEALTH)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}=HealthPolicy(…): {error}") from error
    return policy
