"""Lanes on lists by what they wait for: which one is asked next, and what opens and closes a list."""

from __future__ import annotations

import pytest
from builders import at

from shiftboss.core import subject
from shiftboss.core.policy import Priority
from shiftboss.core.room import Room, SlotClass
from shiftboss.core.waitlists import SLOT, Key, Order, Waitlists

NORMAL = SlotClass("coroutine", Priority.NORMAL)
HIGH = SlotClass("coroutine", Priority.HIGH)
THREAD = SlotClass("thread", Priority.NORMAL)
PERMITS = Key(0, subject.permits("db", 1), NORMAL)
UPSTREAM = Key(0, subject.upstream("u"), NORMAL)
FREE = Key(0, SLOT, NORMAL)


def rank(number: int):
    return (1, at("12:00"), number)


def room(**fields):
    return Room(slots=10, **({"free": 10, "free_below_high": 8, "executors": {"coroutine": 10, "thread": 10}} | fields))


def filed(*lanes: tuple[str, int, Key]) -> Waitlists:
    lists = Waitlists()
    for lane, number, key in lanes:
        lists.file(lane, rank(number), key)
    return lists


def taken(lists: Waitlists, room: Room, held=None) -> list[str]:
    """The lanes that are asked about, if nothing is filed again."""
    order, lanes = Order(lists, room, held), []
    while order.best() is not None:
        lanes.append(order.take())
    return lanes


def test_lanes_that_lack_a_slot_come_by_rank():
    lists = filed(("c", 3, FREE), ("a", 1, FREE), ("b", 2, FREE))

    assert taken(lists, room()) == ["a", "b", "c"]
    assert taken(lists, room()) == [], "each once"


def test_what_waits_for_something_else_is_asked_once_that_may_be_free():
    lists = filed(("a", 1, PERMITS), ("b", 2, FREE))

    assert taken(lists, room()) == ["b"]
    lists.open(PERMITS.subject)
    assert taken(lists, room()) == ["a"]


def test_all_open_lists_are_one_order():
    lists = filed(("d", 4, FREE), ("a", 1, PERMITS), ("c", 3, PERMITS), ("b", 2, UPSTREAM))
    lists.open(PERMITS.subject)
    lists.open(UPSTREAM.subject)

    assert taken(lists, room()) == ["a", "b", "c", "d"]


def test_the_first_that_is_still_held_closes_the_list():
    """B9: those behind it want as many permits, and rank lower."""
    lists = filed(("a", 1, PERMITS), ("b", 2, PERMITS), ("c", 3, PERMITS))
    lists.open(PERMITS.subject)
    order = Order(lists, room())
    order.best()
    lane = order.take()
    lists.file(lane, rank(1), PERMITS)

    assert (lane, order.best()) == ("a", None)
    lists.open(PERMITS.subject)
    assert taken(lists, room()) == ["a", "b", "c"]


def test_one_that_is_held_by_its_upstream_says_nothing_about_the_others():
    """D2: each run has its own logical time."""
    lists = filed(("a", 1, UPSTREAM), ("b", 2, UPSTREAM))
    lists.open(UPSTREAM.subject)
    order = Order(lists, room())
    order.best()
    lists.file(order.take(), rank(1), UPSTREAM)
    second = order.best() is not None and order.take()

    assert (second, order.best()) == ("b", None), "the first is not asked again before something happens"
    lists.open(UPSTREAM.subject)
    assert taken(lists, room()) == ["a"]


def test_who_wants_more_permits_has_a_list_of_its_own():
    more = PERMITS._replace(subject=subject.permits("db", 5))
    lists = filed(("a", 1, more), ("b", 2, PERMITS))
    lists.open(more.subject)

    assert taken(lists, room()) == ["a"]


@pytest.mark.parametrize(
    ("fields", "lanes"),
    [
        ({}, ["low", "normal", "high", "thread"]),
        ({"free": 0}, []),
        ({"free_below_high": 0}, ["high"]),
        ({"executors": {"coroutine": 0, "thread": 1}}, ["thread"]),
    ],
)
def test_no_lane_is_asked_for_which_no_slot_is_free(fields, lanes):
    """P3"""
    low = SlotClass("coroutine", Priority.LOW)
    kinds = {"low": low, "normal": NORMAL, "high": HIGH, "thread": THREAD}
    lists = filed(*((lane, number, FREE._replace(slots=slots)) for number, (lane, slots) in enumerate(kinds.items())))

    assert taken(lists, room(**fields)) == lanes
    assert lists.may_start(room(**fields)) is False, "they were taken"


def test_critical_runs_take_the_slots_of_high_ones():
    assert SlotClass.of("coroutine", Priority.CRITICAL) == HIGH


def test_a_lane_that_leaves_is_on_no_list():
    lists = filed(("a", 1, FREE), ("a", 2, PERMITS), ("b", 3, FREE))
    places = lists.places("a")
    lists.leave("a")
    lists.open(PERMITS.subject)

    assert (places, lists.places("a")) == ({SLOT, PERMITS.subject}, set())
    assert taken(lists, room()) == ["b"]


def test_a_lane_that_comes_back_stands_at_its_new_place_only():
    lists = filed(("a", 1, FREE), ("b", 2, FREE))
    lists.leave("a")
    lists.file("a", rank(3), FREE)

    assert taken(lists, room()) == ["b", "a"]


def test_only_lists_in_held_partitions_are_asked():
    lists = filed(("a", 1, FREE._replace(partition=7)), ("b", 2, FREE._replace(partition=8)))

    assert lists.partitions(room()) == {7, 8}
    assert taken(lists, room(), held={8}) == ["b"]
    assert lists.partitions(room()) == {7}
    assert lists.partitions(room(free=0)) == set()


def test_a_lane_whose_patience_is_over_is_asked_before_lower_ranks_of_its_component():
    """B4: also while no slot is free for it here, because another node may have one."""
    lists = filed(("a", 1, PERMITS._replace(slots=THREAD)), ("b", 2, FREE))
    lists.file_patient("first", "a", rank(1), PERMITS._replace(slots=THREAD))
    order = Order(lists, room(executors={"coroutine": 10, "thread": 0}))
    before = order.best()
    order.touch("first")

    assert before == rank(2)
    assert [order.best() and order.take(), order.best() and order.take()] == ["a", "b"]


def test_where_one_reserves_those_behind_it_are_not_asked():
    """B4: they lack the same."""
    lists = filed(("a", 1, PERMITS), ("b", 2, PERMITS))
    for number, lane in enumerate("ab", 1):
        lists.file_patient("first", lane, rank(number), PERMITS)
    order = Order(lists, room())
    order.touch("first")
    order.best()
    lane = order.take()
    order.reserved("first", PERMITS)

    assert (lane, order.best()) == ("a", None)


def test_a_list_does_not_grow_with_lanes_that_come_and_go():
    lists = Waitlists()
    for number in range(10_000):
        lists.leave("a")
        lists.file("a", rank(number), FREE)
        lists.file_patient("first", "a", rank(number), FREE)

    assert lists.size < 1_000
    assert taken(lists, room()) == ["a"]


def test_an_empty_list_is_forgotten():
    lists = filed(("a", 1, PERMITS))
    lists.open(PERMITS.subject)
    taken(lists, room())

    assert (lists.size, lists.open(PERMITS.subject)) == (0, ())


def test_when_everything_is_read_anew_nothing_is_left():
    lists = filed(("a", 1, FREE), ("b", 2, PERMITS))
    lists.file_patient("first", "b", rank(2), PERMITS)
    lists.reserving.add("b")
    lists.clear()

    assert (lists.size, lists.reserving, list(lists.patient("first")), list(lists.open_lists())) == (0, set(), [], [])
