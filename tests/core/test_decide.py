"""Which due runs does a node start now, and when does it look again?"""

from __future__ import annotations

import pytest
from builders import FAILED, a_node, a_record, a_run, a_snapshot, a_worker, after, an_occurrence, at, gates, starts

from shiftboss.core import subject
from shiftboss.core.decide import decide, lanes_needed
from shiftboss.core.holds import IsReserved, NoSlot
from shiftboss.core.model import NodeMode, Status
from shiftboss.core.rank import rank
from shiftboss.core.room import SlotClass, room_of
from shiftboss.core.waitlists import SLOT, Key, Waitlists
from shiftboss.core.worker import OnFailure, Upstream
from shiftboss.errors import NotLoaded

RUNNING = Status.RUNNING


class TestGranting:
    """M2, B2, P1: decided at claim time, all gates at once."""

    def test_only_due_runs_start(self):
        world = a_snapshot(a_run(due_at=after(1)), a_run())

        decision = world.decide()

        assert starts(decision) == [2]
        assert decision.look_at == {"a": after(1)}

    def test_it_stops_at_the_free_slots_and_says_who_starves(self):
        world = a_snapshot(a_run("a"), a_run("b"), a_run("c"), nodes=[a_node(slots=2)])

        decision = world.decide()

        assert starts(decision) == [1, 2]
        assert decision.unreached == {3}

    def test_an_executor_without_a_free_slot_holds_its_kind_only(self):
        workers = [a_worker("a", executor="thread"), a_worker("b")]
        runs = [a_run("a", RUNNING), a_run("a"), a_run("b")]
        world = a_snapshot(*runs, workers=workers, nodes=[a_node(executors={"thread": 1, "coroutine": 10})])

        decision = world.decide()

        assert starts(decision) == [3]
        assert decision.holds == {2: (NoSlot(node="host:n1", slots=1, executor="thread"),)}
        assert world.filed("a") == {SLOT}

    def test_slots_of_an_executor_are_counted_within_a_walk(self):
        workers = [a_worker("a", executor="thread")]
        world = a_snapshot(a_run(), a_run(), workers=workers, nodes=[a_node(executors={"thread": 1})])

        assert starts(world.decide()) == [1]

    def test_what_other_nodes_run_takes_no_slot_here(self):
        world = a_snapshot(a_run(status=RUNNING, node="n2"), a_run(), nodes=[a_node("n1", slots=1), a_node("n2")])

        assert starts(world.decide()) == [2]

    def test_nothing_that_is_blocked_is_dropped(self):
        """B3"""
        workers = [a_worker("a", blocks=("b",)), a_worker("b")]
        world = a_snapshot(a_run("a", RUNNING), *[a_run("b") for _ in range(3)], workers=workers)

        assert world.start(at("23:00")) == []
        world.settle(1, now=at("23:00"))
        assert world.start(at("23:00")) == [2, 3, 4]

    def test_a_looked_at_run_has_a_grant_or_a_hold(self):
        """B3"""
        workers = [a_worker("a", blocks=("b",)), a_worker("b", concurrency=1), a_worker("c", depends_on=["b"])]
        world = a_snapshot(a_run("a"), a_run("b"), a_run("c"), workers=workers)

        decision = world.decide()

        assert starts(decision) == [1]
        assert {run: gates(decision, run) for run in decision.holds} == {2: ["blocks"], 3: ["depends_on"]}

    def test_a_lane_that_was_not_read_is_no_answer(self):
        world = a_snapshot(a_run("b"), workers=[a_worker("a"), a_worker("b", depends_on=["a"])])
        del world.lanes["a"]

        with pytest.raises(NotLoaded, match="the lane of 'a'"):
            world.decide()

    def test_the_least_of_a_lane_is_asked_although_a_later_instant_is_due_before_it(self):
        """D2, R3"""
        workers = [a_worker("a"), a_worker("b", depends_on=["a"])]
        upstream = a_run("a", RUNNING, due_at=at("11:30"))
        head = a_run("b", due_at=at("11:40"))
        retry = a_run("b", occurs_at=at("11:00"), due_at=at("11:50"), attempt=1)
        world = a_snapshot(upstream, head, retry, workers=workers, records={"a": a_record(ok=True)})

        decision = world.decide()

        assert starts(decision) == [3]
        assert gates(decision, 2) == ["depends_on"]

    def test_behind_a_held_head_nobody_is_asked_although_the_head_was_asked_as_the_least(self):
        """D2: the runs behind it wait for what it waits for."""
        workers = [a_worker("a", concurrency=1), a_worker("b", depends_on=["a"])]
        world = a_snapshot(a_run("a", RUNNING), a_run("a"), a_run("a"), a_run("a", due_at=after(-5)), workers=workers)

        assert list(world.decide().holds) == [4]

    def test_behind_a_head_that_starts_the_next_one_is_asked_although_the_head_was_asked_as_the_least(self):
        """D2"""
        workers = [a_worker("a", concurrency=2), a_worker("b", depends_on=["a"])]
        world = a_snapshot(a_run("a", RUNNING), a_run("a"), a_run("a"), workers=workers)

        decision = world.decide()
        assert (starts(decision), list(decision.holds)) == ([2], [3])

    def test_the_lanes_around_a_lane_are_needed_for_it(self):
        """D2, D9: its upstreams hold it, and all that depend on it, however far, lend it their priority."""
        workers = [
            a_worker("top"),
            a_worker("up", depends_on=["top"]),
            a_worker("a", depends_on=["up"]),
            a_worker("down", depends_on=["a"]),
            a_worker("deep", depends_on=["down"]),
            a_worker("other"),
        ]
        world = a_snapshot(workers=workers)

        assert lanes_needed(world, ["a"]) == {"up", "a", "down", "deep"}
        assert lanes_needed(world, ["deep", "other"]) == {"down", "deep", "other"}


class TestReservation:
    """B4: who waited longer than its patience goes before conflicting runs of lower rank."""

    def a_world(self, *runs, **facts):
        """b blocks a and c: while an a runs, b waits, and other a's might overtake it for ever."""
        facts.setdefault("workers", [a_worker("a"), a_worker("b", blocks=("a", "c")), a_worker("c")])
        return a_snapshot(*runs, **facts)

    def test_before_its_patience_is_over_nothing_is_reserved(self):
        world = self.a_world(a_run("a", RUNNING), a_run("b"), a_run("a", due_at=after(10)))

        decision = world.decide(after(29))

        assert starts(decision) == [3]
        assert decision.look_at["b"] == after(30)

    def test_after_it_no_conflicting_run_of_lower_rank_starts(self):
        world = self.a_world(a_run("a", RUNNING), a_run("b"), a_run("a", due_at=after(10)), a_run("c", due_at=after(9)))

        decision = world.decide(after(30))

        assert starts(decision) == []
        assert gates(decision, 2) == ["blocks"]
        assert decision.holds[3] == (IsReserved(worker="b", run=2, since=after(10)),)
        assert decision.holds[4] == (IsReserved(worker="b", run=2, since=after(9)),)

        world.settle(1, now=after(31))
        assert world.start(after(31)) == [2]

    def test_runs_that_do_not_conflict_start(self):
        world = self.a_world(a_run("a", RUNNING), a_run("b"), a_run("d", due_at=after(10)))

        assert starts(world.decide(after(30))) == [3]

    def test_a_run_of_higher_rank_starts(self):
        world = self.a_world(a_run("a", RUNNING), a_run("b"), a_run("a", priority="critical", due_at=after(10)))

        assert starts(world.decide(after(30))) == [3]

    def test_patience_is_the_workers_own(self):
        workers = [a_worker("a"), a_worker("b", blocks=("a",), patience_s=5.0)]
        world = self.a_world(a_run("a", RUNNING), a_run("b"), a_run("a", due_at=after(1)), workers=workers)

        assert starts(world.decide(after(5))) == []

    def test_two_backlogs_take_turns_of_their_patience_and_not_run_by_run(self):
        """Whose turn it is goes on, until the other has started nothing for its patience."""
        workers = [a_worker("a"), a_worker("b", blocks=("a",))]
        runs = [a_run("b", RUNNING), a_run("a", due_at=after(1)), a_run("b", due_at=after(2))]
        records = {"a": a_record(occurs_at=after(100), ok=True), "b": a_record(occurs_at=after(120), ok=True)}
        world = a_snapshot(*runs, workers=workers, records=records)

        decision = world.decide(after(129))

        assert starts(decision) == [3]
        assert decision.look_at["a"] == after(130)
        assert starts(world.decide(after(130))) == []
        assert gates(world.decide(after(130)), 3) == ["reserved"]

    def test_a_worker_that_starts_something_in_this_walk_waits_from_now_on(self):
        """As if it had been started before."""
        runs = [a_run("a", due_at=at("11:00")), a_run("a", due_at=at("11:00"))]
        world = a_snapshot(*runs, workers=[a_worker("a", uses={"db": 1})], resources={"db": 1})
        world.declare(a_worker("b", uses={"db": 1}).definition, resources={"db": 1})

        decision = world.decide()

        assert (starts(decision), gates(decision, 2)) == ([1], ["uses"])
        assert decision.look_at == {"a": after(30)}

    def test_a_lane_whose_patience_is_over_is_noted_so_that_it_reserves_whenever_its_component_is_asked(self):
        world = self.a_world(a_run("a", RUNNING), a_run("b"))
        lists = Waitlists()
        world.decide(after(29), waitlists=lists)
        before = lists.patient("a")
        world.decide(after(30), waitlists=lists)
        (key,) = lists.patient("a")

        assert (before, lists.best_patient("a", key)[2]) == ((), "b")

    def test_a_lane_that_comes_up_late_is_not_held_by_reservations_of_lower_rank(self):
        """P2: its list is opened in the walk, when another lane reserves no more."""
        workers = [
            a_worker("blocker"),
            a_worker("reserves", blocks=("blocker", "late")),
            a_worker("stops", uses={"db": 1}),
            a_worker("late", uses={"db": 1}),
        ]
        late = a_run("late", due_at=at("11:59"))
        runs = [a_run("blocker", RUNNING), a_run("reserves"), a_run("stops", due_at=after(30)), late]
        world = a_snapshot(*runs, workers=workers, resources={"db": 2})
        lists, me = Waitlists(), world.nodes["n1"]
        lists.reserving.add("stops")
        key = Key(0, subject.permits("db", 1), SlotClass.of(workers[3].definition.executor, late.priority))
        lists.file("late", rank(late, late.priority), key)
        lanes = ["reserves", "stops"]

        decision = decide(world, after(60), node=me, room=room_of(world, me), lanes=lanes, live={"n1"}, waitlists=lists)

        assert (lists.reserving, starts(decision), list(decision.holds)) == ({"reserves"}, [3, 4], [2])

    def test_who_is_held_by_something_else_as_well_does_not_reserve(self):
        workers = [a_worker("a"), a_worker("b", blocks=("a",), depends_on=["u"]), a_worker("u")]
        world = self.a_world(a_run("a", RUNNING), a_run("b"), a_run("a", due_at=after(1)), workers=workers)

        assert starts(world.decide(after(60))) == [3]

    def test_what_a_reservation_holds_does_not_itself_reserve(self):
        workers = [a_worker("a"), a_worker("b", blocks=("a", "c")), a_worker("c", blocks=("d",)), a_worker("d")]
        later_on = [a_run("c", due_at=after(1)), a_run("d", due_at=after(2))]
        world = self.a_world(a_run("a", RUNNING), a_run("d", RUNNING), a_run("b"), *later_on, workers=workers)

        decision = world.decide(after(60))

        assert gates(decision, 4) == ["blocks", "reserved"]
        assert starts(decision) == [5]

    def test_permits_are_reserved_too(self):
        """B9"""
        workers = [a_worker("big", uses={"db": 2}), a_worker("small", uses={"db": 1})]
        runs = [a_run("small", RUNNING), a_run("big"), a_run("small", due_at=after(10))]
        world = a_snapshot(*runs, workers=workers, resources={"db": 2})

        assert starts(world.decide(after(29))) == [3]
        assert gates(world.decide(after(30)), 3) == ["reserved"]

    def test_permits_that_a_blocked_run_will_need_are_reserved_as_well(self):
        """B9"""
        workers = [
            a_worker("x"),
            a_worker("b", blocks=("x",), uses={"db": 1}),
            a_worker("c", uses={"db": 1}),
        ]
        runs = [a_run("x", RUNNING), a_run("b"), a_run("c", due_at=after(1)), a_run("c", due_at=after(2))]

        one = a_snapshot(*runs, workers=workers, resources={"db": 1})
        two = a_snapshot(*runs, workers=workers, resources={"db": 2})

        assert starts(one.decide(after(60))) == []
        assert starts(two.decide(after(60))) == [3]

    def test_without_a_live_node_that_has_a_slot_nothing_is_reserved(self):
        runs = [a_run("a", RUNNING, node="n2"), a_run("b"), a_run("a", due_at=after(1))]
        nodes = [a_node("n1", "a"), a_node("n2", "a", "b")]
        world = self.a_world(*runs, nodes=nodes)

        assert starts(world.decide(after(60), live=["n1"])) == [3]
        assert starts(world.decide(after(60), live=["n1", "n2"])) == []

    @pytest.mark.parametrize(
        "other",
        [
            a_node("n2", "a", "b", slots=1),
            a_node("n2", "a", "b", mode=NodeMode.DRAINING),
            a_node("n2", "a"),
        ],
    )
    def test_a_full_a_draining_and_a_foreign_node_have_none(self, other):
        runs = [a_run("a", RUNNING, node="n2"), a_run("b"), a_run("a", due_at=after(1))]
        world = self.a_world(*runs, nodes=[a_node("n1", "a"), other])

        assert starts(world.decide(after(60))) == [3]

    def test_a_node_reserves_also_for_workers_that_it_does_not_run(self):
        runs = [a_run("a", RUNNING, node="n2"), a_run("b"), a_run("a", due_at=after(1))]
        world = self.a_world(*runs, nodes=[a_node("n1", "a"), a_node("n2", "b")])

        assert gates(world.decide(after(60)), 3) == ["reserved"]


class TestLookingAgain:
    """A lane is looked at no later than time alone could change something in it."""

    def test_the_next_due_run_of_every_queue_counts(self):
        world = a_snapshot(a_run(due_at=after(60)), a_run(priority="high", due_at=after(30)))

        assert world.decide().look_at == {"a": after(30)}

    def test_a_lane_held_by_an_event_only_is_not_looked_at_by_time(self):
        world = a_snapshot(a_run(status=RUNNING), a_run(), workers=[a_worker(concurrency=1)])

        assert world.decide().look_at == {}

    def test_a_retry_is_looked_at_when_its_back_off_ends(self):
        """M2, R3"""
        world = a_snapshot(a_run())
        world.start()
        world.settle(1, FAILED)
        (retry,) = world.pending()

        assert world.decide().look_at == {"a": retry.due_at}
        assert starts(world.decide(retry.due_at)) == [1]

    def test_a_retry_behind_a_held_head_is_looked_at_when_it_is_due(self):
        """D2"""
        workers = [a_worker("a"), a_worker("b", depends_on=["a"])]
        upstream = a_run("a", RUNNING, due_at=at("11:30"))
        retry = a_run("b", occurs_at=at("11:00"), due_at=after(5), attempt=1)
        world = a_snapshot(upstream, a_run("b"), retry, workers=workers, records={"a": a_record(ok=True)})

        assert world.decide().look_at == {"b": after(5)}
        assert starts(world.decide(after(5))) == [3]

    def test_an_occurrence_behind_a_held_head_is_looked_at_when_it_can_be_skipped(self):
        """D5"""
        workers = [a_worker("a"), a_worker("b", depends_on=[Upstream("a", on_failure=OnFailure.SKIP)])]
        runs = [a_run("b"), an_occurrence("b", due_at=after(5))]
        world = a_snapshot(*runs, workers=workers, records={"a": a_record(ok=False)})

        assert world.decide().look_at == {"b": after(5)}
        assert [run.id for run in world.decide(after(5)).skips] == [2]

    def test_a_reservation_that_will_lapse_is_looked_at_then(self):
        """B4, D4"""
        workers = [
            a_worker("u"),
            a_worker("a"),
            a_worker("b", blocks=("a",), depends_on=[Upstream("u", max_age_s=3700.0)]),
        ]
        runs = [a_run("a", RUNNING), a_run("b"), a_run("a", due_at=after(1))]
        world = a_snapshot(*runs, workers=workers, records={"u": a_record(ok=True, occurs_at=at("11:00"))})

        decision = world.decide(after(60))
        assert (gates(decision, 3), decision.look_at) == (["reserved"], {"b": after(100.000001)})
        assert starts(world.decide(after(101))) == [3]
