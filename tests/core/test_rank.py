"""Which run goes before which?"""

from __future__ import annotations

import pytest
from builders import NOON, a_node, a_run, a_snapshot, a_worker, after, at, starts

from shiftboss.core.model import Status
from shiftboss.core.policy import Priority, priority
from shiftboss.core.rank import effective, lend, rank
from shiftboss.errors import ConfigurationError


def test_there_are_four_priorities():
    """P1"""
    assert [priority(name) for name in ("low", "normal", "high", "critical")] == [0, 1, 2, 3]
    assert priority("HIGH").label == "high"
    with pytest.raises(ConfigurationError, match="use low, normal, high or critical"):
        priority("urgent")


class TestOrder:
    """P2: critical first; then by due instant plus offset; then by id."""

    def order(self, *runs, now=NOON):
        return starts(a_snapshot(*runs).decide(now))

    def test_a_higher_priority_goes_first(self):
        runs = [a_run(priority=name) for name in ("low", "normal", "high", "critical")]

        assert self.order(*runs) == [4, 3, 2, 1]

    def test_of_the_same_instant_and_priority_the_smaller_id_goes_first(self):
        assert self.order(a_run(id=7), a_run(id=3), a_run(id=5)) == [3, 5, 7]

    def test_a_normal_run_that_waited_a_minute_longer_goes_before_a_high_one(self):
        assert self.order(a_run(priority="high"), a_run(due_at=at("11:59:01"))) == [1, 2]
        assert self.order(a_run(priority="high"), a_run(due_at=at("11:58:59"))) == [2, 1]

    def test_a_low_run_that_waited_nine_minutes_longer_goes_before_a_normal_one(self):
        assert self.order(a_run(), a_run(priority="low", due_at=at("11:51:01"))) == [1, 2]
        assert self.order(a_run(), a_run(priority="low", due_at=at("11:50:59"))) == [2, 1]

    def test_nothing_ages_past_critical(self):
        assert self.order(a_run(priority="high", due_at=at("00:00")), a_run(priority="critical")) == [2, 1]

    def test_critical_runs_stand_by_due_instant(self):
        assert self.order(a_run(priority="critical"), a_run(priority="critical", due_at=at("11:59"))) == [2, 1]

    def test_what_was_interrupted_stands_where_it_stood(self):
        interrupted = a_run(id=9, place_at=at("11:00"), attempt=0, first_started_at=at("11:58"))

        assert self.order(a_run(id=1, due_at=at("11:30")), interrupted, a_run(id=2, due_at=at("10:30"))) == [2, 9, 1]

    def test_what_waits_for_the_back_off_of_its_rescue_stands_in_nobodys_way(self):
        """P2, C4: and goes before those who came after it once that is over."""
        rescued = a_run(id=9, place_at=at("11:00"), due_at=after(60), rescues=2, first_started_at=at("11:58"))
        runs = (rescued, a_run(id=1, due_at=at("11:30")), a_run(id=2, due_at=at("10:30")))

        assert self.order(*runs) == [2, 1]
        assert self.order(*runs, now=after(600 + 60)) == [9, 2, 1]  # it has given up to be alone (C8)

    def test_waiting_changes_no_row(self):
        run = a_run(priority="low")

        assert rank(run, Priority.LOW) == (1, at("12:10"), 0)
        assert rank(run, Priority.NORMAL) == (1, at("12:01"), 0)
        assert rank(run, Priority.CRITICAL) == (0, NOON, 0)


class TestLending:
    """D9: a run held by depends_on lends its priority, down the chain."""

    CHAIN = (a_worker("a"), a_worker("b", depends_on=["a"]), a_worker("c", depends_on=["b"]))

    def lent(self, *runs, workers=CHAIN):
        world = a_snapshot(*runs, workers=workers)
        return lend(world, NOON, [run for name in world.lanes for run in world.pending(name)])

    def test_what_is_waited_for_goes_as_early_as_what_waits(self):
        runs = [a_run("a", priority="low"), a_run("x", priority="high"), a_run("b", priority="critical")]
        world = a_snapshot(*runs, workers=[*self.CHAIN, a_worker("x")])

        assert starts(world.decide()) == [1, 2]

    def test_it_goes_down_the_chain(self):
        lent = self.lent(a_run("a", priority="low"), a_run("b"), a_run("c", priority="high"))

        assert effective(a_run("a", priority="low"), lent) is Priority.HIGH
        assert effective(a_run("b"), lent) is Priority.HIGH

    def test_only_to_runs_of_the_same_or_an_earlier_instant(self):
        lent = self.lent(a_run("a", priority="low"), a_run("b", priority="high"))

        assert effective(a_run("a", priority="low", due_at=NOON), lent) is Priority.HIGH
        assert effective(a_run("a", priority="low", due_at=after(1)), lent) is Priority.LOW

    def test_a_run_that_is_not_due_lends_nothing(self):
        assert self.lent(a_run("a", priority="low"), a_run("b", priority="high", due_at=after(1))) == {}

    def test_a_second_owed_run_borrows_although_the_first_needs_nothing(self):
        first = a_run("a", priority="critical", due_at=at("11:00"))
        lent = self.lent(first, a_run("a", priority="low"), a_run("b", priority="critical"))

        assert effective(a_run("a", priority="low"), lent) is Priority.CRITICAL

    def test_a_higher_priority_is_never_lowered(self):
        lent = self.lent(a_run("a", priority="low"), a_run("b", priority="normal"))

        assert effective(a_run("a", priority="high"), lent) is Priority.HIGH

    def test_a_disabled_worker_lends_nothing(self):
        """D9, K5"""
        workers = [a_worker("a"), a_worker("b", depends_on=["a"], disabled="ada")]

        assert self.lent(a_run("a", priority="low"), a_run("b", priority="critical"), workers=workers) == {}

    def test_nothing_is_lent_through_a_disabled_worker(self):
        """D6, D9"""
        workers = [a_worker("a"), a_worker("b", depends_on=["a"], disabled="ada"), a_worker("c", depends_on=["b"])]
        runs = [a_run("a", priority="low"), a_run("b"), a_run("c", priority="critical")]

        assert self.lent(*runs, workers=workers) == {}

    def test_nothing_is_stored(self):
        world = a_snapshot(a_run("a", priority="low"), a_run("b", priority="critical"), workers=self.CHAIN)
        world.start()

        assert world.running[1].priority is Priority.LOW


class TestKeptSlots:
    """P3: of every five slots one is kept for high and critical."""

    def test_normal_runs_leave_one_of_five(self):
        world = a_snapshot(*[a_run() for _ in range(6)], nodes=[a_node(slots=5)])

        decision = world.decide()

        assert starts(decision) == [1, 2, 3, 4]
        assert [str(hold) for hold in decision.holds[5]] == [
            "the free slots of node host:n1 are kept for high and critical runs"
        ]

    def test_high_runs_take_all(self):
        world = a_snapshot(*[a_run(priority="high") for _ in range(6)], nodes=[a_node(slots=5)])

        assert starts(world.decide()) == [1, 2, 3, 4, 5]

    def test_what_runs_already_counts(self):
        running = [a_run(status=Status.RUNNING) for _ in range(4)]
        world = a_snapshot(*running, a_run(), a_run(priority="high"), nodes=[a_node(slots=5)])

        assert starts(world.decide()) == [6]

    @pytest.mark.parametrize(("slots", "kept"), [(1, 0), (4, 0), (5, 1), (9, 1), (10, 2), (100, 20)])
    def test_fewer_than_five_keep_none(self, slots, kept):
        world = a_snapshot(*[a_run() for _ in range(slots)], nodes=[a_node(slots=slots)])

        assert len(world.decide().grants) == slots - kept

    def test_a_lent_priority_counts(self):
        """D9, P3"""
        workers = [a_worker("a"), a_worker("b", depends_on=["a"]), a_worker("x")]
        running = [a_run("x", Status.RUNNING) for _ in range(4)]
        waiting = [a_run("a", priority="low"), a_run("b", priority="high")]
        world = a_snapshot(*running, *waiting, workers=workers, nodes=[a_node(slots=5)])

        assert starts(world.decide()) == [5]
