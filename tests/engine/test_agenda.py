"""When a lane is looked at again."""

from __future__ import annotations

import pytest
from builders import a_run, at

from shiftboss.core import subject
from shiftboss.core.policy import Priority
from shiftboss.core.room import SlotClass
from shiftboss.core.waitlists import SLOT, Key
from shiftboss.engine.agenda import Agenda

RANK = (1, at("12:00"), 1)


@pytest.fixture
def agenda() -> Agenda:
    return Agenda()


def test_the_earliest_instant_of_a_lane_counts(agenda):
    agenda.look_at("a", at("12:30"))
    agenda.look_at("a", at("12:10"))
    agenda.look_at("a", at("12:20"))

    assert agenda.next_at == at("12:10")
    assert agenda.due(at("12:10")) == {"a"}
    assert (agenda.next_at, agenda.due(at("13:00"))) == (None, set())


def test_a_lane_is_due_at_its_instant_and_not_before(agenda):
    agenda.look_at("a", at("12:10"))

    assert agenda.due(at("12:09:59")) == set()
    assert agenda.due(at("12:10")) == {"a"}


def test_all_lanes_whose_instant_has_come_are_due_and_the_others_stay(agenda):
    for lane, instant in (("a", "12:10"), ("b", "12:05"), ("c", "12:20")):
        agenda.look_at(lane, at(instant))

    assert agenda.next_at == at("12:05")
    assert agenda.due(at("12:15")) == {"a", "b"}
    assert agenda.next_at == at("12:20")


def test_what_was_looked_at_has_no_instant_any_more(agenda):
    for lane in ("a", "b"):
        agenda.look_at(lane, at("12:10"))
    agenda.look_at("c", at("12:30"))
    agenda.looked(["a", "b", "unknown"])

    assert agenda.next_at == at("12:30")
    assert agenda.due(at("12:20")) == set()


def test_after_a_look_a_later_instant_counts(agenda):
    """The earlier one is used up, although it still lies in the heap."""
    agenda.look_at("a", at("12:10"))
    agenda.looked(["a"])
    agenda.look_at("a", at("12:30"))

    assert agenda.due(at("12:10")) == set()
    assert agenda.next_at == at("12:30")


def test_what_was_due_has_no_instant_any_more_so_a_later_one_counts(agenda):
    agenda.look_at("a", at("12:10"))
    agenda.due(at("12:10"))
    agenda.look_at("a", at("12:30"))

    assert (agenda.next_at, agenda.due(at("12:30"))) == (at("12:30"), {"a"})


def test_the_same_instant_again_is_due_once(agenda):
    agenda.look_at("a", at("12:10"))
    agenda.looked(["a"])
    agenda.look_at("a", at("12:10"))

    assert agenda.due(at("12:10")) == {"a"}
    assert agenda.due(at("12:10")) == set()


@pytest.mark.parametrize("kept", ["unasked", "held_by_nodes", "held_by_company", "isolated", "waitlists"])
def test_what_a_look_at_a_lane_would_change_is_known(agenda, kept):
    if kept == "isolated":
        agenda.isolated["a"] = a_run("a")
    elif kept == "waitlists":
        agenda.waitlists.file("a", RANK, Key(0, SLOT, SlotClass("coroutine", Priority.NORMAL)))
    else:
        getattr(agenda, kept).add("a")

    assert (agenda.knows("a"), agenda.knows("b")) == (True, False)


@pytest.mark.parametrize("kept", ["unasked", "held_by_nodes", "held_by_company"])
def test_what_lanes_lacked_is_forgotten_when_they_are_looked_at(agenda, kept):
    getattr(agenda, kept).update(("a", "b"))
    agenda.looked(["a"])

    assert getattr(agenda, kept) == {"b"}


def test_when_the_time_of_what_many_wait_for_has_come_their_list_is_open(agenda):
    key = Key(0, subject.breaker("x"), SlotClass("coroutine", Priority.NORMAL))
    agenda.waitlists.file("a", RANK, key)
    agenda.open_at(subject.breaker("x"), at("12:10"))

    assert (agenda.next_at, agenda.due(at("12:09")), agenda.waitlists.best(key)) == (at("12:10"), set(), None)
    assert (agenda.due(at("12:10")), agenda.waitlists.best(key)[2], agenda.next_at) == (set(), "a", None)


def test_when_everything_is_read_anew_nothing_is_left(agenda):
    agenda.look_at("a", at("12:10"))
    agenda.unasked.add("b")
    agenda.waitlists.file("b", RANK, Key(0, SLOT, SlotClass("coroutine", Priority.NORMAL)))
    agenda.open_at(subject.breaker("x"), at("12:10"))
    agenda.held_by_nodes.add("c")
    agenda.held_by_company.add("d")
    agenda.isolated["e"] = a_run("e")
    agenda.clear()

    assert (agenda.next_at, agenda.due(at("13:00"))) == (None, set())
    assert (agenda.unasked, agenda.held_by_nodes, agenda.held_by_company) == (set(), set(), set())
    assert (agenda.isolated, agenda.waitlists.places("b")) == ({}, set())

    agenda.look_at("a", at("12:20"))
    assert agenda.next_at == at("12:20"), "the old instant is forgotten, so a later one counts"
