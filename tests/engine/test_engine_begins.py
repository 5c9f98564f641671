"""What an engine says and refuses when it begins, and what its faces ask it."""

from __future__ import annotations

import logging
import threading

import pytest
from by_hand import ByHand, Store, a_job

from shiftboss.core.events import NodeJoined, WorkerDeclared
from shiftboss.core.worker import Definition, Upstream
from shiftboss.errors import ConfigurationError, NotAllowed


def test_what_cannot_be_declared_keeps_it_from_beginning(clock):
    """D8: the store is as it was."""
    one = ByHand(a_job(depends_on=(Upstream("nobody"),)), clock=clock)

    with pytest.raises(ConfigurationError, match="nobody"):
        one.enter()
    assert (one.store.tables.workers, one.row) == ({}, None)


def test_a_client_that_may_not_declare_it_does_not_begin_either(clock):
    """M7, D8"""
    client = ByHand(a_job(depends_on=(Upstream("nobody"),)), clock=clock, client=True, declares_new=True)

    with pytest.raises(ConfigurationError, match="nobody"):
        client.enter()


def test_what_it_has_declared_is_told(clock):
    one = ByHand(a_job(), clock=clock).enter()

    assert [event.worker for event in one.said(WorkerDeclared)] == ["job"]
    assert [event.node for event in one.said(NodeJoined)] == ["one"]


def test_timeouts_that_cannot_be_enforced_are_said_once_by_name(clock, caplog):
    """T2"""
    caplog.set_level(logging.INFO)
    names = {"thread": "slow", "coroutine": "quick"}
    definitions = [Definition(name=name, executor=kind) for kind, name in names.items()]
    endless = Definition(name="endless", executor="thread", timeout_s=None)
    ByHand(
        *definitions,
        endless,
        Definition(name="elsewhere", executor="thread"),
        clock=clock,
        workers=["slow", "quick", "endless"],
    ).enter()

    (said,) = (message for message in caplog.messages if "timeouts cannot be enforced" in message)
    assert "a run of slow keeps its slot" in said


def test_where_no_thread_can_be_started_that_is_said(clock, monkeypatch):
    one = ByHand(a_job(), clock=clock)

    def refused():
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(one.engine._thread, "start", refused)
    with pytest.raises(NotAllowed, match=r"no thread can be started here .can't start new thread., but the orch"):
        one.engine.start()


def test_its_thread_runs_from_start_to_end(clock):
    one = ByHand(a_job(), clock=clock)
    ran = threading.Event()
    one.store.then = lambda: (ran.set(), one.engine.stop())
    assert not one.engine.is_alive
    one.engine.join(0)
    one.engine.start()
    report = one.engine.over.result(timeout=60)
    one.engine.join(60)

    assert (ran.is_set(), report.exit_code, one.engine.is_alive) == (True, 0, False)


def test_how_long_it_may_take_to_end_is_known_from_the_stop_on(clock):
    """G1"""
    one = ByHand(a_job(), clock=clock, shutdown_timeout_s=10.0).enter()
    assert (one.engine.left_s, one.engine.shutdown_timeout_s) == (float("inf"), 10.0)
    one.engine.stop()
    clock.advance(4)
    assert one.engine.left_s == 6.0


def test_a_node_that_begins_beside_a_dead_one_rescues_its_runs_at_once(clock):
    """C4: with its very first renewal."""
    store = Store(clock)
    dead = ByHand(a_job(), name="dead", store=store, clock=clock).enter()
    run_id = dead.running()
    store.gone.add("dead")
    one = ByHand(a_job(), name="one", store=store, clock=clock).enter()
    assert dead.row is None
    one.step()

    assert list(one.hand.launches) == [run_id]


def test_a_client_knows_whether_anybody_has_declared_a_worker(clock):
    store = Store(clock)
    client = ByHand(store=store, clock=clock, client=True).enter()
    assert not client.engine.knows_workers
    ByHand(a_job(), store=store, clock=clock).enter()
    client.step()
    assert client.engine.knows_workers


def test_a_watch_that_gets_no_thread_ends_the_other_one(clock, monkeypatch):
    """C3, C4"""
    one = ByHand(a_job(), clock=clock)

    def refused():
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(one.engine._lease_watch, "start", refused)
    one.engine.start()

    with pytest.raises(RuntimeError, match="can't start new thread"):
        one.engine.ready.result(60)
    assert not one.engine._freezes._thread.is_alive()
