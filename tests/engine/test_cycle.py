"""The cycle on a memory store and a virtual clock."""

from __future__ import annotations

import pytest
from worlds import Kept, World

from shiftboss.core.fleet import Processes
from shiftboss.core.model import Status
from shiftboss.core.schedule import Every
from shiftboss.core.worker import Definition, Mode, Start
from shiftboss.engine.membership import renew
from shiftboss.engine.mutation import disable
from shiftboss.errors import StoreRejected, StoreUnavailable, UnknownWorker
from shiftboss.stores.memory.reads import MemoryReader
from shiftboss.stores.memory.store import MemoryStore
from shiftboss.testing.clock import VirtualClock

MAIL = Definition(name="mail")
TICK = Definition(name="tick", mode=Mode.SCHEDULED, schedule=Every(60), start=Start.NOW, concurrency=1)


def commits(store: MemoryStore) -> int:
    return store.tables.number


def test_a_trigger_that_can_start_is_stored_already_claimed():
    """W1: its answer and its start come from one commit."""
    world = World(MAIL)
    mutation, answer = world.trigger("mail")
    turn = world.turn(mutation)

    assert [s.run.id for s in turn.starts] == [answer.value.id]
    with world.session.read() as reader:
        assert [run.status for run in reader.runs([answer.value.id])] == [Status.RUNNING]


def test_a_rule_that_refuses_leaves_no_change_and_harms_nobody():
    world = World(MAIL)
    good, good_answer = world.trigger("mail")
    bad, bad_answer = world.trigger("nobody")
    turn = world.turn(bad, good)

    assert isinstance(bad_answer.error, UnknownWorker)
    assert [s.run.id for s in turn.starts] == [good_answer.value.id]


def test_with_nothing_to_do_it_takes_no_lock():
    """Or each commit of a neighbour would cost every process a write lock."""
    world = World(MAIL)
    world.turn()
    before = commits(world.store)

    for _ in range(10):
        world.turn()

    assert commits(world.store) == before


def test_a_neighbours_commit_is_seen_and_costs_no_lock_either():
    clock = VirtualClock()
    store = MemoryStore(clock=clock)
    one = World(MAIL, store=store, clock=clock, name="one")
    two = World(MAIL, store=store, clock=clock, name="two")
    one.turn()
    mutation, _ = two.trigger("mail")
    two.turn(mutation)
    before = commits(store)
    turn = one.turn()

    assert turn.claims_read
    assert commits(store) == before
    assert len(one.cycle.snapshot.running) == 1


def test_a_failed_commit_changes_nothing_and_the_next_turn_knows_everything_again(monkeypatch):
    """H5: what was applied to the snapshot cache for a commit that failed is forgotten."""
    world = World(MAIL, TICK)
    begin = world.session.begin

    def broken(wanted, *, waits, runs):
        raise StoreUnavailable("away")

    monkeypatch.setattr(world.session, "begin", broken)
    mutation, _ = world.trigger("mail")
    with pytest.raises(StoreUnavailable):
        world.cycle.turn([mutation])
    monkeypatch.setattr(world.session, "begin", begin)
    turn = world.turn(*(world.done(start) for start in world.first.starts))

    assert turn.claims_read
    assert set(world.cycle.snapshot.workers) == {"mail", "tick"}
    assert world.cycle.snapshot.running == {}


def test_a_batch_that_the_store_rejects_is_halved_until_the_fact_to_blame_stands_alone(monkeypatch):
    world = World(MAIL)
    mutations, answers = zip(*(world.trigger("mail", by=str(n)) for n in range(7)), strict=True)
    write_turn = world.cycle._write_turn

    def poisoned(batch, dead, *, whole):
        if any(mutation is mutations[4] for mutation in batch):
            raise StoreRejected("a constraint")
        return write_turn(batch, dead, whole=whole)

    monkeypatch.setattr(world.cycle, "_write_turn", poisoned)
    turn = world.turn(*mutations)

    assert [n for n, answer in enumerate(answers) if isinstance(answer.error, StoreRejected)] == [4]
    assert [n for n, answer in enumerate(answers) if answer.value is not None] == [0, 1, 2, 3, 5, 6]
    assert len(turn.starts) == 6
    assert (turn.again, turn.claims_read) == (True, True), "what others did meanwhile was read on the way"


def test_two_nodes_on_one_store_fire_an_occurrence_once():
    """O1, M7"""
    clock = VirtualClock()
    store = MemoryStore(clock=clock)
    worlds = [World(TICK, store=store, clock=clock, name=name) for name in ("one", "two", "three")]
    starts = [start.run.occurs_at for world in worlds for start in (*world.first.starts, *world.turn().starts)]

    assert len(starts) == 1


def test_the_agenda_knows_the_next_instant_so_that_nobody_polls():
    world = World(TICK)
    (start,) = world.first.starts
    world.turn(world.done(start))
    world.turn()

    assert (world.cycle.agenda.next_at - start.run.occurs_at).total_seconds() == 60


def test_a_stale_report_changes_nothing():
    """C5"""
    world = World(MAIL)
    mutation, answer = world.trigger("mail")
    (start,) = world.turn(mutation).starts
    world.turn(world.done(start))
    turn = world.turn(world.done(start))

    assert [type(event).__name__ for event in turn.events] == ["StaleReport"]
    with world.session.read() as reader:
        assert [run.status for run in reader.runs([answer.value.id])] == [Status.SUCCEEDED]


def test_runs_of_a_dead_node_start_elsewhere_at_once():
    """C4"""
    clock = VirtualClock()
    store = MemoryStore(clock=clock)
    one = World(MAIL, store=store, clock=clock, name="one")
    two = World(MAIL, store=store, clock=clock, name="two")
    mutation, answer = one.trigger("mail")
    one.turn(mutation)
    turn = two.turn(processes=Processes(dead=frozenset({"one"})))

    assert [start.run.id for start in turn.starts] == [answer.value.id]
    assert (turn.starts[0].run.attempt, turn.starts[0].run.interruptions) == (1, 1)


def test_nobody_is_taken_for_dead_who_could_not_renew_while_the_clock_was_followed(monkeypatch):
    """O4, C4: millions of waiting runs take longer than a lease has left, and the store is one node's alone."""
    clock = VirtualClock()
    store = MemoryStore(clock=clock)
    one = World(MAIL, store=store, clock=clock, name="one")
    two = World(Definition(name="other"), store=store, clock=clock, name="two")
    mutation, answer = one.trigger("mail")
    one.turn(mutation)
    for world, at_s in ((one, 29), (two, 30)):
        clock.advance(at_s - clock.elapsed_s())
        world.turn(renew(world.node, clock))
    clock.advance(9)
    two.turn(renew(two.node, clock))
    real = store.tables.shift_waiting

    def slowly(*args, **options):
        clock.advance(28)
        real(*args, **options)

    monkeypatch.setattr(store.tables, "shift_waiting", slowly)
    clock.step_wall(3600)
    two.turn(processes=Processes())

    assert clock.elapsed_s() == 67  # the lease of the one would have ended at 59
    assert {node.id: node.lease_until_s for node in store.tables.nodes.values()} == {"one": 59 + 28, "two": 69 + 28}
    with two.session.read() as reader:
        assert [run.status for run in reader.runs([answer.value.id])] == [Status.RUNNING]


def test_the_waiting_runs_of_a_disabled_worker_are_read_once_and_as_a_prefix(monkeypatch):
    """A thousand stand for a million: no turn costs more because they wait."""
    world = World(MAIL, Definition(name="other"))
    world.turn(*(world.trigger("mail", delay_s=5.0)[0] for _ in range(1000)))
    world.turn(disable("mail", by="me", reason="", answer=Kept()))
    world.cycle.forget()
    read = []
    lanes = MemoryReader.lanes

    def noted(reader, names, *, limit):
        found = lanes(reader, names, limit=limit)
        read.append({name: len(lane) for name, lane in found.items()})
        return found

    monkeypatch.setattr(MemoryReader, "lanes", noted)
    world.clock.advance(5)
    world.turn()
    for _ in range(3):
        mutation, answer = world.trigger("other")
        assert [start.run.id for start in world.turn(mutation).starts] == [answer.value.id]

    assert [each["mail"] for each in read if "mail" in each] == [256]
