"""The knobs, checked where they are declared."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest

from shiftboss.core.kinds import duration
from shiftboss.core.policy import BreakerPolicy, HealthPolicy, Rate, RetryPolicy, health_policy
from shiftboss.errors import ConfigurationError


class TestDurations:
    """T1, R1: seconds, a timedelta, or a text."""

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (0, 0.0),
            (30, 30.0),
            (0.25, 0.25),
            (timedelta(minutes=5), 300.0),
            ("90", 90.0),
            ("1.5", 1.5),
            ("250ms", 0.25),
            ("90s", 90.0),
            ("5m", 300.0),
            ("2h", 7200.0),
            ("2d", 172_800.0),
            ("1w", 604_800.0),
            ("1h30m", 5400.0),
            ("1h 30m", 5400.0),
            (" 1.5 h ", 5400.0),
            ("1H30M", 5400.0),
        ],
    )
    def test_what_people_write(self, value, seconds):
        assert duration(value, name="timeout") == seconds

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "soon",
            "5 parsecs",
            "h",
            "1h30",
            "-5s",
            "5s!",
            "١٠s",
            None,
            [],
            -1,
            timedelta(-1),
            float("inf"),
            float("nan"),
        ],
    )
    def test_what_cannot_be_meant_is_refused_with_its_name(self, value):
        with pytest.raises(ConfigurationError, match="timeout="):
            duration(value, name="timeout")

    @pytest.mark.parametrize("value", [True, False])
    def test_a_truth_is_no_duration(self, value):
        with pytest.raises(ConfigurationError, match=r"timeout=.* is not a duration"):
            duration(value, name="timeout")


class TestRates:
    """B8: "10/m"."""

    @pytest.mark.parametrize(
        ("text", "count", "per_s"),
        [("10/m", 10, 60.0), ("1/s", 1, 1.0), ("100/h", 100, 3600.0), ("5/10s", 5, 10.0), (" 3 / 0.5 d ", 3, 43_200.0)],
    )
    def test_what_people_write(self, text, count, per_s):
        assert Rate.parse(text) == Rate(count=count, per_s=per_s)

    @pytest.mark.parametrize("text", ["", "10", "/m", "0/m", "10/", "10/x", "-1/m", "1.5/m", "10/m/m", "10/0s"])
    def test_what_cannot_be_meant_is_refused(self, text):
        with pytest.raises(ConfigurationError, match="rate="):
            Rate.parse(text)

    @pytest.mark.parametrize(("count", "per_s"), [(0, 60.0), (1, 0.0), (1, math.inf)])
    def test_what_cannot_be_kept_is_refused(self, count, per_s):
        with pytest.raises(ConfigurationError, match="is out of range"):
            Rate(count=count, per_s=per_s)


class TestRetry:
    """R1: four attempts, 1 s, doubling, five minutes at most."""

    def test_the_defaults(self):
        assert RetryPolicy() == RetryPolicy(max_retries=3, first_s=1.0, factor=2.0, cap_s=300.0)

    @pytest.mark.parametrize("fields", [{"max_retries": -1}, {"first_s": -1}, {"factor": 0.5}, {"cap_s": -1}])
    def test_what_cannot_work_is_refused(self, fields):
        with pytest.raises(ConfigurationError):
            RetryPolicy(**fields)


class TestBreakerPolicy:
    """K1, K2: five in a row, 30 s, ten minutes at most, one success."""

    def test_the_defaults(self):
        assert BreakerPolicy() == BreakerPolicy(
            failures=5, rate=None, cooldown_s=30.0, max_cooldown_s=600.0, successes=1
        )

    @pytest.mark.parametrize(
        "fields",
        [
            {"failures": 0},
            {"successes": 0},
            {"min_calls": 0},
            {"min_calls": 30, "window": 20},
            {"rate": 0.0},
            {"rate": 1.1},
            {"cooldown_s": 0.0},
            {"cooldown_s": 700.0},
        ],
    )
    def test_what_cannot_work_is_refused(self, fields):
        with pytest.raises(ConfigurationError):
            BreakerPolicy(**fields)


class TestHealth:
    """H1: each limit in its range, with zero where that means something."""

    @pytest.mark.parametrize(
        ("field", "fits"),
        [
            ("degraded_rate", (None, 0, 0.05, 1)),
            ("unhealthy_rate", (None, 0, 0.05, 1)),
            ("min_attempts", (1, 20)),
            ("expected_duration_s", (None, 0, 0.5, "5m")),
            ("slow_factor", (0.001, 1, 1.5)),
            ("very_slow_factor", (0.001, 1, 1.5)),
            ("max_due", (None, 0, 100)),
            ("heartbeat_timeout_s", (None, 0, 1, "1m")),
            ("expect_success_within_s", (None, 0, 1, "2d")),
        ],
    )
    def test_what_fits(self, field, fits):
        for value in fits:
            read = getattr(health_policy(HealthPolicy(**{field: value}), name="health"), field)
            assert read == {"5m": 300.0, "1m": 60.0, "2d": 172_800.0}.get(value, value)

    @pytest.mark.parametrize(
        ("field", "wrong"),
        [
            ("degraded_rate", (-0.1, 1.1, "x", True)),
            ("unhealthy_rate", (-0.1, 1.1, "x", True)),
            ("min_attempts", (0, -1, 1.5, None)),
            ("expected_duration_s", (-1, "soon", float("inf"))),
            ("slow_factor", (0, -1, None, float("nan"))),
            ("very_slow_factor", (0, -1, None, float("nan"))),
            ("max_due", (-1, 1.5, "many")),
            ("heartbeat_timeout_s", (-1, "soon")),
            ("expect_success_within_s", (-1, "soon")),
        ],
    )
    def test_what_does_not_is_refused_with_its_name(self, field, wrong):
        for value in wrong:
            with pytest.raises(ConfigurationError, match=rf"health.*{field}"):
                health_policy(HealthPolicy(**{field: value}), name="health")

    def test_anything_else_is_refused(self):
        for wrong in (None, {}, "strict", 0.05):
            with pytest.raises(ConfigurationError, match="health"):
                health_policy(wrong, name="health")
