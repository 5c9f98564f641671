"""What a node declares when it joins, and again when that is owed (M7)."""

from __future__ import annotations

from itertools import count

import pytest
from builders import a_definition, a_node, a_snapshot, at
from worlds import Kept

from shiftboss.core.declarations import Declaration, Declarations
from shiftboss.core.events import NodeJoined
from shiftboss.core.prevail import NOTHING_OWED, Owed
from shiftboss.core.value import replace
from shiftboss.engine.declaring import AGAIN_S, Declaring, declaring_node
from shiftboss.engine.mutation import Needs, prefer
from shiftboss.errors import CallerError, NotAllowed
from shiftboss.testing.clock import VirtualClock

JOB, OTHER = a_definition("job"), a_definition("other")
SIZES = {"db": 2}


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock("2026-06-01T12:00:00", boot="boot-1")


class Fleet:
    """A snapshot, and nodes that declare in it."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.world = a_snapshot(nodes=[])
        self.world.nodes.clear()
        self.dead: set[str] = set()

    def node(self, name: str, *definitions, sizes=SIZES, code_version: str = ""):
        node = a_node(name, *(each.name for each in definitions), code_version=code_version, lease_until_s=0.0)
        node = declaring_node(node, definitions, sizes)
        return node, Declaring(node, definitions, sizes, self.clock, is_dead=self.dead.__contains__)

    def apply(self, mutation):
        change, value = mutation.rule(self.world, self.clock.now(), ids=count(101))
        self.world.apply(change)
        return change, value

    def joins(self, name: str, *definitions, **options):
        node, declaring = self.node(name, *definitions, **options)
        answer = Kept()
        mutation = declaring.joins(node, answer)
        change, value = self.apply(mutation)
        return self.world.nodes[name], declaring, mutation, change, value

    def current(self, name: str) -> str:
        return self.world.workers[name].declarations.current


@pytest.fixture
def fleet(clock) -> Fleet:
    return Fleet(clock)


def test_a_node_knows_the_keys_of_what_it_declares_in_its_code():
    plain = declaring_node(a_node("n1"), [JOB], SIZES)
    versioned = declaring_node(a_node("n1", code_version="v1"), [JOB], SIZES)

    assert (set(plain.declares), plain.resources) == ({"job"}, {"db": "2"})
    assert versioned.declares["job"].startswith(plain.declares["job"] + ".")
    assert versioned.resources["db"].startswith("2.")


def test_it_declares_all_and_joins_in_one_change(fleet):
    node, _, mutation, change, changed = fleet.joins("n1", JOB, OTHER)

    assert set(fleet.world.workers) == {"job", "other"}
    assert fleet.world.resources == {"db": 2}
    assert (node.lease_until_s, node.boot) == (30.0, "boot-1")
    assert [event.node for event in change.events if isinstance(event, NodeJoined)] == ["n1"]
    assert set(changed) == {"job", "other"}
    assert (mutation.needs, mutation.answer is not None) == (Needs(lanes=("job", "other")), True)


def test_who_joins_later_with_other_code_declares_newer(fleet):
    first, declaring, *_ = fleet.joins("n1", JOB)
    fleet.clock.advance(1)
    newer = replace(JOB, timeout_s=5.0)
    second, *_ = fleet.joins("n2", newer)

    assert fleet.current("job") == second.declares["job"]
    assert declaring.owed(fleet.world, first) == NOTHING_OWED


def test_who_declares_again_changes_nothing_while_another_declares_newer(fleet):
    """M7: nor does it when it knows of newer code through the other node alone."""
    first, declaring, *_ = fleet.joins("n1", JOB)
    fleet.clock.advance(1)
    second, *_ = fleet.joins("n2", replace(JOB, timeout_s=5.0))
    fleet.apply(declaring.again(first))
    assert fleet.current("job") == second.declares["job"]

    fleet.dead.add("n2")
    fleet.apply(declaring.again(first))
    assert fleet.current("job") == first.declares["job"]


def test_when_who_declared_newer_is_gone_the_others_declare_theirs_again(fleet):
    first, declaring, *_ = fleet.joins("n1", JOB, OTHER)
    fleet.clock.advance(1)
    fleet.joins("n2", replace(JOB, timeout_s=5.0), sizes={})
    assert declaring.owed(fleet.world, first) == NOTHING_OWED

    fleet.dead.add("n2")
    owed = declaring.owed(fleet.world, first)
    assert owed == Owed(workers=("job",))
    again = declaring.again(first, owed)
    assert (again.needs, again.answer) == (Needs(lanes=("job",)), None)
    fleet.apply(again)
    assert fleet.current("job") == first.declares["job"]
    assert declaring.owed(fleet.world, first) == NOTHING_OWED


def test_whose_lease_has_ended_has_no_say(fleet):
    first, declaring, *_ = fleet.joins("n1", JOB)
    fleet.clock.advance(1)
    fleet.joins("n2", replace(JOB, timeout_s=5.0))
    fleet.clock.advance(28)
    first = replace(first, lease_until_s=60.0)
    fleet.world.nodes["n1"] = first
    assert declaring.owed(fleet.world, first) == NOTHING_OWED
    fleet.clock.advance(8)

    assert declaring.owed(fleet.world, first).workers == ("job",)


def test_it_never_takes_itself_for_dead(fleet):
    first, declaring, *_ = fleet.joins("n1", JOB)
    fleet.clock.advance(1)
    fleet.joins("n2", replace(JOB, timeout_s=5.0))
    fleet.dead.update(("n1", "n2"))

    assert declaring.owed(fleet.world, first).workers == ("job",)


def test_what_is_refused_is_said_and_tried_again_after_a_lease(fleet, monkeypatch, caplog):
    first, declaring, *_ = fleet.joins("n1", JOB)
    fleet.clock.advance(1)
    fleet.joins("n2", replace(JOB, timeout_s=5.0))
    fleet.dead.add("n2")

    def refused(*arguments, **options):
        raise CallerError("job and mail wait for each other")

    monkeypatch.setattr("shiftboss.engine.declaring.declare", refused)
    with pytest.raises(CallerError):
        fleet.apply(declaring.again(first, declaring.owed(fleet.world, first)))

    assert AGAIN_S == 30.0
    assert caplog.messages == [
        "this node's declarations should apply now but cannot: job and mail wait for each other; retrying in 30 s"
    ]
    fleet.world.nodes["n1"] = first = replace(first, lease_until_s=1000.0)
    fleet.clock.advance(29.9)
    assert declaring.owed(fleet.world, first) == NOTHING_OWED
    fleet.clock.advance(0.1)
    assert declaring.owed(fleet.world, first).workers == ("job",)


def test_without_a_word_it_declares_everything_again(fleet):
    first, declaring, *_ = fleet.joins("n1", JOB, OTHER)
    fleet.world.workers.clear()
    fleet.world.resources.clear()
    fleet.world.size_declarations.clear()
    fleet.world.rebuild()
    again = declaring.again(first)
    fleet.apply(again)

    assert again.needs == Needs(lanes=("job", "other"))
    assert (set(fleet.world.workers), fleet.world.resources) == ({"job", "other"}, SIZES)


def test_what_it_saw_of_its_own_declarations_it_remembers_for_a_store_that_has_lost_them(fleet):
    """M7, C9: with its number, so that they are as new as they were."""
    first, declaring, *_ = fleet.joins("n1", JOB)
    key = first.declares["job"]
    known = Declarations((Declaration(key, 77, at("06:00")),), key)
    fleet.world.workers["job"] = replace(fleet.world.workers["job"], declarations=known)
    fleet.world.size_declarations["db"] = Declarations((Declaration("2", 78, at("06:00")),), "2")
    declaring.owed(fleet.world, first)
    older = Declarations((Declaration(key, 5, at("05:00")),), key)
    fleet.world.workers["job"] = replace(fleet.world.workers["job"], declarations=older)
    declaring.owed(fleet.world, first)
    fleet.world.workers.clear()
    fleet.world.size_declarations.clear()
    fleet.world.rebuild()
    fleet.apply(declaring.again(first))

    assert fleet.world.workers["job"].declarations.find(key).number == 77
    assert fleet.world.size_declarations["db"].find("2").number == 78


def test_a_person_prefers_what_a_live_node_declares_and_it_declares_that_again(fleet):
    """M7, A1"""
    first, declaring, *_ = fleet.joins("n1", JOB)
    fleet.clock.advance(1)
    fleet.joins("n2", replace(JOB, timeout_s=5.0))
    change, names = fleet.apply(prefer("n1", worker="job", clock=fleet.clock, by="ann", answer=Kept()))

    assert (names, {event.by for event in change.events}) == (("job",), {"ann"})
    assert declaring.owed(fleet.world, first).workers == ("job",)


def test_what_a_node_declares_that_lives_no_more_cannot_be_preferred(fleet):
    """M7: whether it does is told by the clock of leases."""
    fleet.joins("n1", JOB)
    fleet.clock.advance(1)
    fleet.joins("n2", replace(JOB, timeout_s=5.0))
    fleet.clock.advance(30)

    with pytest.raises(NotAllowed):
        fleet.apply(prefer("n1", worker="job", clock=fleet.clock, by="ann", answer=Kept()))
