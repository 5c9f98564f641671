"""The three workers of examples/quickstart.py through a day of virtual time, with failures and slow bodies."""

from __future__ import annotations

import importlib.util
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from shiftboss import Orchestrator
from shiftboss.ports.executor import Launch
from shiftboss.testing.bodies import Plan, failed
from shiftboss.testing.simulator import Simulator

EXAMPLE = Path(__file__).parents[2] / "examples" / "quickstart.py"
DAY_S = 86_400.0


class Span(NamedTuple):
    worker: str
    run: int
    occurs_at: datetime
    start: datetime
    end: datetime
    ok: bool


class ADay:
    """fetch-data takes 7 s and fails three times in a row every two hours; cleanup takes 50 s."""

    def plan(self, launch: Launch) -> Plan:
        at = launch.run.occurs_at
        match launch.run.worker:
            case "fetch-data":
                minute = at.hour % 2 * 60 + at.minute
                return Plan(7.0, failed("the service is down")) if 50 <= minute < 53 else Plan(7.0)
            case "process-data":
                return Plan(20.0)
            case _:
                return Plan(50.0)


@pytest.fixture(scope="module")
def day() -> tuple[Simulator, list[Span]]:
    spec = importlib.util.spec_from_file_location("quickstart", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    boss: Orchestrator = example.boss
    sim = Simulator("2026-03-01", model=ADay())
    sim.add_node(list(boss.definitions.values()))
    sim.run_for(DAY_S)
    starts = {(start.run.id, start.claim.fence): start for start in sim.history.starts}
    spans = [
        Span(
            end.run.worker,
            end.run.id,
            end.run.occurs_at,
            starts[end.run.id, end.claim.fence].claim.at,
            end.run.attempts[-1].ended_at,
            end.cause is None,
        )
        for end in sim.history.ends
    ]
    return sim, spans


def of(spans: list[Span], worker: str) -> list[Span]:
    return [span for span in spans if span.worker == worker]


def test_no_rule_is_broken_all_day(day):
    sim, spans = day

    assert sim.history.violations == []
    assert {span.worker for span in spans} == {"fetch-data", "process-data", "cleanup"}


def test_process_data_never_starts_while_fetch_data_is_due_or_running_or_last_failed(day):
    """D2, D7"""
    sim, spans = day
    fetches = of(spans, "fetch-data")
    fetch_runs = [run for run in sim.history.runs.values() if run.worker == "fetch-data"]
    wrong = []
    for span in of(spans, "process-data"):
        finished = [f for f in fetches if f.end <= span.start]
        if not finished or not max(finished, key=lambda f: (f.occurs_at, f.end)).ok:
            wrong.append(("last failed", span))
        if any(f.start < span.start < f.end for f in fetches):
            wrong.append(("running", span))
        if any(
            run.occurs_at <= span.occurs_at
            and run.created_at <= span.start
            and (run.finished_at is None or run.finished_at > span.start)
            for run in fetch_runs
        ):
            wrong.append(("due", span))

    assert wrong == []
    assert len(of(spans, "process-data")) > 400


def test_process_data_never_overlaps_cleanup(day):
    """B1, B3"""
    _, spans = day
    cleanups = of(spans, "cleanup")

    assert len(cleanups) == 24
    assert [
        (span, other)
        for span in of(spans, "process-data")
        for other in cleanups
        if span.start < other.end and other.start < span.end
    ] == []


def test_each_instant_of_the_day_is_fetched_once(day):
    """M4, O1, O2, R1: fixed rate, without drift; what failed is tried again under its own instant."""
    sim, _ = day
    runs = sorted((run for run in sim.history.runs.values() if run.worker == "fetch-data"), key=lambda r: r.occurs_at)
    covered = [(run.occurs_at, run.covers_until or run.occurs_at) for run in runs if run.has_started]

    assert covered[0][0] == datetime.fromisoformat("2026-03-01T00:00:00+00:00")
    assert [(a, b) for (_, a), (b, _) in pairwise(covered) if b - a != timedelta(minutes=1)] == []


def test_cleanup_gets_its_turn_although_process_data_is_always_busy(day):
    """B4: it has low priority and waits at most for the run that is in progress."""
    _, spans = day
    waits = [span.start - span.occurs_at for span in of(spans, "cleanup")]

    assert max(waits) < timedelta(minutes=2)
