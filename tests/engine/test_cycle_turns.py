"""What a turn notices by itself: instants that come, clocks that are set, slots that are free, failures."""

from __future__ import annotations

from dataclasses import fields

import pytest
from worlds import Kept, World

from shiftboss.core.control import Request
from shiftboss.core.events import ClockStepped
from shiftboss.core.fleet import Processes
from shiftboss.core.model import NodeMode
from shiftboss.core.schedule import Every
from shiftboss.core.worker import Definition, Mode, Start
from shiftboss.engine.cycle import Cycle, Turn
from shiftboss.engine.mutation import drain, trigger
from shiftboss.errors import StoreRejected, StoreUnavailable
from shiftboss.stores.memory.reads import MemoryTransaction
from shiftboss.stores.memory.store import MemoryStore
from shiftboss.testing.clock import VirtualClock

MAIL = Definition(name="mail")


def test_two_turns_are_told_as_one():
    """Nothing of either is lost."""
    one = {"replies": [1], "starts": [2], "events": [3], "missed": [4], "put_off": [5]}
    other = {name: [10 * value[0]] for name, value in one.items()}
    both = Turn(**one).and_then(Turn(**other))

    assert {name: getattr(both, name) for name in one} == {name: one[name] + other[name] for name in one}


@pytest.mark.parametrize("flag", ["wrote", "again", "claims_read"])
@pytest.mark.parametrize("which", [(True, False), (False, True), (False, False)])
def test_what_either_turn_says_both_say(flag, which):
    first, second = (Turn(**{flag: said}) for said in which)
    both = first.and_then(second)

    assert {each.name for each in fields(Turn) if getattr(both, each.name)} == ({flag} if any(which) else set())


def test_what_comes_due_starts_without_anybody_having_written():
    """M2: the agenda alone knows of it."""
    world = World(MAIL)
    mutation, answer = world.trigger("mail", delay_s=5.0)
    world.turn(mutation)
    world.turn()
    world.clock.advance(4.999)
    assert world.turn().starts == []
    world.clock.advance(0.001)

    assert [start.run.id for start in world.turn().starts] == [answer.value.id]


@pytest.mark.parametrize(("step_s", "told"), [(1.999999, []), (2.0, [2.0]), (-2.0, [-2.0]), (3600.0, [3600.0])])
def test_a_clock_that_was_set_is_followed_by_the_first_turn_and_once(step_s, told):
    """O4: from two seconds on."""
    world = World(MAIL)
    world.clock.step_wall(step_s)
    turns = [world.turn(world.trigger("mail", delay_s=60.0)[0]) for _ in range(2)]
    steps = [event for turn in turns for event in turn.events if isinstance(event, ClockStepped)]

    assert [(event.step_s, event.node) for event in steps] == [(said, "one") for said in told]


def test_without_a_mutation_a_step_is_followed_too():
    """O4"""
    world = World(MAIL)
    world.clock.step_wall(60)

    assert [event.step_s for event in world.turn().events if isinstance(event, ClockStepped)] == [60.0]


def test_half_a_second_of_slewing_is_told_to_the_store():
    """O4: long before it could be taken for a step."""
    world = World(MAIL)
    before = world.store.tables.clock["mark"].offset_us
    world.clock.step_wall(0.4)
    world.turn(world.trigger("mail")[0])
    assert world.store.tables.clock["mark"].offset_us == before
    world.clock.step_wall(0.1)
    world.turn(world.trigger("mail")[0])
    assert world.store.tables.clock["mark"].offset_us == before + 500_000


def test_a_client_starts_nothing_and_follows_nothing_without_a_mutation():
    world = World(MAIL)
    client = Cycle(world.store.session(), world.clock, None)
    client.turn()
    world.clock.step_wall(60)
    assert client.turn().events == []
    answer = Kept()
    turn = client.turn([trigger(Request("mail"), answer)])

    assert turn.starts == []
    assert [(event.step_s, event.node) for event in turn.events if isinstance(event, ClockStepped)] == [(60.0, "")]


def test_what_lacked_a_slot_starts_when_one_is_free_and_not_on_a_node_that_drains():
    """G1, P3"""
    world = World(MAIL, slots=1)
    first, second = world.trigger("mail", priority=None)[0], world.trigger("mail")[0]
    (start,) = world.turn(first, second).starts
    assert len(world.turn(world.done(start)).starts) == 1

    busy = World(MAIL, slots=1)
    (start,) = busy.turn(busy.trigger("mail")[0], busy.trigger("mail")[0]).starts
    busy.turn(drain("one", by="ann", answer=Kept()))
    assert busy.cycle.snapshot.nodes["one"].mode is NodeMode.DRAINING
    assert busy.turn(busy.done(start)).starts == []
    assert busy.turn().starts == []


def test_after_a_failure_everything_is_read_anew(monkeypatch):
    """H5"""
    world = World(MAIL)
    reads = []
    refresh = world.cycle.cache.refresh

    def away(reader):
        raise StoreUnavailable("away")

    monkeypatch.setattr(world.cycle.cache, "refresh", away)
    with pytest.raises(StoreUnavailable):
        world.turn(world.trigger("mail")[0])
    assert not world.cycle.cache.is_read
    monkeypatch.setattr(world.cycle.cache, "refresh", lambda reader: reads.append(1) or refresh(reader))
    turn = world.turn(world.trigger("mail")[0])

    assert (len(reads), turn.claims_read, world.cycle.cache.is_read) == (1, True, True)


def test_a_node_without_news_of_others_rescues_nobody():
    """C4: it must have looked at their processes."""
    clock = VirtualClock()
    store = MemoryStore(clock=clock)
    one = World(MAIL, store=store, clock=clock, name="one")
    two = World(MAIL, store=store, clock=clock, name="two")
    one.turn(one.trigger("mail")[0])
    clock.advance(1000)

    assert two.turn(two.trigger("mail", delay_s=60.0)[0]).starts == []
    assert set(two.cycle.snapshot.nodes) == {"one", "two"}


def test_what_the_store_rejects_leaves_nothing_in_the_snapshot(monkeypatch):
    """W2: what was applied for it is forgotten before the halves are tried."""
    world = World(MAIL)
    write = MemoryTransaction.write

    def checked(tx, change, *, new):
        if any(run.key == "bad" for run in change.runs):
            raise StoreRejected("a constraint")
        write(tx, change, new=new)

    monkeypatch.setattr(MemoryTransaction, "write", checked)
    bad, refused = world.trigger("mail", key="bad")
    good, stored = world.trigger("mail", key="good")
    turn = world.turn(bad, good)

    assert isinstance(refused.error, StoreRejected)
    assert [start.run.id for start in turn.starts] == [stored.value.id]
    assert {run.key for run in world.cycle.snapshot.running.values()} == {"good"}
    assert world.store.tables.live.keys() == world.cycle.snapshot.running.keys()


def test_after_everything_was_read_anew_what_is_due_starts_in_that_very_turn():
    """H5, M2: the agenda is filled by that reading."""
    world = World(MAIL)
    mutation, answer = world.trigger("mail", delay_s=5.0)
    world.turn(mutation)
    world.cycle.forget()
    world.clock.advance(5)

    assert [start.run.id for start in world.turn().starts] == [answer.value.id]


def test_a_look_that_starts_something_still_says_that_claims_were_read():
    """C5: others may have taken what runs here."""
    clock = VirtualClock()
    store = MemoryStore(clock=clock)
    one = World(MAIL, store=store, clock=clock, name="one")
    two = World(Definition(name="other"), store=store, clock=clock, name="two")
    one.turn()
    two.turn(two.trigger("mail")[0])
    turn = one.turn()

    assert (len(turn.starts), turn.claims_read) == (1, True)


def test_what_comes_after_a_run_of_a_lost_node_is_stored_with_its_end():
    """C4, C7, M6: also where the lanes of those were not read yet."""
    clock = VirtualClock()
    store = MemoryStore(clock=clock)
    once = Definition(
        name="mail", at_most_once=True, mode=Mode.SCHEDULED, schedule=Every(60), concurrency=1, start=Start.NOW
    )
    one = World(once, store=store, clock=clock, name="one")
    two = World(Definition(name="other"), store=store, clock=clock, name="two")
    (lost,) = one.first.starts
    clock.advance(30)
    two.turn(processes=Processes(dead=frozenset({"one"})))

    assert lost.run.id in store.tables.history
    assert [run.worker for run in store.tables.live.values()] == ["mail"]
