"""Who waits for the end of a run gets the run as it was committed, once (A2)."""

from __future__ import annotations

import pytest
from builders import NOON
from worlds import Kept, World

from shiftboss.core.events import RunSkipped, RunStarted
from shiftboss.core.model import Status
from shiftboss.core.worker import Definition
from shiftboss.engine.mutation import NO_WORKER
from shiftboss.engine.waiters import Waiters
from shiftboss.errors import UnknownRun

MAIL = Definition(name="mail")


@pytest.fixture
def world() -> World:
    return World(MAIL)


@pytest.fixture
def waiters() -> Waiters:
    return Waiters()


def running(world: World):
    mutation, _ = world.trigger("mail")
    (start,) = world.turn(mutation).starts
    return start


def test_whoever_waits_is_answered_after_the_commit_that_ends_the_run(world, waiters):
    start, answer, second = running(world), Kept(), Kept()
    world.turn(waiters.mutation(start.run.id, answer), waiters.mutation(start.run.id, second))
    assert (answer.value, answer.error) == (None, None)

    turn = world.turn(world.done(start))
    replies = waiters.ended(turn.events, world.session, claims_read=False)

    assert [reply[0] for reply in replies] == [answer, second]
    assert {(run.id, run.status, error) for _, run, error in replies} == {(start.run.id, Status.SUCCEEDED, None)}
    assert waiters.ended(turn.events, world.session, claims_read=True) == []


def test_of_a_run_that_has_ended_it_is_answered_at_once(world, waiters):
    start, answer = running(world), Kept()
    world.turn(world.done(start))
    turn = world.turn(waiters.mutation(start.run.id, answer))
    ((replied, run, error),) = waiters.ended(turn.events, world.session, claims_read=False)

    assert (replied, run.id, run.status, error) == (answer, start.run.id, Status.SUCCEEDED, None)
    assert waiters.all() == []


@pytest.mark.parametrize("together", [True, False])
def test_what_a_waiter_gets_has_its_payload_whenever_the_run_ended(together, world, waiters):
    """A2: also if that was in the turn in which the wait began, or before it."""
    mutation, _ = world.trigger("mail", payload=b'{"to":"ada"}')
    (start,) = world.turn(mutation).starts
    answer = Kept()
    world.cycle.forget()  # what is read again of a claim has no payload
    if not together:
        world.turn(world.done(start))
    mutations = [world.done(start)] if together else []
    turn = world.turn(*mutations, waiters.mutation(start.run.id, answer))
    ((_, run, _),) = waiters.ended(turn.events, world.session, claims_read=False)

    assert (run.status, run.payload) == (Status.SUCCEEDED, b'{"to":"ada"}')


def test_of_a_run_that_nobody_knows_it_is_refused_at_once(world, waiters):
    answer = Kept()
    world.turn(waiters.mutation(4711, answer))

    assert isinstance(answer.error, UnknownRun)
    assert waiters.all() == []


def test_the_end_of_another_run_answers_nobody(world, waiters):
    start, other, answer = running(world), running(world), Kept()
    world.turn(waiters.mutation(start.run.id, answer))
    turn = world.turn(world.done(other))

    assert waiters.ended(turn.events, world.session, claims_read=False) == []
    assert waiters.all() == [answer]


def test_what_else_happens_to_a_run_answers_nobody_and_asks_nothing(waiters):
    waiters.add(7, Kept())

    assert waiters.ended([RunStarted(at=NOON, run=7)], session=None, claims_read=False) == []
    assert waiters.ended([RunSkipped(at=NOON, run=8)], session=None, claims_read=False) == []


def test_an_end_that_another_node_wrote_is_looked_up_when_claims_were_read(world, waiters):
    """Its event is told there alone."""
    start, answer = running(world), Kept()
    world.turn(waiters.mutation(start.run.id, answer))
    world.turn(world.done(start))

    assert waiters.ended([], world.session, claims_read=False) == []
    assert [reply[1].status for reply in waiters.ended([], world.session, claims_read=True)] == [Status.SUCCEEDED]


def test_a_run_that_was_skipped_has_ended_too(world, waiters):
    """D5, K5: its status is final."""
    start, answer = running(world), Kept()
    waiters.add(start.run.id, answer)
    world.turn(world.done(start))

    skipped = RunSkipped(at=NOON, run=start.run.id)
    assert [reply[0] for reply in waiters.ended([skipped], world.session, claims_read=False)] == [answer]


def test_without_anybody_who_waits_the_store_is_not_asked(waiters):
    assert waiters.ended([], session=None, claims_read=True) == []


def test_at_the_end_those_who_still_wait_are_handed_over_once(waiters):
    first, second, third = Kept(), Kept(), Kept()
    for run_id, answer in ((1, first), (1, second), (2, third)):
        waiters.add(run_id, answer)

    assert waiters.all() == [first, second, third]
    assert waiters.all() == []


def test_to_wait_is_about_no_worker_so_it_asks_for_no_partition(waiters):
    mutation = waiters.mutation(7, Kept())

    assert (mutation.worker, mutation.needs.runs) == (NO_WORKER, (7,))
