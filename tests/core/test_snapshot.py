"""What a change leaves in the snapshot, whom it concerns, and for whom something may be free because of it."""

from __future__ import annotations

from typing import Any

import pytest
from builders import NOON, a_breaker, a_node, a_record, a_run, a_snapshot, a_worker, after, unreadable

from shiftboss.core.model import BreakerMode, Cause, ClockMark, DeadLetter, Status, Verdict
from shiftboss.core.shift import Shift
from shiftboss.core.snapshot import Change
from shiftboss.core.value import replace
from shiftboss.errors import NotLoaded, UnknownWorker

RUNNING, PENDING = Status.RUNNING, Status.PENDING
MARK = ClockMark("boot", 1, 2, ())


def a_world(*runs, **fields: Any):
    """b stands in one component with a, and c alone."""
    fields.setdefault("workers", [a_worker("a", breaker="x"), a_worker("b", breaker="x"), a_worker("c")])
    world = a_snapshot(*runs, **fields)
    world.dirty.clear()
    world.freed.clear()
    world.freed_breakers.clear()
    return world


def touched(world, **change: Any) -> tuple[set[str], set[str], set[str], int]:
    """Who is dirty, who has freed something, which breakers have changed, and how many declarations."""
    declared = world.declared
    world.apply(Change(**change))
    return world.dirty, world.freed, world.freed_breakers, world.declared - declared


NOBODY: set[str] = set()


class TestRuns:
    """B2: whoever waits for what a run had is asked again when it ends, and only then."""

    @pytest.mark.parametrize(
        ("before", "now", "freed"),
        [
            ((), a_run(id=1), NOBODY),
            ((), a_run(status=RUNNING, id=1), NOBODY),
            ((a_run(),), a_run(status=RUNNING, id=1), NOBODY),
            ((a_run(status=RUNNING),), a_run(status=RUNNING, id=1, cancel=None), NOBODY),
            ((a_run(status=RUNNING),), a_run(status=Status.SUCCEEDED, id=1), {"a"}),
            ((a_run(status=RUNNING),), a_run(id=1, due_at=after(5)), {"a"}),
            ((a_run(),), a_run(status=Status.CANCELLED, id=1), {"a"}),
            ((a_run(),), a_run(id=1, due_at=after(5)), {"a"}),
        ],
    )
    def test_what_a_run_frees(self, before, now, freed):
        assert touched(a_world(*before), runs=(now,)) == ({"a"}, freed, NOBODY, 0)

    def test_where_nobody_knows_what_waited_something_may_be_free(self):
        world = a_world()
        del world.lanes["a"]

        assert touched(world, runs=(a_run(id=1),)) == ({"a"}, {"a"}, NOBODY, 0)
        assert "a" not in world.lanes

    def test_it_is_where_its_status_says(self):
        """S"""
        world, where = a_world(), []
        for run in (a_run(id=1), a_run(status=RUNNING, id=1), a_run(id=1), a_run(status=Status.DEAD, id=1)):
            world.apply(Change(runs=(run,)))
            of, on = list(world.running_of("a")), list(world.running_on("n1"))
            where.append((list(world.lane("a")), list(world.running.values()), of, on))

        waits, runs = a_run(id=1), a_run(status=RUNNING, id=1)
        assert where == [([waits], [], [], []), ([], [runs], [runs], [runs]), ([waits], [], [], []), ([], [], [], [])]

    def test_one_that_another_node_has_claimed_runs_there(self):
        """C4"""
        world = a_world(a_run(status=RUNNING))
        world.apply(Change(runs=(a_run(status=RUNNING, id=1, node="n2"),)))

        assert ([*world.running_on("n1")], [run.id for run in world.running_on("n2")]) == ([], [1])

    def test_a_claim_that_is_gone_has_freed_something(self):
        world = a_world(a_run(status=RUNNING))
        world.drop_claim(1)

        assert (world.running, world.freed) == ({}, {"a"})

    def test_what_was_read_for_this_cycle_is_up_to_date(self):
        """O5"""
        world = a_world()
        world.fetched[1] = a_run(id=1, key="k")
        ended = a_run(status=Status.SUCCEEDED, id=1, key="k")
        world.apply(Change(runs=(ended, a_run(id=2))))

        assert (world.fetched, world.keyed) == ({1: ended}, {("a", "k"): ended})


class TestRecords:
    """D2, D4: whoever depends on a worker is asked again when its record gives another answer."""

    @pytest.mark.parametrize(
        ("fields", "freed"),
        [
            ({"latest": Verdict(occurs_at=NOON, run=1, ok=True)}, {"a"}),
            ({"last_success_at": NOON}, {"a"}),
            ({"last_success_started_at": NOON}, {"a"}),
            ({"streak": 1, "last_run_at": NOON, "tokens": 1.0, "tokens_at": NOON}, NOBODY),
        ],
    )
    def test_what_a_record_tells(self, fields, freed):
        world = a_world(records={"a": a_record()})
        record = replace(world.record("a"), **fields)

        assert touched(world, records=(("a", record),)) == ({"a"}, freed, NOBODY, 0)
        assert world.record("a") == record

    def test_one_that_can_be_read_again_tells_something(self):
        """W8"""
        world = a_world(records={"a": unreadable(a_record(), "record")})

        assert touched(world, records=(("a", a_record()),)) == ({"a"}, {"a"}, NOBODY, 0)

    def test_the_first_that_tells_nothing_frees_nothing(self):
        assert touched(a_world(), records=(("a", a_record()),)) == ({"a"}, NOBODY, NOBODY, 0)


class TestBreakers:
    """K2: who shares a breaker is asked again when it lets others through than before."""

    def test_a_new_one_concerns_the_component(self):
        assert touched(a_world(), breakers=(a_breaker("x"),)) == ({"a", "b"}, NOBODY, NOBODY, 0)

    def test_one_that_can_be_read_again_concerns_the_component(self):
        """W8"""
        world = a_world(breakers=[unreadable(a_breaker("x"), "breaker")])
        world.dirty.clear()

        assert touched(world, breakers=(a_breaker("x"),)) == ({"a", "b"}, NOBODY, NOBODY, 0)

    @pytest.mark.parametrize(
        ("fields", "changed"),
        [
            ({"mode": BreakerMode.HALF_OPEN}, {"x"}),
            ({"opened_at": after(1)}, {"x"}),
            ({"until": after(1)}, {"x"}),
            ({"failures": 3, "successes": 1}, NOBODY),
        ],
    )
    def test_a_changed_one_is_noted_if_others_pass_it_now(self, fields, changed):
        world = a_world(breakers=[a_breaker("x")])
        breaker = replace(a_breaker("x"), **fields)

        assert touched(world, breakers=(breaker,)) == (NOBODY, NOBODY, changed, 0)
        assert world.breakers == {"x": breaker}


class TestTheRest:
    def test_another_size_of_a_resource_concerns_everybody(self):
        """B9"""
        world = a_world(resources={"db": 1, "gpu": 1})

        assert touched(world, resources={"db": 2}) == ({"a", "b", "c"}, NOBODY, NOBODY, 0)
        assert world.resources == {"db": 2, "gpu": 1}

    def test_a_declaration_of_a_size_is_counted(self):
        """M7"""
        world = a_world()
        world.size_declarations = {"gpu": ()}

        assert touched(world, size_declarations={"db": ()}) == (NOBODY, NOBODY, NOBODY, 1)
        assert world.size_declarations == {"gpu": (), "db": ()}

    def test_a_declaration_of_a_worker_is_counted_once_and_its_component_asked_again(self):
        """M7"""
        world = a_world()
        same, other = replace(world.workers["a"], disabled=None), a_worker("c", breaker="x")

        assert touched(world, workers=(same,)) == ({"a"}, {"a"}, NOBODY, 0)
        world.dirty.clear()
        assert touched(world, workers=(replace(other, declarations=[1]),)) == (
            {"a", "b", "c"},
            {"a", "c"},
            NOBODY,
            1,
        )

    def test_nodes_come_change_and_go(self):
        world = a_world(nodes=[a_node("n1"), a_node("n2")])
        third, second = a_node("n3"), a_node("n2", slots=3)
        world.apply(Change(nodes=(third, second), gone_nodes=("n1", "n9")))

        assert world.nodes == {"n2": second, "n3": third}

    def test_a_dead_letter_is_as_it_is_now(self):
        """Q3"""
        letter = DeadLetter(run=5, worker="a", cause=Cause.ERROR, error_type="E", entered_at=NOON, has_payload=True)
        world = a_world()
        world.apply(Change(letters=(letter,)))

        assert world.letters == {5: letter}

    def test_after_a_step_of_the_clock_all_lanes_are_read_again_and_all_workers_asked(self):
        """O4"""
        world = a_world(a_run())
        assert touched(world, clock=MARK, shift=None) == (NOBODY, NOBODY, NOBODY, 0)
        assert (world.clock, world.clock_set_us, set(world.lanes)) == (MARK, 2, {"a", "b", "c"})
        assert touched(world, clock=MARK, shift=Shift(1_000_000, NOON)) == ({"a", "b", "c"}, NOBODY, NOBODY, 0)
        assert world.lanes == {}

    def test_what_was_not_read_is_no_answer(self):
        world = a_world()
        world.workers["new"] = a_worker("new")

        assert len(world.lane("nobody")) == 0
        with pytest.raises(NotLoaded, match="the lane of 'new' was not read before a rule asked for it"):
            world.lane("new")
        with pytest.raises(UnknownWorker, match="there is no worker named 'aa'; did you mean 'a'"):
            world.worker("aa")
