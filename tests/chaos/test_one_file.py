"""Several processes on one SQLite file, for a minute, one of them killed every few seconds."""

from __future__ import annotations

import itertools
import random
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from ledger import most_at_once, overlaps, read_spans, unexplained_repetitions
from processes import Fleet

from shiftboss import Orchestrator, Status
from shiftboss.ports.faces import HistoryFilter

pytestmark = pytest.mark.chaos

SECONDS = 60.0
TRIGGERS = 400


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory):
    """The minute itself: four processes, a kill every three seconds, triggers all along; then a graceful end."""
    fleet = Fleet(tmp_path_factory.mktemp("one-file"), "fleet.py")
    dice = random.Random(4711)
    for _ in range(4):
        fleet.start()
    boss = Orchestrator(fleet.store)
    began = time.monotonic()
    while not Path(fleet.store.removeprefix("sqlite:///")).exists():
        time.sleep(0.05)  # the first process creates the store
    triggered = []
    next_kill = began + 3.0
    with boss.sync:
        while (now := time.monotonic()) < began + SECONDS:
            if len(triggered) < TRIGGERS and now - began > 2:
                triggered.append(boss.sync.trigger("press", {"number": len(triggered)}).id)
            if now >= next_kill:
                fleet.kill(dice.choice(fleet.processes))
                fleet.start()
                next_kill = now + 3.0
            time.sleep(SECONDS * 0.7 / TRIGGERS)
        for run in triggered:
            boss.sync.wait_for(run, timeout=30)
        codes = fleet.terminate(within_s=20)
        spans = read_spans(fleet.ledger, died_at=fleet.died_at)
        history = boss.sync.runs(HistoryFilter(limit=100_000))
        status = boss.sync.status()
    return fleet, codes, spans, history, status, triggered


def test_every_process_leaves_in_time_with_code_0(aftermath):
    _, codes, *_ = aftermath

    assert codes == [0, 0, 0, 0]


def test_a_blocked_pair_never_overlaps_across_processes(aftermath):
    """B1, C4"""
    _, _, spans, *_ = aftermath

    assert len([s for s in spans if s.worker == "left"]) > 30
    assert overlaps(spans, "left", "right") == []


def test_limits_and_permits_hold_across_processes(aftermath):
    """C1, B9"""
    _, _, spans, *_ = aftermath

    assert {w: most_at_once(spans, w) for w in ("left", "right", "source", "sink")} == {
        "left": 1,
        "right": 1,
        "source": 1,
        "sink": 1,
    }
    assert most_at_once(spans, "press") == 2


def test_each_occurrence_fires_once(aftermath):
    """O1, C1: bodies begin again only for a run whose process was killed."""
    fleet, _, spans, *_ = aftermath
    by_occurrence: dict[tuple[str, str], set[int]] = {}
    for span in spans:
        if span.worker != "press":
            by_occurrence.setdefault((span.worker, span.occurs_at), set()).add(span.run)

    assert {key: runs for key, runs in by_occurrence.items() if len(runs) > 1} == {}
    assert unexplained_repetitions(spans, fleet.died_at) == []
    assert [s for s in spans if not s.finished and s.pid not in fleet.died_at] == []


def test_every_instant_is_covered_by_exactly_one_run(aftermath):
    """O1, O2"""
    _, _, _, history, *_ = aftermath
    for worker in ("left", "right", "source", "sink"):
        runs = sorted((r for r in history if r.worker == worker and r.status.is_final), key=lambda r: r.occurs_at)
        gaps = [
            (a.id, b.id)
            for a, b in itertools.pairwise(runs)
            if (a.covers_until or a.occurs_at) + timedelta(seconds=1) != b.occurs_at
        ]

        assert gaps == []
        assert all(run.status is Status.SUCCEEDED for run in runs)


def test_no_accepted_trigger_is_lost(aftermath):
    """W2, R2: every trigger succeeded; what was repeated is explained by an interruption in its history."""
    _, _, spans, history, _, triggered = aftermath
    runs = {run.id: run for run in history}
    begun: dict[int, int] = {}
    for span in spans:
        begun[span.run] = begun.get(span.run, 0) + 1

    assert [run for run in triggered if runs[run].status is not Status.SUCCEEDED] == []
    assert [run for run in triggered if begun[run] > 1 and runs[run].interruptions == 0] == []
    assert [run for run in triggered if runs[run].attempt != 1] == []


def test_nothing_is_left_running_and_nobody_was_locked_out(aftermath):
    """C4, W4"""
    fleet, _, _, _, status, _ = aftermath
    said = fleet.said()

    assert status.running == ()
    assert status.nodes == ()
    assert "locked" not in said
    assert "Traceback" not in said


def test_the_ledger_agrees_with_the_store(aftermath):
    """A2: what the store calls finished is what bodies finished."""
    _, _, spans, history, *_ = aftermath
    finished = {span.run for span in spans if span.finished}
    succeeded = {run.id for run in history if run.status is Status.SUCCEEDED}

    assert succeeded - finished == set()
    assert isinstance(history[0].created_at, datetime)
