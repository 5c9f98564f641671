"""kill -9 in the middle of a thousand triggered runs; the next process finishes them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from processes import Fleet

from shiftboss import Orchestrator, Status
from shiftboss.ports.faces import HistoryFilter

RUNS = 1000
KILL_AT = (100, 350, 700)  # bodies ended so far


def ended(ledger: Path) -> int:
    return ledger.read_text().count("end ") if ledger.exists() else 0


def test_no_run_is_lost_and_each_repetition_is_explained(tmp_path):
    """W2, R2, R3, C4: all finish; a body that began twice was interrupted; none used a second attempt."""
    fleet = Fleet(tmp_path, "thousand.py")
    boss = Orchestrator(fleet.store)
    process = fleet.start()
    while b"joined" not in (tmp_path / "process-0.log").read_bytes():
        assert process.poll() is None
    with boss.sync:
        triggered = [boss.sync.trigger("job", {"number": number}).id for number in range(RUNS)]
        for kill_at in KILL_AT:
            while ended(fleet.ledger) < kill_at:
                assert process.poll() is None
            fleet.kill(process)
            process = fleet.start()
        results = [boss.sync.result(run, timeout=60) for run in triggered]
        runs = {run.id: run for run in boss.sync.runs(HistoryFilter(limit=RUNS + 10))}
        codes = fleet.terminate(within_s=20)
        status = boss.sync.status()
    starts = Counter(int(line.split()[1]) for line in fleet.ledger.read_text().splitlines() if line[0] == "s")
    repeated = {run for run, count in starts.items() if count > 1}

    assert results == list(range(RUNS))
    assert {runs[run].status for run in triggered} == {Status.SUCCEEDED}
    assert {run for run in repeated if runs[run].interruptions == 0} == set()
    assert {runs[run].attempt for run in triggered} == {1}
    assert codes == [0]
    assert status.running == ()
    assert status.nodes == ()
