"""What will go wrong with workers that are each allowed?"""

from __future__ import annotations

import pytest
from builders import a_definition

from shiftboss.core.findings import Finding, Severity, findings
from shiftboss.core.policy import BreakerPolicy, HealthPolicy, Rate, RetryPolicy
from shiftboss.core.worker import OnFailure, Upstream


def found(*definitions, **facts):
    """The findings as (severity, rule, worker)."""
    return [(f.severity.value, f.rule, f.worker) for f in findings(definitions, **facts)]


def expecting(seconds, **fields):
    return HealthPolicy(expected_duration_s=seconds, **fields)


def test_the_workers_of_the_readme_give_none():
    assert (
        found(
            a_definition("fetch", every=60.0, timeout_s=30.0, priority="high"),
            a_definition("process", every=120.0, depends_on=["fetch"]),
            a_definition("cleanup", cron="0 3 * * *", priority="low", blocks=("process",)),
            a_definition("mail", concurrency=20, breaker="mailer"),
            a_definition("pump", continuous=True, pause_s=1.0),
        )
        == []
    )


def test_depending_on_a_worker_and_blocking_it_is_fine():
    """B1, D2: one after the other, and never both."""
    upstream = a_definition("a", every=60.0)

    assert found(upstream, a_definition("b", every=60.0, depends_on=["a"], blocks=("a",))) == []


class TestStarving:
    """P2, B4: nothing ages past critical."""

    PUMP = {"continuous": True, "timeout_s": 5.0}

    def test_beside_a_critical_worker_that_never_pauses_nothing_starts(self):
        pump = a_definition("pump", priority="critical", **self.PUMP)
        report = a_definition("report", every=60.0, blocks=("pump",))

        (finding,) = findings([pump, report])

        assert (finding.severity, finding.rule, finding.worker) == (Severity.WARNING, "P2", "report")
        assert finding.message == (
            "it cannot run at the same time as 'pump', which is critical and never idle: it will never start"
        )

    def test_a_resource_shuts_out_as_well(self):
        pump = a_definition("pump", priority="critical", uses={"db": 2}, **self.PUMP)
        report = a_definition("report", every=60.0, uses={"db": 1})

        assert found(pump, report, resources={"db": 2}) == [("warning", "P2", "report")]
        assert found(pump, report, resources={"db": 3}) == []

    def test_a_critical_worker_that_is_mostly_busy_is_named(self):
        sync = a_definition("sync", every=60.0, priority="critical", health=expecting(45.0))
        report = a_definition("report", every=60.0, blocks=("sync",))

        assert [f.message for f in findings([sync, report])] == [
            "it cannot run at the same time as 'sync', which is critical and busy 75% of the time: it will seldom start"
        ]

    def test_a_continuous_worker_is_busy_for_its_share_of_each_round(self):
        """M5: a pause follows each iteration."""
        sync = a_definition("sync", continuous=True, pause_s=10.0, priority="critical", health=expecting(30.0))
        report = a_definition("report", every=60.0, blocks=("sync",))

        assert [f.message for f in findings([sync, report]) if f.rule == "P2"] == [
            "it cannot run at the same time as 'sync', which is critical and busy 75% of the time: it will seldom start"
        ]

    def test_a_lower_priority_waits_its_offset_each_time(self):
        pump = a_definition("pump", **self.PUMP)
        report = a_definition("report", every=3600.0, priority="low", blocks=("pump",))

        (finding,) = findings([pump, report])

        assert (finding.severity, finding.rule) == (Severity.NOTE, "B4")
        assert finding.message == "it cannot run at the same time as 'pump', which never pauses: each run waits 540 s"

    @pytest.mark.parametrize("pause_s", [0.5, 60.0])
    def test_a_pause_lets_others_in(self, pause_s):
        pump = a_definition("pump", priority="critical", pause_s=pause_s, **self.PUMP)

        assert found(pump, a_definition("report", every=60.0, blocks=("pump",))) == []

    def test_of_the_same_priority_each_has_its_turn(self):
        assert found(a_definition("pump", **self.PUMP), a_definition("report", every=60.0, blocks=("pump",))) == []

    def test_who_can_run_side_by_side_is_not_shut_out(self):
        pump = a_definition("pump", priority="critical", **self.PUMP)

        assert found(pump, a_definition("report", every=60.0)) == []


class TestUpstreams:
    """D2, D4, D5, D6: upstreams that never come, never end or never fail."""

    def test_an_upstream_that_nothing_runs_by_itself(self):
        a, b = a_definition("a"), a_definition("b", every=60.0, depends_on=["a"])

        assert found(a, b) == [("warning", "D6", "b")]

    def test_an_upstream_that_comes_after_a_scheduled_one_is_fine(self):
        chain = [a_definition("x", every=60.0), a_definition("y", after=("x",)), a_definition("z", after=("y",))]

        assert found(*chain, a_definition("b", every=60.0, depends_on=["z"])) == []
        assert found(*chain[1:], a_definition("b", every=60.0, depends_on=["z"])) == [("warning", "D6", "b")]

    def test_a_continuous_upstream_without_timeout(self):
        a = a_definition("a", continuous=True, pause_s=1.0, timeout_s=None)

        assert found(a, a_definition("b", every=60.0, depends_on=["a"])) == [("warning", "D2", "b")]

    def test_an_upstream_that_never_fails_for_good(self):
        a = a_definition("a", continuous=True, pause_s=1.0)
        b = a_definition("b", every=60.0, depends_on=[Upstream("a", on_failure=OnFailure.SKIP)])

        assert found(a, b) == [("note", "D5", "b")]

    @pytest.mark.parametrize(("max_age_s", "said"), [(3599.0, [("warning", "D4", "b")]), (3600.0, [])])
    def test_a_success_that_is_wanted_fresher_than_it_can_be(self, max_age_s, said):
        b = a_definition("b", every=60.0, depends_on=[Upstream("a", max_age_s=max_age_s)])

        assert found(a_definition("a", every=3600.0), b) == said
        assert found(a_definition("a", cron="7 * * * *"), b) == said


class TestCadence:
    """M3, B8, H2: schedules that cannot be kept."""

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"timeout_s": 61.0}, [("note", "M3", "a")]),
            ({"timeout_s": 60.0}, []),
            ({"timeout_s": None}, []),
            ({"timeout_s": 61.0, "concurrency": 2}, []),
            ({"health": expecting(61.0)}, [("warning", "M3", "a")]),
            ({"health": expecting(61.0), "concurrency": 2}, []),
            ({"rate": Rate(count=1, per_s=61.0)}, [("warning", "B8", "a")]),
            ({"rate": Rate(count=1, per_s=60.0)}, []),
            ({"health": HealthPolicy(expect_success_within_s=59.0)}, [("warning", "H2", "a")]),
            ({"health": HealthPolicy(expect_success_within_s=120.0)}, []),
        ],
    )
    @pytest.mark.parametrize("rule", [{"every": 60.0}, {"cron": "* * * * *"}])
    def test_it_is_compared_with_the_interval(self, rule, fields, said):
        assert found(a_definition("a", **rule, **fields)) == said

    def test_of_a_cron_the_shortest_gap_counts(self):
        assert found(a_definition("a", cron="0,1 3 * * *", timeout_s=61.0)) == [("note", "M3", "a")]
        assert found(a_definition("a", cron="0 3 * * *", timeout_s=61.0)) == []


def test_at_most_once_is_never_retried():
    """C7"""
    assert found(a_definition("a", at_most_once=True)) == [("warning", "C7", "a")]
    assert found(a_definition("a", at_most_once=True, retry=RetryPolicy(max_retries=0))) == []


class TestCapacity:
    """P3, B9: what is busy at once on average."""

    @pytest.mark.parametrize(("slots", "said"), [(3, [("warning", "P3", "")]), (4, [("note", "P3", "")]), (5, [])])
    def test_it_is_compared_with_the_slots(self, slots, said):
        workers = [a_definition(f"w{n}", every=60.0, health=expecting(48.0)) for n in range(5)]  # 0.8 each

        assert found(*workers, slots=slots) == said

    def test_permits_have_a_capacity_too(self):
        workers = [a_definition(f"w{n}", every=60.0, uses={"db": 1}, health=expecting(45.0)) for n in range(3)]

        assert [f.message for f in findings(workers, resources={"db": 2})] == [
            "resource 'db' has 2 concurrency slots, but 2.2 are needed on average"
        ]
        assert found(*workers, resources={"db": 3}) == []

    def test_what_expects_nothing_weighs_nothing(self):
        assert found(*[a_definition(f"w{n}", every=60.0) for n in range(50)], slots=1) == []


def test_a_shared_breaker_has_one_policy():
    """K1"""
    strict, lax = BreakerPolicy(failures=1), BreakerPolicy(failures=9)

    assert found(a_definition("a", breaker="x", breaker_policy=strict), a_definition("b", breaker="x")) == []
    assert found(
        a_definition("a", breaker="x", breaker_policy=strict), a_definition("b", breaker="x", breaker_policy=lax)
    ) == [("warning", "K1", "b")]


class TestWhatAnExecutorCannotGive:
    """T2, B6, H2, P3"""

    def test_threads_with_the_timeout_that_every_worker_has_are_one_note(self):
        workers = [a_definition(f"w{n}", executor="thread") for n in range(7)]

        (finding,) = findings(workers, heedless={"w0", "w1"})

        assert (finding.severity, finding.rule, finding.worker) == (Severity.NOTE, "B6", "")
        assert "w0, w1, w2, w3, w4 and 2 more" in finding.message
        assert "executor='process'" in finding.remedy

    @pytest.mark.parametrize("executor", ["thread", "pool:a"])
    def test_a_timeout_that_was_asked_for_and_that_nobody_can_enforce_is_a_warning(self, executor):
        worker = a_definition("a", executor=executor, timeout_s=30.0)

        (finding,) = findings([worker], heedless={"a"})

        assert (finding.severity, finding.rule, finding.worker) == (Severity.WARNING, "T2", "a")
        assert finding.message.startswith("its timeout of 30 s cannot be enforced: ")
        assert "executor='process'" in finding.remedy

    def test_a_body_that_takes_a_context_may_heed_it_so_that_is_a_note(self):
        assert found(a_definition("a", executor="thread", timeout_s=30.0)) == [("note", "B6", "")]

    def test_a_deadline_bounds_attempts_as_well(self):
        worker = a_definition("a", executor="thread", timeout_s=None, deadline_s=90.0)

        (finding,) = findings([worker], heedless={"a"})

        assert finding.message.startswith("its deadline of 90 s cannot be enforced")

    @pytest.mark.parametrize("executor", ["coroutine", "process", "command"])
    def test_what_can_be_stopped_may_ask_for_any_timeout(self, executor):
        assert found(a_definition("a", executor=executor, timeout_s=30.0), heedless={"a"}) == []

    @pytest.mark.parametrize("executor", ["thread", "pool:a"])
    def test_without_a_limit_nothing_is_asked_for(self, executor):
        assert found(a_definition("a", executor=executor, timeout_s=None), heedless={"a"}) == []

    @pytest.mark.parametrize("executor", ["thread", "pool:a"])
    def test_where_nobody_can_stop_it_a_shorter_timeout_is_no_remedy(self, executor):
        worker = a_definition("a", every=20.0, executor=executor)

        assert found(worker, heedless={"a"}) == [("note", "B6", "")]

    def test_a_pool_may_repeat_what_must_run_at_most_once(self):
        """C7: seen with distributed 2026.8, whose retries=0 is about exceptions."""
        once = {"at_most_once": True, "retry": RetryPolicy(max_retries=0), "timeout_s": None}

        assert found(a_definition("a", executor="pool:a", **once)) == [("note", "C7", "a")]
        assert found(a_definition("a", executor="process", **once)) == []

    def test_it_says_who_waits_until_the_body_ends(self):
        sync = a_definition("sync", every=60.0, executor="thread", timeout_s=30.0, blocks=("backup",), uses={"db": 1})

        (finding,) = findings([sync, a_definition("backup"), a_definition("mail")], heedless={"sync"})

        assert finding.message.endswith(
            "; until its function returns, these cannot start: its next run, 'backup', users of 'db'"
        )

    @pytest.mark.parametrize("executor", ["coroutine", "thread", "process"])
    def test_heartbeats_are_expected_of_a_body_that_cannot_beat(self, executor):
        worker = a_definition("a", executor=executor, timeout_s=None, health=HealthPolicy(heartbeat_timeout_s=30.0))

        (finding,) = findings([worker], heedless={"a"})

        assert (finding.severity, finding.rule, finding.worker) == (Severity.WARNING, "H2", "a")
        assert finding.message.startswith(
            "a heartbeat is expected every 30 s, but its function takes no ctx, so it cannot send one"
        )
        assert found(worker) == []

    @pytest.mark.parametrize("limit_s", [60.0, None])
    def test_heartbeats_that_nobody_asked_for_are_not_missed(self, limit_s):
        worker = a_definition("a", health=HealthPolicy(heartbeat_timeout_s=limit_s))

        assert found(worker, heedless={"a"}) == []

    def test_an_executor_has_a_capacity_of_its_own(self):
        workers = [a_definition(f"w{n}", every=60.0, executor="process", health=expecting(48.0)) for n in range(3)]

        assert found(*workers, slots_of={"process": 3, "command": 1}) == []
        (finding,) = findings(workers, slots_of={"process": 2})
        assert (
            finding.message
            == "scheduled and continuous workers keep 2.4 process slots busy on average, but a node has 2"
        )
        assert finding.remedy.endswith("process_slots")


def test_warnings_come_first_and_then_the_order_of_declaration():
    workers = [
        a_definition("late", every=60.0, timeout_s=90.0),
        a_definition("second", at_most_once=True),
        a_definition("first", at_most_once=True),
    ]

    assert [f.worker for f in findings(workers)] == ["second", "first", "late"]


class TestSteps:
    """O3: a step that does not divide its field is no distance."""

    @pytest.mark.parametrize("cron", ["*/90 * * * *", "*/60 * * * *", "0 */25 * * *", "0 0 */32 * *", "50/15 * * * *"])
    def test_a_step_that_never_comes_is_a_warning(self, cron):
        assert found(a_definition("a", cron=cron, timeout_s=1.0)) == [("warning", "O3", "a")]

    @pytest.mark.parametrize(
        ("cron", "last", "every"), [("*/45 * * * *", 15, "45m"), ("0 */7 * * *", 3, "7h"), ("0 0 */2 * *", 1, "2d")]
    )
    def test_a_step_whose_last_is_shorter_is_a_note(self, cron, last, every):
        (finding,) = findings([a_definition("a", cron=cron, timeout_s=1.0)])

        assert (finding.severity, finding.rule) == (Severity.NOTE, "O3")
        assert f"the last step is {last}, not" in finding.message
        assert f'every="{every}"' in finding.remedy

    @pytest.mark.parametrize("cron", ["*/15 * * * *", "0 */6 * * *", "0 0 1,15 * *", "0 8-18/2 * * MON-FRI", "@daily"])
    def test_what_means_what_it_looks_like_is_none(self, cron):
        assert found(a_definition("a", cron=cron, timeout_s=1.0)) == []


@pytest.mark.parametrize(("worker", "line"), [("mail", "mail: it waits; enable it"), ("", "it waits; enable it")])
def test_a_finding_is_a_line(worker, line):
    assert str(Finding(Severity.NOTE, "K5", worker, "it waits", "enable it")) == line
