"""Three nodes, real processes, on one PostgreSQL server: what excludes itself never overlaps, whatever happens to them.

Figures are printed (-s).
"""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from ledger import Span, most_at_once, overlaps, unexplained_repetitions
from nodes import a_fleet, boot_time, events, finished, pending, trigger_many, until

from postgres_server import Place
from shiftboss import Orchestrator, Status
from shiftboss.core.events import BreakerClosed, BreakerOpened, WorkerDeclared
from shiftboss.core.holds import Hold

pytestmark = pytest.mark.chaos
SEED = 4711


def spread(spans: list[Span], worker: str) -> dict[int, int]:
    """How many runs each node has had."""
    return dict(Counter(span.pid for span in spans if span.worker == worker))


def tag(hold: Hold) -> str:
    """Its kind, as the command and HTTP show it."""
    return str(hold.__struct_config__.tag)


def changes_of_turn(spans: list[Span]) -> int:
    return sum(1 for a, b in itertools.pairwise(spans) if a.worker != b.worker)


def a_pair(
    folder: Path, place: Place, part: str, *, runs: int, body_s: float, patience_s: float = 1.0
) -> tuple[list[Span], list[int], float]:
    """*runs* of left and of right over three nodes, all waiting when they begin; what the ledger says, and runs/s."""
    wanted = [(worker, {"number": number}, None) for number in range(runs) for worker in ("left", "right")]
    with a_fleet(folder, place, part, BODY=body_s, PATIENCE=patience_s) as fleet:
        fleet.start_ready(3)
        triggered = trigger_many(place.url, wanted)
        until(lambda: pending(place) == 0, f"{2 * runs} runs have ended", within_s=600)
        codes = fleet.end()
        spans = fleet.spans()
        assert codes == [0, 0, 0], fleet.said()
        assert {span.run for span in spans if span.finished} == set(triggered)
        assert len(spans) == len(triggered)
    return spans, triggered, len(spans) / (spans[-1].end - spans[0].start)


# ── short ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_blocked_pair_over_three_nodes_never_overlaps_while_one_is_killed(tmp_path: Path, place: Place):
    """B1, W2: 60 runs each; the killed node's runs wait for its lease, 4 s here, and end elsewhere."""
    wanted = [(worker, {"number": number}, None) for number in range(60) for worker in ("left", "right")]
    with a_fleet(tmp_path, place, "pair", BODY=0.05, LEASE=4, SLOTS=4, PATIENCE=0.1) as fleet:
        first, *_ = fleet.start_ready(3)
        triggered = trigger_many(place.url, wanted)
        until(lambda: any(s.pid == first.number and s.end == float("inf") for s in fleet.spans()), "it runs something")
        fleet.kill(first)
        until(lambda: pending(place) == 0, "all have ended")
        codes = fleet.end()
        spans = fleet.spans()
        with (boss := Orchestrator(place.url)).sync:
            runs = finished(boss)
    turns = changes_of_turn(spans)
    repeated = [run for run, count in Counter(span.run for span in spans).items() if count > 1]
    print(f"\nrepeated {len(repeated)}, changes of turn {turns}, by node {Counter(s.pid for s in spans)}")

    assert overlaps(spans, "left", "right") == []
    assert {span.run for span in spans if span.finished} == set(triggered)
    assert [run for run in repeated if runs[run].interruptions == 0] == []
    assert {runs[run].attempt for run in triggered} == {1}
    assert codes == [0, 0]


# ── at length ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_thousand_runs_each_of_a_blocked_pair_never_overlap_and_share(tmp_path: Path, place: Place):
    """B1, B4"""
    (tmp_path / "blocked").mkdir()
    (tmp_path / "patient").mkdir()
    (tmp_path / "free").mkdir()
    spans, _, blocked_rate = a_pair(tmp_path / "blocked", place, "pair", runs=2000, body_s=0.01, patience_s=0.2)
    place.drop()
    patient, _, patient_rate = a_pair(tmp_path / "patient", place, "pair", runs=2000, body_s=0.01, patience_s=30.0)
    place.drop()
    others, _, free_rate = a_pair(tmp_path / "free", place, "free", runs=2000, body_s=0.01)
    first_half = Counter(span.worker for span in spans[: len(spans) // 2])
    print(
        f"\nblocked {blocked_rate:.0f} runs/s, free {free_rate:.0f} runs/s ({blocked_rate / free_rate:.2f}); "
        f"changes of turn {changes_of_turn(spans)}, "
        f"with 30 s of patience {patient_rate:.0f} runs/s and {changes_of_turn(patient)} changes; "
        f"first half {dict(first_half)}; "
        f"left by node {spread(spans, 'left')}, right by node {spread(spans, 'right')}; "
        f"overlaps of the free pair {len(overlaps(others, 'left', 'right'))}"
    )

    assert overlaps(spans, "left", "right") == []
    assert overlaps(patient, "left", "right") == []
    assert all(first_half[worker] >= len(spans) // 10 for worker in ("left", "right"))
    assert all(len(spread(spans, worker)) == 3 for worker in ("left", "right"))


def test_twenty_nodes_that_start_at_once_on_an_empty_database_make_one_store(tmp_path: Path, place: Place):
    """W4: twenty processes, three of whose stores are used at once; all are ready and one of them made the tables."""
    with a_fleet(tmp_path, place, "pair", BODY=0.01) as fleet:
        nodes = [fleet.start() for _ in range(20)]
        began = time.monotonic()
        fleet.until_ready(nodes)
        ready_s = time.monotonic() - began
        boss = Orchestrator(place.url)
        with boss.sync as sync:
            known = len([node for node in sync.nodes() if node.live])
            declared = [e.worker for e in events(boss) if isinstance(e, WorkerDeclared)]
        triggered = trigger_many(place.url, [("left", {"number": n}, None) for n in range(100)])
        until(lambda: pending(place) == 0, "all have ended")
        migrations = place.execute("SELECT schema, (SELECT count(*) FROM meta) FROM meta")
        codes = fleet.end()
        spans = fleet.spans()
    print(f"\n20 nodes ready after {ready_s:.1f} s; stores {migrations}; declared {declared}")

    assert known == 20
    assert [count for _, count in migrations] == [1]
    assert sorted(declared) == ["left", "right"]
    assert {span.run for span in spans} == set(triggered)
    assert codes == [0] * 20
    assert "Traceback" not in fleet.said()


def test_a_limit_of_three_holds_while_nodes_are_killed_and_three_run_at_the_end(tmp_path: Path, place: Place):
    """C1, B9, C4: a kill -9 every four seconds, for a minute; a lease is 6 s here."""
    dice = random.Random(SEED)
    wanted = [(worker, {"number": n}, None) for n in range(250) for worker in ("limited", "press")]
    with a_fleet(tmp_path, place, "limits", BODY=0.25, LEASE=6) as fleet:
        fleet.start_ready(3)
        triggered = trigger_many(place.url, wanted)
        kills = 0
        while kills < 8 and pending(place) > 60:
            time.sleep(4)
            fleet.kill(dice.choice(fleet.nodes))
            fleet.start()
            kills += 1
        until(lambda: pending(place) == 0, "all have ended", within_s=240)
        late = trigger_many(place.url, [(w, {"number": n}, None) for n in range(12) for w in ("limited", "press")])
        began = boot_time()
        until(lambda: pending(place) == 0, "the last ones have ended")
        codes = fleet.end()
        spans = fleet.spans()
        with (boss := Orchestrator(place.url)).sync:
            runs = finished(boss)
    at_the_end = [span for span in spans if span.start >= began]
    most = {worker: most_at_once(spans, worker) for worker in ("limited", "press")}
    last = {worker: most_at_once(at_the_end, worker) for worker in ("limited", "press")}
    rescued = [run for run in runs.values() if run.interruptions]
    print(f"\n{kills} kills, {len(rescued)} runs interrupted; most at once {most}, at the end {last}")

    assert most == {"limited": 3, "press": 3}
    assert last == {"limited": 3, "press": 3}
    assert {runs[run].status for run in (*triggered, *late)} == {Status.SUCCEEDED}
    assert unexplained_repetitions(spans, fleet.died_at) == []
    assert codes == [0, 0, 0]


def test_a_worker_that_only_some_nodes_know_runs_there_and_waits_visibly_elsewhere(tmp_path: Path, place: Place):
    """Q1, M7, A3: --only, and a deploy that changes what a body takes, is taken back and comes again."""
    with a_fleet(tmp_path, place, "changed", BODY=0.02) as fleet:
        others = [fleet.start(ONLY="everywhere") for _ in range(2)]
        fleet.until_ready(others)
        boss = Orchestrator(place.url)
        with boss.sync as sync:
            waiting = sync.trigger("somewhere", {"number": 1}).id
            sync.wait_for(sync.trigger("everywhere", {"number": 1}).id, timeout=30)
            unknown = [tag(hold) for hold in sync.why_run(waiting).holds]
            knowing = fleet.start()
            fleet.until_ready([knowing])
            sync.wait_for(waiting, timeout=30)
            trigger_many(place.url, [(w, {"number": n}, None) for n in range(100) for w in ("somewhere", "everywhere")])
            until(lambda: pending(place) == 0, "all have ended")
            newer = fleet.start(NEWER=1)
            fleet.until_ready([newer])
            trigger_many(place.url, [("somewhere", {"number": n, "colour": "blue"}, None) for n in range(50)])
            until(lambda: pending(place) == 0, "all have ended")
            fleet.leave(newer)
            back = sync.wait_for(sync.trigger("somewhere", {"number": 7}).id, timeout=60)  # the older one holds again
            newest = fleet.start(NEWER=1)
            fleet.until_ready([newest])
            again = sync.wait_for(sync.trigger("somewhere", {"number": 8, "colour": "blue"}).id, timeout=60)
            letters = sync.dead_letters()
        codes = fleet.end()
        spans = fleet.spans()
    print(f"\nunknown: {unknown}; somewhere ran on {spread(spans, 'somewhere')}")

    assert unknown == ["unknown_worker"]
    assert [back.status, again.status] == [Status.SUCCEEDED] * 2
    assert spread(spans, "somewhere") == {knowing.number: 102, newer.number: 50, newest.number: 1}
    assert letters == []
    assert codes == [0, 0, 0, 0]


def test_a_breaker_a_chain_and_a_schedule_are_one_in_the_whole_fleet(tmp_path: Path, place: Place):
    """K2, D2, O1: half a minute; while the other side is away exactly one probe runs at a time."""
    with a_fleet(tmp_path, place, "truth", BODY=0.1, SUFFERS=time.time() + 12) as fleet:
        fleet.start_ready(3)
        until(lambda: fleet.has_said("end", "sink") >= 25, "the chain went on for 25 instants")
        codes = fleet.end()
        spans = fleet.spans()
        boss = Orchestrator(place.url)
        with boss.sync:
            history, said = finished(boss), events(boss)
    kinds = Counter(type(event).__name__ for event in said)
    opened = [e.at for e in said if isinstance(e, BreakerOpened)]
    closed = [e.at for e in said if isinstance(e, BreakerClosed)]
    sick = [r for r in history.values() if r.worker == "sick" and r.attempts]
    probes = [
        r for r in sick if opened and r.attempts[0].started_at >= opened[0] and r.attempts[0].started_at < closed[0]
    ]
    fired = Counter((r.worker, r.occurs_at) for r in history.values() if r.status.is_final)
    print(
        f"\n{dict(kinds)}; opened {len(opened)}, closed {len(closed)}, probes {len(probes)}; by node "
        f"{ {w: spread(spans, w) for w in ('sick', 'source', 'sink')} }"
    )

    assert len(closed) == 1
    assert len(probes) == len(opened)  # each probe but the last has opened it anew
    assert {key: count for key, count in fired.items() if count > 1} == {}
    assert most_at_once(spans, "sick") == 1
    assert overtaken(spans) == []
    assert codes == [0, 0, 0]


def overtaken(spans: list[Span]) -> list[Span]:
    """Runs of the sink that began before the source's of the same or an earlier instant had ended."""
    sources = [span for span in spans if span.worker == "source"]
    return [
        sink
        for sink in spans
        if sink.worker == "sink"
        and any(source.occurs_at <= sink.occurs_at and source.end > sink.start for source in sources)
    ]
