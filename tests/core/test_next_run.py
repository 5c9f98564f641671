"""Which of a worker's waiting runs starts first: the one that `why` explains and `status` shows."""

from __future__ import annotations

from random import Random

import pytest
from builders import NOON, a_node, a_run, a_snapshot, a_worker, after, an_occurrence, at

from shiftboss.core.explain import Explainer
from shiftboss.core.lane import QUEUES, Lane
from shiftboss.core.model import Attempt, NodeMode, Shed, Status
from shiftboss.core.unreadable import Unreadable
from shiftboss.core.value import replace


def next_of(world, now=NOON, *, name="a", live=None):
    """The id of the run that is next; None when nothing waits."""
    run = Explainer(world, now, live=frozenset(world.nodes if live is None else live)).next_run(name)
    return None if run is None else run.id


class TestTheDueOnes:
    """A3, P2: of the due ones the first by rank."""

    def test_a_critical_one_goes_before_a_low_one_that_was_due_earlier(self):
        world = a_snapshot(a_run(priority="low", due_at=at("11:55")), a_run(priority="critical", due_at=at("11:59")))

        assert next_of(world) == 2
        assert world.start()[0] == 2

    def test_waiting_is_ageing(self):
        low = a_run(priority="low", due_at=at("11:50"))

        assert next_of(a_snapshot(low, a_run(due_at=at("11:58")))) == 2
        assert next_of(a_snapshot(low, a_run(due_at=at("11:59:01")))) == 1

    def test_a_due_one_goes_before_one_that_waits_for_its_back_off_with_more_priority(self):
        world = a_snapshot(a_run(priority="critical", due_at=after(10), attempt=1), a_run(priority="low"))

        assert next_of(world) == 2
        assert next_of(world, after(10)) == 1

    def test_a_rescued_one_stands_at_its_old_place(self):
        """P2, C4"""
        rescued = a_run(due_at=at("11:59:50"), place_at=at("11:30"), rescues=1)
        world = a_snapshot(a_run(due_at=at("11:40")), rescued)

        assert next_of(world) == 2

    def test_an_isolated_one_goes_before_all_others_once_it_is_due(self):
        """P2, C8"""
        ended = Attempt(number=1, node="n0", started_at=at("11:30"), ended_at=at("11:30:05"), duration_s=5.0)
        isolated = a_run(priority="low", due_at=after(5), place_at=at("11:30"), rescues=2, attempts=(ended,))
        world = a_snapshot(a_run(priority="critical"), isolated)

        assert next_of(world) == 1
        assert next_of(world, after(5)) == 2

    def test_lent_priority_counts(self):
        """D9"""
        low, high = a_run("a", priority="low", due_at=at("11:59")), a_run("a", priority="high", due_at=at("11:59:30"))
        workers = [a_worker("a", concurrency=1), a_worker("b", depends_on=["a"])]
        waits = a_run("b", priority="critical", occurs_at=at("11:59:10"), due_at=at("11:59:10"))

        assert next_of(a_snapshot(low, high, workers=workers)) == 2
        assert next_of(a_snapshot(low, high, waits, workers=workers)) == 1

    def test_of_equal_ones_the_first_by_id(self):
        assert next_of(a_snapshot(a_run(id=7), a_run(id=4))) == 4


class TestNoneIsDue:
    """A3: where none is due, the earliest due."""

    def test_it_is_the_earliest_whatever_its_priority(self):
        world = a_snapshot(a_run(priority="critical", due_at=after(20)), a_run(priority="low", due_at=after(10)))

        assert next_of(world) == 2

    def test_of_those_that_are_due_together_it_is_the_first_by_rank(self):
        world = a_snapshot(a_run(priority="low", due_at=after(20)), a_run(priority="high", due_at=after(20)))

        assert next_of(world) == 2

    def test_a_rescued_one_waits_for_its_back_off(self):
        """C4"""
        world = a_snapshot(a_run(due_at=after(9)), a_run(due_at=after(10), place_at=at("11:30"), rescues=2))

        assert next_of(world) == 1

    def test_nothing_waits(self):
        assert next_of(a_snapshot(workers=[a_worker("a")])) is None


class TestHeldAlone:
    """A3: what is held while others of its worker go on is not the first to start, however old it is."""

    def test_one_whose_priority_is_shed(self):
        """H4"""
        runs = a_run(priority="low", due_at=at("11:00")), a_run(priority="high")
        shedding, fine = a_node("n1", "a", shed=Shed.LOW), a_node("n2", "a")

        assert next_of(a_snapshot(*runs, nodes=[shedding])) == 2
        assert next_of(a_snapshot(*runs, nodes=[shedding, fine])) == 1
        assert next_of(a_snapshot(*runs, nodes=[shedding, fine]), live=["n1"]) == 2
        assert next_of(a_snapshot(*runs, nodes=[shedding, replace(fine, mode=NodeMode.CLIENT)])) == 2
        assert next_of(a_snapshot(runs[0], nodes=[shedding])) == 1

    def test_one_whose_payload_cannot_be_decoded(self):
        """E3"""
        world = a_snapshot(a_run(due_at=at("11:00"), encoded_by="old"), a_run(due_at=at("11:01")))
        broken = a_snapshot(a_run(due_at=at("11:00")), a_run(due_at=at("11:01")))
        broken.undecodable[1] = "damaged"

        assert (next_of(world), next_of(broken)) == (2, 2)

    def test_where_all_are_held_so_it_is_the_first_by_rank(self):
        world = a_snapshot(a_run(due_at=at("11:01"), encoded_by="old"), a_run(due_at=at("11:00"), encoded_by="old"))

        assert next_of(world) == 2

    def test_of_a_disabled_worker_a_forced_one_starts_first(self):
        """K5"""
        runs = a_run(due_at=at("11:00")), a_run(forced=True)

        assert next_of(a_snapshot(*runs, workers=[a_worker(disabled="ada")])) == 2
        assert next_of(a_snapshot(*runs)) == 1
        assert next_of(a_snapshot(runs[0], workers=[a_worker(disabled="ada")])) == 1


class TestLanesThatWereReadInPart:
    """A lane has of each queue the first runs: the answer is that of the whole lane."""

    def test_the_heads_are_enough(self):
        runs = [a_run(id=1 + n, priority=p, due_at=after(n - 60)) for n, p in enumerate(("low", "normal", "high") * 9)]
        world = a_snapshot(*runs)
        whole = world.lanes["a"]
        heads = [list(whole.heads(number)) for number in range(QUEUES)]
        parts = ((number, queue[:1], len(queue) < 1) for number, queue in enumerate(heads))
        world.lanes["a"] = Lane.read(parts, standing=(), least=runs[0])

        assert len(world.lanes["a"]) == 3
        assert next_of(world) == 3

    def test_only_what_cannot_be_read_waits(self):
        """W8"""
        row = Unreadable(table="run", id="5", worker="a", reason="torn")
        world = a_snapshot(workers=[a_worker("a")])
        world.lanes["a"].seal([a_run(id=5, unreadable=row), a_run(id=6, due_at=at("11:00"), unreadable=row)])

        assert next_of(world) == 6


@pytest.mark.parametrize("seed", range(8))
def test_it_is_what_decide_starts_first(seed):
    """A3: by the rule that runs, whatever waits."""
    draw = Random(seed)
    started = 0
    for _ in range(60):
        runs = [
            (an_occurrence if draw.random() < 0.2 else a_run)(
                "a",
                priority=draw.choice(("low", "normal", "high", "critical")),
                due_at=after(draw.randrange(-900, 30)),
                forced=draw.random() < 0.2,
                encoded_by=draw.choice(("", "", "old")),
            )
            for _ in range(draw.randrange(1, 7))
        ]
        waiting = [a_run("b", priority=draw.choice(("normal", "critical")), due_at=after(draw.randrange(-900, 30)))]
        workers = [
            a_worker("a", disabled=draw.choice((None, None, "ada")), concurrency=draw.choice((None, 1))),
            a_worker("b", depends_on=["a"]),
        ]
        world = a_snapshot(*runs, *waiting, workers=workers, nodes=[a_node(shed=draw.choice(list(Shed)))])

        grants = [grant.run.id for grant in world.decide().grants if grant.run.worker == "a"]

        if grants:
            started += 1
            assert next_of(world) == grants[0], runs
    assert started > 20
    assert all(run.status is Status.PENDING for run in runs)
