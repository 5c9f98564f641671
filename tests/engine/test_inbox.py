"""Where mutations wait for a turn: in order, in batches, and not after the end."""

from __future__ import annotations

import pytest

from shiftboss.engine.inbox import MAX_MUTATIONS, Inbox
from shiftboss.engine.mutation import Mutation
from shiftboss.errors import NotStarted


def mutations(number: int) -> list[Mutation]:
    return [Mutation(rule=lambda snapshot, now, *, ids: None) for _ in range(number)]


def weighing(weight: int) -> Mutation:
    return Mutation(rule=lambda snapshot, now, *, ids: None, weight=weight)


@pytest.fixture
def wakes() -> list[int]:
    return []


@pytest.fixture
def inbox(wakes) -> Inbox:
    return Inbox(lambda: wakes.append(1))


def test_what_was_put_is_taken_in_that_order_and_once(inbox):
    first, second, third = mutations(3)
    for each in (first, second, third):
        inbox.put(each)

    assert len(inbox) == 3
    assert inbox.take() == [first, second, third]
    assert (inbox.take(), len(inbox)) == ([], 0)


def test_it_wakes_once_for_all_that_arrives_before_the_take(inbox, wakes):
    for each in mutations(3):
        inbox.put(each)
    assert len(wakes) == 1

    inbox.take()
    inbox.put(*mutations(1))
    assert len(wakes) == 2


def test_a_turn_takes_a_thousand_at_most_and_the_rest_keeps_its_order(inbox):
    """A renewal of the lease must not wait for a million triggers."""
    everything = mutations(MAX_MUTATIONS + 2)
    for each in everything:
        inbox.put(each)

    assert MAX_MUTATIONS == 1000
    assert inbox.take() == everything[:1000]
    assert inbox.take() == everything[1000:]


def test_what_weighs_more_than_a_batch_is_taken_alone(inbox):
    """O6: nobody else waits for the commit of a fan-out, but for what comes after it."""
    (before, between, after), heavy = mutations(3), [weighing(50_000), weighing(50_000)]
    for each in (before, heavy[0], heavy[1], between, after):
        inbox.put(each)

    assert [inbox.take() for _ in range(4)] == [[before], [heavy[0]], [heavy[1]], [between, after]]


def test_what_weighs_little_shares_a_batch(inbox):
    small = [weighing(400) for _ in range(3)]
    for each in small:
        inbox.put(each)

    assert [inbox.take(), inbox.take()] == [small[:2], small[2:]]


def test_a_fan_out_that_came_back_takes_nobodys_place_either(inbox):
    heavy, new = weighing(5_000), mutations(MAX_MUTATIONS + 1)
    for each in new:
        inbox.put(each)
    inbox.put_back([heavy])

    assert inbox.take() == [heavy, *new[:1000]]


def test_two_fan_outs_that_came_back_are_taken_one_by_one(inbox):
    """O6: one transaction never has both."""
    first, second = weighing(5_000), weighing(5_000)
    inbox.put_back([first, second])

    assert [inbox.take(), inbox.take()] == [[first], [second]]


def test_what_came_back_goes_first_and_takes_nobodys_place(inbox):
    """What others held is tried again; it does not make the next batch smaller, once."""
    returned, new = mutations(2), mutations(MAX_MUTATIONS + 1)
    for each in new:
        inbox.put(each)
    inbox.put_back(returned[:1])
    inbox.put_back(returned[1:])

    assert inbox.take() == [returned[1], returned[0], *new[:1000]]
    for each in mutations(1000):
        inbox.put(each)
    assert len(inbox.take()) == 1000


def test_those_that_came_back_together_keep_their_order(inbox):
    first, second, third = mutations(3)
    inbox.put(third)
    inbox.put_back([first, second])

    assert inbox.take() == [first, second, third]


def test_what_waits_at_the_end_is_handed_over_and_nothing_more_is_taken_in(inbox, wakes):
    first, second, late = mutations(3)
    inbox.put(first)
    inbox.put(second)

    assert inbox.close() == [first, second]
    with pytest.raises(NotStarted, match="the orchestrator is stopped; start it, or open a client"):
        inbox.put(late)
    assert (len(inbox), inbox.close(), len(wakes)) == (0, [], 1)


def test_a_mutation_that_the_end_has_found_is_answered_by_whoever_ended_it(inbox):
    """Put in the very moment of the end: it is handed over, so its caller is not told that it was refused."""
    late = mutations(1)[0]

    class Racing(type(inbox._mutations)):
        def append(self, mutation):
            super().append(mutation)
            assert inbox.close() == [late]

    inbox._mutations = Racing()
    inbox.put(late)

    assert len(inbox) == 0
