"""Which runs lie with the dead letters, and how they leave."""

from __future__ import annotations

import pytest
from builders import (
    BOOM,
    FAILED,
    FATAL,
    NO_RETRY,
    NOON,
    OK,
    TIMED_OUT,
    a_record,
    a_run,
    a_snapshot,
    a_worker,
    after,
    an_iteration,
    an_occurrence,
    at,
)

from shiftboss.core import control
from shiftboss.core.events import Audit, DeadLettered
from shiftboss.core.model import (
    Attempt,
    Cause,
    DeadLetter,
    Error,
    Origin,
    Status,
    Unfit,
    Verdict,
)
from shiftboss.core.policy import Priority, RetryPolicy
from shiftboss.core.settle import expire
from shiftboss.core.snapshot import NOTHING
from shiftboss.errors import NotAllowed, UnknownRun

RUNNING = Status.RUNNING
UNFIT = Unfit(Error(type="ValidationError"))


class TestDeadLetters:
    """Q1: what cannot be repaired by waiting lies with the dead letters."""

    @pytest.mark.parametrize(
        ("outcome", "cause", "error"),
        [
            (FATAL, Cause.FATAL, "ValueError"),
            (FAILED, Cause.ERROR, "ValueError"),
            (TIMED_OUT, Cause.TIMEOUT, "TimeoutError"),
            (UNFIT, Cause.UNFIT, "ValidationError"),
        ],
    )
    def test_a_dead_run_enters_with_its_cause(self, outcome, cause, error):
        run = a_run(status=RUNNING, digest="abc", payload=b"{}")
        world = a_snapshot(run, workers=[a_worker(retry=NO_RETRY)])
        world.settle(1, outcome)

        assert world.letters[1] == DeadLetter(
            run=1, worker="a", cause=cause, error_type=error, entered_at=NOON, has_payload=True
        )
        assert [(event.run, event.cause) for event in world.said(DeadLettered)] == [(1, cause)]

    def test_it_keeps_payload_and_every_attempt(self):
        """Q2"""
        run = a_run(digest="abc", payload=b'{"to": "ada"}')
        world = a_snapshot(run, workers=[a_worker(retry=RetryPolicy(max_retries=1, first_s=0.0))])
        world.start()
        world.settle(1, FAILED, after(1), duration_s=1.0)
        world.start(after(1))
        world.settle(1, TIMED_OUT, after(9), duration_s=8.0)

        dead = world.ended[1]
        assert (dead.payload, dead.digest) == (b'{"to": "ada"}', "abc")
        assert dead.attempts == (
            Attempt(1, "n1", NOON, after(1), 1.0, Cause.ERROR, BOOM),
            Attempt(2, "n1", after(1), after(9), 8.0, Cause.TIMEOUT, TIMED_OUT.error),
        )

    def test_a_pending_run_whose_time_is_up_expires(self):
        """T1, D7"""
        world = a_snapshot(a_run(give_up_at=NOON))
        world.does(expire, run=world.pending()[0])

        dead = world.ended[1]
        assert (dead.status, dead.cause) == (Status.DEAD, Cause.EXPIRED)
        assert dead.error.message == "it did not start within start_within"
        assert world.letters[1].cause is Cause.EXPIRED

    def test_a_retry_whose_deadline_passed_expires(self):
        """T1"""
        world = a_snapshot(a_run(attempt=1, deadline_at=NOON, give_up_at=NOON))
        world.does(expire, run=world.pending()[0])

        assert world.ended[1].error.message == "its deadline 2026-06-01T12:00:00+00:00 has passed"

    def test_an_expired_occurrence_has_taken_up_what_passed(self):
        """D7, O2"""
        worker = a_worker(every=60.0, start_within_s=600.0)
        run = an_occurrence(give_up_at=after(600))
        world = a_snapshot(run, workers=[worker], records={"a": a_record(anchor_at=NOON)})
        world.does(expire, after(600), run=world.pending()[0])

        dead = world.ended[1]
        assert (dead.covers_until, dead.missed) == (after(600), 10)
        assert [run.due_at for run in world.pending()] == [after(660)]

    def test_the_next_success_supersedes_what_had_no_payload(self):
        """Q5"""
        world = a_snapshot(an_iteration(status=RUNNING), a_run(status=RUNNING, digest="abc"), a_run(status=RUNNING))
        world.settle(1, FATAL)
        world.settle(2, FATAL)
        assert world.record("a").owes_letters

        world.settle(3, OK, after(9))

        assert {run: letter.state for run, letter in world.letters.items()} == {1: "superseded", 2: "open"}
        assert (world.letters[1].closed_at, world.letters[1].closed_by) == (after(9), "auto")

    def test_only_a_success_that_finds_none_forgets_to_look(self):
        """Q5: more of them may be stored than one cycle reads."""
        world = a_snapshot(a_run(status=RUNNING), a_run(status=RUNNING), a_run(status=RUNNING))
        world.settle(1, FATAL)
        world.settle(2, OK)
        assert world.record("a").owes_letters

        world.settle(3, OK)
        assert not world.record("a").owes_letters

    def test_letters_of_other_workers_stay_open(self):
        """Q5"""
        world = a_snapshot(a_run("a", RUNNING), a_run("b", RUNNING), a_run("b", RUNNING))
        world.settle(1, FATAL)
        world.settle(2, FATAL)
        world.settle(3, OK)

        assert {run: letter.state for run, letter in world.letters.items()} == {1: "open", 2: "superseded"}


class TestReplay:
    """Q3: a new run linked to the entry, with fresh attempts and the same payload bytes."""

    PAYLOAD = b'{"to":"ada",  "n":1.0}'

    def a_world(self, **letter):
        dead = a_run(
            id=7,
            status=Status.DEAD,
            digest="abc",
            payload=self.PAYLOAD,
            attempt=4,
            priority="high",
            first_started_at=at("10:00"),
            cause=Cause.ERROR,
            error=BOOM,
        )
        facts = {"run": 7, "worker": "a", "cause": Cause.ERROR, "error_type": "ValueError", "entered_at": at("11:00")}
        return a_snapshot(dead, letters=[DeadLetter(**facts, has_payload=True, **letter)])

    def test_it_is_a_fresh_run_of_now(self):
        """D1, Q3"""
        world = self.a_world()
        run = world.does(control.replay, run_id=7, by="ada")

        assert world.pending() == [run]
        assert (run.origin, run.replay_of, run.by) == (Origin.REPLAY, 7, "ada")
        assert (run.payload, run.digest, run.priority) == (self.PAYLOAD, "abc", Priority.HIGH)
        assert (run.occurs_at, run.due_at, run.attempt, run.attempts, run.error) == (NOON, NOON, 0, (), None)

    def test_the_entry_is_closed_and_linked_and_the_replay_audited(self):
        """A1, Q3"""
        world = self.a_world()
        run = world.does(control.replay, run_id=7, by="ada")

        letter = world.letters[7]
        assert (letter.state, letter.closed_at, letter.closed_by) == ("replayed", NOON, "ada")
        assert letter.replayed_as == run.id
        assert world.said(Audit) == [
            Audit(at=NOON, worker="a", run=7, by="ada", action="replay", before="open", after=str(run.id))
        ]

    def test_a_pace_delays_it(self):
        run = self.a_world().does(control.replay, run_id=7, by="ada", delay_s=30.0)

        assert (run.due_at, run.occurs_at) == (after(30), after(30))

    def test_its_success_heals_those_downstream(self):
        """D2"""
        world = self.a_world()
        run = world.does(control.replay, run_id=7, by="ada")
        world.start()
        world.settle(run.id, OK)

        assert world.record("a").latest == Verdict(NOON, run.id, True)

    def test_twice_is_refused_and_says_as_what_it_was_replayed(self):
        world = self.a_world()
        run = world.does(control.replay, run_id=7, by="ada")

        with pytest.raises(NotAllowed, match=f"is replayed as run {run.id}; only an open one"):
            world.does(control.replay, run_id=7, by="ada")

    def test_a_superseded_one_may_be_replayed(self):
        """Q5"""
        assert self.a_world(state="superseded").does(control.replay, run_id=7, by="ada").replay_of == 7

    @pytest.mark.parametrize(("rule", "state"), [(control.resolve, "resolved"), (control.discard, "discarded")])
    def test_closing_keeps_a_note_and_is_audited(self, rule, state):
        """A1, Q3"""
        world = self.a_world()
        change, letter = rule(world, NOON, run_id=7, by="ada", note="known")
        world.apply(change)

        assert (letter.state, letter.note, letter.closed_by, letter.closed_at) == (state, "known", "ada", NOON)
        assert world.said(Audit) == [
            Audit(at=NOON, worker="a", run=7, by="ada", action=state, before="open", after="known")
        ]

        again, same = rule(world, after(9), run_id=7, by="bob", note="again")
        assert (again, same) == (NOTHING, letter)

    def test_a_replayed_one_is_not_resolved_any_more(self):
        with pytest.raises(NotAllowed, match="dead letter 7 is replayed"):
            control.resolve(self.a_world(state="replayed"), NOON, run_id=7, by="ada", note="")

    def test_a_run_that_is_no_dead_letter_is_refused(self):
        world = a_snapshot(a_run(id=7, status=Status.SUCCEEDED))

        with pytest.raises(NotAllowed, match="run 7 of 'a' is not a dead letter"):
            world.does(control.replay, run_id=7, by="ada")

    def test_an_unknown_run_is_refused(self):
        with pytest.raises(UnknownRun, match="no run 8 is stored"):
            self.a_world().does(control.replay, run_id=8, by="ada")
