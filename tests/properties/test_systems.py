"""Two thousand small systems, made up at random, through the real rules: nothing that is promised is broken.

Every run of the tests plays the first forty of them, `make chaos` the others as well.  A seed that fails prints how it
is played again; see systems.py.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from systems import play, report

SYSTEMS = 2000  # about five a second
ALWAYS = 40  # of them every run of the tests plays
FIRST = 60_000
PARTITIONS_HELD = (
    None,
    None,
    0.0,
    0.4,
)  # half of them on a store of one lock, half on one whose partitions others hold at times


@cache
def outcome(seed: int) -> tuple[frozenset[str], str]:
    """What happened in this system, and what of it is wrong: played once, whoever asks."""
    played = play(seed, partitions_held=PARTITIONS_HELD[seed % len(PARTITIONS_HELD)])
    return frozenset(played.marks), report(played) if played.violations else ""


def groups(few: int, *, of: int, first: int = 0, size: int = 100) -> list[Any]:
    """Seeds: the first *few* for every run of the tests, the others in groups for `make chaos`."""
    starts = [first + few, *range(first + size, first + of, size)]
    rest = [range(start, end) for start, end in pairwise([*starts, first + of])]
    return [range(first, first + few), *(pytest.param(seeds, marks=pytest.mark.chaos) for seeds in rest)]


def by_first(seeds: range) -> str:
    return str(seeds.start)


@pytest.mark.parametrize("seeds", groups(ALWAYS, of=SYSTEMS, first=FIRST), ids=by_first)
def test_no_promise_is_broken_in_systems_made_up_at_random(seeds):
    """S, C1, C4, C5, C6, C8, M3, M6, D2, D4, D5, D6, B1, B4, B8, B9, P1, P2, P3, R1, R2, K2, K4, K5, O1, O2, O4, W2, A3

    2 to 5 workers with relations and modes, 1 to 3 nodes; failures, interruptions, crashes, pauses, lost commits.
    """
    failed = [wrong for _, wrong in map(outcome, seeds) if wrong]

    assert failed == [], "\n\n".join(failed)


@pytest.mark.parametrize("seeds", groups(20, of=60), ids=by_first)
def test_no_promise_is_broken_beside_rows_that_cannot_be_read(seeds):
    """W8, A5: what could meet one is held, everything else goes on; at the end they are set aside."""
    failed, aside = [], 0
    for seed in seeds:
        played = play(seed, partitions_held=PARTITIONS_HELD[seed % len(PARTITIONS_HELD)], spoils=0.3)
        aside += len(played.sim.history.aside)
        if played.violations:
            failed.append(report(played))

    assert failed == [], "\n\n".join(failed)
    assert aside > len(seeds)


@pytest.mark.parametrize("seeds", groups(8, of=20), ids=by_first)
def test_no_promise_is_broken_where_bodies_freeze_their_nodes(seeds):
    """C4: within its limit nobody takes its runs, past it, or when it is killed or stopped, somebody does."""
    failed, freezes = [], 0
    for seed in seeds:
        played = play(seed, partitions_held=PARTITIONS_HELD[seed % len(PARTITIONS_HELD)], freezes=0.3)
        freezes += sum(" freeze " in line for line in played.log)
        if played.violations:
            failed.append(report(played))

    assert failed == [], "\n\n".join(failed)
    assert freezes > len(seeds)


@pytest.mark.parametrize("seeds", groups(8, of=20), ids=by_first)
def test_what_the_newest_code_declares_holds_whatever_is_killed_and_starts_again(seeds):
    """M7: code of several deploys lives beside each other for long, and none of it wins by starting again."""
    failed, beside = [], 0
    for seed in seeds:
        played = play(seed, partitions_held=PARTITIONS_HELD[seed % len(PARTITIONS_HELD)], restarts=0.2)
        beside += played.marks["declared otherwise"]
        if played.violations:
            failed.append(report(played))

    assert failed == [], "\n\n".join(failed)
    assert beside > 5 * len(seeds)


def test_what_is_triggered_by_one_call_is_stored_by_one_commit_or_not_at_all():
    """O6: whatever is lost or refused meanwhile, and whoever else has a part of the store."""
    failed, marks = [], Counter[str]()
    for seed in range(20):
        played = play(seed, partitions_held=PARTITIONS_HELD[seed % len(PARTITIONS_HELD)], fan_outs=0.3)
        marks += played.marks
        if played.violations:
            failed.append(report(played))

    assert failed == [], "\n\n".join(failed)
    assert min(marks["fan-out"], marks["fan-out refused"]) > 50


HAPPENS = {
    "end:success",
    "end:error",
    "end:fatal",
    "end:timeout",
    "end:rescued",
    "end:interrupted",
    "end:cancelled",
    "run:dead:expired",
    "run:dead:lost",
    "run:skipped:disabled",
    "run:skipped:misfire",
    "run:skipped:dependency_failed",
    "breaker:open",
    "breaker:half_open",
    "breaker:closed",
}


def test_the_systems_do_what_the_rules_are_about():
    """Else the test above would show little."""
    missing = set(HAPPENS)
    for seed in range(FIRST, FIRST + 100):
        missing -= outcome(seed)[0]
        if not missing:
            break

    assert missing == set()
