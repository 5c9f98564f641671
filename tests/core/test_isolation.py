"""C8: a run that was there when nodes went down runs alone from then on, and nobody waits for it for long."""

from __future__ import annotations

import pytest
from builders import NOON, a_node, a_run, a_snapshot, a_worker, after, starts

from shiftboss.core.holds import IsIsolated, MakesWay
from shiftboss.core.isolation import lived_s, may_begin_at
from shiftboss.core.model import Attempt, Cause, Status
from shiftboss.core.settle import rescue

NODE = a_node(started_at=NOON)


def lived(seconds, **facts):
    """A run that was there twice, and lived so long then."""
    attempt = Attempt(number=1, node="n0", started_at=NOON, ended_at=NOON, duration_s=seconds, cause=Cause.RESCUED)
    return a_run(**({"worker": "suspect", "rescues": 2, "attempts": (attempt,)} | facts))


def world(*runs, **facts):
    workers = [a_worker(name, concurrency=None) for name in ("suspect", "a")]
    return a_snapshot(*runs, workers=workers, nodes=[NODE], **facts)


def holds(decision, run_id):
    return [type(hold) for hold in decision.holds.get(run_id, ())]


class TestStarting:
    def test_it_starts_before_all_others_and_they_wait(self):
        decision = world(a_run(id=1), lived(5, id=2)).decide(after(1))

        assert starts(decision) == [2]
        (hold,) = decision.holds[1]
        assert (type(hold), hold.run, hold.until) == (MakesWay, 2, after(6))

    def test_of_several_the_one_that_lived_shortest_goes_first(self):
        """C8: it tells the soonest."""
        decision = world(lived(30, id=1), lived(5, id=2), lived(9, id=3)).decide(after(1))

        assert starts(decision) == [2]
        assert (holds(decision, 1), holds(decision, 3)) == ([IsIsolated], [IsIsolated])

    def test_what_was_rescued_once_starts_beside_others(self):
        assert starts(world(a_run(id=1), lived(5, id=2, rescues=1)).decide(after(1))) == [1, 2]

    def test_where_something_runs_it_waits_and_others_make_way(self):
        decision = world(a_run(id=1, status=Status.RUNNING), lived(5, id=2), a_run(id=3)).decide(after(1))

        assert starts(decision) == []
        assert (holds(decision, 2), holds(decision, 3)) == ([IsIsolated], [MakesWay])

    def test_what_something_else_holds_makes_nobody_wait(self):
        full = a_worker("suspect", concurrency=1)
        runs = (a_run("suspect", Status.RUNNING, id=1), lived(5, id=2), a_run(id=3))
        decision = a_snapshot(*runs, workers=[full, a_worker("a")], nodes=[NODE]).decide(after(1))

        assert starts(decision) == [3]

    def test_after_a_minute_the_others_have_their_turn_and_then_it_again(self):
        runs = (a_run(id=1, status=Status.RUNNING), lived(5, id=2), a_run(id=3))

        assert starts(world(*runs).decide(after(61))) == [3]
        assert starts(world(*runs).decide(after(81))) == []

    def test_who_cannot_be_alone_for_ten_minutes_starts_beside_others(self):
        runs = (a_run(id=1, status=Status.RUNNING), lived(5, id=2), a_run(id=3))

        assert starts(world(*runs).decide(after(599))) == [3]
        assert starts(world(*runs).decide(after(601))) == [2]

    @pytest.mark.parametrize("age_s", [0.5, 30, 59, 60.5, 61, 64, 75, 80, 100, 119, 120, 200, 3600, 12345])
    def test_the_age_at_which_it_went_down_falls_in_a_quiet_minute(self, age_s):
        for second in range(80):
            at = may_begin_at(NODE, after(second), lived(age_s))
            phase_s = (at - NOON).total_seconds() % 80
            end_s = phase_s + age_s

            assert at <= after(second + 80)
            assert phase_s < 60
            assert end_s < 60 or 5 <= end_s % 80 < 60


class TestRunning:
    @pytest.mark.parametrize(
        ("age_s", "lived_s", "waits"),
        [
            (4, 5, True),
            (6, 5, False),  # it has outlived its earlier attempts
            (59, 100, True),
            (61, 3600, False),  # not in a quiet minute
            (85, 3600, False),  # neither young nor near
            (85, 130, True),  # near
        ],
    )
    def test_nothing_starts_beside_it_until_it_has_outlived_its_earlier_attempts(self, age_s, lived_s, waits):
        suspect = lived(lived_s, id=2, status=Status.RUNNING, since=NOON)

        assert starts(world(suspect, a_run(id=9, due_at=NOON)).decide(after(age_s))) == ([] if waits else [9])


class TestCondemning:
    """C8: it takes three nodes that went down with it alone."""

    def rescued(self, *runs, entered=None):
        snapshot = world(*runs)
        snapshot.does(rescue, after(5), node=snapshot.nodes["n1"], by="n2", process_is_gone=True, entered=entered)
        return snapshot

    def test_alone_it_counts(self):
        (run,) = self.rescued(lived(5, id=2, status=Status.RUNNING, since=NOON)).pending("suspect")

        assert (run.rescues, lived_s(run)) == (3, 5.0)

    def test_beside_others_it_does_not(self):
        rescued = self.rescued(lived(5, id=2, status=Status.RUNNING, rescues=4), a_run(id=3, status=Status.RUNNING))

        assert [(run.id, run.rescues) for run in (*rescued.pending(), *rescued.pending("suspect"))] == [(3, 1), (2, 4)]

    def test_who_had_not_been_entered_was_not_there(self):
        suspect, other = lived(5, id=2, status=Status.RUNNING, rescues=4), a_run(id=3, status=Status.RUNNING)
        rescued = self.rescued(suspect, other, entered={(2, 1)})

        assert rescued.ended[2].cause is Cause.CRASH_LOOP
        assert [(run.id, run.rescues, run.due_at) for run in rescued.pending()] == [(3, 0, after(5))]

    def test_of_another_claim_that_was_entered_nothing_follows(self):
        rescued = self.rescued(lived(5, id=2, status=Status.RUNNING, rescues=4), entered={(2, 99)})

        assert [run.rescues for run in rescued.pending("suspect")] == [4]

    def test_what_must_not_run_twice_and_was_not_entered_runs(self):
        """C7"""
        snapshot = a_snapshot(a_run(status=Status.RUNNING), workers=[a_worker(at_most_once=True)], nodes=[NODE])
        snapshot.does(rescue, after(5), node=snapshot.nodes["n1"], by="n2", process_is_gone=True, entered=set())

        assert [run.status for run in snapshot.pending()] == [Status.PENDING]
