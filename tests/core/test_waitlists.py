"""Lanes on lists by what they wait for: which one is asked next, and what opens and closes a list."""

from __future__ import annotations

import pytest
from builders import at

from shiftboss.core import subject
from shiftboss.core.model import Shed
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


@pytest.mark.parametrize(
    ("fields", "is_short"),
    [
        ({}, False),
        ({"free_below_high": 0}, True),
        ({"free_below_high": 1}, False),
        ({"executors": {"coroutine": 0, "thread": 1}}, True),
        ({"shed": Shed.LOW}, True),
    ],
)
def test_a_node_is_short_of_slots_when_there_is_a_kind_of_run_for_which_it_has_none(fields, is_short):
    """P3, H4"""
    assert room(**fields).is_short is is_short


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


def test_a_list_that_was_closed_is_no_open_list():
    """B9: until its subject may be free again, nobody looks at it."""
    lists = filed(("a", 1, PERMITS), ("b", 2, UPSTREAM), ("c", 3, FREE))
    opened = [list(lists.open_lists())]
    lists.open(PERMITS.subject)
    lists.open(UPSTREAM.subject)
    opened.append(sorted(lists.open_lists()))
    lists.leave("a")
    lists.file("a", rank(1), PERMITS)
    lists.leave("b")
    lists.file("b", rank(2), UPSTREAM)
    opened.append(sorted(lists.open_lists()))

    assert opened == [[FREE], sorted([PERMITS, UPSTREAM, FREE]), sorted([UPSTREAM, FREE])]
    assert lists.best(PERMITS) is None


@pytest.mark.parametrize("key", [FREE, PERMITS, UPSTREAM])
def test_lanes_that_have_left_may_not_start(key):
    lists = filed(("a", 1, key))
    lists.open(key.subject)
    before = lists.may_start(room()), lists.partitions(), list(lists.open_lists())
    lists.leave("a")
    after = lists.may_start(room()), lists.partitions(), list(lists.open_lists())

    assert (before, after) == ((True, {0}, [key]), (False, set(), []))


def test_whose_lane_is_filed_or_reserves_is_known():
    lists = filed(("a", 1, PERMITS), ("b", 2, FREE))
    lists.reserving.add("c")
    lists.leave("b")

    assert [lists.knows(lane) for lane in "abc"] == [True, False, True]


def test_the_partitions_of_open_lists_are_those_of_lanes_that_are_there():
    lists = filed(("a", 1, FREE._replace(partition=7)), ("b", 2, FREE._replace(partition=8)))
    lists.leave("a")

    assert lists.partitions() == {8}


def test_lanes_that_wait_for_an_upstream_come_by_rank_however_they_were_filed():
    """P2, D2"""
    lists = filed(("c", 3, UPSTREAM), ("a", 1, UPSTREAM), ("b", 2, UPSTREAM))
    lists.open(UPSTREAM.subject)
    sizes = [lists.size]
    lists.open(UPSTREAM.subject)
    sizes.append(lists.size)

    assert sizes == [3, 3], "opened twice, each is there once"
    assert taken(lists, room()) == ["a", "b", "c"]


@pytest.mark.parametrize("key", [FREE, PERMITS, UPSTREAM])
def test_outdated_entries_are_dropped_when_a_list_has_more_than_64(key):
    lists = Waitlists()
    sizes = []
    for number in range(66):
        lists.leave("a")
        lists.file("a", rank(number), key)
        sizes.append(lists.size)

    assert sizes == [*range(1, 65), 1, 2]


@pytest.mark.parametrize("key", [FREE, PERMITS, UPSTREAM])
def test_a_long_list_is_next_looked_through_when_it_has_four_times_as_many_entries(key):
    """Not at every filing, which would make each as dear as the list is long."""
    lists = filed(*((f"w{number}", number, key) for number in range(65)))
    sizes = []
    for number in range(100, 297):
        lists.leave("w0")
        lists.file("w0", rank(number), key)
        sizes.append(lists.size)

    assert sizes == [*range(66, 261), 65, 66]


@pytest.mark.parametrize(("lanes", "most"), [(1, 64), (16, 64), (20, 80)])
def test_outdated_notes_of_patience_are_dropped_when_there_are_more_than_64_and_four_for_each_lane(lanes, most):
    """B4"""
    names = [(f"w{number}", number, FREE) for number in range(lanes)]
    lists, without = filed(*names), filed(*names)
    sizes = []
    for number in range(most + 2):
        for each in (lists, without):
            each.leave("w0")
            each.file("w0", rank(number), FREE)
        lists.file_patient("first", "w0", rank(number), FREE)
        sizes.append(lists.size - without.size)

    assert sizes == [*range(1, most + 1), 1, 2]


@pytest.mark.parametrize("key", [FREE, PERMITS, UPSTREAM])
def test_lanes_come_by_rank_also_after_outdated_entries_were_dropped(key):
    """P2"""
    numbers = [number * 37 % 101 for number in range(100)]
    lists = filed(*((f"w{number}", number, key) for number in numbers))
    for number in numbers:
        lists.file_patient("first", f"w{number}", rank(number), key)
    for number in numbers:
        if number % 3:
            lists.leave(f"w{number}")
    for number in range(200, 1200):
        lists.leave("late")
        lists.file("late", rank(number), key)
        lists.file_patient("first", "late", rank(number), key)
    lists.open(key.subject)
    names = [f"w{number}" for number in range(0, 101, 3) if number in numbers] + ["late"]
    patient = []
    for _ in names:
        lane = lists.best_patient("first", key)[2]
        patient.append(lane)
        lists.leave(lane)

    assert patient == names
    assert lists.best_patient("first", key) is None
    assert list(lists.patient("first")) == []


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
    assert (lists.is_empty, list(lists.open(PERMITS.subject))) == (True, [])
