"""Rows that nobody can read: whom they hold, what is never made of them, and how they are set aside (W8, A5)."""

from __future__ import annotations

from typing import Any

import pytest
from builders import (
    NOON,
    OK,
    World,
    a_breaker,
    a_definition,
    a_node,
    a_record,
    a_run,
    a_snapshot,
    a_worker,
    after,
    an_occurrence,
    at,
    gates,
    starts,
    unreadable,
)

from shiftboss.core import control, fleet
from shiftboss.core.events import Audit
from shiftboss.core.fleet import Processes
from shiftboss.core.holds import IsUnreadable
from shiftboss.core.model import BreakerMode, Disabled, Origin, Record, Status
from shiftboss.core.policy import BreakerPolicy
from shiftboss.core.reconcile import declare
from shiftboss.core.set_aside import set_aside
from shiftboss.core.settle import rescue
from shiftboss.core.unreadable import SetAside, Unreadable
from shiftboss.core.value import replace
from shiftboss.errors import NotAllowed

RUNNING = Status.RUNNING
HOURLY = {"every": 3600.0}

A_ROW = {
    "waits": lambda: {"runs": (unreadable(a_run("bad"), "run"),)},
    "runs": lambda: {"runs": (unreadable(a_run("bad", RUNNING), "run"),)},
    "its worker's": lambda: {"worker": unreadable(a_worker("bad", concurrency=1, uses={"r": 1}), "worker", "bad")},
    "its record": lambda: {"records": {"bad": unreadable(a_record(ok=True), "record", "bad")}},
}


def a_world(row: str, *runs: Any, **workers: dict[str, Any]) -> World:
    """One row of the worker "bad" cannot be read; others stand beside it."""
    facts = A_ROW[row]()
    bad = facts.get("worker", a_worker("bad", concurrency=1, uses={"r": 1}, breaker="shared"))
    return a_snapshot(
        *facts.get("runs", ()),
        *runs,
        workers=[bad, *(a_worker(name, **fields) for name, fields in workers.items())],
        records={**dict.fromkeys(workers, a_record(ok=True)), "bad": a_record(ok=True), **facts.get("records", {})},
        breakers=[a_breaker("shared", BreakerMode.CLOSED)],
        resources={"r": 5},
    )


@pytest.mark.parametrize("row", A_ROW)
@pytest.mark.parametrize(
    "relation",
    [{"depends_on": ["bad"]}, {"after": ("bad",)}, {"blocks": ("bad",)}, {"uses": {"r": 1}}],
    ids=["depends on it", "comes after it", "excludes it", "shares permits"],
)
def test_what_could_meet_it_is_held_and_nothing_else(row: str, relation: dict[str, Any]):
    """W8: and the hold names the row."""
    world = a_world(row, a_run("near", id=8), a_run("far", id=9), near=relation, far={})
    decision = world.decide()

    assert starts(decision) == [9]
    held = [hold for hold in decision.holds[8] if isinstance(hold, IsUnreadable)]
    assert [hold.worker or hold.id for hold in held] == ["bad"]
    assert "doctor --set-aside" in str(held[0])


def test_who_shares_its_breaker_is_held():
    """W8: the breaker of a worker whose run cannot be read may be about to open."""
    world = a_world("waits", a_run("near", id=8), near={"breaker": "shared"})

    assert gates(world.decide(), 8) == ["unreadable"]


def test_other_runs_of_its_worker_are_held_where_few_may_run_at_once():
    """W8: without a limit they have nothing in common."""
    limited = a_snapshot(unreadable(a_run(), "run"), a_run(id=2), workers=[a_worker(concurrency=1)])
    free = a_snapshot(unreadable(a_run(), "run"), a_run(id=2), workers=[a_worker()])

    assert gates(limited.decide(), 2) == ["unreadable"]
    assert starts(free.decide()) == [2]


@pytest.mark.parametrize("row", ["its worker's", "its record"])
def test_every_run_of_a_worker_whose_own_row_cannot_be_read_is_held(row: str):
    """W8"""
    world = a_world(row, a_run("bad", id=8))

    assert gates(world.decide(), 8) == ["unreadable"]


def test_everybody_is_held_by_the_breaker_that_they_share():
    """W8"""
    world = a_snapshot(
        a_run("a"),
        a_run("b"),
        a_run("c"),
        workers=[a_worker("a", breaker="x"), a_worker("b", breaker="x"), a_worker("c", breaker="y")],
        breakers=[unreadable(a_breaker("x", BreakerMode.CLOSED), "breaker", "x"), a_breaker("y", BreakerMode.CLOSED)],
    )
    decision = world.decide()

    assert (gates(decision, 1), gates(decision, 2), starts(decision)) == (["unreadable"], ["unreadable"], [3])


def test_why_of_the_row_itself_says_that_it_cannot_be_read():
    """W8, A3"""
    run = unreadable(a_run(id=1), "run")
    world = a_snapshot(run)

    assert [str(hold) for hold in world.why(run).holds] == [
        "run 1 of a cannot be read (?); see: shiftboss doctor; then: shiftboss doctor --set-aside"
    ]


def test_one_that_runs_still_excludes_and_counts():
    """W8, B1: it may be running."""
    world = a_snapshot(
        unreadable(a_run("a", RUNNING), "run"), a_run("b"), workers=[a_worker("a"), a_worker("b", blocks=("a",))]
    )

    assert gates(world.decide(), 2) == ["unreadable", "blocks"]


def test_no_successor_is_made_beside_an_occurrence_that_cannot_be_read():
    """W8, O1: its instant may be the one that would come next."""
    world = a_snapshot(
        unreadable(an_occurrence("a"), "run"),
        workers=[a_worker("a", **HOURLY)],
        records={"a": a_record(anchor_at=NOON)},
    )
    world.declare(a_definition("a", **HOURLY))

    assert world.pending("a") == []


class TestRefusals:
    """W8: what is asked of a row that cannot be read is refused with the remedy."""

    def test_a_worker(self):
        world = a_snapshot(workers=[unreadable(a_worker("a"), "worker", "a")])
        for ask in (
            lambda: world.trigger("a"),
            lambda: world.does(control.disable, name="a", by="ada", reason=""),
            lambda: world.does(control.enable, name="a", by="ada"),
            lambda: world.does(control.forget, name="a", live=(), by="ada"),
        ):
            with pytest.raises(NotAllowed, match=r"worker a cannot be read.*doctor --set-aside"):
                ask()

    def test_a_run(self):
        world = a_snapshot()
        world.fetched[7] = unreadable(a_run(id=7), "run", "7")
        with pytest.raises(NotAllowed, match="run 7 of a cannot be read"):
            world.does(control.cancel, run_id=7, by="ada", reason="")

    def test_a_key_that_is_taken(self):
        """O5"""
        world = a_snapshot(workers=[a_worker("a")])
        world.keyed["a", "k"] = unreadable(a_run(id=7, key="k"), "run", "7")
        with pytest.raises(NotAllowed, match="key 'k' of worker 'a' is taken: run 7 of a cannot be read"):
            world.trigger("a", key="k")

    def test_forgetting_a_worker_of_whose_runs_one_cannot_be_read(self):
        world = a_snapshot(unreadable(a_run("a"), "run"))
        with pytest.raises(NotAllowed, match="run 1 of a cannot be read"):
            world.does(control.forget, name="a", live=(), by="ada")


class TestDeclaration:
    """W8, M7: a mended application starts."""

    def test_a_new_one_takes_the_place_of_one_that_cannot_be_read(self):
        old = unreadable(a_worker("a"), "worker", "a")
        world = a_snapshot(a_run("a"), workers=[old], records={"a": Record(streak=3)})
        change, changed = world_change(world, a_definition("a", timeout_s=5.0))
        world.apply(change)

        assert changed == ("a",)
        assert world.workers["a"].unreadable is None
        assert world.records["a"].streak == 3
        assert [(row.table, row.id, row.note, row.leaves) for row in change.set_aside] == [
            ("worker", "a", "registered again", False)
        ]
        assert starts(world.decide()) == [1]

    def test_who_was_disabled_stays_it(self):
        """K5: that was not declared."""
        was = Disabled(by="ada", reason="7", since=at("11:00"))
        world = a_snapshot(workers=[unreadable(a_worker("a", disabled=was), "worker", "a")])
        world.declare(a_definition("a"))

        assert world.workers["a"].disabled == was

    def test_a_record_that_cannot_be_read_is_not_declared(self):
        world = a_snapshot(
            a_run("a"), workers=[a_worker("a", **HOURLY)], records={"a": unreadable(Record(), "record", "a")}
        )
        world.declare(a_definition("a", every=60.0))

        assert gates(world.decide(), 1) == ["unreadable"]
        assert [run.origin for run in world.pending("a")] == [Origin.TRIGGER]

    def test_a_breaker_of_which_only_the_policy_cannot_be_read_gets_the_new_one(self):
        """K1: whether it is open is not declared, and stays."""
        policy = BreakerPolicy(failures=7)
        world = a_snapshot(
            workers=[a_worker("a", breaker="a")],
            breakers=[unreadable(a_breaker("a"), "breaker", "a", fields=("policy",))],
        )
        change, _ = world_change(world, a_definition("a", breaker="a", breaker_policy=policy))

        assert [breaker for breaker in change.breakers if breaker.name == "a"] == [a_breaker("a", policy=policy)]
        assert [(row.table, row.leaves) for row in change.set_aside] == [("breaker", False)], (
            "the row as it was is kept"
        )


def world_change(world: World, *definitions: Any) -> Any:
    return declare(world, NOON, ids=world.ids, definitions=definitions, resources={})


class TestNodes:
    """W8, C4: of a node whose row cannot be read nobody knows when its lease ends."""

    def test_it_is_not_waited_for_and_its_lease_is_nobodys_to_judge(self):
        me, other = a_node("me"), unreadable(a_node("n2", boot="", lease_until_s=0.0), "node", "n2")
        world = a_snapshot(nodes=[me, other])

        assert fleet.live_nodes(world, boot="boot-1", lease_s=100.0) == {"me"}
        assert fleet.lost_nodes(world, me=me, lease_s=1000.0, processes=Processes()) == ()

    def test_one_that_is_surely_gone_is_rescued_and_its_row_kept(self):
        me, other = a_node("me"), unreadable(a_node("n2", boot=""), "node", "n2")
        world = a_snapshot(a_run(status=RUNNING, node="n2"), nodes=[me, other])
        assert [
            node.id
            for node in fleet.lost_nodes(world, me=me, lease_s=100.0, processes=Processes(dead=frozenset({"n2"})))
        ] == ["n2"]
        change, _ = rescue(world, NOON, ids=world.ids, node=other, by="me", process_is_gone=True)

        assert [run.status for run in change.runs] == [Status.PENDING]
        assert [(row.table, row.id) for row in change.set_aside] == [("node", "n2")]

    def test_who_cannot_read_its_own_row_rescues_nobody_by_a_lease(self):
        me, other = unreadable(a_node("me", boot=""), "node", "me"), a_node("n2")
        world = a_snapshot(nodes=[me, other])

        assert fleet.lost_nodes(world, me=me, lease_s=1000.0, processes=Processes()) == ()

    def test_its_own_renewal_writes_it_anew(self):
        mine = a_node("me")
        world = a_snapshot(nodes=[unreadable(mine, "node", "me")])
        world.apply(fleet.renew(world, NOON, node=mine, lease_s=50.0)[0])

        assert (world.nodes["me"].unreadable, world.nodes["me"].held_since_s) == (None, 50.0)


class TestSetAside:
    """A5"""

    def put_aside(self, world: World, *rows: Unreadable, **facts: Any) -> tuple[Any, Any]:
        world.unreadable = {row.place: row for row in rows}
        asked = facts.pop("places", [row.place for row in rows])
        change, found = set_aside(
            world, NOON, ids=world.ids, places=asked, by="ada", note="why", boot="boot-1", lease_s=100.0
        )
        world.apply(change)
        return change, found

    def test_a_node_that_is_gone_meanwhile_is_set_aside_and_made_no_node(self):
        row = Unreadable("node", "n9", reason="?")
        world = a_snapshot(workers=[a_worker("a")], nodes=[a_node("n1")])
        change, found = self.put_aside(world, row)

        assert (found, change.nodes, set(world.nodes)) == ((row,), (), {"n1"})

    def test_what_is_no_node_touches_none(self):
        run = unreadable(a_run("a"), "run", "n1")
        world = a_snapshot(run, workers=[a_worker("a")], nodes=[a_node("n1")])

        assert self.put_aside(world, replace(run.unreadable, table="record"))[0].nodes == ()

    def test_what_it_held_goes_on(self):
        run = unreadable(a_run("a"), "run")
        world = a_snapshot(
            run,
            a_run("a", id=2),
            a_run("b", id=3),
            workers=[a_worker("a", concurrency=1), a_worker("b", blocks=("a",))],
        )
        assert starts(world.decide()) == []
        change, found = self.put_aside(world, run.unreadable)

        assert found == (run.unreadable,)
        assert change.set_aside == (SetAside.of(run.unreadable, at=NOON, by="ada", note="why"),)
        assert starts(world.decide()) == [2]
        assert world.said(Audit) == [
            Audit(
                at=NOON,
                worker="a",
                run=1,
                by="ada",
                action="set aside",
                before="run 1 of a cannot be read (?)",
                after="why",
            )
        ]

    def test_one_that_ran_counts_no_more(self):
        run = unreadable(a_run("a", RUNNING), "run")
        world = a_snapshot(run, a_run("a", id=2), workers=[a_worker("a", concurrency=1)])
        self.put_aside(world, run.unreadable)

        assert starts(world.decide()) == [2]

    def test_an_occurrence_has_a_successor(self):
        """M3"""
        run = unreadable(an_occurrence("a"), "run")
        world = a_snapshot(
            run,
            workers=[a_worker("a", **HOURLY)],
            records={"a": a_record(ok=True, anchor_at=at("11:00"), last_instant=at("11:00"))},
        )
        self.put_aside(world, run.unreadable)

        assert [run.occurs_at for run in world.pending("a")] == [NOON]

    def test_a_worker_without_a_record_begins_anew(self):
        record = unreadable(Record(), "record", "a")
        world = a_snapshot(workers=[a_worker("a", **HOURLY)], records={"a": record})
        row = replace(record.unreadable, worker="a")
        self.put_aside(world, row)

        assert world.record("a").unreadable is None
        assert [run.due_at for run in world.pending("a")] == [NOON]

    def test_a_breaker_is_closed(self):
        breaker = unreadable(a_breaker("a"), "breaker", "a")
        world = a_snapshot(a_run("a"), workers=[a_worker("a", breaker="a")], breakers=[breaker])
        self.put_aside(world, breaker.unreadable)

        assert world.breakers["a"] == a_breaker("a", BreakerMode.CLOSED)
        assert starts(world.decide()) == [1]

    def test_a_worker_is_gone_until_it_is_declared_again(self):
        state = unreadable(a_worker("a"), "worker", "a")
        world = a_snapshot(a_run("a"), workers=[state])
        self.put_aside(world, replace(state.unreadable, worker="a"))
        assert "a" not in world.workers
        world.declare(a_definition("a"))
        world.lanes["a"].put(a_run("a", id=1))

        assert starts(world.decide(after(1))) == [1]

    def test_a_node_has_one_more_lease_to_say_that_it_lives(self):
        """C4"""
        other = unreadable(a_node("n2", boot="", lease_until_s=0.0), "node", "n2")
        me = a_node("me")
        world = a_snapshot(nodes=[me, other])
        self.put_aside(world, other.unreadable)

        assert fleet.lost_nodes(world, me=me, lease_s=134.0, processes=Processes()) == ()
        assert [node.id for node in fleet.lost_nodes(world, me=me, lease_s=136.0, processes=Processes())] == ["n2"]

    def test_a_row_that_can_be_read_by_then_is_left_alone_and_twice_is_once(self):
        world = a_snapshot(a_run("a"))
        change, found = self.put_aside(world, places=[("run", "1"), ("run", "1")])

        assert (found, change.set_aside, change.events) == ((), (), ())


def test_the_end_of_a_run_is_kept_although_its_workers_row_cannot_be_read():
    """W2, W8: what is known of the run is written; the rest stays as it is."""
    world = a_snapshot(
        a_run("a", RUNNING),
        workers=[unreadable(a_worker("a"), "worker", "a")],
        records={"a": unreadable(a_record(ok=True), "record", "a")},
    )
    assert world.settle(1, OK)

    assert world.ended[1].status is Status.SUCCEEDED
    assert world.workers["a"].unreadable is not None
    assert world.records["a"].unreadable is not None
