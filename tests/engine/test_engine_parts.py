"""What an engine is made with reaches whoever needs it, and what its parts notice reaches the store."""

from __future__ import annotations

import threading

import pytest
from by_hand import ByHand, Store, a_job
from worlds import Kept

from shiftboss.core.audit import Head, Key
from shiftboss.core.events import NodeFrozen, StoreRestored
from shiftboss.core.model import Shed, Status, Succeeded
from shiftboss.core.retention import KEEP
from shiftboss.core.value import replace
from shiftboss.engine import cycle, mutation
from shiftboss.engine.freeze import Freeze
from shiftboss.errors import StoreUnavailable
from shiftboss.stores.memory.reads import MemoryReader

DAY_S = 86_400.0


# ── what it is made with ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_launch_has_its_body_and_is_shown_to_whoever_traces(clock):
    traced = []
    one = ByHand(a_job(), clock=clock, traced=traced.append).enter()
    run_id = one.running()

    assert traced == [one.hand.launches[run_id]]
    assert one.hand.launches[run_id].body is None


class Entries:
    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def note(self, run_id, fence):
        self.calls.append(("note", run_id))

    def forget(self, run_id, fence):
        self.calls.append(("forget", run_id))


def test_which_functions_were_entered_is_noted_and_forgotten_with_their_end(clock):
    """C8"""
    entries = Entries()
    one = ByHand(a_job(), clock=clock, entries=entries).enter()
    run_id = one.running()
    one.hand.launches[run_id].entered()
    one.hand.end(run_id)
    assert entries.calls == [("note", run_id)]
    one.step()

    assert entries.calls == [("note", run_id), ("forget", run_id)]


class Keys:
    key, head = Key(b"0" * 32), None

    def remember(self, head: Head) -> None:
        self.head = head


def test_what_a_person_does_is_sealed_and_the_last_act_before_the_end(clock):
    """A8"""
    one = ByHand(a_job(), clock=clock, keyring=(keys := Keys())).enter()
    one.step()
    one.put(mutation.disable, "job", by="ann", reason="")
    one.step()
    assert one.store.waits[-1] == pytest.approx(0.2)
    one.step(after_s=0.2)
    first = keys.head
    assert first is not None
    one.put(mutation.enable, "job", by="ann")
    one.step()
    one.engine.stop()
    one.step()
    one.leave()

    assert keys.head.id > first.id


def test_what_is_old_is_deleted_while_there_is_nothing_else_to_do_and_not_by_one_that_stops(clock):
    """A4: as long as it was told to keep it."""
    one = ByHand(a_job(), clock=clock, keep=replace(KEEP, runs_s=100.0)).enter()
    run_id = one.running()
    one.hand.end(run_id)
    one.step()
    one.until(100, every_s=5)
    assert run_id in one.store.tables.history
    one.until(170, every_s=5)
    assert run_id not in one.store.tables.history

    run_id = one.running()
    one.hand.end(run_id)
    one.step()
    kept = one.running()
    one.engine.stop()
    one.until(400, every_s=5)
    assert run_id in one.store.tables.history
    assert one.engine.runs(kept)


def test_the_code_of_its_node_stands_with_each_attempt(clock):
    """Q2"""
    one = ByHand(a_job(), clock=clock)
    one = ByHand(a_job(), clock=clock, node=replace(one.node, code_version="v7")).enter()
    run_id = one.running()
    one.hand.end(run_id)
    one.step()

    assert [attempt.code_version for attempt in one.stored(run_id).attempts] == ["v7"]
    assert one.row.code_version == "v7"


def test_runs_of_a_worker_of_another_code_are_left_to_others(clock):
    """M7"""
    one = ByHand(a_job(parameters="v1"), clock=clock).enter()
    ByHand(a_job(parameters="v2"), name="two", store=one.store, clock=clock).enter()
    answer = one.trigger()
    one.step(3)

    assert (one.stored(answer.value.id).status, one.hand.launches) == (Status.PENDING, {})


# ── what its parts notice ────────────────────────────────────────────────────────────────────────────────────────


def test_a_freeze_is_stored_with_the_functions_that_ran_here_and_without_secrets(clock):
    """C4, H6, A12"""
    one = ByHand(a_job(), clock=clock, secrets=("hunter2-hunter2",)).enter()
    run_id = one.running()
    watch = one.engine._freezes
    assert watch._bodies() == {("job", run_id): 1}
    watch._told(Freeze(13.0, (("job", run_id),), "in hunter2-hunter2"))
    one.step()

    (event,) = one.said(NodeFrozen)
    assert (event.worker, event.run, event.node, event.seconds) == ("job", run_id, "one", 13.0)
    assert "hunter2" not in event.stack


@pytest.mark.parametrize("owns_process", [True, False])
def test_the_alarm_of_the_process_is_taken_only_by_the_engine_that_has_it_all(clock, owns_process):
    """H6"""
    one = ByHand(a_job(), clock=clock, owns_process=owns_process)

    assert (one.engine._freezes._trace is not None) is owns_process
    one.engine._freezes.stop()


def test_a_slow_turn_with_the_store_is_a_pressure_of_its_own(clock, monkeypatch):
    """H4: the slowest since the last tick."""
    one = ByHand(a_job(), clock=clock).enter()
    one.running()
    turn = one.engine._cycle.turn
    slow_s = [3.0]

    def slowly(*arguments, **options):
        one.clock.advance(slow_s[0])
        return turn(*arguments, **options)

    monkeypatch.setattr(one.engine._cycle, "turn", slowly)
    one.step(after_s=1)
    slow_s[0] = 0.0
    one.step(2, after_s=1)
    assert one.row.shed is Shed.LOW
    assert "store" in one.row.shed_reason
    one.step(after_s=1)
    one.step(after_s=1)

    assert (one.row.shed, one.row.shed_reason) == (Shed.NOTHING, "")


@pytest.mark.parametrize(("what", "level"), [("decide", Shed.NOTHING), ("load", Shed.LOW)])
def test_what_deciding_takes_is_not_laid_on_the_store_and_what_reading_for_it_takes_is(clock, monkeypatch, what, level):
    """H4"""
    one = ByHand(a_job(), clock=clock).enter()
    one.running()
    cache, decide = one.engine._cycle.cache, cycle.decide
    load = cache.load_lanes

    def slowly(call):
        def called(*arguments, **options):
            clock.advance(3)
            return call(*arguments, **options)

        return called

    if what == "decide":
        monkeypatch.setattr(cycle, "decide", slowly(decide))
    else:
        monkeypatch.setattr(cache, "load_lanes", slowly(load))
    one.trigger()
    one.step()
    monkeypatch.undo()
    one.step(2, after_s=1)

    assert one.row.shed is level


def test_a_late_loop_is_a_pressure_of_its_own(clock):
    """H4"""

    class Loop:
        lag_s = 0.3

        def check(self, now_s):
            return None

    one = ByHand(a_job(), clock=clock, watchdog=Loop()).enter()
    one.until(3)

    assert one.row.shed is Shed.LOW
    assert "loop" in one.row.shed_reason


def test_with_nothing_short_no_turn_is_spent_on_it(clock):
    """H4: the row is written when the level changes."""
    one = ByHand(a_job(), clock=clock).enter()
    one.running()
    before = one.store.tables.number
    one.until(4)

    assert one.store.tables.number == before


def test_a_full_disk_is_looked_at_once_a_second(clock):
    """W3: until there is room again."""
    one = ByHand(a_job(), clock=clock).enter()
    one.step()
    assert one.store.waits[-1] == 5.0
    one.store.tight = True
    one.step()
    assert one.store.waits[-1] <= 1.0


def test_a_client_neither_ticks_nor_prunes(clock):
    """A4, C4"""
    one = ByHand(a_job(), clock=clock, keep=replace(KEEP, runs_s=1.0)).enter()
    run_id = one.running()
    one.hand.end(run_id)
    one.step()
    client = ByHand(store=one.store, clock=clock, client=True, keep=replace(KEEP, runs_s=1.0)).enter()
    client.until(200, every_s=5)

    assert run_id in one.store.tables.history
    assert client.hand.calls == []


# ── waking ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_arrives_wakes_its_session_once_it_is_open(clock):
    one = ByHand(a_job(), clock=clock)
    one.engine._inbox.put(mutation.record("export", by="ann", worker="", before="", after="", answer=None))
    one.enter()
    one.step()
    woken = []
    one.engine._session.wake = lambda: woken.append(1)
    one.trigger()
    assert woken == [1]
    one.engine.stop()
    assert woken == [1, 1]


def test_the_first_request_to_stop_ends_a_wait_of_the_back_off(clock):
    """G1"""
    one = ByHand(a_job(), clock=clock).enter()
    one.store.is_away = True
    one.step(8)
    at_s = one.clock.elapsed_s()
    one.engine.stop()
    one.step()

    assert one.clock.elapsed_s() == at_s


def test_the_back_off_ends_with_the_next_phase_of_the_stop(clock):
    """G3: a silent store delays no phase."""
    one = ByHand(a_job(), clock=clock).enter()
    run_id = one.running()
    one.hand.launches[run_id].signal("zombie", None)
    one.store.is_away = True
    one.engine.stop()
    at_s = []
    while not one.hand.told:
        one.step()
        at_s.append(one.clock.elapsed_s())
        assert at_s[-1] < 25

    assert at_s[-2] == 20.0


# ── a store that was put back ────────────────────────────────────────────────────────────────────────────────────


def test_one_that_stops_declares_nothing_any_more(clock):
    """C9, G1"""
    store = Store(clock)
    empty = store.keep()
    node = ByHand(a_job(), store=store, clock=clock).enter()
    node.engine.stop()
    store.put_back(empty)
    node.step(3)

    assert store.tables.workers == {}
    assert node.said(StoreRestored) == []


def test_it_declares_once_and_then_it_waits(clock):
    """C9"""
    store = Store(clock)
    empty = store.keep()
    node = ByHand(a_job(), store=store, clock=clock).enter()
    store.put_back(empty)
    node.step(3)
    number = store.tables.number
    node.step(3)

    assert store.tables.number == number
    assert node.store.waits[-1] > 1.0


# ── from other threads ───────────────────────────────────────────────────────────────────────────────────────────


def test_from_another_thread_it_may_be_called(clock):
    one = ByHand(a_job(), clock=clock).enter()
    one.engine.must_be_another_thread()
    answers = []
    thread = threading.Thread(target=lambda: answers.append(one.trigger()))
    thread.start()
    thread.join()
    one.step()

    assert answers[0].value.id in one.hand.launches


def test_while_the_store_is_away_nobody_is_left_without_an_answer(clock):
    """H5: also those that arrive while it fails."""
    one = ByHand(a_job(), clock=clock).enter()
    one.step()
    one.store.is_away = True
    late = []
    one.engine._cycle.turn = lambda *a, **o: (
        late.append(one.trigger()) or (_ for _ in ()).throw(StoreUnavailable("the store is away"))
    )
    one.step(after_s=1)

    assert isinstance(late[0].error, StoreUnavailable)


def test_a_run_that_has_ended_before_anybody_waits_is_answered_at_once(clock):
    """A2"""
    one = ByHand(a_job(), clock=clock).enter()
    run_id = one.running()
    one.hand.end(run_id, Succeeded(result=b"7"))
    one.step()
    answer = Kept()
    one.engine.watch(run_id, answer)
    one.step()

    assert (answer.value.status, answer.value.result) == (Status.SUCCEEDED, b"7")


def test_a_client_reads_no_more_of_the_store_than_it_needs(clock, monkeypatch):
    """A client starts nothing, so it need not know what waits."""
    one = ByHand(a_job(), clock=clock).enter()
    asked = []
    changes = MemoryReader.changes
    monkeypatch.setattr(
        MemoryReader, "changes", lambda reader, *, lanes: asked.append(lanes) or changes(reader, lanes=lanes)
    )
    ByHand(store=one.store, clock=clock, client=True).enter()

    assert set(asked) == {0}
