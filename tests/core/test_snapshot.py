"""What a change leaves in the snapshot, whom it concerns, and for whom something may be free because of it."""

from __future__ import annotations

from typing import Any

import pytest
from builders import (
    NOON,
    a_breaker,
    a_node,
    a_record,
    a_run,
    a_snapshot,
    a_worker,
    after,
    an_occurrence,
    unreadable,
)

from shiftboss.core.model import BreakerMode, Cause, ClockMark, DeadLetter, Status, Verdict
from shiftboss.core.shift import Shift
from shiftboss.core.snapshot import Change, Draft, merged
from shiftboss.core.unreadable import SetAside
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


def aside(table: str, id: str, worker: str = "", *, leaves: bool = True) -> SetAside:
    return SetAside(table, id, NOON, by="ada", worker=worker, leaves=leaves)


class TestSettingAside:
    """A5: the row is gone, and whoever it held is asked again."""

    def test_a_run_neither_waits_nor_runs_any_more(self):
        world = a_world(a_run(status=RUNNING), a_run(), a_run())

        assert touched(world, set_aside=(aside("run", "1", "a"), aside("run", "2", "a"))) == (
            {"a", "b"},
            NOBODY,
            NOBODY,
            0,
        )
        assert (world.running, [run.id for run in world.lane("a")]) == ({}, [3])

    def test_a_run_whose_lane_was_not_read(self):
        world = a_world(a_run())
        del world.lanes["a"]
        world.apply(Change(set_aside=(aside("run", "1", "a"),)))

        assert "a" not in world.lanes

    def test_a_worker_is_gone_with_its_record_and_its_relations(self):
        world = a_world(records={"b": a_record()})
        world.apply(Change(set_aside=(aside("worker", "b", "b"),)))

        assert (sorted(world.workers), sorted(world.lanes), world.records) == (["a", "c"], ["a", "c"], {})
        assert world.relations.component("a") == ("a",)
        assert world.dirty >= {"a", "b"}

    def test_a_record_alone(self):
        world = a_world(records={"a": a_record(), "c": a_record()})

        assert touched(world, set_aside=(aside("record", "a", "a"),)) == ({"a", "b"}, NOBODY, NOBODY, 0)
        assert (sorted(world.records), sorted(world.workers)) == (["c"], ["a", "b", "c"])

    def test_a_node_concerns_everybody(self):
        world = a_world(nodes=[a_node("n1"), a_node("n2")])

        assert touched(world, set_aside=(aside("node", "n2"),)) == ({"a", "b", "c"}, NOBODY, NOBODY, 0)
        assert list(world.nodes) == ["n1"]

    def test_a_row_that_stays_in_its_table_stays_here(self):
        world = a_world(records={"a": a_record()})

        assert touched(world, set_aside=(aside("record", "a", "a", leaves=False),)) == (NOBODY, NOBODY, NOBODY, 0)
        assert list(world.records) == ["a"]


class TestDraft:
    """A rule reads what it has drafted before what is stored."""

    def test_what_was_set_aside_is_not_there_and_everything_else_is(self):
        """A5"""
        world = a_world(
            a_run(status=RUNNING), a_run(status=RUNNING), unreadable(a_run(id=3), "run"), unreadable(a_run(id=4), "run")
        )
        world.records["a"] = a_record(streak=1)
        world.records["b"] = a_record(streak=2)
        draft = Draft(world, NOON)
        drafts = []
        for row in (("run", "1"), ("run", "3"), ("record", "a")):
            draft.set_aside(aside(*row, "a"))
            runs = [run.id for run in draft.running_of("a")], [run.id for run in draft.sealed_of("a")]
            drafts.append((*runs, draft.record("a").streak, draft.record("b").streak))

        assert drafts == [([2], [3, 4], 1, 2), ([2], [4], 1, 2), ([2], [4], 0, 2)]

    def test_running_and_standing_runs_are_those_of_the_draft(self):
        """C1, M3"""
        world = a_world(
            a_run(status=RUNNING), a_run(status=RUNNING), an_occurrence(id=3), an_occurrence(id=4), a_run("c", RUNNING)
        )
        draft = Draft(world, NOON)
        started = an_occurrence(status=RUNNING, id=3)
        for run in (
            a_run(status=Status.DEAD, id=1),
            started,
            an_occurrence(id=7),
            an_occurrence("b", id=8),
            a_run("b", RUNNING, id=9),
            a_run(id=10),
        ):
            draft.put(run)

        assert [run.id for run in draft.running_of("a")] == [2, 3]
        assert [run.id for run in draft.standing_of("a")] == [4, 7]

    def test_what_was_drafted_is_read_back_and_is_the_change(self):
        world = a_world(records={"a": a_record()}, breakers=[a_breaker("x")])
        draft = Draft(world, NOON, iter([7]))
        state, record, breaker = a_worker("a", priority="low"), a_record(streak=1), a_breaker("x", failures=3)
        before = draft.worker("a"), draft.record("a"), draft.breaker("x"), draft.breaker("y")
        draft.put_worker(state)
        draft.put_record("a", record)
        draft.put_breaker(breaker)

        assert before == (world.workers["a"], a_record(), a_breaker("x"), None)
        assert (draft.worker("a"), draft.record("a"), draft.breaker("x")) == (state, record, breaker)
        assert draft.change() == Change(workers=(state,), records=(("a", record),), breakers=(breaker,))
        assert draft.new_id() == 7

    def test_what_cannot_be_read_is_not_written(self):
        """W8"""
        draft = Draft(a_world(), NOON)
        letter = DeadLetter(run=5, worker="a", cause=Cause.ERROR, error_type="E", entered_at=NOON, has_payload=True)
        draft.put(unreadable(a_run(id=1), "run"))
        draft.put_worker(unreadable(a_worker(), "worker"))
        draft.put_record("a", unreadable(a_record(), "record"))
        draft.put_breaker(unreadable(a_breaker("x"), "breaker"))
        draft.put_letter(unreadable(letter, "letter"))

        assert draft.change() == Change()

    def test_a_rule_that_makes_no_runs_has_no_ids(self):
        with pytest.raises(NotLoaded, match="this rule makes no runs, yet it asked for an id"):
            Draft(a_world(), NOON).new_id()


class TestMerging:
    """One commit for many changes: of each thing the last state, of events all."""

    def test_the_last_state_of_each_thing_counts(self):
        first, second, other = a_run(id=1), a_run(id=1, due_at=after(5)), a_run(id=2)
        one = Change(
            runs=(first,),
            workers=(a_worker("a"), a_worker("b")),
            records=(("a", a_record()), ("b", a_record())),
            breakers=(a_breaker("x"),),
            resources=(("db", 1),),
            nodes=(a_node("n1"), a_node("n2")),
            set_aside=(aside("run", "7"),),
            events=("one",),
            clock=MARK,
        )
        slots = a_node("n1", slots=3)
        two = Change(
            runs=(second, other),
            forgotten=("b",),
            records=(("a", a_record(streak=1)),),
            breakers=(a_breaker("x", failures=1),),
            resources=(("db", 2),),
            nodes=(slots,),
            gone_nodes=("n2",),
            set_aside=(aside("run", "8"),),
            events=("two",),
        )

        assert merged([one, Change(), two]) == Change(
            runs=(second, other),
            workers=(a_worker("a"),),
            forgotten=("b",),
            records=(("a", a_record(streak=1)),),
            breakers=(a_breaker("x", failures=1),),
            resources=(("db", 2),),
            nodes=(slots,),
            gone_nodes=("n2",),
            set_aside=(aside("run", "7"), aside("run", "8")),
            events=("one", "two"),
            clock=MARK,
        )

    def test_who_was_forgotten_and_is_declared_again_is_there(self):
        """M7"""
        state = a_worker("a")

        assert merged([Change(forgotten=("a",)), Change(workers=(state,))]) == Change(workers=(state,))

    def test_of_no_change_there_is_none(self):
        assert merged([]) == Change()


def test_who_was_forgotten_has_no_relations_any_more():
    """M7"""
    world = a_snapshot(workers=[a_worker("a"), a_worker("b", blocks=("a",))])
    assert world.relations.excluding("b") == ("a",)
    world.apply(Change(forgotten=("a",)))

    assert "a" not in world.relations.members
    assert world.relations.excluding("b") == ()


def test_a_worker_without_running_runs_leaves_no_entry_behind():
    world = a_snapshot(a_run("a"), workers=[a_worker("a")])
    world.start()
    assert list(world.running_by) == ["a"]
    world.settle(1)

    assert world.running_by == {}


def test_a_worker_that_a_changed_declaration_sets_free_is_looked_at_again():
    """B1: nothing else tells its lane that what held its runs is gone."""
    world = a_snapshot(workers=[a_worker("a"), a_worker("b", blocks=("a",))])
    world.dirty.clear()
    world.apply(Change(workers=(a_worker("b"),)))

    assert world.dirty == {"a", "b"}
