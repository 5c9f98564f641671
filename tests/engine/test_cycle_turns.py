"""What a turn notices by itself: instants that come, clocks that are set, slots that are free, failures."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from worlds import Kept, World

from shiftboss.core.control import Request
from shiftboss.core.events import ClockStepped
from shiftboss.core.fleet import Processes
from shiftboss.core.model import Attempt, Cause, Error, Failed, NodeMode, Run, Shed, Status
from shiftboss.core.policy import Priority
from shiftboss.core.schedule import Every
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition, Misfire, Mode, OnFailure, Start, Upstream
from shiftboss.engine.cycle import Cycle, Turn
from shiftboss.engine.membership import renew, shed
from shiftboss.engine.mutation import drain, trigger
from shiftboss.errors import StoreRejected, StoreUnavailable
from shiftboss.stores.encryption import encoded
from shiftboss.stores.memory.reads import MemoryReader, MemoryTransaction
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


def test_what_was_stored_in_the_turn_of_a_rescue_is_in_the_lanes_that_it_reads():
    """C4, M6: lanes that were not read yet."""
    clock = VirtualClock()
    store = MemoryStore(clock=clock)
    after_mail = Definition(name="after", after=("mail",))
    one = World(MAIL, after_mail, store=store, clock=clock, name="one")
    one.turn(one.trigger("mail")[0])
    two = World(MAIL, after_mail, store=store, clock=clock, name="two")
    two.cycle.snapshot.lanes.pop("after", None)
    mutation, answer = two.trigger("after")
    turn = two.turn(mutation, processes=Processes(dead=frozenset({"one"})))

    assert answer.value.id in {start.run.id for start in turn.starts}


def test_a_run_is_skipped_for_its_upstream_and_the_next_one_is_stored_with_it():
    """D5, M3"""
    tick = Definition(
        name="tick",
        mode=Mode.SCHEDULED,
        schedule=Every(60),
        concurrency=1,
        start=Start.NOW,
        depends_on=(Upstream("up", on_failure=OnFailure.SKIP),),
    )
    world = World(Definition(name="up"), tick)
    (run,) = world.store.tables.live.values()
    (start,) = world.turn(world.trigger("up", at=run.occurs_at)[0]).starts
    turn = world.turn(world.done(start, Failed(Error(type="E"), fatal=True)))

    assert (turn.starts, turn.again) == ([], True)
    assert world.store.tables.history[run.id].status is Status.SKIPPED
    (successor,) = world.store.tables.live.values()
    assert successor.occurs_at - run.occurs_at == timedelta(seconds=60)


def test_a_draining_node_with_a_free_slot_does_not_look_at_what_waits():
    """G1: or it would read the store at each turn, for nothing."""
    world = World(MAIL, slots=1)
    (start,) = world.turn(world.trigger("mail")[0], world.trigger("mail")[0]).starts
    world.turn(drain("one", by="ann", answer=Kept()))
    world.turn(world.done(start))
    reads = []
    read = world.session.read
    world.session.read = lambda: reads.append(1) or read()
    world.turn()
    world.turn()

    assert reads == []


def test_a_client_rescues_nobody():
    """C4: it has no lease of its own, by which it could tell."""
    world = World(MAIL)
    (start,) = world.turn(world.trigger("mail")[0]).starts
    client = Cycle(world.store.session(), world.clock, None)
    client.turn(processes=Processes(dead=frozenset({"one"})))

    assert set(world.store.tables.nodes) == {"one"}
    assert world.store.tables.live[start.run.id].status is Status.RUNNING


def test_a_client_reads_no_lanes(monkeypatch):
    """It starts nothing, so it need not know what waits."""
    world, asked = World(MAIL), []
    changes = MemoryReader.changes
    monkeypatch.setattr(
        MemoryReader, "changes", lambda reader, *, lanes: asked.append(lanes) or changes(reader, lanes=lanes)
    )
    Cycle(world.store.session(), world.clock, None).turn()
    world.cycle.forget()
    world.turn()

    assert asked == [0, 256]


def test_what_is_due_and_held_costs_no_lock_however_often_others_commit():
    """C6, D3: a look decides that nothing starts."""
    clock = VirtualClock()
    store = MemoryStore(clock=clock)
    one = World(Definition(name="mail", concurrency=1), store=store, clock=clock, name="one")
    two = World(Definition(name="other"), store=store, clock=clock, name="two")
    one.turn(*(one.trigger("mail")[0] for _ in range(2)))
    begun = []
    begin = one.session.begin
    one.session.begin = lambda *a, **o: begun.append(1) or begin(*a, **o)
    for _ in range(3):
        two.turn(two.trigger("mail")[0])
        assert one.turn().starts == []

    assert begun == []


def test_the_store_is_told_how_many_next_runs_a_look_will_store(monkeypatch):
    """M3: it draws their ids in one go."""
    world = World(Definition(name="tick", mode=Mode.SCHEDULED, schedule=Every(60), concurrency=1))
    (run,) = world.store.tables.live.values()
    told = []
    begin = world.session.begin
    monkeypatch.setattr(world.session, "begin", lambda *a, **o: told.append(o["runs"]) or begin(*a, **o))
    world.clock.advance(60)
    (start,) = world.turn().starts

    assert (start.run.id, told) == (run.id, [1])


def test_what_others_changed_between_the_look_and_the_lock_is_read():
    """C5: also of the claims."""
    clock = VirtualClock()
    store = MemoryStore(clock=clock)
    one = World(MAIL, store=store, clock=clock, name="one")
    two = World(MAIL, store=store, clock=clock, name="two")
    one.turn()
    one.turn(one.trigger("mail", delay_s=5.0)[0])
    one.turn()
    clock.advance(5)
    begin = one.session.begin

    def beginning(*a, **o):
        one.session.begin = begin
        two.turn()
        return begin(*a, **o)

    one.session.begin = beginning
    turn = one.turn()

    assert (turn.starts, turn.claims_read) == ([], True)
    assert [run.claim.node for run in store.tables.live.values()] == ["two"]


def test_a_lane_that_was_dropped_as_too_large_is_read_again(monkeypatch):
    """Its runs wait all the same."""
    monkeypatch.setattr("shiftboss.engine.snapshot_cache.MAX_LANE", 3)
    world = World(MAIL, slots=2)
    starts = world.turn(*(world.trigger("mail")[0] for _ in range(8))).starts
    started = [start.run.id for start in starts]
    for _ in range(10):
        starts = world.turn(*(world.done(start) for start in starts)).starts
        started += [start.run.id for start in starts]

    assert len(started) == len(set(started)) == 8


# ── the clock ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_step_whose_commit_failed_is_followed_by_the_next_turn_although_nothing_arrives(monkeypatch):
    """O4, H5"""
    world = World(MAIL)
    begin = world.session.begin

    @contextmanager
    def failing(*a, **o):
        with begin(*a, **o) as tx:
            yield tx
            raise StoreUnavailable("away")

    monkeypatch.setattr(world.session, "begin", failing)
    world.clock.step_wall(60)
    with pytest.raises(StoreUnavailable):
        world.turn()
    monkeypatch.setattr(world.session, "begin", begin)

    assert [event.step_s for event in world.turn().events if isinstance(event, ClockStepped)] == [60.0]
    assert world.turn().events == []


def test_how_far_the_clock_was_set_is_kept_in_the_store():
    """O4: so that of many nodes only the first follows it."""
    clock = VirtualClock()
    store = MemoryStore(clock=clock)
    one = World(MAIL, store=store, clock=clock, name="one")
    two = World(MAIL, store=store, clock=clock, name="two")
    two.turn()
    clock.step_wall(60)
    one.turn()
    turn = two.turn(two.trigger("mail", delay_s=60.0)[0])

    mark = store.tables.clock["mark"]
    assert (mark.set_us, len(mark.steps)) == (60_000_000, 1)
    assert [event for event in turn.events if isinstance(event, ClockStepped)] == []


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_after_a_step_the_next_scheduled_time_comes_when_it_would_have_come(step_s):
    """O4, M4: in elapsed time."""
    world = World(Definition(name="tick", mode=Mode.SCHEDULED, schedule=Every(60), concurrency=1, start=Start.NOW))
    world.turn(world.done(world.first.starts[0]))
    world.turn()
    world.clock.advance(10)
    world.clock.step_wall(step_s)
    world.turn()
    world.clock.advance(49.999)
    assert world.turn().starts == []
    world.clock.advance(0.002)  # a microsecond more, where the same time would come a second time

    assert len(world.turn().starts) == 1


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_after_a_step_a_waiting_run_expires_when_it_would_have_expired(step_s):
    """O4, T1"""
    world = World(Definition(name="mail", start_within_s=5.0, concurrency=1))
    world.turn(*(world.trigger("mail")[0] for _ in range(2)))
    world.clock.step_wall(step_s)
    world.turn()
    world.clock.advance(4.999)
    assert world.turn().events == []
    world.clock.advance(0.001)

    assert "DeadLettered" in [type(event).__name__ for event in world.turn().events]


# ── nodes that are gone ──────────────────────────────────────────────────────────────────────────────────────────


def lost(world: World, *, entered=None, **fields) -> tuple[Run, Run]:
    """Two runs of a node that is gone, after *world* has rescued them."""
    one = World(MAIL, store=world.store, clock=world.clock, name="one")
    starts = one.turn(one.trigger("mail")[0], one.trigger("mail")[0]).starts
    keys = [(start.run.id, start.run.claim.fence) for start in starts]
    world.cycle.entered = lambda node: None if entered is None else [keys[n] for n in entered]
    world.turn(processes=Processes(**fields))
    live = world.store.tables.live
    return tuple(live[start.run.id] for start in starts)


@pytest.fixture
def rescuer() -> World:
    return World(Definition(name="other"), name="two")


def test_of_a_dead_process_on_this_machine_its_own_notes_say_what_it_had_entered(rescuer):
    """C8: what was not present is handed back as if it had been interrupted."""
    first, second = lost(rescuer, dead=frozenset({"one"}), entered=[0])

    assert [(run.status, run.rescues) for run in (first, second)] == [(Status.PENDING, 1), (Status.PENDING, 0)]
    assert first.attempts[-1].error.type == "NodeLost"


def test_where_nobody_can_tell_all_of_it_counts_as_entered(rescuer):
    """C8"""
    assert [run.rescues for run in lost(rescuer, dead=frozenset({"one"}))] == [1, 1]


def test_of_a_node_whose_lease_has_ended_no_notes_are_read_and_its_process_may_live(rescuer):
    """C4, C8"""
    one = World(MAIL, store=rescuer.store, clock=rescuer.clock, name="one")
    (start,) = one.turn(one.trigger("mail")[0]).starts
    rescuer.cycle.entered = lambda node: []
    for _ in range(4):
        rescuer.clock.advance(9)
        rescuer.turn(renew(rescuer.node, rescuer.clock))
    rescuer.turn(processes=Processes())
    run = rescuer.store.tables.live[start.run.id]

    assert (run.status, run.rescues, run.attempts[-1].error.type) == (Status.PENDING, 1, "LeaseEnded")


def test_a_node_of_an_earlier_boot_is_gone(rescuer):
    """C2: a reboot ends every lease."""
    one = World(MAIL, store=rescuer.store, clock=rescuer.clock, name="one")
    (start,) = one.turn(one.trigger("mail")[0]).starts
    nodes = rescuer.store.tables.nodes
    nodes["one"] = replace(nodes["one"], boot="an earlier one")
    rescuer.cycle.forget()
    rescuer.clock.advance(30)
    rescuer.turn(renew(rescuer.node, rescuer.clock), processes=Processes())
    run = rescuer.store.tables.live[start.run.id]

    assert (run.status, run.attempts[-1].error.type) == (Status.PENDING, "NodeLost")


# ── runs that are to be alone ────────────────────────────────────────────────────────────────────────────────────


def test_what_an_isolated_run_held_starts_when_that_has_ended():
    """C8: and nothing starts beside it."""
    world = World(MAIL, Definition(name="other"), Definition(name="third"))
    (first,) = world.turn(world.trigger("mail")[0]).starts
    waiting, answer = world.trigger("mail", delay_s=1.0)
    world.turn(waiting)
    tables = world.store.tables
    now = world.clock.now()
    earlier = Attempt(number=1, node="gone", started_at=now, ended_at=now, duration_s=30.0, cause=Cause.RESCUED)
    run = replace(tables.live[answer.value.id], rescues=2, attempts=(earlier,))
    tables.write_runs([run], set(), number=tables.number)
    world.cycle.forget()
    world.clock.advance(1)
    assert world.turn(world.trigger("other")[0]).starts == []
    (isolated,) = world.turn(world.done(first)).starts
    assert isolated.run.id == answer.value.id
    assert world.turn(world.trigger("third")[0]).starts == []

    assert [start.run.worker for start in world.turn(world.done(isolated)).starts] == ["other", "third"]


# ── payloads that are encoded ────────────────────────────────────────────────────────────────────────────────────


class Rot:
    """A codec with one key: it turns the bytes around."""

    digest_keys = (b"0" * 16,)

    def __init__(self, key: str) -> None:
        self.key_ids = (key,)

    def encode(self, data):
        return data[::-1]

    decode = encode


def a_node_with(store: MemoryStore, clock: VirtualClock, key: str, name: str, **fields: Any) -> World:
    world = World(replace(MAIL, **fields), store=store, clock=clock, name=name)
    world.codec = Rot(key)
    world.session = encoded(store, world.codec).session()
    world.node = replace(world.node, decodes=(key,))
    world.cycle = Cycle(world.session, clock, world.node, decodes=(key,))
    world.turn(renew(world.node, clock))
    return world


def test_a_run_whose_payload_cannot_be_decoded_is_held_and_starts_where_it_can_be(caplog):
    """E3: the runs behind it go on."""
    clock = VirtualClock()
    store = MemoryStore(clock=clock)
    one, two = (a_node_with(store, clock, key, name) for key, name in (("k1", "one"), ("k2", "two")))
    held, answer = one.trigger("mail", payload=b'{"page": 1}', digest="x", delay_s=5.0)
    one.turn(held)
    clock.advance(5)
    next_, answer_of_next = two.trigger("mail", payload=b'{"page": 2}', digest="y")

    starts = two.turn(next_).starts
    assert [(start.run.id, start.run.payload) for start in starts] == [(answer_of_next.value.id, b'{"page": 2}')]
    starts = one.turn().starts
    assert [(start.run.id, start.run.payload) for start in starts] == [(answer.value.id, b'{"page": 1}')]


def test_one_whose_key_is_here_and_that_is_damaged_is_held_with_the_reason(caplog):
    """E3"""
    clock = VirtualClock()
    store = MemoryStore(clock=clock)
    world = a_node_with(store, clock, "k1", "one")

    def broken(data):
        raise ValueError("no such block")

    mutation, answer = world.trigger("mail", payload=b'{"page": 1}', digest="x", delay_s=5.0)
    world.turn(mutation)
    Rot.decode, decode = staticmethod(broken), Rot.decode
    try:
        clock.advance(5)
        assert world.turn().starts == []
        assert list(world.cycle.snapshot.undecodable) == [answer.value.id]
        assert f"run {answer.value.id} of mail is held because its payload is " in caplog.text
        assert world.turn().starts == []
    finally:
        Rot.decode = decode
    world.cycle.forget()

    assert [start.run.payload for start in world.turn().starts] == [b'{"page": 1}']


# ── what is looked at again, and when ────────────────────────────────────────────────────────────────────────────


def test_what_lacked_nothing_but_a_slot_starts_when_another_worker_gives_one_back():
    """P3"""
    world = World(MAIL, Definition(name="other"), slots=1)
    (start,) = world.turn(world.trigger("mail")[0]).starts
    world.turn(world.trigger("other")[0])
    world.turn()

    assert [each.run.worker for each in world.turn(world.done(start)).starts] == ["other"]


def test_what_was_shed_starts_as_soon_as_its_node_sheds_no_more():
    """H4"""
    world = World(MAIL)
    world.turn(shed("one", Shed.LOW, "short of memory"))
    held, answer = world.trigger("mail", priority=Priority.LOW)
    assert world.turn(held).starts == []
    world.turn()

    assert [start.run.id for start in world.turn(shed("one", Shed.NOTHING, "")).starts] == [answer.value.id]


def test_what_was_stored_long_before_it_starts_comes_with_its_payload():
    """W5: a waiting run is known without it."""
    clock = VirtualClock()
    store = MemoryStore(clock=clock)
    Cycle(store.session(), clock, None)
    world = World(MAIL, store=store, clock=clock)
    world.turn(world.trigger("mail", payload=b"[1]", digest="x", delay_s=5.0)[0], world.trigger("mail", delay_s=5.0)[0])
    world.cycle.forget()
    clock.advance(5)

    assert [start.run.payload for start in world.turn().starts] == [b"[1]", None]


def test_what_lacked_a_slot_starts_in_the_first_look_after_somebody_else_gave_one_back():
    """P3: the look takes it off its list, and the turn that writes asks about it again."""
    world = World(MAIL, Definition(name="other"), slots=1)
    (start,) = world.turn(world.trigger("mail")[0]).starts
    world.turn(world.trigger("other")[0])
    world.turn()
    client = Cycle(world.store.session(), world.clock, None)
    client.turn([world.done(start)])

    assert [each.run.worker for each in world.turn().starts] == ["other"]


def test_while_no_slot_is_free_nobody_looks_at_what_lacks_one():
    """P3: it would be in vain."""
    world = World(MAIL, Definition(name="other"), slots=1)
    world.turn(world.trigger("mail")[0])
    world.turn(world.trigger("other")[0])
    turns = [world.turn() for _ in range(2)]
    world.session.read = None

    assert [world.turn().again, *(turn.again for turn in turns)] == [False] * 3


def test_the_next_scheduled_run_that_is_due_already_starts_at_once():
    """M3, O2: it is stored by the start of the one before it."""
    every = Definition(
        name="tick", mode=Mode.SCHEDULED, schedule=Every(60), concurrency=2, misfire=Misfire.ALL, start=Start.NOW
    )
    world = World(every)
    world.turn(world.done(world.first.starts[0]))
    world.clock.advance(150)
    turns = [world.turn() for _ in range(3)]

    assert [(len(turn.starts), turn.again) for turn in turns] == [(1, True), (1, False), (0, False)]


def test_the_next_scheduled_run_that_a_start_has_stored_starts_in_its_time():
    """M3: while the one before it runs."""
    world = World(Definition(name="tick", mode=Mode.SCHEDULED, schedule=Every(60), concurrency=2, start=Start.NOW))
    (start,) = world.first.starts
    assert (world.cycle.agenda.next_at, world.first.again) == (start.run.occurs_at + timedelta(seconds=60), False)
    world.clock.advance(60)

    assert [each.run.occurs_at - start.run.occurs_at for each in world.turn().starts] == [timedelta(seconds=60)]


def test_behind_a_start_a_run_that_is_held_is_not_looked_at_again_at_once():
    """C1"""
    world = World(replace(MAIL, concurrency=1))
    turn = world.turn(world.trigger("mail")[0], world.trigger("mail")[0])

    assert (len(turn.starts), turn.again) == (1, False)


def test_of_more_runs_than_are_read_at_once_all_start_turn_after_turn():
    """A lane is read as a prefix: when that is used up, the rest is read at once."""
    clock = VirtualClock()
    store = MemoryStore(clock=clock)
    world = World(MAIL, store=store, clock=clock, slots=1000)
    client = Cycle(store.session(), clock, None)
    client.turn([trigger(Request("mail"), Kept()) for _ in range(600)])
    turns = [world.turn() for _ in range(4)]

    assert [(len(turn.starts), turn.again) for turn in turns] == [(256, True), (256, True), (88, False), (0, False)]


def test_a_payload_that_was_decoded_before_the_claim_is_not_read_again(monkeypatch):
    """E3"""
    clock = VirtualClock()
    world = a_node_with(MemoryStore(clock=clock), clock, "k1", "one")
    mutation, answer = world.trigger("mail", payload=b'{"page": 1}', digest="x", delay_s=5.0)
    world.turn(mutation)
    clock.advance(5)
    asked, payloads = [], MemoryTransaction.payloads
    monkeypatch.setattr(MemoryTransaction, "payloads", lambda self, ids: asked.append(list(ids)) or payloads(self, ids))

    assert [start.run.payload for start in world.turn().starts] == [b'{"page": 1}']
    assert asked == [[answer.value.id]]


def test_behind_a_run_that_cannot_be_decoded_after_all_the_next_one_starts():
    """E3: although there is room for one alone."""
    clock = VirtualClock()
    store = MemoryStore(clock=clock)
    one = a_node_with(store, clock, "k1", "one", concurrency=1)
    runs = [one.trigger("mail", payload=payload, digest="x", delay_s=5.0) for payload in (b'{"a": 1}', b'{"a": 2}')]
    one.turn(*(mutation for mutation, _ in runs))
    first, second = (answer.value.id for _, answer in runs)
    decode = one.codec.decode
    one.codec.decode = lambda data: decode(data) if b"2" in data else None
    clock.advance(5)
    turns = [one.turn() for _ in range(3)]

    assert [start.run.id for turn in turns for start in turn.starts] == [second]
    assert list(one.cycle.snapshot.undecodable) == [first]


@pytest.mark.parametrize(("workers", "reads"), [(500, 1), (501, 0)])
def test_where_very_many_lanes_are_due_no_look_goes_before_the_lock(workers, reads):
    """Some of them may start, so it would be in vain."""
    names = [f"w{number}" for number in range(workers)]
    world = World(*(Definition(name=name) for name in names), slots=1000)
    world.turn(*(world.trigger(name, delay_s=5.0)[0] for name in names))
    world.turn()
    world.clock.advance(5)
    asked = []
    read, begin = world.session.read, world.session.begin
    world.session.read = lambda: asked.append("read") or read()
    world.session.begin = lambda *a, **o: asked.append("begin") or begin(*a, **o)
    turn = world.turn()

    assert {start.run.worker for start in turn.starts} == set(names)
    assert asked == ["read"] * reads + ["begin"]


def test_what_was_shed_starts_in_the_very_turn_in_which_it_is_lent_a_higher_priority():
    """D9, H4: nothing of its own worker has changed."""
    world = World(Definition(name="up"), Definition(name="down", depends_on=(Upstream("up"),)))
    world.turn(shed("one", Shed.LOW, "short of memory"))
    low, answer = world.trigger("up", priority=Priority.LOW)
    assert world.turn(low).starts == []
    world.turn()
    turn = world.turn(world.trigger("down", priority=Priority.CRITICAL)[0])

    assert [start.run.id for start in turn.starts] == [answer.value.id]
