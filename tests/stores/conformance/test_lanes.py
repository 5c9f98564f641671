"""What waits for a worker: the head of each queue, all standing runs, and the earliest logical time."""

from __future__ import annotations

import pytest
from store_values import a_run, at, change_runs, ended, started, store_runs

from shiftboss.core.lane import FORCED, QUEUES, RESCUED, Lane
from shiftboss.core.model import Origin
from shiftboss.core.policy import Priority
from shiftboss.core.value import replace
from shiftboss.ports.store import Session


def lane_of(session: Session, name: str = "mail", *, limit: int = 100) -> Lane:
    with session.read() as reader:
        return reader.lanes([name], limit=limit)[name]


def heads(lane: Lane) -> list[list[int]]:
    return [[run.id for run in lane.heads(number)] for number in range(QUEUES)]


def test_each_priority_is_a_queue_and_so_are_the_forced_ones(session: Session):
    store_runs(
        session,
        *(a_run(n, priority=priority) for n, priority in enumerate(Priority, 1)),
        a_run(5, priority=Priority.HIGH, forced=True),
    )

    assert heads(lane_of(session)) == [[1], [2], [3], [4], [5], []]


def test_a_queue_is_in_order_of_due_instants_then_ids(session: Session):
    store_runs(session, a_run(1, due_at=at(3)), a_run(2, due_at=at(1)), a_run(3, due_at=at(3)), a_run(4, due_at=at(2)))

    assert heads(lane_of(session))[1] == [2, 4, 1, 3]


def test_what_was_interrupted_stands_at_its_place(session: Session):
    """P2"""
    store_runs(session, a_run(1, due_at=at(1)), started(a_run(2, due_at=at(3))), a_run(3, due_at=at(5)))
    change_runs(session, a_run(2, due_at=at(60), place_at=at(3), first_started_at=at(4)))
    lane = lane_of(session)

    assert heads(lane)[1] == [1, 2, 3]
    assert lane.get(2) == a_run(2, due_at=at(60), occurs_at=at(60), place_at=at(3), first_started_at=at(4))


def test_what_waits_for_the_back_off_of_its_rescue_hides_nobody(session: Session):
    """P2: however short the prefix that is read, and with the instant at which it may start."""
    backlog = [a_run(n, due_at=at(n)) for n in range(1, 9)]
    rescued = [a_run(n, due_at=at(100 - n), place_at=at(-1), rescues=2, first_started_at=at(0)) for n in range(20, 25)]
    store_runs(session, *backlog, *rescued)
    lane = lane_of(session, limit=3)
    with session.read() as reader:
        counted = reader.counts()["mail"]

    assert (heads(lane)[1], heads(lane)[RESCUED]) == ([1, 2, 3], [24, 23, 22])
    assert counted["pending"] == 13


def test_a_short_lane_is_whole(session: Session):
    store_runs(session, *(a_run(n) for n in range(1, 10)))
    lane = lane_of(session, limit=10)

    assert lane.is_whole
    assert len(lane) == 9


def test_a_lane_is_a_prefix_of_each_queue_that_is_longer(session: Session):
    low = [a_run(n, priority=Priority.LOW, due_at=at(-n)) for n in range(1, 8)]
    store_runs(session, *low, a_run(8), a_run(9, priority=Priority.CRITICAL), a_run(10, priority=Priority.CRITICAL))
    lane = lane_of(session, limit=3)

    assert heads(lane) == [[7, 6, 5], [8], [], [9, 10], [], []]
    assert lane.whole == [False, True, True, True, True, True]


def test_a_queue_of_exactly_the_limit_does_not_count_as_whole(session: Session):
    store_runs(session, a_run(1), a_run(2))

    assert lane_of(session, limit=2).whole == [True, False, True, True, True, True]


def test_the_least_is_found_behind_the_loaded_prefix(session: Session):
    store_runs(
        session,
        *(a_run(n, due_at=at(n)) for n in range(1, 6)),
        a_run(6, due_at=at(50), occurs_at=at(-7)),
        a_run(7, due_at=at(60), occurs_at=at(-7)),
    )
    lane = lane_of(session, limit=2)

    assert heads(lane)[1] == [1, 2]
    assert lane.least is not None
    assert lane.least.id == 6


def test_standing_runs_are_all_there_however_far_behind(session: Session):
    store_runs(
        session,
        *(a_run(n, due_at=at(n)) for n in range(1, 6)),
        a_run(6, due_at=at(60), origin=Origin.OCCURRENCE),
        a_run(7, due_at=at(61), origin=Origin.AFTER),
        a_run(8, due_at=at(62), origin=Origin.REPLAY),
        a_run(9, due_at=at(63), origin=Origin.ITERATION),
    )

    assert sorted(lane_of(session, limit=2).standing) == [6, 7, 9]
    assert sorted(lane_of(session, limit=50).standing) == [6, 7, 9]


def test_running_and_finished_runs_are_in_no_lane(session: Session):
    store_runs(session, a_run(1), a_run(2), a_run(3))
    change_runs(session, started(a_run(1)), ended(a_run(2)))

    assert heads(lane_of(session))[1] == [3]


def test_a_retry_is_back_in_its_lane_at_its_new_instant(session: Session):
    store_runs(session, started(a_run(1)), a_run(2, due_at=at(5)))
    change_runs(session, replace(a_run(1), due_at=at(9)))

    assert heads(lane_of(session))[1] == [2, 1]


def test_a_lane_that_was_read_behaves_like_one_that_was_filled(session: Session):
    runs = [a_run(n, due_at=at(n % 4), priority=Priority(n % 4), forced=n % 5 == 0) for n in range(1, 30)]
    store_runs(session, *runs)
    read, filled = lane_of(session), Lane(runs)

    assert heads(read) == heads(filled)
    assert read.least == filled.least
    read.put(a_run(30, due_at=at(-1)))
    assert next(read.heads(1)).id == 30


def test_many_lanes_are_asked_for_at_once_and_every_name_is_answered(session: Session):
    names = [f"w{n}" for n in range(300)]
    store_runs(session, *(a_run(n, worker=name) for n, name in enumerate(names, 1) if n % 3))
    with session.read() as reader:
        lanes = reader.lanes(names, limit=5)
        nothing = reader.lanes([], limit=5)

    assert list(lanes) == names
    assert [len(lanes[name]) for name in names[:4]] == [1, 1, 0, 1]
    assert all(lane.is_whole for lane in lanes.values())
    assert nothing == {}


@pytest.mark.parametrize("number", [FORCED, 0])
def test_a_long_queue_does_not_hide_a_short_one(session: Session, number: int):
    crowd = [a_run(n, priority=Priority.NORMAL) for n in range(1, 20)]
    alone = a_run(20, priority=Priority.LOW, forced=number == FORCED)
    store_runs(session, *crowd, alone)

    assert heads(lane_of(session, limit=4))[number] == [20]
