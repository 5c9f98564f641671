"""`shiftboss.testing`: what a user's tests can do with an orchestrator in virtual time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shiftboss import Dependency, Fatal, Orchestrator, TriggerItem, TriggersRefused
from shiftboss.core.events import RunRescued, WorkerDisabled
from shiftboss.core.model import Status
from shiftboss.errors import ConfigurationError, CycleError, UnknownWorker, WrongPayload
from shiftboss.testing import Simulation, Violation, VirtualClock
from shiftboss.testing.plugin import shiftboss_simulation  # noqa: F401  # the fixture, also where no entry point is made

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def nothing() -> None: ...


@pytest.fixture
def boss() -> Orchestrator:
    boss = Orchestrator("memory:", max_concurrency=10)

    @boss.worker(every="1m", start="now", max_retries=0)
    def fetch() -> None: ...

    @boss.worker(every="1m", start="now", depends_on=[fetch])
    def process() -> None: ...

    @boss.worker
    def mail(to: str) -> str:
        return f"sent to {to}"

    return boss


# ── the clock ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_virtual_clock_stands_still_until_it_is_told_to_move():
    clock = VirtualClock("2026-03-01T12:00")
    clock.advance(90)

    assert clock.now() == NOON + timedelta(seconds=90)
    assert clock.monotonic_s() == clock.lease_s() == 90


def test_a_wall_clock_that_is_set_leaves_elapsed_time_alone():
    """O4"""
    clock = VirtualClock(NOON)
    clock.step_wall(-3600)

    assert clock.now() == NOON - timedelta(hours=1)
    assert clock.monotonic_s() == 0


def test_time_never_goes_back():
    clock = VirtualClock(NOON)
    clock.advance(-5)

    assert clock.now() == NOON


def test_a_hundred_thousand_small_steps_do_not_drift():
    clock = VirtualClock(NOON)
    for _ in range(100_000):
        clock.advance(0.1)

    assert clock.now() == NOON + timedelta(seconds=10_000)
    assert clock.monotonic_s() == 10_000


def test_a_start_without_a_zone_is_refused_as_a_datetime_and_utc_as_text():
    with pytest.raises(ValueError, match="time zone"):
        VirtualClock(datetime(2026, 3, 1))  # noqa: DTZ001  # that is the point

    assert VirtualClock("2026-03-01T13:00+01:00").now() == VirtualClock("2026-03-01T12:00").now() == NOON


# ── time and bodies ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_month_passes():
    boss = Orchestrator("memory:")
    boss.register("night", nothing, cron="0 3 * * *")
    boss.register("report", nothing, cron="0 3 * * *", depends_on=["night"])

    with Simulation(boss, start="2026-03-01") as sim:
        sim.takes("night", "40s")
        sim.run_for("31d")

        assert sim.now == datetime(2026, 4, 1, tzinfo=UTC)
        assert sim.starts("night") == [datetime(2026, 3, day, 3, tzinfo=UTC) for day in range(1, 32)]
        assert sim.starts("report") == [datetime(2026, 3, day, 3, 0, 40, tzinfo=UTC) for day in range(1, 32)]


def test_it_runs_until_an_instant(boss):
    with Simulation(boss, start=NOON) as sim:
        sim.run_until("2026-03-01T12:10")

        assert sim.starts("fetch")[-1] == sim.now == NOON + timedelta(minutes=10)


def test_what_depends_on_a_worker_that_fails_waits_and_says_why(boss):
    with Simulation(boss, start=NOON) as sim:
        sim.fail("fetch", times=3)
        sim.run_for("1m30s")

        assert sim.starts("process") == []
        assert [hold.gate for hold in sim.why("process").holds] == ["depends_on"]

        sim.run_for("2m")

        assert len(sim.starts("fetch")) == 4
        assert len(sim.starts("process")) == 1


def test_a_worker_that_goes_on_failing_is_disabled(boss):
    """K4"""
    with Simulation(boss) as sim:
        sim.fail("fetch")
        sim.run_for("10m")

        assert [event.starves for event in sim.events(WorkerDisabled)] == [("process",)]
        assert sim.status().worker("fetch").enabled is False
        assert sim.counts("fetch")["dead"] == 5

        sim.succeed("fetch")
        sim.enable("fetch")
        sim.run_for("1m")

        assert sim.counts("fetch")["succeeded"] == 1


def test_a_slow_body_takes_its_time_and_a_hanging_one_its_timeout(boss):
    with Simulation(boss, start=NOON) as sim:
        sim.takes("fetch", "20s")
        sim.run_for("30s")

        assert sim.starts("process") == [NOON + timedelta(seconds=20)]

        sim.hang("fetch")
        sim.run_for("2m")

        assert [run.cause for run in sim.runs("fetch", Status.DEAD)] == ["timeout"]


def test_bodies_are_really_called_when_that_is_asked_for(boss):
    @boss.worker
    async def strict(n: int) -> int:
        if n > 1:
            raise Fatal("too many")
        return n

    with Simulation(boss, call_bodies=True) as sim:
        sent = sim.trigger("mail", {"to": "ann"})
        good, bad = sim.trigger("strict", {"n": 1}), sim.trigger("strict", {"n": 2})
        sim.run_for(1)

        assert sim.run(sent).result == b'"sent to ann"'
        assert sim.run(good).result == b"1"
        assert sim.run(bad).status is Status.DEAD
        assert sim.run(bad).error.message == "too many"


def test_many_are_triggered_at_once_or_none(boss):
    """O6"""
    with Simulation(boss, start=NOON) as sim:
        runs = sim.trigger_many("mail", [{"to": "ann"}, {"to": "bob"}], keys=["a", None], delay="1m")
        again = sim.trigger_many([TriggerItem("mail", {"to": "ann"}, key="a", delay="1m")])
        with pytest.raises(TriggersRefused) as refused:
            sim.trigger_many("mail", [{"to": "eve"}, {"too": "eve"}, {"to": "eve"}], keys=[None, None, "a"])
        sim.run_for("2m")

        assert sim.trigger_many("mail", []) == []
        assert [sim.run(run).status for run in runs] == [Status.SUCCEEDED] * 2
        assert [run.id for run in again] == [runs[0].id]
        assert [each.place for each in refused.value.refused] == [1, 2]


# ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_run_of_a_killed_node_is_taken_over(boss):
    """C4: at once on one machine, five seconds after its lease from another."""
    with Simulation(boss, start=NOON, nodes=2) as sim:
        sim.takes("mail", "10s")
        run = sim.trigger("mail", {"to": "ann"})
        sim.run_for(1)
        sim.kill_node(sim.run(run).claim.node)
        sim.run_for("20s")

        assert [event.run for event in sim.events(RunRescued)] == [run.id]
        assert sim.run(run).status is Status.SUCCEEDED
        assert len(sim.nodes) == 1


def test_a_machine_that_is_gone_is_found_out_by_its_lease(boss):
    with Simulation(boss, start=NOON, nodes=2) as sim:
        sim.run_for("1m")
        sim.takes("mail", "10s")
        run = sim.trigger("mail", {"to": "ann"})
        sim.run_for(1)
        sim.kill_node(sim.run(run).claim.node, machine=True)
        sim.run_for("20s")

        assert sim.run(run).status is Status.RUNNING

        sim.run_for("30s")

        assert sim.run(run).status is Status.SUCCEEDED


def test_a_node_that_stops_hands_back_what_it_cannot_finish(boss):
    """G2"""
    with Simulation(boss, start=NOON) as sim:
        sim.takes("mail", "10m")
        run = sim.trigger("mail", {"to": "ann"})
        sim.run_for(1)
        sim.stop_node()
        sim.run_for("30s")

        assert sim.nodes == []
        assert (sim.run(run).status, sim.run(run).attempt) == (Status.PENDING, 0)

        sim.takes("mail", "1s")
        sim.add_node()
        sim.run_for("2s")

        assert sim.run(run).status is Status.SUCCEEDED


def test_a_paused_node_loses_its_runs_and_its_report_is_void(boss):
    """C5"""
    with Simulation(boss, start=NOON, nodes=2) as sim:
        sim.run_for("1m")
        sim.takes("mail", "40s")
        run = sim.trigger("mail", {"to": "ann"})
        sim.run_for(1)
        sim.pause_node("2m", sim.run(run).claim.node)
        sim.run_for("5m")

        assert [attempt.cause for attempt in sim.run(run).attempts] == ["rescued", None]


def test_a_clock_that_is_set_is_one_catch_up(boss):
    """O4: for what follows the calendar; an interval has not missed anything."""
    boss.register("minutely", nothing, cron="* * * * *")
    with Simulation(boss, start=NOON) as sim:
        sim.run_for("90s")
        sim.set_clock(86_400)
        sim.run_for("1m")

        assert max(run.missed for run in sim.runs("minutely")) == 24 * 60 - 1
        assert max(run.missed for run in sim.runs("fetch")) == 0


# ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_triggers_are_checked_and_keys_found_as_always(boss):
    with Simulation(boss) as sim:
        first, second = (sim.trigger("mail", {"to": "ann"}, key="k", delay="1h") for _ in range(2))

        assert first.id == second.id
        assert sim.why("mail").earliest == sim.now + timedelta(hours=1)
        with pytest.raises(WrongPayload):
            sim.trigger("mail", {"to": 7})

        sim.cancel(first)

        assert sim.run(first).status is Status.CANCELLED


def test_a_dead_letter_is_replayed(boss):
    with Simulation(boss) as sim:
        sim.fail("mail", times=1, fatal=True)
        dead = sim.trigger("mail", {"to": "ann"})
        sim.run_for(1)
        again = sim.replay(dead)
        sim.run_for(1)

        assert sim.run(dead).status is Status.DEAD
        assert sim.run(again).status is Status.SUCCEEDED


def test_a_disabled_worker_starts_nothing(boss):
    with Simulation(boss) as sim:
        sim.disable("fetch", reason="maintenance")
        sim.run_for("5m")

        assert sim.starts("fetch") == []
        assert "maintenance" in str(sim.why("fetch").holds[0])


# ── mistakes ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_start_would_refuse_is_refused():
    boss = Orchestrator("memory:")
    boss.register("a", nothing, depends_on=["b"])
    boss.register("b", nothing, depends_on=["a"])

    with pytest.raises(CycleError):
        Simulation(boss)

    boss = Orchestrator("memory:")
    boss.register("a", nothing, depends_on=[Dependency("nobody")])

    with pytest.raises(ConfigurationError, match="nobody"):
        Simulation(boss)


def test_unknown_names_are_said(boss):
    with Simulation(boss) as sim:
        with pytest.raises(UnknownWorker, match="fetch"):
            sim.fail("fetsch")
        with pytest.raises(ValueError, match="node-1"):
            sim.kill_node("node-9")


def test_a_broken_promise_fails_the_test(boss):
    with pytest.raises(AssertionError, match="B1"), Simulation(boss) as sim:
        sim._sim.history.violations.append(Violation("B1", sim.now, "two ran at once"))


def test_the_fixture_puts_an_orchestrator_into_virtual_time(boss, shiftboss_simulation):  # noqa: F811  # as pytest wants
    sim = shiftboss_simulation(boss, start=NOON)
    sim.run_for("1h")

    assert len(sim.starts("fetch")) == 61


def test_the_same_seed_is_the_same_run(boss):
    def story() -> list[tuple[int, datetime]]:
        with Simulation(boss, nodes=3, seed=7) as sim:
            sim.fail("fetch", times=20)
            sim.run_for("1h")
            sim.kill_node()
            sim.run_for("1h")
            return [(start.run.id, start.claim.at) for start in sim._sim.history.starts]

    assert story() == story()
