"""How an engine ends: its phases at their instants, what it hands back, and its report (G1 to G4)."""

from __future__ import annotations

import logging

import pytest
from by_hand import ByHand, a_job
from worlds import Kept

from shiftboss.core.events import AttemptEnded, NodeDrained, NodeLeft
from shiftboss.core.model import Cause, Error, NodeMode, Status, TimedOut
from shiftboss.core.policy import RetryPolicy
from shiftboss.engine.loop import Loop
from shiftboss.engine.shutdown import Phase
from shiftboss.errors import NotStarted, StoreUnavailable
from shiftboss.ports.executor import StopReason


@pytest.fixture
def one(clock) -> ByHand:
    return ByHand(a_job(), clock=clock).enter()


def end(node: ByHand):
    """Turn until it is over; the report."""
    turns = 0
    while not node.is_over:
        node.step(after_s=0.25)
        turns += 1
        assert turns < 200, "it does not end"
    node.leave()
    return node.engine._report


def test_a_stop_is_announced_at_once_and_nothing_more_is_started(one):
    """G1"""
    run_id = one.running()
    one.engine.stop()
    assert one.engine.is_stopping
    answer = one.trigger()
    one.step()

    assert one.hand.calls[-1] == "announce"
    assert one.row.mode is NodeMode.DRAINING
    assert (answer.error, one.stored(answer.value.id).status) == (None, Status.PENDING)
    assert (list(one.hand.launches), one.hand.told) == ([run_id], [])


def test_each_phase_has_its_instant(one):
    """G1: 20 s to drain, then bodies are told, after 23 s they are killed, after 24 s it is over."""
    run_id = one.running()
    began_s = one.clock.elapsed_s()
    one.engine.stop()
    one.until(began_s + 19.9)
    assert one.hand.told == []
    one.until(began_s + 20)
    assert one.hand.told == [(run_id, StopReason.SHUTDOWN)]
    assert "kill" not in one.hand.calls
    one.until(began_s + 23)
    assert one.hand.calls.count("kill") == 1
    assert not one.is_over
    one.until(began_s + 24)
    assert one.is_over


def test_it_waits_until_the_next_phase_and_no_longer(one):
    """G3"""
    one.running()
    one.until(4)
    one.engine.stop()
    one.until(4 + 19.5)
    one.step()

    assert one.store.waits[-1] == 0.5


def test_a_second_request_cancels_and_a_third_kills(one):
    """G3"""
    run_id = one.running()
    for _ in range(2):
        one.engine.stop()
    one.step()
    assert (one.hand.told, "kill" in one.hand.calls) == ([(run_id, StopReason.SHUTDOWN)], False)
    one.engine.stop()
    one.step()
    assert "kill" in one.hand.calls


def test_no_call_of_the_store_outlasts_its_phase(one):
    """G1: the one that is under way is cut too."""
    one.engine.stop()
    assert one.store.ends_in_s == [1.0]
    one.step()
    assert one.store.ends_in_s[1:] == [20.0]


def test_when_everything_has_ended_it_is_over_before_its_time(one):
    """G4"""
    run_id = one.running()
    one.engine.stop()
    one.step(after_s=3)
    one.hand.end(run_id)
    report = end(one)

    assert (report.drained, report.interrupted, report.lost, report.waiting) == (1, 0, 0, 0)
    assert (report.exit_code, report.forced, report.store_reached) == (0, False, True)
    assert 3.0 <= report.duration_s <= 4.0


def test_while_something_is_left_to_write_it_is_not_over(one):
    """G4"""
    one.engine.stop()
    one.step()
    before = one.is_over
    answer = one.trigger()
    with_it = one.is_over
    one.step()

    assert (before, with_it, one.is_over, answer.value is None) == (True, False, True, False)


def test_what_was_cut_short_is_handed_back_and_its_attempt_is_given_back(one):
    """G2"""
    run_id = one.running()
    one.engine.stop()
    one.until(21)
    one.hand.cut(run_id)
    report = end(one)

    assert (report.interrupted, report.drained, report.waiting) == (1, 0, 1)
    run = one.stored(run_id)
    assert (run.status, run.attempt) == (Status.PENDING, 0)


def test_at_its_end_it_has_left(one, caplog):
    """G1, G4: nothing of it stays in the store."""
    caplog.set_level(logging.INFO)
    one.trigger(delay_s=600)
    one.step()
    one.engine.stop()
    end(one)

    assert one.row is None
    assert [event.node for event in one.said(NodeLeft)] == ["one"]
    assert [(event.drained, event.waiting, event.lost) for event in one.said(NodeDrained)] == [(0, 1, 0)]
    assert "stopping; waiting for 0 running attempts" in caplog.text
    assert caplog.messages[-1].startswith("stopped in 0.2 s: drained 0, interrupted 0 (requeued), pending 1, lost 0")


def test_only_what_ends_after_the_stop_is_counted(one):
    """G4"""
    before, after = one.running(), one.running()
    one.hand.end(before)
    one.step()
    one.engine.stop()
    one.step()
    one.hand.end(after)

    assert end(one).drained == 1


def test_what_must_not_be_tried_again_is_given_up_when_it_is_cut_short(clock):
    """G4, C7: neither drained nor handed back."""
    one = ByHand(a_job(at_most_once=True), clock=clock).enter()
    run_id = one.running()
    one.engine.stop()
    one.until(21)
    one.hand.cut(run_id)
    report = end(one)

    assert (report.given_up, report.drained, report.interrupted, report.exit_code) == (1, 0, 0, 1)
    assert one.stored(run_id).status is Status.DEAD


def test_what_another_node_has_rescued_meanwhile_is_due_there(one, clock):
    """G4, C5: its report is stale; what had ended was not stored, what was cut short is due again."""
    cut, ended = one.running(), one.running()
    one.engine.stop()
    one.step()
    two = ByHand(a_job(), name="two", store=one.store, clock=clock).enter()
    one.store.gone.add("one")
    two.step(2, after_s=1)
    one.store.gone.clear()
    assert set(two.hand.launches) == {cut, ended}
    one.hand.end(ended)
    one.hand.cut(cut)
    report = end(one)

    assert (report.interrupted, report.unreported, report.drained) == (1, 1, 0)


def test_a_body_that_cannot_be_stopped_is_handed_back_by_the_last_act_of_its_process(one):
    """G2, G4"""
    run_id = one.running()
    one.engine.stop(owns_process=True)
    report = end(one)

    assert (report.stuck, report.handed_back, report.stuck_ended, report.interrupted) == (1, True, 0, 0)
    assert report.exit_code == 1
    assert one.stored(run_id).status is Status.PENDING
    assert [event.cause for event in one.said(AttemptEnded)] == [Cause.INTERRUPTED]
    assert one.row is None


def test_one_whose_timeout_had_passed_has_ended_by_that(clock):
    """B6: it was not cut short."""
    one = ByHand(a_job(retry=RetryPolicy(max_retries=0)), clock=clock).enter()
    run_id = one.running()
    fence = one.stored(run_id).claim.fence
    one.hand.left[run_id, fence] = (TimedOut(Error(type="TimeoutError")), 61.0)
    one.engine.stop(owns_process=True)
    report = end(one)

    assert (report.stuck, report.handed_back, report.stuck_ended) == (1, True, 1)
    assert one.stored(run_id).status is Status.DEAD


def test_in_a_process_that_goes_on_its_claim_stays_with_it(one):
    """G2: a claim is released only after its function has ended."""
    run_id = one.running()
    one.engine.stop()
    report = end(one)

    assert (report.stuck, report.handed_back, report.waiting) == (1, False, 0)
    assert one.stored(run_id).status is Status.RUNNING
    assert one.row is not None, "its lease ends by itself"


def test_of_two_requests_one_that_owns_the_process_is_enough(one):
    one.running()
    one.engine.stop(owns_process=True)
    one.engine.stop()
    report = end(one)

    assert (report.handed_back, report.forced) == (True, True)


def test_a_body_that_ends_in_the_last_moment_is_counted_as_ended(one):
    """G4: each run once."""
    run_id = one.running()
    one.engine.stop(owns_process=True)
    while not one.is_over:
        one.step(after_s=0.25)
    one.hand.end(run_id)
    one.leave()
    report = one.engine._report

    assert (report.drained, report.stuck) == (1, 0)
    assert one.stored(run_id).status is Status.SUCCEEDED


def test_without_the_store_it_says_what_it_could_not_write(one, caplog):
    """G4: what is still claimed is rescued later."""
    ended, running = one.running(), one.running()
    one.engine.stop(owns_process=True)
    one.step()
    one.store.is_away = True
    one.hand.end(ended)
    report = end(one)

    assert (report.store_reached, report.unreported, report.stuck, report.exit_code) == (False, 1, 1, 75)
    assert one.stored(running).status is Status.RUNNING
    assert "the store is away, while stopping; runs that are still claimed are rescued later" in caplog.text


def test_a_store_that_goes_away_in_the_last_moment_is_named(one, caplog):
    """G4, H5"""
    one.engine.stop()
    while not one.is_over:
        one.step(after_s=0.25)
    one.store.is_away = True
    one.leave()

    assert not one.engine._report.store_reached
    assert one.engine.trouble == "the store is away"
    assert "the store is away, while stopping" in caplog.text


def test_a_run_that_the_store_does_not_know_at_the_end_is_lost(one):
    """G4: anything but 0 is a mistake."""
    run_id = one.running()
    one.engine.stop()
    one.step()
    one.hand.end(run_id)
    one.step()
    del one.store.tables.history[run_id]

    assert end(one).lost == 1


def test_what_waits_for_a_body_that_lost_its_claim_is_handed_back_at_once(one, clock, caplog):
    """B7, G2: it has not entered its function, and the node starts nothing more."""
    run_id = one.running()
    rescuer = ByHand(a_job("other"), name="two", store=one.store, clock=clock).enter()
    one.store.gone.add("one")
    rescuer.step(2, after_s=1)
    one.store.gone.clear()
    one.step(3)
    assert one.hand.told == [(run_id, StopReason.LEASE)]
    assert f"run {run_id} of job waits for an earlier attempt on this node that lost its claim" in caplog.text
    assert one.stored(run_id).status is Status.RUNNING
    one.engine.stop()
    one.step(2)

    assert one.stored(run_id).status is Status.PENDING
    assert one.said(AttemptEnded)[-1].cause is Cause.INTERRUPTED


def test_an_end_that_nobody_asked_for_is_logged_once(one, caplog):
    """G5"""
    one.engine.end("the event loop was closed")
    one.engine.end("the main program has ended", owns_process=True)

    assert one.engine._shutdown.requests == 1
    assert [record.getMessage() for record in caplog.records] == [
        "the event loop was closed; this node stops, and other nodes take over its runs"
    ]
    assert one.engine._shutdown.owns_process


def test_a_client_ends_without_a_word_about_a_node(clock):
    client = ByHand(client=True, clock=clock).enter()
    client.engine.stop()
    report = end(client)

    assert (report.exit_code, client.said(NodeLeft)) == (0, [])


# ── the thread ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_from_its_start_to_its_end_in_one_go(clock):
    """What its thread does; the store's wait is where the test has its turn."""
    one = ByHand(a_job(), clock=clock)
    late = Kept()
    one.store.then = one.engine.stop
    one.engine._run()

    assert one.engine.ready.result(timeout=0) is None
    assert one.engine.over.result(timeout=0).exit_code == 0
    assert (one.row, one.store.asked) == (None, ["engine of one ended"])
    assert one.engine._shutdown.announced is Phase.DRAIN
    assert one.engine._lease_watch._thread.ident is not None, "somebody watched the lease meanwhile (C3)"
    assert all(each._thread.daemon for each in (one.engine, one.engine._lease_watch, one.engine._freezes)), "G5"
    assert one.engine._freezes._thread.ident is not None
    assert not one.engine._lease_watch._thread.is_alive()
    assert not one.engine._freezes._thread.is_alive()
    with pytest.raises(NotStarted):
        one.trigger()
    with pytest.raises(NotStarted):
        one.engine.watch(1, late)


def test_those_who_wait_for_a_run_learn_that_it_has_ended(clock):
    one = ByHand(a_job(), clock=clock)
    waiter = Kept()
    stored = []

    def then():
        if not stored:
            stored.append(one.trigger(delay_s=600))
        elif waiter.error is None and not one.engine.is_stopping:
            one.engine.watch(stored[0].value.id, waiter)
            one.engine.stop()

    one.store.then = then
    one.engine._run()

    assert isinstance(waiter.error, StoreUnavailable)
    assert str(waiter.error) == "the orchestrator stopped before it could process this call"
    assert not waiter.error.maybe_stored


def test_where_it_cannot_begin_its_starter_is_told(clock):
    one = ByHand(a_job(), clock=clock)
    one.store.is_away = True
    one.engine._run()

    with pytest.raises(StoreUnavailable, match="the store is away"):
        one.engine.ready.result(timeout=0)
    assert not one.engine.over.done()
    assert one.store._sessions == [], "and nothing stays open"


def test_a_mistake_that_ends_it_is_said_and_kept(clock, monkeypatch, caplog):
    """W2: its runs are rescued when its lease ends."""
    one = ByHand(a_job(), clock=clock)

    def broken(loop):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(Loop, "step", broken)
    with pytest.raises(ZeroDivisionError):
        one.engine._run()

    assert "the engine stops because of a bug in shiftboss" in caplog.text
    assert (one.engine.has_failed, one.engine.trouble) == (True, "ZeroDivisionError: ours")
    assert one.engine.store_trouble().fact == "is not used, for the engine has ended"
    assert one.engine.over.done()
