"""What the engine does at each step, and how long it waits for the next."""

from __future__ import annotations

import threading

import pytest
from by_hand import ByHand, a_job
from worlds import Kept

from shiftboss.core.events import AttemptEnded, NodeJoined, RunEnded, RunStarted
from shiftboss.core.model import Error, Failed, Interrupted, NodeMode, Shed, Status
from shiftboss.core.policy import RetryPolicy
from shiftboss.core.snapshot import NOTHING
from shiftboss.engine import mutation
from shiftboss.engine.watchdog import Blocked
from shiftboss.errors import NotAllowed, NotStarted, StoreFull, StoreUnavailable, UnknownWorker
from shiftboss.ports.executor import StopReason


@pytest.fixture
def one(clock) -> ByHand:
    return ByHand(a_job(), clock=clock).enter()


# ── a run ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_trigger_is_answered_started_and_told(one):
    answer = one.trigger()
    one.step()

    assert list(one.hand.launches) == [answer.value.id]
    assert [event.run for event in one.said(RunStarted)] == [answer.value.id]
    assert (one.engine.in_flight, one.engine.runs(answer.value.id), one.engine.runs(99)) == (1, True, False)


def test_the_end_of_a_body_is_stored_and_told_and_its_slot_is_free(one):
    run_id = one.running()
    one.hand.end(run_id)
    one.step()

    assert one.stored(run_id).status is Status.SUCCEEDED
    assert [event.run for event in one.said(RunEnded)] == [run_id]
    assert one.engine.in_flight == 0


def test_whoever_waits_for_a_run_is_answered_at_its_end(one):
    run_id, answer = one.running(), Kept()
    one.engine.watch(run_id, answer)
    one.step()
    assert answer.value is None
    one.hand.end(run_id)
    one.step()

    assert answer.value.status is Status.SUCCEEDED


def test_a_run_that_is_cancelled_is_told_to_stop(one):
    """T4"""
    run_id = one.running()
    one.put(mutation.cancel, run_id, by="ann", reason="")
    one.step()

    assert one.hand.told == [(run_id, StopReason.CANCEL)]


def test_what_a_rule_refuses_is_refused_to_its_caller_alone(one):
    bad, good = one.trigger("nobody"), one.trigger()
    one.step()

    assert isinstance(bad.error, UnknownWorker)
    assert list(one.hand.launches) == [good.value.id]


# ── how long it waits ────────────────────────────────────────────────────────────────────────────────────────────


def test_with_nothing_to_do_it_waits_until_it_writes_again(one):
    """H3: five seconds, and never longer, for wall clocks jump."""
    one.step()
    one.step(after_s=2)

    assert one.store.waits == [5.0, 3.0]


def test_it_waits_until_the_next_instant_that_is_known(one):
    one.trigger(delay_s=1.5)
    one.step(2)

    assert one.store.waits[-1] == 1.5


def test_it_waits_until_a_waiting_run_expires(clock):
    """T1"""
    one = ByHand(a_job(concurrency=1, start_within_s=3.0), clock=clock).enter()
    one.running()
    one.trigger()
    one.step(2)
    one.step(after_s=0.75)

    assert one.store.waits[-1] == 0.25, "the next tick"
    one.until(2.75)
    one.step()
    assert one.store.waits[-1] <= 0.25


def test_while_something_runs_it_ticks_once_a_second(one):
    """What bodies say goes into the store by the tick."""
    one.running()
    one.hand.calls.clear()
    one.step()
    assert (one.store.waits[-1], one.hand.calls) == (1.0, [])
    one.step(after_s=0.5)
    assert (one.store.waits[-1], one.hand.calls) == (0.5, [])
    one.step(after_s=0.5)
    assert (one.store.waits[-1], one.hand.calls) == (1.0, ["flush"])


def test_beside_another_node_it_ticks_too(one, clock):
    """C4: their processes are looked at."""
    ByHand(a_job(), name="two", store=one.store, clock=clock).enter()
    one.step(2)

    assert one.store.waits[-1] == 1.0


def test_it_waits_until_its_lease_is_to_be_renewed(one):
    """C2: ten seconds after the last renewal, however much it has written since."""
    for _ in range(9):
        one.trigger(delay_s=600)
        one.step(after_s=1)

    assert one.store.waits[-1] == 1.0


def test_it_waits_until_retention_is_due(one):
    """A4: a minute after the start."""
    one.until(57)
    one.trigger(delay_s=600)
    one.step()

    assert one.engine._lease.renew_in_s > 3.0
    assert one.store.waits[-1] == 3.0


def test_it_does_not_wait_while_something_is_left_to_do(one):
    one.step()
    del one.store.waits[:]
    for _ in range(1001):
        one.trigger(delay_s=60)
    one.step()
    assert one.store.waits == []
    one.step()
    assert len(one.store.waits) == 1


# ── its lease ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_has_joined_before_it_starts_anything(one):
    """C2, M7"""
    assert [event.node for event in one.said(NodeJoined)] == ["one"]
    assert (one.row.lease_until_s, set(one.row.declares)) == (30.0, {"job"})
    assert (one.row.lag_s, one.row.memory_bytes) == (0.0, 0)


def test_bodies_in_processes_of_their_own_learn_until_when_they_may_go_on(clock):
    """B7: a frozen node's for longer, where others see that it lives."""
    one = ByHand(a_job(), clock=clock, freeze_limit_s=300.0).enter()
    one.store.shows_life = True
    one.step(after_s=5)

    assert one.hand.trusted_s == [(34.0, 34.0), (39.0, 304.0)]


def test_it_renews_its_lease_when_it_has_written_nothing_for_five_seconds(one):
    """C2, H3"""
    one.step(after_s=4.9)
    assert one.row.lease_until_s == 30.0
    one.step(after_s=0.1)
    assert one.row.lease_until_s == 35.0


def test_it_renews_its_lease_every_ten_seconds_however_much_it_writes(one):
    """C2"""
    for _ in range(9):
        one.trigger(delay_s=600)
        one.step(after_s=1)
    assert one.row.lease_until_s == 30.0
    one.trigger(delay_s=600)
    one.step(after_s=1)
    assert one.row.lease_until_s == 40.0


def test_a_renewal_says_how_late_its_loop_is_and_what_memory_it_has(clock):
    """H4"""

    class Loop:
        lag_s = 0.25

        def check(self, now_s):
            return None

    one = ByHand(a_job(), clock=clock, watchdog=Loop(), resident_bytes=lambda: 4711).enter()

    assert (one.row.lag_s, one.row.memory_bytes) == (0.25, 4711)


def test_what_it_sheds_and_that_it_drains_stays_through_a_renewal(one):
    """H4, G1"""
    one.engine.put(mutation.drain("one", by="ann", answer=Kept()))
    one.step()
    one.until(12)

    assert one.row.mode is NodeMode.DRAINING


def test_what_was_claimed_when_the_lease_had_run_out_is_handed_back_and_not_started(one):
    """C3: checked again between the commit and the starts."""
    answer = one.trigger()
    with one.slow_turns(28):
        one.step()
    assert one.hand.launches == {}
    assert one.stored(answer.value.id).status is Status.RUNNING
    one.store.trouble = "nothing starts any more"
    one.step()

    assert [event.run for event in one.said(AttemptEnded)] == [answer.value.id]
    assert (one.stored(answer.value.id).status, one.engine.runs(answer.value.id)) == (Status.PENDING, False)


def test_what_was_not_started_was_not_begun_and_is_not_lost(clock):
    """C3, C7: a run that must not be tried twice is due again, for its function was never entered."""
    one = ByHand(a_job(at_most_once=True), clock=clock).enter()
    answer = one.trigger()
    with one.slow_turns(28):
        one.step()
    one.store.trouble = "nothing starts any more"
    one.step()

    run = one.stored(answer.value.id)
    assert (run.status, run.attempt, one.hand.launches) == (Status.PENDING, 0, {})


def test_what_is_told_twice_is_told_once(one):
    """C3: by the engine and by the watch of its lease."""
    run_id = one.running()
    for reason in (StopReason.LEASE, StopReason.LEASE, StopReason.SHUTDOWN):
        one.engine._running.stop_all(reason)

    assert one.hand.told == [(run_id, StopReason.LEASE)]


def test_a_claim_that_is_gone_is_told_to_its_body(one, clock):
    """C5: another node has rescued it."""
    run_id = one.running()
    two = ByHand(a_job(), name="two", store=one.store, clock=clock).enter()
    one.store.gone.add("one")
    two.step(2, after_s=1)
    assert list(two.hand.launches) == [run_id]
    one.store.gone.clear()
    one.step()

    assert one.hand.told == [(run_id, StopReason.LEASE)]


def test_a_node_whose_row_is_gone_trusts_its_lease_no_more(one, clock):
    """C3: somebody took it for ended."""
    two = ByHand(a_job(), name="two", store=one.store, clock=clock).enter()
    one.store.gone.add("one")
    two.step(2, after_s=1)
    assert one.row is None
    one.step()
    assert not one.engine._lease.is_trusted
    one.step()
    assert (one.row.id, one.engine._lease.is_trusted) == ("one", True)


# ── a store in trouble ───────────────────────────────────────────────────────────────────────────────────────────


def test_while_the_store_is_away_triggers_are_refused_and_reports_wait(one, caplog):
    """H5"""
    run_id = one.running()
    one.store.is_away = True
    answer = one.trigger()
    one.hand.end(run_id)
    one.step()
    assert isinstance(answer.error, StoreUnavailable)
    assert one.engine.trouble == "the store is away"
    assert one.stored(run_id).status is Status.RUNNING

    one.step(3)
    one.store.is_away = False
    one.step(2)
    assert one.stored(run_id).status is Status.SUCCEEDED
    assert one.engine.trouble is None
    assert [record.levelname for record in caplog.records if "store" in record.getMessage()] == ["ERROR", "WARNING"]


def test_it_tries_again_after_a_time_that_doubles_up_to_two_seconds(one):
    """H5: everything recovers without a restart."""
    one.store.is_away = True
    one.step(after_s=6)  # the lease is to be renewed
    one.step(7)
    assert one.wake.waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]

    one.store.is_away = False
    one.step(2)
    one.store.is_away = True
    one.step(after_s=6)
    assert one.wake.waits[8:] == [0.05]


def test_what_arrives_meanwhile_ends_the_wait_for_the_next_try(one):
    """H5: and only once."""
    one.store.is_away = True
    one.step(after_s=6)  # the lease is to be renewed
    at_s = one.clock.elapsed_s()
    one.trigger(delay_s=600)
    one.step()
    assert one.clock.elapsed_s() == at_s
    one.step()
    assert one.clock.elapsed_s() == at_s + 0.2


def test_bodies_go_on_while_the_lease_is_trusted_and_are_told_when_it_is_not(one):
    """H5, C3"""
    run_id = one.running()
    one.store.is_away = True
    one.until(26)
    assert one.hand.told == []
    one.until(30)
    assert one.hand.told == [(run_id, StopReason.LEASE)]


def test_bodies_are_told_while_the_engine_itself_hangs_in_a_call_of_the_store(one):
    """C3: before others may begin their runs; nobody turns the engine meanwhile."""
    run_id = one.running()
    watch = one.engine._lease_watch

    def wait(seconds: float) -> bool:
        one.clock.advance(seconds)
        return bool(one.hand.told)

    watch._wait = wait
    watch.run()

    assert one.hand.told == [(run_id, StopReason.LEASE)]
    assert one.clock.elapsed_s() == 30.0, "27 s of trust, 2 s for the engine to look first, and the wait that followed"


def test_a_turn_that_lasts_is_trouble_before_it_has_failed(one, monkeypatch):
    """H3: whoever asks meanwhile, from another thread, learns of it."""
    turn, seen = one.engine._cycle.turn, []

    def slowly(*arguments, **options):
        one.clock.advance(4)
        seen.append(one.engine.trouble)
        return turn(*arguments, **options)

    monkeypatch.setattr(one.engine._cycle, "turn", slowly)
    one.step()

    assert seen == ["a transaction has taken longer than 3 s"]
    assert one.engine.trouble is None


def test_a_mistake_of_ours_is_said_and_the_turn_is_tried_again(one, monkeypatch, caplog):
    """H5: no silent death."""
    turn = one.engine._cycle.turn

    def broken(*arguments, **options):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(one.engine._cycle, "turn", broken)
    answer = one.trigger()
    one.step()
    assert "a cycle failed because of a bug in shiftboss" in caplog.text
    assert "the engine failed: ours" in str(answer.error)
    assert one.engine.store_trouble().fact == "is not used"

    monkeypatch.setattr(one.engine._cycle, "turn", turn)
    again = one.trigger()
    one.step()
    assert again.value.id in one.hand.launches


def test_a_full_disk_takes_no_new_work_and_what_runs_is_recorded(one):
    """W3"""
    run_id = one.running()
    one.store.tight, one.store.trouble = True, "the disk is full"
    answer = one.trigger()
    one.hand.end(run_id)
    one.step()

    assert (type(answer.error), str(answer.error)) == (StoreFull, "the disk is full")
    assert one.stored(run_id).status is Status.SUCCEEDED


def test_while_the_store_is_in_trouble_nothing_that_waits_is_started(one):
    """W3"""
    one.store.trouble = "the disk is nearly full"
    answer = one.trigger()
    one.step()
    assert (one.stored(answer.value.id).status, one.hand.launches) == (Status.PENDING, {})

    one.store.trouble = None
    one.trigger()
    one.step()
    assert answer.value.id in one.hand.launches


def test_what_others_hold_is_put_back_and_comes_first(one, monkeypatch):
    """P2: the next turn has the whole store, or what it is about."""
    turn = one.engine._cycle.turn
    missed = []

    def holding(mutations, **options):
        if mutations and not missed:
            missed.extend(mutations)
            done = turn((), **options)
            done.missed = list(mutations)
            return done
        return turn(mutations, **options)

    monkeypatch.setattr(one.engine._cycle, "turn", holding)
    answer = one.trigger()
    one.step()
    assert (answer.value, len(one.engine._inbox)) == (None, 1)
    one.step()
    assert answer.value.id in one.hand.launches


# ── whoever listens ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_subscriber_that_fails_stops_nobody(clock, caplog):
    told = []

    def broken(events):
        raise ZeroDivisionError

    one = ByHand(a_job(), clock=clock).enter()
    one.engine._observers.subscribers[:0] = [broken]
    one.engine._observers.subscribers.append(told.extend)
    run_id = one.running()

    assert "an on_events callback raised; the events are committed nevertheless" in caplog.text
    assert run_id in [getattr(event, "run", None) for event in told]


def test_meters_get_each_turn_and_each_error_of_the_store(one):
    class Meter:
        def __init__(self):
            self.cycles, self.errors = [], []

        def cycle(self, duration_s):
            self.cycles.append(duration_s)

        def store_error(self, error):
            self.errors.append(error)

    meter = Meter()
    one.engine.measure(meter)
    one.step(2)
    assert meter.cycles == [0.0, 0.0]
    one.store.is_away = True
    one.step(after_s=6)
    assert [str(error) for error in meter.errors] == ["the store is away"]


def test_what_a_body_raised_goes_to_the_log_with_the_events_of_its_end(one):
    """A6"""
    run_id = one.running()
    raised = (ValueError, ValueError("boom"), None)
    one.hand.launches[run_id].raised = raised
    one.hand.end(run_id)
    one.step()
    one.step()

    assert [said for _, said in one.logged if said] == [{run_id: raised}]


def test_calls_from_its_own_thread_are_refused(one, monkeypatch):
    """They would wait for themselves."""
    monkeypatch.setattr(one.engine, "_thread", threading.current_thread())
    with pytest.raises(NotAllowed, match="this call came from the engine's own thread"):
        one.trigger()
    with pytest.raises(NotAllowed, match="this call came from the engine's own thread"):
        one.engine.watch(1, Kept())


# ── neighbours and pressure ──────────────────────────────────────────────────────────────────────────────────────


def test_the_runs_of_a_dead_neighbour_are_rescued_by_the_next_tick(one, clock):
    """C4"""
    two = ByHand(a_job(), name="two", store=one.store, clock=clock).enter()
    run_id = two.running()
    one.step()
    one.store.gone.add("two")
    one.step(after_s=0.9)
    assert one.hand.launches == {}
    one.step(after_s=0.1)

    assert list(one.hand.launches) == [run_id]
    assert one.stored(run_id).claim.node == "one"


@pytest.mark.parametrize(("weight", "shed"), [(1, Shed.LOW), (50_000, Shed.NOTHING)])
def test_a_turn_with_a_large_fan_out_is_no_slow_store(one, clock, weight, shed):
    """H4, O6: a second for one mutation is short of store speed, a second for 50,000 triggers is not."""

    def takes_a_second(snapshot, now, *, ids):
        clock.advance(1.0)
        return NOTHING, None

    one.engine.put(mutation.Mutation(takes_a_second, weight=weight))
    one.step(3, after_s=1.0)

    assert one.row.shed is shed


def test_short_of_memory_it_sheds_and_says_so_in_its_row(clock):
    """H4"""
    share = [0.5]
    one = ByHand(a_job(), clock=clock, memory_share=lambda: share[0]).enter()
    one.until(3)
    assert one.row.shed is Shed.NOTHING
    share[0] = 0.99
    one.until(6)

    assert one.row.shed is not Shed.NOTHING
    assert "memory" in one.row.shed_reason
    share[0] = 0.1
    one.until(120)
    assert (one.row.shed, one.row.shed_reason) == (Shed.NOTHING, "")


def test_whoever_blocks_the_loop_is_logged(clock, caplog):
    """H6"""

    class Loop:
        lag_s = 0.0

        def check(self, now_s):
            return Blocked("report", 7, 2.0, "")

    ByHand(a_job(), clock=clock, watchdog=Loop()).enter().step()

    assert "the event loop has been blocked for 2.0 s by worker 'report' (run 7)" in caplog.text


@pytest.mark.parametrize(("limit_s", "shows"), [(0.0, False), (300.0, True)])
def test_a_node_that_may_freeze_shows_life_at_each_tick(clock, limit_s, shows):
    """C4"""
    one = ByHand(a_job(), clock=clock, freeze_limit_s=limit_s).enter()
    one.step(2)
    one.step(after_s=1)

    assert one.store.asked == ["show life of one"] * 2 * shows


def test_a_draining_node_does_not_put_its_newer_declaration_in_force_again(clock):
    """M7: it has no say while there are others that start something."""
    older = ByHand(a_job(timeout_s=5.0), clock=clock).enter()
    newer = ByHand(a_job(timeout_s=7.0), name="two", store=older.store, clock=clock).enter()
    held = lambda: older.store.tables.workers["job"].definition.timeout_s  # noqa: E731
    assert held() == 7.0
    older.put(mutation.drain, "two", by="ann")
    seen = []
    for _ in range(6):
        for node in (older, newer):
            node.step(after_s=0.5)
        seen.append(held())

    assert seen[1:] == [5.0] * 5


def test_the_secrets_of_the_app_are_in_nothing_that_is_stored(clock):
    """A12"""
    one = ByHand(a_job(retry=RetryPolicy(max_retries=0)), clock=clock, secrets=("hunter2-hunter2",)).enter()
    run_id = one.running()
    one.hand.end(run_id, Failed(Error(type="ValueError", message="no hunter2-hunter2")))
    one.step()

    message = one.stored(run_id).attempts[-1].error.message
    assert message.startswith("no ")
    assert "hunter2" not in message


def test_what_ends_after_the_engine_is_told_to_nobody(one):
    """G2: its claim was handed back."""
    run_id = one.running()
    one.engine._inbox.close()
    one.hand.end(run_id, Interrupted())

    with pytest.raises(NotStarted):
        one.trigger()
