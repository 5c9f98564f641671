"""Instants at the ends of the calendar, numbers beyond 64 bits, cron of other dialects, a clock without a battery."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from shiftboss import Orchestrator
from shiftboss.core import schedule
from shiftboss.engine.cycle import Cycle
from shiftboss.errors import ConfigurationError, ShiftbossError
from shiftboss.ports.faces import HistoryFilter
from shiftboss.testing.simulator import Simulator

WITHIN_S = 60
YEAR_S = 31_557_600


async def test_what_is_far_ahead_waits_quietly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """O4: a timer beyond 24.8 days neither fires at once nor keeps the engine turning."""
    turns = Counter()
    turn = Cycle.turn

    def counted(self, *args, **options):
        turns["all"] += 1
        return turn(self, *args, **options)

    monkeypatch.setattr(Cycle, "turn", counted)
    boss = Orchestrator(f"sqlite:///{tmp_path / 'jobs.db'}")
    ran = []

    @boss.worker(timeout="3650d", deadline="36500d")
    def later(number: int) -> None:
        ran.append(number)

    boss.register("forty-days", lambda: ran.append("forty"), every="40d", start="next")
    boss.register("leap-day", lambda: ran.append("leap"), cron="0 0 29 2 *")
    async with boss:
        asked = datetime.now(UTC)
        for number, days in enumerate((25, 60, 9000)):
            run = await later.options(delay=timedelta(days=days)).trigger(number)
            due_at = (await run.info()).due_at
            assert timedelta(0) <= due_at - asked - timedelta(days=days) < timedelta(seconds=WITHIN_S)
        last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
        run = await later.options(at=last).trigger(3)
        assert (await run.info()).due_at.year == 9999
        for wrong in (10_000 * 365 * 86_400, 1e18):
            with pytest.raises(ShiftbossError, match="delay"):
                await later.options(delay=wrong).trigger(4)
        beyond = datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))
        try:
            run = await later.options(at=beyond).trigger(5)
        except ShiftbossError:
            pass
        else:
            assert (await run.info()).due_at.year == 9999
        before = turns["all"]
        soon = await later.options(delay=2).trigger(6)
        await soon.wait(timeout=WITHIN_S)
        assert turns["all"] - before < 200, "it spins"
        past = await later.options(at=datetime(1, 1, 1, tzinfo=UTC)).trigger(7)
        await past.wait(timeout=WITHIN_S)
    assert ran == [6, 7]


async def test_whole_numbers_of_any_size_arrive_whole(tmp_path: Path):
    """W5: with a hint and without, as arguments and as results; amounts of tokens have thirty digits."""
    boss = Orchestrator(f"sqlite:///{tmp_path / 'jobs.db'}")
    seen = []

    @boss.worker()
    def hinted(number: int) -> int:
        seen.append(number)
        return number

    @boss.worker()
    def unhinted(number):
        seen.append(number)
        return number

    @boss.worker()
    def money(number: Decimal) -> Decimal:
        seen.append(number)
        return number

    numbers = (2**53 + 1, 2**63, 2**64 + 1, -(2**70), 10**30 + 7)
    async with boss:
        for worker in (hinted, unhinted, money):
            for number in numbers:
                given = Decimal(number) if worker is money else number
                seen.clear()
                result = await (await worker.trigger(given)).result(timeout=WITHIN_S)
                assert (result, seen) == (given, [given]), worker.name
                assert type(result) is type(given)


# ── expressions ──────────────────────────────────────────────────────────────────────────────────────────────────────

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
DAYS = {
    "0 12 * * 6-7": {"Sat", "Sun"},
    "0 0 * * 7": {"Sun"},
    "0 0 * * 0,7": {"Sun"},
    "0 12 * * 1-5/2": {"Mon", "Wed", "Fri"},
    "0 12 * * MON,wed,Fri": {"Mon", "Wed", "Fri"},
    "0\t12  *\t* 1": {"Mon"},
    "  0 12 * * 1  \n": {"Mon"},
    "0 12 * * mon#1": {"Mon"},
    "0 12 * * 5L": {"Fri"},
    "00 012 * * 01": {"Mon"},
}
OF_OTHERS = (
    "cron(0 12 * * ? *)", "H 12 * * *", "@every 5m", "CRON_TZ=Asia/Tokyo 0 6 * * *", "TZ=UTC 0 6 * * *",
    "0 0 0 ? * MON", "*-*-* 02:15:00", "Mon *-*-* 02:15", "٣ * * * *", "0.5 1.5 * * *", "0 0 * * MON_FRI",
    "-5 * * * *", "5- * * * *", "1,,2 * * * *", "*/ * * * *", "0 0 15W * *", "0 0 L-3 * *", "0 0 * * 8",
    "0 24 * * *", "0 0 31 2 *",
)  # fmt: skip


@pytest.mark.parametrize(("expression", "days"), DAYS.items())
def test_an_expression_that_cron_takes_fires_on_its_days(expression: str, days: set[str]):
    """O3"""
    rule = Orchestrator("memory:").register("w", lambda: None, cron=expression).definition.schedule
    at, fires = MONDAY - timedelta(seconds=1), set()
    for _ in range(8):
        at = schedule.first_instant(rule, at)
        fires.add(f"{at:%a}")
    assert fires == days


@pytest.mark.parametrize("expression", OF_OTHERS)
def test_an_expression_of_another_dialect_is_refused_and_never_misread(expression: str):
    """O3"""
    with pytest.raises(ConfigurationError, match="cron="):
        Orchestrator("memory:").register("w", lambda: None, cron=expression)


def test_a_zone_without_a_name_is_refused():
    """O3: an offset knows no summer."""
    with pytest.raises(ConfigurationError, match="timezone="):
        Orchestrator("memory:").register(
            "w",
            lambda: None,
            cron="@daily",
            timezone=timezone(timedelta(hours=2)),  # type: ignore[arg-type]
        )


# ── a clock without a battery ────────────────────────────────────────────────────────────────────────────────────────


def test_a_clock_that_starts_in_1970_costs_one_catch_up_and_schedules_go_on():
    """O2, O4: 57 years forward when the network is there; later twenty years ahead and back."""
    boss = Orchestrator("memory:")
    boss.register("minute", lambda: None, cron="* * * * *")
    boss.register("ten-seconds", lambda: None, every="10s")
    boss.register(
        "night", lambda: None, cron="0 3 * * *", timezone="Europe/Berlin", misfire="all", misfire_limit=5
    )  # fmt: skip
    boss.register("leap-day", lambda: None, cron="0 0 29 2 *")
    sim = Simulator("1970-01-01T00:00:30")
    sim.add_node(tuple(boss.definitions.values()), resources=boss.resources)

    def made() -> Counter:
        runs = {name: HistoryFilter(worker=name, limit=5000) for name in boss.definitions}
        return Counter({name: len(sim.views.history(filter)) for name, filter in runs.items()})

    def five_minutes(*steps_s: float) -> Counter:
        before, steps = made(), sim.steps
        for step_s in steps_s:
            sim.step_wall(step_s)
            sim.run_for(300)
        assert sim.steps - steps < 5000, "it spins"
        return made() - before

    at_first = five_minutes(0)
    jump = five_minutes(56.9 * YEAR_S)
    back = five_minutes(20 * YEAR_S, -20 * YEAR_S)

    assert 5 <= at_first["minute"] <= 6
    assert 5 <= jump["minute"] <= 8
    assert 28 <= jump["ten-seconds"] <= 32
    assert 1 <= jump["night"] <= 6
    assert jump["leap-day"] <= 1
    assert 10 <= back["minute"] <= 14
    assert 56 <= back["ten-seconds"] <= 64
    assert back["night"] <= 7
