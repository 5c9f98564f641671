"""A cycle on a store that it shares: it applies and starts what it holds, and nothing of the rest is lost."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from worlds import Kept, World

from shiftboss.core.graph import partition_of
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition, Mode
from shiftboss.engine.membership import renew
from shiftboss.engine.mutation import drain
from shiftboss.stores.memory.store import MemoryStore
from shiftboss.testing.clock import VirtualClock

MAIL = Definition("mail", mode=Mode.TRIGGERED, concurrency=None)
BACKUP = Definition("backup", mode=Mode.TRIGGERED, concurrency=1)
ARCHIVE = Definition("archive", mode=Mode.TRIGGERED, concurrency=1, blocks=("backup",))


class Shared:
    """A store whose partitions others hold: those in `held`."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.held: set[int] = set()
        self.asked: list[set[int]] = []
        self.store = MemoryStore(clock=self.clock, to_be_had=self.to_be_had)

    def to_be_had(self, wanted: Collection[int]) -> list[int]:
        self.asked.append(set(wanted))
        return [partition for partition in wanted if partition not in self.held]

    def world(self, *definitions: Definition, name: str = "one", slots: int = 10) -> World:
        world = World(*definitions, store=self.store, clock=self.clock, name=name, slots=slots)
        world.turn()
        return world


@pytest.fixture
def shared() -> Shared:
    return Shared()


def test_a_turn_asks_for_the_partitions_of_its_mutations_and_no_others(shared):
    world = shared.world(MAIL, BACKUP, ARCHIVE)
    shared.asked.clear()
    world.turn(world.trigger("mail")[0])
    world.turn(world.trigger("backup")[0])

    assert shared.asked == [
        {partition_of("mail")},
        {partition_of("archive")},
    ]  # the first of the component gives it its place


def test_mutations_whose_partition_others_hold_come_back_and_the_others_are_applied(shared):
    world = shared.world(MAIL, BACKUP)
    shared.held = {partition_of("backup")}
    mail, mail_answer = world.trigger("mail")
    backup, backup_answer = world.trigger("backup")
    turn = world.turn(backup, mail)

    assert [start.run.worker for start in turn.starts] == ["mail"]
    assert mail_answer.value is not None
    assert (turn.missed, backup_answer.value, turn.again) == ([backup], None, True)
    shared.held = set()
    turn = world.turn(*turn.missed)
    assert ([start.run.worker for start in turn.starts], turn.missed) == (["backup"], [])


def test_beside_others_due_lanes_of_other_partitions_have_a_turn_of_their_own(shared):
    world = shared.world(MAIL, BACKUP, slots=1)
    (running,) = world.turn(world.trigger("mail")[0]).starts
    world.turn(world.trigger("backup")[0])  # it starves: there is one slot
    shared.held = {partition_of("backup")}
    turn = world.turn(world.done(running), world.trigger("backup")[0])

    assert (turn.starts, len(turn.missed), turn.again) == ([], 1, True)
    shared.held = set()
    starts = world.turn().starts or world.turn().starts
    assert [start.run.worker for start in starts] == ["backup"]


def test_what_others_committed_elsewhere_is_looked_at_before_a_wait(shared):
    """A2: the narrow news of a turn are not all the news."""
    one, two = shared.world(MAIL, BACKUP), shared.world(MAIL, BACKUP, name="two", slots=0)
    one.turn()
    two.turn(two.trigger("backup")[0])
    turn = one.turn(one.trigger("mail")[0])

    assert ([start.run.worker for start in turn.starts], turn.again) == (["mail"], True)
    assert [start.run.worker for start in one.turn().starts] == ["backup"]
    assert not one.turn().again


def test_after_a_declaration_a_turn_has_the_whole_store_once(shared):
    """Two nodes never hold different partitions for one component."""
    one = shared.world(MAIL, BACKUP)
    two = shared.world(MAIL, BACKUP, ARCHIVE, name="two")
    shared.asked.clear()
    turn = one.turn(one.trigger("backup")[0])
    assert [start.run.worker for start in turn.starts] == ["backup"]
    assert shared.asked == [{partition_of("backup")}]  # then it saw, and began again with all of it
    blocked = two.turn(two.trigger("archive")[0])

    assert blocked.starts == []
    one.turn(one.trigger("backup")[0])
    assert shared.asked[-1] == {partition_of("archive")}


def noted(world: World, monkeypatch) -> list[tuple[set[int] | None, bool]]:
    """What each transaction of *world* asks for from now on, and whether it waits for the first."""
    calls: list[tuple[set[int] | None, bool]] = []
    begin = world.session.begin

    def beginning(wanted, *, waits, runs):
        calls.append((None if wanted is None else set(wanted), waits))
        return begin(wanted, waits=waits, runs=runs)

    monkeypatch.setattr(world.session, "begin", beginning)
    return calls


def test_a_partition_that_was_missed_is_waited_for_the_next_time(shared, monkeypatch):
    """Or a busy holder would starve who only looks in."""
    world = shared.world(MAIL, BACKUP)
    calls = noted(world, monkeypatch)
    shared.held = {partition_of("backup")}
    turn = world.turn(world.trigger("backup")[0])
    turn = world.turn(*turn.missed)
    turn = world.turn(*turn.missed)  # that wait was in vain
    world.clock.advance(1)
    shared.held = set()
    turn = world.turn(*turn.missed)

    assert [partitions for partitions, _ in calls] == [{partition_of("backup")}] * 4
    assert [waits for _, waits in calls] == [False, True, False, True]
    assert [start.run.worker for start in turn.starts] == ["backup"]


def test_a_store_may_give_the_whole_where_partitions_were_asked_for(shared, monkeypatch):
    """C9: to examine itself after it was put back."""
    world = shared.world(MAIL, BACKUP)
    begin = world.session.begin
    monkeypatch.setattr(world.session, "begin", lambda wanted, *, waits, runs: begin(None, waits=waits, runs=runs))
    shared.held = {partition_of("backup")}
    turn = world.turn(world.trigger("backup")[0])

    assert ([start.run.worker for start in turn.starts], turn.missed) == (["backup"], [])


def test_alone_a_turn_asks_for_what_is_due_and_for_what_lacked_a_slot_as_well(shared, monkeypatch):
    """P3: one transaction does all of it."""
    world = shared.world(MAIL, BACKUP, slots=1)
    (start,) = world.turn(world.trigger("mail")[0]).starts
    world.turn(world.trigger("backup")[0])
    calls = noted(world, monkeypatch)
    turn = world.turn(world.done(start))

    assert calls == [({partition_of("mail"), partition_of("backup")}, False)]
    assert [each.run.worker for each in turn.starts] == ["backup"]


def test_what_lacked_a_slot_in_a_partition_that_others_hold_is_looked_at_again_at_once(shared):
    """P3: a slot is free for it now."""
    world = shared.world(MAIL, BACKUP, slots=1)
    (start,) = world.turn(world.trigger("mail")[0], world.trigger("backup")[0]).starts
    shared.held = {partition_of("backup")}
    turn = world.turn(world.done(start))
    assert (start.run.worker, turn.starts, turn.missed, turn.again) == ("mail", [], [], True)
    shared.held = set()

    assert [each.run.worker for each in world.turn().starts] == ["backup"]


def test_a_worker_that_is_gone_waits_nowhere(shared):
    world = shared.world(MAIL)
    world.cycle.snapshot.dirty.add("gone")
    turn = world.turn(world.trigger("mail")[0])

    assert (turn.again, world.cycle.snapshot.dirty) == (False, set())


def test_while_no_slot_is_free_nothing_elsewhere_is_looked_at(shared):
    """P3: it would be in vain, turn after turn."""
    world = shared.world(MAIL, BACKUP, slots=1)
    world.turn(world.trigger("mail")[0])
    world.turn(world.trigger("backup")[0])
    shared.held = {partition_of("backup")}

    assert world.turn(world.trigger("mail")[0]).again is False


def test_a_draining_node_looks_at_nothing_elsewhere(shared):
    """G1"""
    world = shared.world(MAIL, BACKUP, slots=1)
    (start,) = world.turn(world.trigger("mail")[0], world.trigger("backup")[0]).starts
    world.turn(drain("one", by="ada", answer=Kept()))
    shared.held = {partition_of("backup")}
    turn = world.turn(world.done(start))

    assert (turn.starts, turn.missed, turn.again) == ([], [], False)


def test_a_declaration_takes_the_whole_store_also_alone(shared, monkeypatch):
    """M7: it may change any component."""
    world = shared.world(MAIL, BACKUP)
    calls = noted(world, monkeypatch)
    world.declare(MAIL)

    assert calls == [(None, False)]


def test_the_store_is_told_how_many_runs_the_mutations_will_store(shared, monkeypatch):
    """It draws their ids in one go."""
    world = shared.world(MAIL, BACKUP)
    told, begin = [], world.session.begin
    monkeypatch.setattr(world.session, "begin", lambda *a, **o: told.append(o["runs"]) or begin(*a, **o))
    world.turn(world.trigger("mail")[0], world.trigger("backup")[0])
    world.turn(renew(world.node, world.clock))

    assert told == [2, 0]


def test_a_clock_that_is_set_while_a_turn_waits_for_its_partitions_is_followed_in_that_turn(shared, monkeypatch):
    """O4: with the whole store."""
    world = shared.world(MAIL)
    calls = noted(world, monkeypatch)
    begin = world.session.begin

    def beginning(*a, **o):
        if not calls:
            world.clock.step_wall(60)
        return begin(*a, **o)

    monkeypatch.setattr(world.session, "begin", beginning)
    turn = world.turn(world.trigger("mail")[0])

    assert calls == [({partition_of("mail")}, False), (None, False)]
    assert "ClockStepped" in {type(event).__name__ for event in turn.events}


def test_what_was_due_while_others_ran_is_asked_for_alone(shared, monkeypatch):
    """Lanes in which nothing can start are not locked."""
    world = shared.world(MAIL, BACKUP)
    world.turn(
        world.trigger("backup")[0], world.trigger("mail", delay_s=5.0)[0], world.trigger("backup", delay_s=5.0)[0]
    )
    shared.clock.advance(5)
    calls = noted(world, monkeypatch)
    turn = world.turn()

    assert [start.run.worker for start in turn.starts] == ["mail"]
    assert calls == [({partition_of("mail")}, False)]


@pytest.mark.parametrize("what", ["expires", "clock"])
def test_what_time_does_takes_the_whole_store(shared, monkeypatch, what):
    """T1, O4: it may concern any worker."""
    world = shared.world(MAIL, replace(BACKUP, start_within_s=5.0))
    world.turn(world.trigger("backup")[0], world.trigger("backup")[0])
    if what == "expires":
        shared.clock.advance(5)
    else:
        shared.clock.step_wall(60)
    calls = noted(world, monkeypatch)
    turn = world.turn(world.trigger("mail")[0])

    assert calls[0] == (None, False)
    assert {"expires": "DeadLettered", "clock": "ClockStepped"}[what] in {type(event).__name__ for event in turn.events}


def test_before_anything_was_read_a_turn_takes_the_whole_store(shared, monkeypatch):
    """It cannot know yet what lies where."""
    world = shared.world(MAIL)
    world.cycle.forget()
    calls = noted(world, monkeypatch)
    world.turn(world.trigger("mail")[0])

    assert calls == [(None, False)]


def test_a_turn_with_some_partitions_goes_by_the_clock_as_the_store_has_it(shared):
    """O4: another node has followed it meanwhile."""
    one, two = shared.world(MAIL, BACKUP), shared.world(MAIL, BACKUP, name="two")
    one.turn()
    shared.clock.step_wall(0.5)
    two.turn(two.trigger("mail", delay_s=60.0)[0], whole=True)
    one.turn(one.trigger("backup")[0])

    mark = shared.store.tables.clock["mark"]
    assert one.cycle.snapshot.clock == mark
    assert mark.offset_us != 0


def test_after_a_look_mutations_are_taken_again(shared):
    """Even if there was nothing to see."""
    one, two = shared.world(MAIL, BACKUP), shared.world(MAIL, BACKUP, name="two", slots=0)
    one.turn()
    two.turn(two.trigger("backup")[0])
    shared.clock.advance(1)
    one.turn(one.trigger("mail")[0])
    assert one.cycle.owes_look
    one.turn()
    assert not one.cycle.owes_look
    one.cycle.owes_look = True
    one.turn()
    assert not one.cycle.owes_look


def test_who_leaves_misses_nothing(shared):
    """G2: a report at the end is not put off."""
    world = shared.world(MAIL)
    (start,) = world.turn(world.trigger("mail")[0]).starts
    shared.held = {partition_of("mail")}
    turn = world.turn(world.done(start), whole=True)

    assert turn.missed == []
    assert world.cycle.snapshot.running == {}


def test_a_disabled_worker_was_free_and_its_claims_are_learnt_all_the_same(shared):
    """K5: a probe of a neighbour is seen, although nobody had told of it."""
    one, two = shared.world(MAIL), shared.world(MAIL, name="two")
    one.turn()
    (start,) = two.turn(two.trigger("mail")[0]).starts
    one.turn(one.trigger("mail")[0])
    assert start.run.id not in one.cycle.snapshot.running
    one.cycle.cache._learn_of([start.run.id], _Reader(one))

    assert start.run.id in one.cycle.snapshot.running


class _Reader:
    def __init__(self, world: World) -> None:
        self._session = world.session

    def runs(self, ids):
        with self._session.read() as reader:
            return reader.runs(ids)
