"""A year of cron through the real rules, and a wall clock that is set by days."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from shiftboss.core.model import Status
from shiftboss.core.schedule import Cron, Every
from shiftboss.core.worker import Definition, Misfire, Mode, Start
from shiftboss.testing.simulator import Simulator

ZONES = ("America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata")
DAY_S = 86_400.0
YEAR_S = 365 * DAY_S
STEPS = [  # minutes from one instant to the next
    pytest.param(10, Every(600.0), id="every"),
    pytest.param(10, Cron("*/10 * * * *"), id="cron"),
    pytest.param(1, Every(60.0), id="every minute", marks=pytest.mark.chaos),
    pytest.param(1, Cron("* * * * *"), id="cron, every minute", marks=pytest.mark.chaos),
]


def scheduled(
    name: str, schedule: Cron | Every, *, start: Start = Start.NEXT, misfire: Misfire = Misfire.ONE
) -> Definition:
    return Definition(
        name=name,
        mode=Mode.SCHEDULED,
        schedule=schedule,
        start=start,
        misfire=misfire,
        concurrency=1,
        executor="coroutine",
    )


@pytest.fixture(scope="module", params=ZONES)
def year(request) -> tuple[ZoneInfo, Simulator]:
    zone = request.param
    sim = Simulator(datetime(2026, 1, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC), predicates=())
    sim.add_node(
        [
            scheduled("in-the-gap", Cron("30 2 * * *", zone)),
            scheduled("at-nine", Cron("0 9 * * *", zone)),
        ]
    )
    sim.run_for(YEAR_S)
    return ZoneInfo(zone), sim


def instants(sim: Simulator, worker: str) -> list[datetime]:
    return sorted(start.run.occurs_at for start in sim.history.starts if start.run.worker == worker)


@pytest.mark.parametrize("worker", ["in-the-gap", "at-nine"])
def test_a_fixed_time_runs_once_on_each_local_day(year, worker):
    """O3, O1: also on the days on which clocks change."""
    zone, sim = year
    days = Counter(at.astimezone(zone).date() for at in instants(sim, worker))

    assert len(days) == 365
    assert set(days.values()) == {1}


def test_nine_is_nine_all_year(year):
    """O3"""
    zone, sim = year

    assert {at.astimezone(zone).strftime("%H:%M") for at in instants(sim, "at-nine")} == {"09:00"}


@pytest.mark.parametrize(
    ("start", "days"),
    [("2026-03-01", 15), ("2026-10-25", 15), pytest.param("2026-01-01", 365, marks=pytest.mark.chaos)],
    ids=["spring", "autumn", "all year"],
)
def test_a_wildcard_hour_follows_elapsed_time(start, days):
    """O3: evenly spaced, over both changes."""
    sim = Simulator(start, predicates=())
    sim.add_node([scheduled("hourly", Cron("0 * * * *", "America/New_York"))])
    sim.run_for(days * DAY_S)
    fired = instants(sim, "hourly")

    assert len(fired) == days * 24
    assert {b - a for a, b in pairwise(fired)} == {timedelta(hours=1)}


@pytest.mark.parametrize("schedule", [Every(60.0), Cron("* * * * *")], ids=["every", "cron"])
def test_a_clock_that_is_set_three_days_forward_is_one_catch_up(schedule):
    """O4, O2: one run takes up 4,320 instants of the calendar; an interval has not missed any."""
    sim = Simulator("2026-03-01")
    sim.add_node([scheduled("tick", schedule)])
    sim.run_for(600)
    before = len(instants(sim, "tick"))
    sim.step_wall(3 * DAY_S)
    sim.run_for(600)
    runs = [run for run in sim.history.runs.values() if run.status is Status.SUCCEEDED]

    assert sim.history.violations == []
    is_cron = isinstance(schedule, Cron)
    assert len(instants(sim, "tick")) - before == (11 if is_cron else 10)
    assert sorted(run.missed for run in runs)[-2:] == ([0, 4319] if is_cron else [0, 0])


@pytest.mark.parametrize(("minutes", "schedule"), STEPS)
def test_a_clock_that_is_set_three_days_back_goes_on_at_once_and_repeats_nothing(minutes, schedule):
    """O4, O1: a run at each instant; only the ten that have run already are left out when they come again."""
    sim = Simulator("2026-03-10")
    sim.add_node([scheduled("tick", schedule)])
    sim.run_for(minutes * 600)
    before = instants(sim, "tick")
    sim.step_wall(-3 * DAY_S)
    sim.run_for(3 * DAY_S + minutes * 600)
    after = instants(sim, "tick")

    assert sim.history.violations == []
    assert len(set(after)) == len(after)
    left_out = 10 if isinstance(schedule, Cron) else 0
    assert len(after) - len(before) == pytest.approx(3 * 1440 / minutes + 10 - left_out, abs=1)


@pytest.mark.parametrize(("minutes", "schedule"), STEPS)
def test_three_days_forward_for_ten_instants_cost_nothing_afterwards(minutes, schedule):
    """O4, O1, O2: what the catch-up merely covered runs when its true time comes."""
    sim = Simulator("2026-03-01")
    sim.add_node([scheduled("tick", schedule)])
    sim.run_for(minutes * 600 - 10)
    sim.step_wall(3 * DAY_S)
    sim.run_for(minutes * 600)
    sim.step_wall(-3 * DAY_S)
    before = len(instants(sim, "tick"))
    sim.run_for(3 * DAY_S + minutes * 3600)
    after = instants(sim, "tick")

    assert sim.history.violations == []
    assert len(set(after)) == len(after)
    left_out = 10 if isinstance(schedule, Cron) else 0
    assert len(after) - before == pytest.approx(3 * 1440 / minutes + 60 - left_out, abs=1)
