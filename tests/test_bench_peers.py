"""The harness of `make bench-peers`, by value: its table, its refusal, its conclusions, its adapters."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks/peers"))

import environments
import measures
import quiet
import run
import table
from peer_jobs import Bodies
from peer_process import Failure, a_program

PEERS = Path(environments.PINS).parent
SOON_S = 60.0

OURS = {
    "peer": "shiftboss",
    "title": "shiftboss",
    "store": "sqlite",
    "versions": "1.0, Python 3.11.7",
    "settings": {"durability": "WAL, synchronous=FULL"},
    "figures": {
        "end to end": {"end_to_end_per_s": 20_000, "start_ms_p50": 1.5, "start_ms_p99": 4.0},
        "draining": {"draining_per_s": 25_000, "storing_per_s": 40_000},
        "schedules": {"fires_per_s": 1_000, "gap_off_ms_p99": 9, "cpu_share": 0.31},
        "kill -9": {"in_flight": 20, "lost": 0, "twice": 0, "again_after_s": 0.7},
        "SIGTERM": {"ended_after_s": 2.1, "cut": 0, "lost": 0, "twice": 0},
    },
}
THEIRS = {
    "peer": "huey",
    "title": "Huey",
    "store": "sqlite",
    "versions": "3.5.4, Python 3.11.7",
    "settings": {"durability": "fsync"},
    "figures": {
        "end to end": {"end_to_end_per_s": 2_000, "start_ms_p50": 53.0, "start_ms_p99": 102.0},
        "draining": {"failed": "no last within 60 s"},
        "schedules": {"absent": "a minute at the finest"},
        "kill -9": {"in_flight": 20, "lost": 20, "twice": 0, "again_after_s": None},
        "SIGTERM": {"ended_after_s": None, "cut": 20, "lost": 20, "twice": 0},
    },
}
NOT_HERE = {
    "peer": "oban",
    "title": "oban-py",
    "unavailable": "it needs Python 3.12 or newer, and this machine has none",
}


def said(what: str, *numbers: int, at_ns: int = 0) -> list[dict[str, object]]:
    return [{"what": what, "number": number, "at_ns": at_ns} for number in numbers]


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_table_has_a_row_for_each_peer_beside_ours_and_a_line_for_what_is_missing():
    assert table.lines([THEIRS, OURS, NOT_HERE]) == [
        "SQLite         end to end     draining       storing  start, idle   1,000 schedules/s           "
        "kill -9                                 SIGTERM",
        "               jobs/s         jobs/s         jobs/s   p50 / p99 ms  fired · gap off p99 · core  "
        "in flight · lost · twice · again after  ended after · cut · lost · twice",
        "shiftboss 1.0  20,000 (1.00)  25,000 (1.00)  40,000   1.5 / 4.0     1,000 · 9 ms · 31%          "
        "20 · 0 · 0 · 0.7 s                      2.1 s · 0 · 0 · 0",
        "Huey 3.5.4     2,000 (0.10)   failed         failed   53.0 / 102.0  none                        "
        "20 · 20 · 0 · –                         not in 30 s · 20 · 20 · 0",
        "",
        "Huey 3.5.4, Python 3.11.7: durability: fsync",
        "shiftboss 1.0, Python 3.11.7: durability: WAL, synchronous=FULL",
        "",
        "Huey failed at draining: no last within 60 s",
        "Huey has no such schedules: a minute at the finest",
        "oban-py could not be installed: it needs Python 3.12 or newer, and this machine has none",
    ]


def test_what_was_not_asked_for_is_a_dash():
    only = {**OURS, "figures": {"draining": OURS["figures"]["draining"]}}

    assert table.row(only, only) == ["shiftboss 1.0", "–", "25,000 (1.00)", "40,000", "–", "–", "–", "–"]


def test_of_several_runs_the_later_figure_of_a_peer_on_a_store_counts():
    first = {**OURS, "figures": {"draining": {"draining_per_s": 1}, "kill -9": {"lost": 0}}}
    second = {**OURS, "figures": {"draining": {"draining_per_s": 2}}}
    elsewhere = {**OURS, "store": "postgresql", "figures": {}}

    merged = table.merged([first, elsewhere, second])

    assert [(report["store"], report["figures"]) for report in merged] == [
        ("sqlite", {"draining": {"draining_per_s": 2}, "kill -9": {"lost": 0}}),
        ("postgresql", {}),
    ]


def test_earlier_figures_are_printed_without_a_measurement(tmp_path, capsys):
    (tmp_path / "one.json").write_text(json.dumps([OURS]))
    (tmp_path / "two.json").write_text(json.dumps([NOT_HERE]))

    code = run.main(["--json", "--from", str(tmp_path / "one.json"), str(tmp_path / "two.json")])

    assert code == 0
    assert json.loads(capsys.readouterr().out) == [OURS, NOT_HERE]


def test_a_peer_or_a_measure_that_there_is_not_is_refused_with_those_that_there_are(capsys):
    with pytest.raises(SystemExit):
        run.main(["celery"])
    assert "there is no peer 'celery'; known: huey, apscheduler3," in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run.main(["huey", "--measures", "speed"])
    assert "there is no measure 'speed'; known: end to end, draining, schedules, kill -9, SIGTERM" in (
        capsys.readouterr().err
    )


# ── a busy machine ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("spins", "best", "trouble"),
    [
        ([(0.99, 1000.0), (0.97, 990.0)], 1000.0, None),
        ([(0.99, 1000.0), (0.52, 520.0)], 1000.0, "a spin on each core got 52% of one, less than 90%"),
        (
            [(0.99, 600.0), (0.99, 990.0)],
            1000.0,
            "a spin ran at 60% of the best speed so far, less than 75%",
        ),
    ],
)
def test_a_machine_is_busy_when_a_core_is_shared_or_slower_than_before(spins, best, trouble):
    assert quiet.trouble(spins, best) == trouble


def test_the_watch_waits_for_quiet_but_not_for_ever():
    now, spins = iter(range(0, 1000, 8)), iter([[(0.5, 500.0)], [(0.95, 950.0)], *[[(0.5, 500.0)]] * 5])
    watch = quiet.Watch(spins=lambda: next(spins), clock=lambda: next(now))

    watch.check()
    with pytest.raises(quiet.Busy, match="got 50% of one"):
        watch.check()


def test_on_a_busy_machine_nothing_is_printed(monkeypatch, capsys):
    def busy() -> list[quiet.Spin]:
        return [(0.3, 300.0)]

    now = iter(range(0, 1000, 30))
    monkeypatch.setattr(run, "Watch", lambda: quiet.Watch(spins=busy, clock=lambda: next(now)))

    code = run.main(["huey"])

    told = capsys.readouterr()
    assert (code, told.out) == (1, "")
    assert told.err == (
        "the machine is busy: a spin on each core got 30% of one, less than 90%.  "
        "Nothing is printed; run it again when it is quiet.\n"
    )


# ── what the messages of bodies mean ─────────────────────────────────────────────────────────────────────────────


def test_a_job_is_lost_that_never_ended_and_twice_that_ran_again_although_it_had_ended():
    before = [*said("began", 1, 2, 3), *said("ended", 1)]
    after = [*said("began", 1, 2), *said("ended", 1, 2)]

    assert measures.fates(before, after, jobs=4) == {"lost": 2, "twice": 1}
    assert measures.cut_off(before) == {2, 3}


def test_orphans_count_from_the_kill_to_the_first_time_that_the_last_of_them_began_again():
    before = [*said("began", 1, 2, 3), *said("ended", 1)]
    after = [*said("began", 2, at_ns=3_000_000_000), *said("began", 3, at_ns=5_500_000_000), *said("began", 9)]

    assert measures.again_s(before, after, at_ns=1_000_000_000) == {"in_flight": 2, "again_after_s": 4.5}
    assert measures.again_s(before, [], at_ns=0) == {"in_flight": 2, "again_after_s": None}


def test_a_gap_is_off_by_what_it_differs_from_a_second_in_its_own_schedule():
    ticks = [
        *said("tick", 1, at_ns=0),
        *said("tick", 2, at_ns=500_000_000),
        *said("tick", 1, at_ns=1_010_000_000),
        *said("tick", 2, at_ns=2_500_000_000),
    ]

    assert measures.gaps_off_ms(ticks) == [10.0, 1000.0]


def test_a_round_takes_as_long_for_the_slow_as_for_the_fast():
    assert [measures.jobs_of_a_round(rate, 3.0) for rate in (10, 1_000, 1_000_000)] == [200, 3_000, 60_000]


def test_of_jobs_that_count_only_the_first_and_the_last_are_told():
    told: list[tuple[str, object]] = []
    bodies = Bodies(lambda what, **facts: told.append((what, facts.get("number"))))

    bodies.expect(3)
    for number in range(4):
        bodies.noop(number)
    bodies.stamp(7)

    assert told == [("first", None), ("last", None), ("stamp", 7)]


# ── processes and adapters ───────────────────────────────────────────────────────────────────────────────────────


def test_messages_are_heard_in_order_and_a_process_that_ends_says_why(tmp_path):
    code = """
import sys
print('not for us')
print('{"what": "ready"}', flush=True)
print('{"what": "told", "line": "' + sys.stdin.readline().strip().replace('"', "'") + '"}', flush=True)
sys.exit('that was all')
"""
    with a_program([sys.executable, "-c", code], tmp_path / "errors") as program:
        assert program.hear("ready", within_s=SOON_S) == {"what": "ready"}
        program.ask(count=2)
        assert program.hear("told", within_s=SOON_S)["line"] == "{'count': 2}"
        with pytest.raises(Failure, match=r"no stored before it ended with 1: that was all$"):
            program.hear("stored", within_s=SOON_S)


FUNCTIONS = {
    "settings": [],
    "prepare": ["store"],
    "produce": ["store"],
    "work": ["store", "bodies", "slots", "ready"],
    "schedule": ["store", "bodies", "count", "ready"],
}
ADAPTERS = sorted(path for path in (PEERS / "adapters").glob("*.py") if path.name != "__init__.py")


@pytest.mark.parametrize("path", ADAPTERS, ids=lambda path: path.stem)
def test_an_adapter_has_a_promise_and_the_same_five_functions(path):
    tree = ast.parse(path.read_text())
    functions = {
        node.name: [argument.arg for argument in node.args.args]
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert ast.get_docstring(tree)
    assert {name: functions.get(name) for name in FUNCTIONS} == FUNCTIONS


def test_every_peer_has_an_adapter_and_exact_versions_and_names_no_index():
    pins = environments.pins()
    text = environments.PINS.read_text()

    adapters = {path.stem for path in (PEERS / "adapters").glob("*.*") if path.name != "__init__.py"}
    assert set(pins) | {"shiftboss"} == adapters
    assert {pin["store"] for pin in pins.values()} == {"sqlite", "postgresql"}
    assert [p for pin in pins.values() for p in pin["packages"] if not re.fullmatch(r"[\w.\[\]-]+==[\w.]+", p)] == []
    assert [p for pin in pins.values() for p in pin.get("npm", []) if not re.fullmatch(r"[\w-]+@[\d.]+", p)] == []
    assert "://" not in text


def test_our_own_adapter_stores_jobs_in_one_process_and_runs_them_in_another(tmp_path):
    peer = environments.ourselves("sqlite")
    store = str(tmp_path / "jobs.db")

    def program(role, *numbers):
        return a_program([*peer.command, role, store, *map(str, numbers)], tmp_path / "errors", peer.env)

    with program("prepare") as preparing:
        preparing.hear("ready", within_s=SOON_S)
        preparing.finish()
    with program("work", 2) as worker, program("produce") as producer:
        worker.hear("ready", within_s=SOON_S)
        producer.hear("ready", within_s=SOON_S)
        stored = measures.store_jobs(producer, "stamp", 3, first=5)
        numbers = {worker.hear("stamp", within_s=SOON_S)["number"] for _ in range(3)}
        took_s = worker.terminate()

    with program("work", 2) as orphan:
        orphan.hear("ready", within_s=SOON_S)
        ended = orphan.finish()

    assert ended, "a worker ends with the harness"
    assert numbers == {5, 6, 7}
    assert stored["from_ns"] < stored["to_ns"]
    assert took_s < measures.READY_S
