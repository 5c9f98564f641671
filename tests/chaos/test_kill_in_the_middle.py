"""kill -9 in the middle of hundreds of triggered runs; the next process finishes them."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from processes import Fleet

from shiftboss import Orchestrator, Status
from shiftboss.ports.faces import HistoryFilter

KILL_AT = (0.1, 0.35, 0.7)  # the share of the bodies that have ended so far


def ended(ledger: Path) -> int:
    return ledger.read_text().count("end ") if ledger.exists() else 0


@pytest.mark.parametrize("count", [300, pytest.param(1000, marks=pytest.mark.chaos)])
def test_no_run_is_lost_and_each_repetition_is_explained(tmp_path, count):
    """W2, R2, R3, C4: all finish; a body that began twice was interrupted; none used a second attempt."""
    fleet = Fleet(tmp_path, "thousand.py")
    boss = Orchestrator(fleet.store)
    process = fleet.start()
    fleet.until(lambda: "joined" in fleet.said())
    with boss.sync:
        triggered = [boss.sync.trigger("job", {"number": number}).id for number in range(count)]
        for kill_at in KILL_AT:
            fleet.until(lambda kill_at=kill_at: ended(fleet.ledger) >= kill_at * count)
            fleet.kill(process)
            process = fleet.start()
        results = [boss.sync.result(run, timeout=60) for run in triggered]
        runs = {run.id: run for run in boss.sync.runs(HistoryFilter(limit=count + 10))}
        codes = fleet.terminate(within_s=20)
        status = boss.sync.status()
    starts = Counter(int(line.split()[1]) for line in fleet.ledger.read_text().splitlines() if line[0] == "s")
    repeated = {run for run, count in starts.items() if count > 1}

    assert results == list(range(count))
    assert {runs[run].status for run in triggered} == {Status.SUCCEEDED}
    assert {run for run in repeated if runs[run].interruptions == 0} == set()
    assert {runs[run].attempt for run in triggered} == {1}
    assert codes == [0]
    assert status.running == ()
    assert status.nodes == ()


FAN_OUT = """
import sys
from itertools import count

from shiftboss import Orchestrator

boss = Orchestrator(sys.argv[1])


@boss.worker()
def job(number: int) -> None: ...


boss.sync.open(create=True)
for call in count():
    boss.sync.trigger_many("job", [{"number": n} for n in range(1_500)], keys=[f"{call}:{n}" for n in range(1_500)])
    print(call, flush=True)
"""


@pytest.mark.chaos
@pytest.mark.parametrize("calls", range(1, 6))
def test_of_a_fan_out_that_is_killed_all_is_stored_or_nothing(tmp_path, calls):
    """O6, W2: what was answered is there."""
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    with subprocess.Popen([sys.executable, "-c", FAN_OUT, url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        answered = [int(process.stdout.readline()) for _ in range(calls)]
        process.kill()
        answered += [int(line) for line in process.stdout]
    with Orchestrator(url).sync as sync:
        stored = Counter((run.key or "").partition(":")[0] for run in sync.runs(HistoryFilter(limit=10_000)))

    assert set(stored.values()) == {1_500}
    assert {str(call) for call in answered} <= set(stored)
