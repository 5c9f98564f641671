"""What happens to the runs of a node that is gone, and to bodies that could not be stopped?"""

from __future__ import annotations

import pytest
from builders import (
    FAILED,
    NO_RETRY,
    NOON,
    TIMED_OUT,
    a_breaker,
    a_node,
    a_record,
    a_run,
    a_snapshot,
    a_worker,
    after,
    at,
)

from shiftboss.core.events import NodeLeft, RunEnded, RunRescued
from shiftboss.core.model import (
    CancelRequest,
    Cause,
    Claim,
    Interrupted,
    Sample,
    Status,
)
from shiftboss.core.policy import RetryPolicy
from shiftboss.core.settle import back_off_s, rescue
from shiftboss.core.value import replace

RUNNING = Status.RUNNING
CANCEL = CancelRequest(by="ada", at=NOON)


class TestRescue:
    """C4: the claims of a node that is gone are given back."""

    def rescued(self, run, *, now=NOON, process_is_gone=False, **facts):
        world = a_snapshot(run, nodes=[a_node("n1"), a_node("n2")], **facts)
        world.does(rescue, now, node=world.nodes["n1"], by="n2", process_is_gone=process_is_gone)
        return world

    def test_the_first_time_at_once(self):
        world = self.rescued(a_run(status=RUNNING, attempt=2), records={"a": a_record(streak=1)})

        (run,) = world.pending()
        assert (run.due_at, run.attempt, run.interruptions, run.rescues, run.claim) == (NOON, 1, 1, 1, None)
        assert [a.cause for a in run.attempts] == [Cause.RESCUED]
        assert world.said(RunRescued) == [RunRescued(at=NOON, worker="a", run=1, lost_node="host:n1", due_at=NOON)]

    def test_the_node_is_gone_then(self):
        world = self.rescued(a_run(status=RUNNING))

        assert list(world.nodes) == ["n2"]
        assert world.said(NodeLeft) == [NodeLeft(at=NOON, node="n1", name="host:n1", lost=True)]

    def test_it_says_what_is_known_of_the_node_and_no_more(self):
        """C8"""
        said = [
            self.rescued(a_run(status=RUNNING), **facts).pending()[0].attempts[-1].error.message
            for facts in ({}, {"process_is_gone": True})
        ]

        assert said == [
            "the lease of node host:n1 expired: its process ended, froze, or lost contact with the store",
            "node host:n1 ended without handing the run back",
        ]

    @pytest.mark.parametrize(
        ("ends", "said"),
        [
            ((True,) * 5, "it seems to crash its process"),
            ((False,) * 5, "each time the lease of its node expired"),
            ((True, False, True, False, True), "2 of these times the lease of its node expired"),
        ],
    )
    def test_a_loop_of_rescues_does_not_blame_the_body_for_a_network(self, ends, said):
        """C8: five cuts of the network are no sign that a body ends its process."""
        run = a_run(status=RUNNING)
        for process_is_gone in ends:
            world = self.rescued(run, process_is_gone=process_is_gone)
            for waiting in world.pending():
                run = replace(waiting, status=RUNNING, attempt=1, claim=Claim("n1", 1, NOON))

        assert said in world.said(RunEnded)[0].error.message

    def test_runs_of_other_nodes_stay(self):
        world = self.rescued(a_run(status=RUNNING, node="n2"))

        assert list(world.running) == [1]

    def test_from_the_second_time_on_after_a_back_off(self):
        world = self.rescued(a_run(status=RUNNING, rescues=1))

        (run,) = world.pending()
        assert (run.due_at, run.rescues) == (after(back_off_s(RetryPolicy(), 1, 1)), 2)
        assert run.due_at > NOON

    @pytest.mark.parametrize("rescues", [0, 1])
    def test_it_keeps_its_place_in_the_queue(self, rescues):
        """P2"""
        world = self.rescued(a_run(status=RUNNING, due_at=at("11:00"), rescues=rescues))

        (run,) = world.pending()
        assert (run.ranks_from, run.due_at >= NOON) == (at("11:00"), True)

    def test_it_touches_neither_streak_nor_ring(self):
        """R2"""
        world = self.rescued(a_run(status=RUNNING), records={"a": a_record(streak=4)})

        record = world.record("a")
        assert (record.streak, record.ring, record.latest) == (4, (), None)

    def test_the_fifth_time_in_a_row_is_a_crash_loop(self):
        """C8"""
        world = a_snapshot(a_run(), nodes=[a_node(f"n{number}") for number in range(1, 6)])
        now = NOON
        for number in range(1, 6):
            assert world.start(now, node=f"n{number}") == [1]
            world.does(rescue, now, node=world.nodes[f"n{number}"], by="n0", process_is_gone=False)
            now = max(now, world.pending()[0].due_at) if world.pending() else now

        dead = world.ended[1]
        assert (dead.status, dead.cause, dead.interruptions) == (Status.DEAD, Cause.CRASH_LOOP, 4)
        assert world.letters[1].cause is Cause.CRASH_LOOP

    def test_a_finished_attempt_between_them_starts_the_count_anew(self):
        """C8"""
        world = a_snapshot(a_run(status=RUNNING, rescues=4))
        world.settle(1, FAILED)

        assert world.pending()[0].rescues == 0

    def test_at_most_once_is_dead_as_lost(self):
        """C7"""
        world = self.rescued(a_run(status=RUNNING), workers=[a_worker(at_most_once=True)])

        assert (world.ended[1].status, world.ended[1].cause) == (Status.DEAD, Cause.LOST)

    def test_a_zombie_is_settled_as_the_timeout_it_was(self):
        """B6"""
        world = self.rescued(a_run(status=RUNNING, zombie_since=at("11:59:30")))

        (run,) = world.pending()
        assert (run.attempt, run.attempts[0].cause, run.interruptions) == (1, Cause.TIMEOUT, 0)
        assert world.record("a").ring == (Sample(False, 60.0),)

    def test_a_zombie_that_was_rescued_four_times_before_is_no_crash_loop(self):
        """B6, C8: its timeout is known, whatever its node's end was."""
        world = self.rescued(a_run(status=RUNNING, rescues=4, zombie_since=at("11:59:30")))

        (run,) = world.pending()
        assert (run.attempts[-1].cause, run.rescues) == (Cause.TIMEOUT, 0)

    def test_a_zombie_that_was_cancelled_before_ends_as_that(self):
        """T4, B6"""
        world = self.rescued(a_run(status=RUNNING, cancel=CANCEL, zombie_since=at("12:00:05")), now=at("12:01"))

        assert (world.ended[1].status, world.ended[1].attempts[-1].cause) == (Status.CANCELLED, Cause.CANCELLED)

    def test_a_cancelled_run_ends(self):
        """T4"""
        world = self.rescued(a_run(status=RUNNING, cancel=CANCEL))

        assert world.ended[1].status is Status.CANCELLED

    def test_a_probe_that_is_lost_lets_the_next_run_probe(self):
        """K2, R2"""
        world = a_snapshot(a_run(), a_run(), workers=[a_worker(breaker="x")], nodes=[a_node("n1"), a_node("n2")])
        world.breakers["x"] = a_breaker("x")
        world.start(after(30))
        world.does(rescue, after(40), node=world.nodes["n1"], by="n2", process_is_gone=False)

        assert [g.probe for g in world.decide(after(40), node="n2").grants] == [True]


class TestZombies:
    """B6: a body that could not be stopped keeps its claim until it ends, and is then settled as a timeout."""

    def test_its_late_end_is_a_timeout_and_is_retried(self):
        world = a_snapshot(a_run(status=RUNNING, zombie_since=at("11:59:30")))
        world.settle(1, TIMED_OUT)

        (run,) = world.pending()
        assert (run.attempts[0].cause, run.claim) == (Cause.TIMEOUT, None)


class TestZombiesAtAnEnd:
    """B6, G2, R2: a body that outlived its timeout is not merely cut short by the end of its node."""

    def cut(self, run, **facts):
        world = a_snapshot(run, **facts)
        world.settle(1, Interrupted(reason="its process ended"))
        return world

    def test_it_has_timed_out_and_its_attempt_counts(self):
        world = self.cut(a_run(status=RUNNING, zombie_since=at("11:59:30")))

        (run,) = world.pending()
        assert (run.attempt, run.interruptions, run.attempts[0].cause) == (1, 0, Cause.TIMEOUT)
        assert run.due_at == after(back_off_s(RetryPolicy(), 1, 1))
        assert world.record("a").ring == (Sample(False, 1.0),)

    def test_without_a_retry_it_is_dead(self):
        world = self.cut(a_run(status=RUNNING, zombie_since=at("11:59:30")), workers=[a_worker(retry=NO_RETRY)])

        assert (world.ended[1].status, world.ended[1].cause) == (Status.DEAD, Cause.TIMEOUT)
        assert world.record("a").streak == 1

    def test_at_most_once_it_is_dead_by_its_timeout_and_not_lost(self):
        """C7"""
        world = self.cut(a_run(status=RUNNING, zombie_since=at("11:59:30")), workers=[a_worker(at_most_once=True)])

        assert (world.ended[1].status, world.ended[1].cause) == (Status.DEAD, Cause.TIMEOUT)

    def test_past_its_deadline_it_is_not_tried_again(self):
        """T1"""
        world = self.cut(a_run(status=RUNNING, zombie_since=at("11:59:30"), deadline_at=at("11:59:30")))

        assert (world.ended[1].status, world.ended[1].cause) == (Status.DEAD, Cause.TIMEOUT)

    @pytest.mark.parametrize(("cancelled_at", "cause"), [("11:59:20", Cause.CANCELLED), ("11:59:40", Cause.TIMEOUT)])
    def test_what_was_cancelled_ends_as_that_and_its_attempt_says_which_was_first(self, cancelled_at, cause):
        """T4"""
        cancel = CancelRequest(by="ada", at=at(cancelled_at))
        world = self.cut(a_run(status=RUNNING, zombie_since=at("11:59:30"), cancel=cancel))

        assert (world.ended[1].status, world.ended[1].attempts[0].cause) == (Status.CANCELLED, cause)
        assert world.record("a").streak == 0
