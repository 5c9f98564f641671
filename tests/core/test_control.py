"""What people and code may do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from builders import (
    FATAL,
    NOON,
    OK,
    a_definition,
    a_node,
    a_record,
    a_run,
    a_snapshot,
    a_worker,
    after,
    an_iteration,
    at,
    unreadable,
)

from shiftboss.core import control
from shiftboss.core.control import Request
from shiftboss.core.events import (
    Audit,
    RunEnded,
    RunStored,
    WorkerDisabled,
    WorkerEnabled,
    WorkerForgotten,
    WorkerPaused,
    WorkerResumed,
)
from shiftboss.core.model import CancelRequest, Cause, Disabled, NodeMode, Origin, Pause, Status
from shiftboss.core.policy import Priority
from shiftboss.core.snapshot import NOTHING
from shiftboss.errors import (
    ConfigurationError,
    DuplicateKey,
    NotAllowed,
    UnknownNode,
    UnknownRun,
    UnknownWorker,
    WrongPayload,
)
from shiftboss.errors import WorkerDisabled as Refused

RUNNING = Status.RUNNING
AUTO = Disabled(by="auto", reason="5 died", since=at("11:00"), probation_s=3600.0, probation_until=NOON)


def a_world(*runs, **worker):
    return a_snapshot(*runs, workers=[a_worker(**worker)])


class TestTrigger:
    """M1, M2, D1: any worker can be triggered; later is a pending run."""

    @pytest.mark.parametrize("mode", [{}, {"every": 60.0}, {"continuous": True}])
    def test_it_stores_a_run_that_is_due_now(self, mode):
        world = a_world(**mode)
        run = world.trigger("a", payload=b"[1]", digest="abc", by="ada")

        assert (run.id, run.origin, run.status, run.by) == (101, Origin.TRIGGER, Status.PENDING, "ada")
        assert (run.payload, run.digest, run.priority) == (b"[1]", "abc", Priority.NORMAL)
        assert (run.created_at, run.occurs_at, run.due_at) == (NOON, NOON, NOON)
        assert world.pending() == [run]
        assert world.said(RunStored) == [RunStored(at=NOON, worker="a", run=101, origin="trigger")]

    def test_a_delayed_one_occurs_when_it_is_due(self):
        world = a_world()

        assert world.trigger("a", delay_s=600.0).occurs_at == at("12:10")
        assert world.trigger("a", at=at("13:00")).due_at == at("13:00")

    def test_an_instant_that_has_passed_is_now(self):
        run = a_world().trigger("a", at=at("11:00"))

        assert (run.occurs_at, run.due_at) == (NOON, NOON)

    def test_a_priority_may_be_given(self):
        """P1"""
        assert a_world(priority="low").trigger("a").priority is Priority.LOW
        assert a_world(priority="low").trigger("a", priority=Priority.CRITICAL).priority is Priority.CRITICAL

    def test_limits_count_from_the_due_instant(self):
        """T1"""
        run = a_world(start_within_s=60.0, deadline_s=600.0).trigger("a", delay_s=100.0)
        assert (run.give_up_at, run.deadline_at) == (after(160), after(700))

        run = a_world(deadline_s=600.0).trigger("a")
        assert (run.give_up_at, run.deadline_at) == (after(600), after(600))

        run = a_world().trigger("a")
        assert (run.give_up_at, run.deadline_at) == (None, None)

    def test_an_unknown_worker_is_refused_with_the_nearest_name(self):
        with pytest.raises(UnknownWorker, match="there is no worker named 'bakup'; did you mean 'backup'"):
            a_snapshot(workers=[a_worker("backup")]).trigger("bakup")

    def test_too_large_a_payload_is_refused(self):
        with pytest.raises(WrongPayload, match="has 11 bytes, the limit is 10"):
            a_world(max_payload_bytes=10).trigger("a", payload=b"x" * 11, digest="abc")

    def test_a_disabled_worker_refuses_new_ones(self):
        """K5"""
        world = a_world(disabled="ada")

        with pytest.raises(
            Refused, match=r"'a' is disabled by ada \(for a test\); enable it, or trigger with force=True"
        ):
            world.trigger("a")
        assert world.pending() == []

    def test_force_passes(self):
        """K5"""
        world = a_world(disabled="ada")
        run = world.trigger("a", force=True)

        assert run.forced
        assert world.start() == [run.id]

    def test_a_worker_without_a_live_node_takes_them(self):
        """Q1"""
        world = a_snapshot(workers=[a_worker("a")], nodes=[a_node("n1", "other")])

        assert world.trigger("a").status is Status.PENDING


class TestKeys:
    """O5: a key makes a trigger idempotent."""

    def test_without_one_each_trigger_queues(self):
        world = a_world(a_run(status=RUNNING), concurrency=1)
        first, second = world.trigger("a"), world.trigger("a")

        assert [run.id for run in world.pending()] == [first.id, second.id]

    def test_the_same_key_returns_the_same_run_while_it_is_unfinished(self):
        world = a_world()
        run = world.trigger("a", key="k")
        assert world.trigger("a", after(1), key="k") == run

        world.start()
        assert world.trigger("a", after(2), key="k").id == run.id
        assert len(world.said(RunStored)) == 1

    def test_and_within_its_time_after_its_success(self):
        world = a_world(key_ttl_s=3600.0)
        run = world.trigger("a", key="k")
        world.start()
        world.settle(run.id, OK, after(10))

        assert world.trigger("a", after(3609), key="k").id == run.id
        assert world.trigger("a", after(3610), key="k").id != run.id

    @pytest.mark.parametrize("end", ["dead", "cancelled"])
    def test_after_any_other_end_it_may_be_tried_again(self, end):
        world = a_world()
        run = world.trigger("a", key="k")
        if end == "dead":
            world.start()
            world.settle(run.id, FATAL)
        else:
            world.fetched[run.id] = run
            world.does(control.cancel, run_id=run.id, by="ada", reason="")

        assert world.trigger("a", key="k").id != run.id

    def test_another_payload_is_refused(self):
        world = a_world()
        world.trigger("a", key="k", payload=b"1", digest="one")

        with pytest.raises(DuplicateKey, match="key 'k' of worker 'a' belongs to run 101 with another payload"):
            world.trigger("a", key="k", payload=b"2", digest="two")

    def test_keys_belong_to_their_worker(self):
        world = a_snapshot(workers=[a_worker("a"), a_worker("b")])

        assert world.trigger("a", key="k").id != world.trigger("b", key="k").id

    def test_a_repeated_trigger_of_a_worker_that_was_disabled_meanwhile_finds_its_run(self):
        """K5"""
        world = a_world()
        run = world.trigger("a", key="k")
        world.does(control.disable, name="a", by="ada", reason="")

        assert world.trigger("a", key="k") == run


class TestCancel:
    """T4: at once while it waits, by asking its attempt while it runs."""

    def test_a_pending_run_ends_at_once(self):
        world = a_world(a_run())
        world.fetched[1] = world.pending()[0]
        run = world.does(control.cancel, run_id=1, by="ada", reason="no need")

        assert (run.status, run.cause, run.finished_at) == (Status.CANCELLED, Cause.CANCELLED, NOON)
        assert run.cancel == CancelRequest(by="ada", at=NOON, reason="no need")
        assert world.pending() == []
        assert world.record("a").streak == 0

    def test_a_running_one_is_asked(self):
        world = a_world(a_run(status=RUNNING))
        run = world.does(control.cancel, run_id=1, by="ada", reason="")

        assert (run.status, run.cancel.by) == (RUNNING, "ada")
        assert run.claim is not None

    def test_it_is_audited_once(self):
        """A1"""
        world = a_world(a_run(status=RUNNING))
        world.does(control.cancel, run_id=1, by="ada", reason="no need")
        world.does(control.cancel, run_id=1, by="bob", reason="me too")

        assert world.said(Audit) == [
            Audit(at=NOON, worker="a", run=1, by="ada", action="cancel", before="running", after="no need")
        ]
        assert world.running[1].cancel.by == "ada"

    def test_one_that_is_cancelled_already_stays_as_it_is(self):
        """T4: twice is as once, although it has ended."""
        cancelled = a_run(status=Status.CANCELLED, id=1)
        world = a_world(cancelled)

        assert world.does(control.cancel, run_id=1, by="ada", reason="") == cancelled
        assert world.events == []

    def test_a_finished_run_is_refused(self):
        """S"""
        world = a_world(a_run(status=Status.SUCCEEDED))

        with pytest.raises(NotAllowed, match=r"run 1 of 'a' has ended \(succeeded\); only unfinished runs"):
            world.does(control.cancel, run_id=1, by="ada", reason="")

    def test_an_unknown_run_is_refused(self):
        with pytest.raises(UnknownRun, match="no run 9 is stored"):
            a_world().does(control.cancel, run_id=9, by="ada", reason="")

    def test_a_cancelled_iteration_is_followed_by_the_next(self):
        """M5"""
        world = a_world(an_iteration(), continuous=True, pause_s=5.0)
        world.fetched[1] = world.pending()[0]
        world.does(control.cancel, run_id=1, by="ada", reason="")

        assert [run.due_at for run in world.pending()] == [after(5)]


class TestDisable:
    """K5: nothing new starts; what a person decides is audited (A1)."""

    def test_it_keeps_who_why_and_since(self):
        world = a_world()
        state = world.does(control.disable, name="a", by="ada", reason="broken")

        assert state.disabled == Disabled(by="ada", reason="broken", since=NOON)
        assert world.workers["a"] == state

    def test_the_event_names_those_it_starves(self):
        """K4"""
        world = a_snapshot(workers=[a_worker("a"), a_worker("b", depends_on=["a"])])
        world.does(control.disable, name="a", by="ada", reason="broken")

        assert world.said(WorkerDisabled) == [
            WorkerDisabled(at=NOON, worker="a", by="ada", reason="broken", starves=("b",))
        ]
        assert world.said(Audit) == [
            Audit(at=NOON, worker="a", by="ada", action="disable", before="enabled", after="disabled: broken")
        ]

    def test_twice_keeps_the_first_reason(self):
        world = a_world()
        world.does(control.disable, name="a", by="ada", reason="broken")
        change, state = control.disable(world, after(9), ids=world.ids, name="a", by="bob", reason="also")

        assert (change, state.disabled.reason) == (NOTHING, "broken")

    def test_what_failures_disabled_belongs_to_the_person_from_then_on(self):
        world = a_world(disabled=AUTO)
        state = world.does(control.disable, name="a", by="ada", reason="leave it")

        assert (state.disabled.by, state.disabled.probation_until) == ("ada", None)

    def test_enabling_is_audited_with_what_it_was_before(self):
        """A1"""
        world = a_world(disabled="ada")
        world.does(control.enable, name="a", by="bob")

        assert world.said(WorkerEnabled) == [WorkerEnabled(at=NOON, worker="a", by="bob")]
        assert world.said(Audit) == [
            Audit(
                at=NOON,
                worker="a",
                by="bob",
                action="enable",
                before="disabled by ada: for a test",
                after="enabled",
            )
        ]

    def test_enabling_an_enabled_worker_changes_nothing(self):
        world = a_world()

        assert control.enable(world, NOON, ids=world.ids, name="a", by="ada") == (NOTHING, world.workers["a"])

    def test_an_enabled_worker_with_a_streak_gets_it_reset(self):
        world = a_snapshot(workers=[a_worker()], records={"a": a_record(streak=3)})
        world.does(control.enable, name="a", by="ada")

        assert world.record("a").streak == 0
        assert world.said(WorkerEnabled) == []

    @pytest.mark.parametrize("rule", [control.disable, control.enable])
    def test_an_unknown_worker_is_refused(self, rule):
        facts = {"reason": ""} if rule is control.disable else {}

        with pytest.raises(UnknownWorker):
            a_snapshot().does(rule, name="a", by="ada", **facts)


class TestPause:
    """K7: a pause ends by itself, or when somebody says so; both are audited (A1)."""

    def pause(self, world, now=NOON, **fields):
        facts = {"reason": "moving", "for_s": None, "until": None, **fields}
        return world.does(control.pause, now, name="a", by="ada", **facts)

    def test_for_a_duration(self):
        world = a_world()
        state = self.pause(world, for_s=60.0)

        assert state.paused == Pause(by="ada", reason="moving", since=NOON, until=after(60), is_elapsed=True)
        assert world.workers["a"] == state
        assert world.said(WorkerPaused) == [
            WorkerPaused(at=NOON, worker="a", by="ada", reason="moving", until=after(60))
        ]

    def test_until_a_time(self):
        state = self.pause(a_world(), until=after(60))

        assert state.paused == Pause(by="ada", reason="moving", since=NOON, until=after(60))

    def test_a_time_that_has_passed_is_refused(self):
        for until in (NOON, after(-1)):
            with pytest.raises(ConfigurationError, match="has passed; give a later time"):
                self.pause(a_world(), until=until)

    def test_another_pause_replaces_it_and_says_what_was(self):
        """A1"""
        world = a_world()
        self.pause(world, for_s=60.0)
        state = self.pause(world, after(10), reason="")

        assert (state.paused.since, state.paused.until) == (after(10), None)
        assert [(each.by, each.action, each.before, each.after) for each in world.said(Audit)] == [
            ("ada", "pause", "not paused", "paused by ada until 2026-06-01 12:01:00 UTC: moving"),
            ("ada", "pause", "paused by ada until 2026-06-01 12:01:00 UTC: moving", "paused by ada"),
        ]

    def test_resuming_ends_it(self):
        world = a_world()
        self.pause(world)
        state = world.does(control.resume, after(5), name="a", by="bob")

        assert state.paused is None
        assert world.said(WorkerResumed) == [WorkerResumed(at=after(5), worker="a", by="bob")]
        assert (world.said(Audit)[-1].before, world.said(Audit)[-1].after) == ("paused by ada: moving", "not paused")

    def test_resuming_what_is_not_paused_changes_nothing(self):
        world = a_world()

        assert control.resume(world, NOON, ids=world.ids, name="a", by="ada") == (NOTHING, world.workers["a"])

    def test_resuming_after_the_end_is_no_act(self):
        world = a_world()
        self.pause(world, for_s=60.0)
        world.does(control.resume, after(60), name="a", by="bob")

        assert world.workers["a"].paused is None
        assert world.said(WorkerResumed) == []
        assert [each.action for each in world.said(Audit)] == ["pause"]

    def test_a_new_declaration_leaves_it(self):
        """M7"""
        world = a_world()
        self.pause(world)
        world.declare(a_definition("a", priority="high"))

        assert world.workers["a"].paused is not None

    def test_an_unknown_worker_is_refused(self):
        with pytest.raises(UnknownWorker):
            self.pause(a_snapshot())
        with pytest.raises(UnknownWorker):
            a_snapshot().does(control.resume, name="a", by="ada")


class TestForget:
    """M7: a worker that no live node declares can be forgotten."""

    def test_its_waiting_runs_are_cancelled_and_it_is_gone(self):
        world = a_world(a_run(), a_run())
        world.records["a"] = a_record(streak=3)
        world.does(control.forget, name="a", live=[], by="ada")

        assert "a" not in world.workers
        assert world.record("a").streak == 0, "one of that name that is declared later begins anew"
        assert {run.id: run.status for run in world.ended.values()} == {1: "cancelled", 2: "cancelled"}
        assert world.said(WorkerForgotten) == [WorkerForgotten(at=NOON, worker="a", by="ada")]
        assert [event.action for event in world.said(Audit)] == ["forget"]
        assert [(event.run, event.status, event.attempt) for event in world.said(RunEnded)] == [
            (1, "cancelled", 0),  # for those who wait for them
            (2, "cancelled", 0),
        ]

    def test_not_while_a_live_node_declares_it(self):
        with pytest.raises(NotAllowed, match="'a' is still registered by node host:n1; stop or redeploy it first"):
            a_world().does(control.forget, name="a", live=["n1"], by="ada")

    def test_not_while_a_run_of_it_runs(self):
        with pytest.raises(NotAllowed, match="has running runs"):
            a_world(a_run(status=RUNNING)).does(control.forget, name="a", live=[], by="ada")


class TestDrain:
    """G1, A1: a node can be told from elsewhere to start nothing more."""

    def test_the_node_is_marked_and_it_is_audited(self):
        world = a_world(a_run())
        change, _ = control.drain(world, NOON, wanted="n1", by="ada")
        world.apply(change)

        assert world.nodes["n1"].mode is NodeMode.DRAINING
        assert world.start() == []
        assert world.said(Audit) == [
            Audit(at=NOON, node="n1", by="ada", action="drain", before="running", after="draining")
        ]

    def test_it_may_be_named_and_a_second_time_changes_nothing(self):
        world = a_world()
        change, drained = control.drain(world, NOON, wanted="host:n1", by="ada")
        world.apply(change)

        assert drained == world.nodes["n1"]
        assert control.drain(world, NOON, wanted="host:n1", by="ada") == (NOTHING, drained)

    def test_an_unknown_node_is_refused(self):
        with pytest.raises(UnknownNode, match="there is no node 'n9'; known: host:n1"):
            control.drain(a_world(), NOON, wanted="n9", by="ada")

    def test_one_whose_row_cannot_be_read_is_refused(self):
        """W8"""
        with pytest.raises(NotAllowed, match="cannot be read"):
            control.drain(a_snapshot(nodes=[unreadable(a_node("n1"), "node", "n1")]), NOON, wanted="n1", by="ada")

    def test_a_name_that_several_have_is_refused_with_their_ids(self):
        world = a_snapshot(nodes=[a_node("n1", name="web"), a_node("n2", name="web")])

        with pytest.raises(UnknownNode, match="give the id of one: n1, n2"):
            control.drain(world, NOON, wanted="web", by="ada")


def test_a_refusal_leaves_no_change():
    """A1: nothing is stored, nothing is said, no id is used."""
    world = a_world(disabled="ada")
    ids: Iterator[int] = iter([])

    with pytest.raises(Refused):
        control.trigger(world, NOON + timedelta(seconds=1), ids=ids, request=Request(worker="a"))
    assert (world.events, world.pending()) == ([], [])
