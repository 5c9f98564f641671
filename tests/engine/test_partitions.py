"""Which partitions of a shared store mutations are about, and which of them a transaction can apply."""

from __future__ import annotations

import pytest
from builders import a_run, a_snapshot, a_worker, an_iteration
from worlds import Kept

from shiftboss.core.control import Request
from shiftboss.core.model import Report, Status, Succeeded
from shiftboss.core.note import Note
from shiftboss.engine.inbox import MAX_MUTATIONS
from shiftboss.engine.mutation import cancel, note, record, report, trigger
from shiftboss.engine.partitions import (
    expected_runs,
    partition,
    partitions_of,
    partitions_of_lanes,
    split_by_held,
    worker_of,
)

TRIGGER = trigger(Request("a"), Kept())
ABOUT_ALL = cancel(1, by="", reason="", answer=Kept())
ABOUT_NOBODY = record("export", by="", worker="", before="", after="", answer=None)


def reported(run_id: int):
    return report(Report(run_id, "n1", 1, Succeeded(), 0.1))


@pytest.fixture
def world():
    return a_snapshot(
        a_run("a", Status.RUNNING, id=1),
        an_iteration("loop", Status.RUNNING, id=2),
        workers=[
            a_worker("a"),
            a_worker("b", after=("a",)),
            a_worker("c", after=("a",), disabled="ann"),
            a_worker("loop", continuous=True),
            a_worker("free", disabled="ann"),
            a_worker("alone"),
        ],
    )


def test_within_whose_component_a_mutation_stays(world):
    """C5: a report about a claim that is gone changes nothing."""
    assert worker_of(world, TRIGGER) == "a"
    assert worker_of(world, note(Note(2, "n1", 1))) == "loop"
    assert worker_of(world, reported(99)) == ""
    assert worker_of(world, ABOUT_ALL) is None


def test_the_partitions_of_several_are_wanted_together_and_one_about_all_wants_the_store(world):
    of = world.relations.partitions

    assert partitions_of(world, [TRIGGER, reported(2), ABOUT_NOBODY, reported(99)]) == {of["a"], of["loop"]}
    assert partitions_of(world, [ABOUT_NOBODY]) == set()
    assert partitions_of(world, [TRIGGER, ABOUT_ALL]) is None
    assert partitions_of(world, [trigger(Request("nobody"), Kept())]) is None
    assert partitions_of_lanes(world, ["a", "b", "loop", "nobody"]) == {of["a"], of["loop"]}


def test_a_partition_names_its_workers_and_those_that_hold_others(world):
    """K5: of a free worker that is disabled one run may probe."""
    of = world.relations.partitions
    shared = partition(world, of["a"])
    assert {"a", "b", "c"} <= set(shared[0])
    assert {"a", "b", "c"} <= set(shared[1])
    for name, holds in (("free", True), ("alone", False)):
        workers, holding = partition(world, of[name])
        assert name in workers
        assert (name in holding) is holds
    assert list(partition(world, 10_000)[0]) == []


def test_what_is_not_held_is_missed_and_what_is_about_nobody_is_not(world):
    held = frozenset({world.relations.partitions["a"]})
    of_loop, stale = reported(2), reported(99)
    mine, missed = split_by_held(world, [TRIGGER, of_loop, ABOUT_ALL, ABOUT_NOBODY, stale], held)

    assert (mine, missed) == ([TRIGGER, ABOUT_NOBODY, stale], [of_loop, ABOUT_ALL])
    assert split_by_held(world, [TRIGGER, ABOUT_ALL], None) == ([TRIGGER, ABOUT_ALL], [])


def test_more_than_a_batch_is_missed(world):
    held = frozenset({world.relations.partitions["a"]})
    mine, missed = split_by_held(world, [trigger(Request("a"), Kept()) for _ in range(MAX_MUTATIONS + 2)], held)

    assert (len(mine), len(missed)) == (1000, 2)


def test_how_many_runs_are_expected(world):
    """M5, M6: of a trigger one, of an end those that come after it and the next iteration."""
    assert expected_runs(world, [TRIGGER, TRIGGER]) == 2
    assert expected_runs(world, [reported(1)]) == 2
    assert expected_runs(world, [reported(2)]) == 1
    assert expected_runs(world, [reported(99), ABOUT_NOBODY, note(Note(1, "n1", 1))]) == 0
