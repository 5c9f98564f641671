"""The waiting work of one worker, as far as it has been read."""

from __future__ import annotations

import gc
import random

import pytest
from builders import NOON, a_run, after, an_occurrence, at

from shiftboss.core.lane import ALL_QUEUES, FORCED, QUEUES, RESCUED, Lane
from shiftboss.core.model import Origin, Run
from shiftboss.core.policy import Priority
from shiftboss.core.value import replace
from shiftboss.errors import NotLoaded

NORMAL = int(Priority.NORMAL)


def heads(lane, queue=NORMAL):
    return [run.id for run in lane.heads(queue)]


def a_prefix(*runs, least=None, standing=()):
    """A lane of which only the first normal runs were read."""
    queues = [(number, list(runs) if number == NORMAL else [], number != NORMAL) for number in ALL_QUEUES]
    return Lane.read(queues, standing=standing, least=least)


class TestQueues:
    """One queue a priority, first due first."""

    def test_runs_stand_by_due_instant_then_id(self):
        lane = Lane([a_run(id=3), a_run(id=1, due_at=after(1)), a_run(id=2)])

        assert heads(lane) == [2, 3, 1]

    def test_what_was_interrupted_stands_at_its_place(self):
        """P2"""
        lane = Lane([a_run(id=1), a_run(id=2, due_at=after(1)), a_run(id=3, due_at=NOON, place_at=after(-60))])

        assert heads(lane) == [3, 1, 2]
        lane.take(3)
        assert heads(lane) == [1, 2]

    def test_what_waits_for_the_back_off_of_its_rescue_has_a_queue_of_its_own(self):
        """P2: there it stands by its due instant, and lends or borrows as any priority may."""
        rescued = a_run(id=3, due_at=after(9), place_at=after(-60), rescues=2, forced=True)
        lane = Lane([a_run(id=1), rescued, replace(rescued, id=4, due_at=after(5))])

        assert (heads(lane), heads(lane, RESCUED), heads(lane, FORCED)) == ([1], [4, 3], [])
        assert lane.next_due_at == NOON
        lane.take(1)
        assert lane.next_due_at == after(5)
        assert lane.holds_below(Priority.LOW)

    def test_each_priority_and_forced_runs_have_their_own(self):
        lane = Lane([a_run(id=1, priority="low"), a_run(id=2, priority="critical"), a_run(id=3, forced=True)])

        assert [heads(lane, number) for number in (0, 1, 2, 3, FORCED)] == [[1], [], [], [2], [3]]

    def test_a_run_that_changed_stands_where_it_belongs_now(self):
        run = a_run(id=1)
        lane = Lane([run, a_run(id=2)])
        lane.put(replace(run, due_at=after(5)))
        assert heads(lane) == [2, 1]

        lane.put(replace(run, priority=Priority.HIGH))
        assert (heads(lane), heads(lane, int(Priority.HIGH)), len(lane)) == ([2], [1], 2)

    @pytest.mark.parametrize("count", [1, 3])
    def test_all_its_runs_can_be_changed_where_they_stand(self, count):
        """O4: the clock was set."""
        lane = Lane([an_occurrence(id=1), *(a_run(id=number) for number in range(2, count + 1))])
        least = lane.least
        lane.change(lambda run: replace(run, due_at=after(5)))

        assert [run.due_at for run in lane] == [after(5)] * count
        assert [run.due_at for run in lane.standing.values()] == [after(5)]
        assert (lane.least.id, lane.least.due_at, heads(lane)) == (least.id, after(5), [*range(1, count + 1)])

    def test_a_run_that_was_taken_is_gone(self):
        lane = Lane([a_run(id=1), a_run(id=2)])
        lane.take(1)
        lane.take(99)

        assert (heads(lane), lane.get(1), [run.id for run in lane]) == ([2], None, [2])

    def test_the_next_due_instant_is_that_of_any_queue(self):
        assert Lane([a_run(id=1), a_run(id=2, priority="low", due_at=at("11:00"))]).next_due_at == at("11:00")
        assert Lane().next_due_at is None

    def test_it_knows_whether_a_lower_priority_may_wait(self):
        """D9"""
        lane = Lane([a_run(id=1, priority="high")])

        assert not lane.holds_below(Priority.HIGH)
        assert lane.holds_below(Priority.CRITICAL)
        assert Lane([a_run(id=1, priority="high", forced=True)]).holds_below(Priority.HIGH)


class TestPrefix:
    """What has not been read is never taken for absent."""

    def test_a_run_beyond_the_prefix_is_not_kept(self):
        lane = a_prefix(a_run(id=1), a_run(id=2, due_at=after(10)))
        lane.put(a_run(id=3, due_at=after(5)))
        lane.put(a_run(id=4, due_at=after(20)))

        assert heads(lane) == [1, 3, 2]

    def test_a_prefix_that_is_used_up_is_dry(self):
        lane = a_prefix(a_run(id=1))
        assert (lane.is_dry, lane.is_whole) == (False, False)

        lane.take(1)
        assert lane.is_dry

    def test_a_whole_lane_is_never_dry(self):
        assert (Lane().is_dry, Lane().is_whole) == (False, True)


class TestLeast:
    """D2: the waiting run with the earliest logical time, then id."""

    def test_it_need_not_be_the_first_due(self):
        lane = Lane([a_run(id=1), a_run(id=2, occurs_at=at("11:00"), due_at=after(60), attempt=1), a_run(id=3)])

        assert lane.least.id == 2

    def test_nothing_waits(self):
        assert Lane().least is None

    def test_it_follows_what_comes_and_goes(self):
        lane = Lane([a_run(id=1)])
        assert lane.least.id == 1

        lane.put(a_run(id=2, due_at=at("11:00")))
        assert lane.least.id == 2
        lane.take(2)
        assert lane.least.id == 1

    def test_of_a_prefix_it_was_read_and_may_stand_outside(self):
        least = a_run(id=9, occurs_at=at("10:00"), due_at=after(600), attempt=1)
        lane = a_prefix(a_run(id=1), least=least)

        assert (lane.least, lane.knows_least) == (least, True)

    def test_once_it_is_taken_nobody_knows_the_next(self):
        least = a_run(id=9, occurs_at=at("10:00"), due_at=after(600), attempt=1)
        lane = a_prefix(a_run(id=1), least=least)
        lane.take(9)

        assert not lane.knows_least
        with pytest.raises(NotLoaded, match="earliest logical time"):
            _ = lane.least

    def test_an_earlier_one_that_comes_is_the_least(self):
        lane = a_prefix(a_run(id=1), least=a_run(id=1))
        lane.put(a_run(id=2, due_at=at("11:00")))

        assert lane.least.id == 2


class TestStanding:
    """M3, M6: runs that rules made are always all here."""

    def test_they_are_known_beyond_the_prefix(self):
        occurrence = an_occurrence(id=7, due_at=after(600))
        lane = a_prefix(a_run(id=1), standing=[occurrence])

        assert lane.standing == {7: occurrence}
        assert heads(lane) == [1]
        assert sorted(run.id for run in lane) == [1, 7]
        assert lane.get(7) == occurrence

    def test_runs_by_hand_are_none(self):
        lane = Lane([a_run(id=1), an_occurrence(id=2)])

        assert list(lane.standing) == [2]
        lane.take(2)
        assert lane.standing == {}


class TestOfOneRun:
    """A lane of which everything is known, and that is one run, holds that run and nothing else."""

    def test_it_has_no_queues(self):
        lane = Lane([an_occurrence(id=1)])
        lane.take(1)
        lane.put(an_occurrence(id=2))

        assert [type(each) for each in gc.get_referents(lane) if each not in (Lane, None)] == [Run]

    def test_it_has_none_again_after_it_has_had_more_runs(self):
        lane = Lane([an_occurrence(id=1), a_run(id=2)])
        lane.take(2)
        lane.take(1)
        lane.put(an_occurrence(id=3))

        assert [type(each) for each in gc.get_referents(lane) if each not in (Lane, None)] == [Run]

    @pytest.mark.parametrize("seed", range(40))
    def test_it_answers_as_one_with_queues_does(self, seed):
        rng = random.Random(seed)
        lane, with_queues = Lane(), Lane()
        for _ in range(60):
            run = a_run(
                id=rng.randrange(1, 4),
                origin=rng.choice([Origin.OCCURRENCE, Origin.TRIGGER]),
                priority=rng.choice(["low", "high"]),
                due_at=after(rng.randrange(3)),
                forced=rng.random() < 0.2,
            )
            with_queues._opened()  # whatever it holds
            if rng.random() < 0.5:
                lane.put(run)
                with_queues.put(run)
            else:
                lane.take(run.id)
                with_queues.take(run.id)

            assert seen(lane) == seen(with_queues)


def seen(lane):
    return (
        [list(lane.heads(number)) for number in range(QUEUES)],
        sorted(run.id for run in lane),
        dict(lane.standing),
        dict(lane.sealed),
        [lane.get(number) for number in range(1, 4)],
        (len(lane), lane.is_empty, lane.only, lane.least, lane.next_due_at),
        (lane.whole, lane.is_whole, lane.is_dry, lane.knows_least),
        [lane.holds_below(priority) for priority in Priority],
    )
