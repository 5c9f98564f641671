"""A worker as it is declared, and what one declaration can get wrong."""

from __future__ import annotations

import msgspec
import pytest
from builders import a_definition

from shiftboss.core.policy import HealthPolicy, Priority, Rate, RetryPolicy
from shiftboss.core.schedule import Every
from shiftboss.core.worker import Definition, Misfire, Mode, OnFailure, Upstream
from shiftboss.errors import ConfigurationError


class TestModes:
    """M1: scheduled, continuous or triggered."""

    def test_a_schedule_makes_it_scheduled_and_nothing_makes_it_triggered(self):
        assert a_definition("a", every=60.0).mode is Mode.SCHEDULED
        assert a_definition("a", cron="0 3 * * *").mode is Mode.SCHEDULED
        assert a_definition("a", continuous=True).mode is Mode.CONTINUOUS
        assert a_definition("a").mode is Mode.TRIGGERED

    @pytest.mark.parametrize("fields", [{"mode": Mode.SCHEDULED}, {"mode": Mode.TRIGGERED, "schedule": Every(60.0)}])
    def test_mode_and_schedule_go_together(self, fields):
        with pytest.raises(ConfigurationError, match="goes with a scheduled worker, which needs one"):
            Definition(name="a", **fields)

    def test_a_continuous_worker_has_one_iteration_at_a_time(self):
        """M5"""
        with pytest.raises(ConfigurationError, match="runs one at a time"):
            Definition(name="a", mode=Mode.CONTINUOUS, concurrency=2)

    @pytest.mark.parametrize(
        ("fields", "by_itself"),
        [({}, False), ({"every": 60.0}, True), ({"continuous": True}, True), ({"after": ("b",)}, True)],
    )
    def test_who_runs_by_itself_needs_no_payload(self, fields, by_itself):
        """M6"""
        assert a_definition("a", **fields).runs_by_itself is by_itself


class TestDefaults:
    """The numbers of docs/reference/semantics.md."""

    def test_they_are_those_that_are_promised(self):
        """B4, K4, K5, O2, O5, P1, R1, T1"""
        one = Definition(name="a")

        assert (one.timeout_s, one.start_within_s, one.deadline_s, one.cancel_grace_s) == (60.0, None, None, 5.0)
        assert (one.retry.max_retries, one.max_consecutive_failures, one.probation_s) == (3, 5, 3600.0)
        assert (one.patience_s, one.grace_s, one.misfire, one.misfire_limit) == (30.0, 60.0, Misfire.ONE, 100)
        assert (one.priority, one.key_ttl_s, one.max_payload_bytes) == (Priority.NORMAL, 86_400.0, 1_048_576)

    def test_so_are_those_of_health(self):
        """H2"""
        policy = HealthPolicy()

        assert (policy.degraded_rate, policy.unhealthy_rate, policy.min_attempts) == (0.05, 0.15, 20)
        assert (policy.slow_factor, policy.very_slow_factor, policy.max_due) == (1.5, 3.0, 100)
        assert (policy.heartbeat_timeout_s, policy.expect_success_within_s) == (60.0, None)


class TestRefusals:
    """What could never run is refused where it is declared."""

    @pytest.mark.parametrize("name", ["a", "send-mail", "v1.2_x", "A" * 128])
    def test_usable_names(self, name):
        assert Definition(name=name).name == name

    @pytest.mark.parametrize("name", ["", "-a", "a-", "a b", "tag:a", "ä", "a/b", "A" * 129, "a\n"])
    def test_unusable_names(self, name):
        with pytest.raises(ConfigurationError, match="is not usable"):
            Definition(name=name)

    @pytest.mark.parametrize(
        "fields",
        [
            {"concurrency": 0},
            {"fallback": True},
            {"max_consecutive_failures": 0},
            {"uses": {"db": 0}},
            {"misfire_limit": 0},
        ],
    )
    def test_what_lets_nothing_run(self, fields):
        with pytest.raises(ConfigurationError, match="'a'"):
            a_definition("a", **fields)


def test_a_definition_is_stored_and_read_back_as_it_was():
    """M7: any process can read, compare and judge it."""
    one = a_definition(
        "a",
        cron="0 3 * * MON",
        depends_on=[Upstream("b", fresh=True, max_age_s=60.0, on_failure=OnFailure.SKIP)],
        blocks=("c", "tag:db"),
        uses={"db": 2},
        rate=Rate(count=1, per_s=60.0),
        retry=RetryPolicy(max_retries=None),
        priority="critical",
    )

    assert msgspec.json.decode(msgspec.json.encode(one), type=Definition) == one
