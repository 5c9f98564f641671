"""What each mutation asks to be read, whom it may concern, and how answers reach who waits for them."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest
from builders import NOON, a_node, a_run, a_snapshot, a_worker
from worlds import Kept

from shiftboss.core.control import Request
from shiftboss.core.events import ArrivalRefused
from shiftboss.core.model import Cause, DeadLetter, LogLine, Report, Status, Succeeded
from shiftboss.core.note import Note
from shiftboss.core.unreadable import Unreadable
from shiftboss.core.value import replace
from shiftboss.engine import mutation
from shiftboss.engine.mutation import NO_NEEDS, NO_WORKER, LoopAnswer, Needs, ThreadAnswer, deliver
from shiftboss.errors import StoreRejected, UnknownWorker
from shiftboss.testing.clock import VirtualClock

ANSWER, CLOCK = Kept(), VirtualClock(boot="boot-1")
LINE = LogLine(run=7, fence=1, number=1, attempt=1, at=NOON, level="INFO", text="hello")
PLACES = (("runs", "7"),)


@pytest.mark.parametrize(("made", "action"), [(mutation.resolve, "resolved"), (mutation.discard, "discarded")])
def test_who_closed_a_dead_letter_is_known_and_why(made, action):
    """A1, Q3"""
    letter = DeadLetter(run=1, worker="a", cause=Cause.ERROR, error_type="E", entered_at=NOON, has_payload=True)
    world = a_snapshot(a_run(status=Status.DEAD), letters=[letter])
    change, closed = made(1, by="ada", note="too old", answer=ANSWER).rule(world, NOON, ids=count(101))

    assert (closed.state, closed.closed_by, closed.note) == (action, "ada", "too old")
    assert [(event.by, event.action, event.after) for event in change.events] == [("ada", action, "too old")]


def table():
    """By the kind: the mutation, its needs, its worker and run, whether it adds work."""
    return {
        "report": (mutation.report(Report(7, "n1", 1, Succeeded(), 0.1)), NO_NEEDS, None, 7, False),
        "note": (mutation.note(Note(7, "n1", 1)), NO_NEEDS, None, 7, False),
        "log_lines": (mutation.log_lines("n1", (LINE,)), NO_NEEDS, None, 7, False),
        "trigger": (mutation.trigger(Request("a"), ANSWER), NO_NEEDS, "a", None, True),
        "trigger by key": (mutation.trigger(Request("a", key="k"), ANSWER), Needs(keys=(("a", "k"),)), "a", None, True),
        "trigger_many": (
            mutation.trigger_many([Request("a"), Request("a", key="k")], ANSWER),
            Needs(keys=(("a", "k"),)),
            "a",
            None,
            True,
        ),
        "trigger_many of several": (
            mutation.trigger_many([Request("a"), Request("b")], ANSWER),
            NO_NEEDS,
            None,
            None,
            True,
        ),
        "pick_up": (mutation.pick_up(Request("a")), NO_NEEDS, None, None, False),
        "pick_up by key": (mutation.pick_up(Request("a", key="k")), Needs(keys=(("a", "k"),)), None, None, False),
        "cancel": (mutation.cancel(7, by="", reason="", answer=ANSWER), Needs(runs=(7,)), None, None, False),
        "disable": (mutation.disable("a", by="", reason="", answer=ANSWER), NO_NEEDS, "a", None, False),
        "enable": (mutation.enable("a", by="", answer=ANSWER), Needs(lanes=("a",)), "a", None, False),
        "replay": (
            mutation.replay(7, by="", delay_s=0.0, answer=ANSWER),
            Needs(runs=(7,), letters=(7,)),
            None,
            None,
            True,
        ),
        "resolve": (
            mutation.resolve(7, by="", note="", answer=ANSWER),
            Needs(runs=(7,), letters=(7,)),
            None,
            None,
            False,
        ),
        "discard": (
            mutation.discard(7, by="", note="", answer=ANSWER),
            Needs(runs=(7,), letters=(7,)),
            None,
            None,
            False,
        ),
        "forget": (mutation.forget("a", clock=CLOCK, by="", answer=ANSWER), Needs(lanes=("a",)), None, None, False),
        "set_aside": (
            mutation.set_aside(PLACES, clock=CLOCK, by="", note="", answer=ANSWER),
            Needs(unreadable=PLACES),
            None,
            None,
            False,
        ),
        "drain": (mutation.drain("n1", by="", answer=ANSWER), NO_NEEDS, None, None, False),
        "prefer": (mutation.prefer("n1", worker=None, clock=CLOCK, by="", answer=ANSWER), NO_NEEDS, None, None, False),
        "record": (
            mutation.record("export", by="", worker="", before="", after="", answer=ANSWER),
            NO_NEEDS,
            NO_WORKER,
            None,
            False,
        ),
    }


@pytest.mark.parametrize("kind", table())
def test_what_it_needs_and_whom_it_concerns(kind):
    """B2, W3: what it reads is read before, what it does not name it may not write; a full disk takes no new work."""
    made, needs, worker, run, adds_work = table()[kind]

    assert (made.needs, made.worker, made.run, made.adds_work) == (needs, worker, run, adds_work)


@pytest.mark.parametrize("kind", table())
def test_only_what_nobody_waits_for_has_no_answer(kind):
    """H5: those are kept while the store is away."""
    made = table()[kind][0]

    assert (made.answer is None) == (kind.split()[0] in ("report", "note", "log_lines", "pick_up"))
    assert (made.report is not None) == (kind == "report")


def test_it_is_equal_to_itself_alone():
    """Two equal triggers are two runs."""
    assert mutation.trigger(Request("a"), ANSWER) != mutation.trigger(Request("a"), ANSWER)


def test_a_fan_out_weighs_as_much_as_its_triggers():
    """O6: in the batch of a cycle it counts for each of them."""
    assert mutation.trigger_many([Request("a"), Request("b")], ANSWER).weight == 2
    assert mutation.trigger(Request("a"), ANSWER).weight == 1


# ── what their rules are given ───────────────────────────────────────────────────────────────────────────────────


def applied(made, world=None):
    change, value = made.rule(world or a_snapshot(workers=[a_worker("a")]), NOON, ids=count(101))
    return change, value


def test_a_person_and_the_reason_reach_the_rule():
    """A1"""
    disabled = applied(mutation.disable("a", by="ann", reason="slow", answer=ANSWER))[1].disabled
    assert (disabled.by, disabled.reason) == ("ann", "slow")

    world = a_snapshot(a_run("a", Status.RUNNING, id=7))
    change, run = applied(mutation.cancel(7, by="ann", reason="late", answer=ANSWER), world)
    assert (run.cancel.by, run.cancel.reason) == ("ann", "late")
    assert {event.by for event in change.events if event.AUDITED} == {"ann"}


def test_a_record_says_all_that_it_was_told():
    """A1"""
    change, _ = applied(mutation.record("export", by="ann", worker="a", before="b", after="c", answer=None))
    (event,) = change.events

    assert (event.action, event.by, event.worker, event.before, event.after) == ("export", "ann", "a", "b", "c")


def test_only_a_worker_that_no_live_node_runs_is_forgotten():
    """M7: whether a node lives the clock of leases says."""
    gone = a_snapshot(workers=[a_worker("a")], nodes=[a_node("n1", lease_until_s=-1.0)])
    change, _ = applied(mutation.forget("a", clock=CLOCK, by="ann", answer=ANSWER), gone)
    assert change.forgotten == ("a",)

    rebooted = a_snapshot(workers=[a_worker("a")], nodes=[a_node("n1", boot="boot-0")])
    assert applied(mutation.forget("a", clock=CLOCK, by="ann", answer=ANSWER), rebooted)[0].forgotten == ("a",)

    alive = a_snapshot(workers=[a_worker("a")], nodes=[a_node("n1")])
    with pytest.raises(Exception, match="n1"):
        applied(mutation.forget("a", clock=CLOCK, by="ann", answer=ANSWER), alive)


def test_who_set_a_row_aside_and_why_is_said_and_a_node_gets_one_more_lease():
    """A5, A1: by the clock of leases of this machine."""
    row = Unreadable("node", "n1", "", reason="no JSON")
    world = a_snapshot(nodes=[replace(a_node("n1", boot="boot-0", lease_until_s=1.0), unreadable=row)])
    world.unreadable[row.place] = row
    made = mutation.set_aside((row.place,), clock=CLOCK, by="ann", note="damaged", answer=ANSWER)
    change, rows = applied(made, world)

    assert rows == (row,)
    assert [(event.by, event.after) for event in change.events] == [("ann", "damaged")]
    assert [(node.boot, node.lease_until_s) for node in change.nodes] == [("boot-1", CLOCK.lease_s() + 30.0)]


# ── triggers of callers' own transactions ────────────────────────────────────────────────────────────────────────


def test_what_is_picked_up_becomes_a_run():
    change, run = applied(mutation.pick_up(Request("a", by="ann")))

    assert ([each.id for each in change.runs], run.id) == ([101], 101)


def test_what_cannot_be_stored_is_an_event_and_no_run():
    made = mutation.pick_up(Request("a", key="k", by="ann"), StoreRejected("a constraint"))
    change, _ = applied(made)

    expected = ArrivalRefused(at=NOON, worker="a", key="k", by="ann", reason="a constraint")
    assert (change.events, change.runs) == ((expected,), ())


def test_what_a_rule_refuses_is_said_in_500_characters_without_secrets():
    """A12"""
    refused = mutation.pick_up(Request("a")).refused
    event = refused(NOON, UnknownWorker("no worker " + "x" * 1000))
    secret = refused(NOON, UnknownWorker("password=hunter2-hunter2"))

    assert (event.key, len(event.reason), event.reason[:11]) == ("", 500, "no worker x")
    assert "hunter2" not in secret.reason


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_loop_an_answer_is_given_at_once():
    good, bad, error = Kept(), Kept(), UnknownWorker("x")
    deliver([(good, 3, None), (bad, None, error)])

    assert (good.value, good.error, bad.value, bad.error) == (3, None, None, error)


def test_the_first_answer_of_a_thread_counts_and_one_that_was_given_up_is_left_alone():
    answer, given_up = ThreadAnswer(), ThreadAnswer()
    answer.resolve(1)
    answer.resolve(2)
    answer.reject(UnknownWorker("x"))
    given_up.future.cancel()
    given_up.resolve(1)
    given_up.reject(UnknownWorker("x"))

    assert answer.future.result(timeout=0) == 1
    assert given_up.future.cancelled()


class Hops:
    """A loop that counts how often it is called."""

    def __init__(self, *, closed: bool = False) -> None:
        self.calls: list[tuple] = []
        self.closed = closed

    def call_soon_threadsafe(self, function, *arguments):
        if self.closed:
            raise RuntimeError("Event loop is closed")
        self.calls.append((function, arguments))


class OnLoop(Kept):
    def __init__(self, loop) -> None:
        super().__init__()
        self.loop = loop


def test_the_answers_of_one_loop_are_given_in_one_hop():
    one, other = Hops(), Hops()
    first, second, third = OnLoop(one), OnLoop(one), OnLoop(other)
    deliver([(first, 1, None), (third, 3, None), (second, 2, None)])
    assert (first.value, len(one.calls), len(other.calls)) == (None, 1, 1)

    for function, arguments in (*one.calls, *other.calls):
        function(*arguments)
    assert (first.value, second.value, third.value) == (1, 2, 3)


def test_a_loop_that_was_closed_keeps_nobody_else_from_the_answer():
    gone, there = OnLoop(Hops(closed=True)), Kept()
    deliver([(gone, 1, None), (there, 2, None)])

    assert (gone.value, there.value) == (None, 2)


async def test_on_a_loop_the_first_answer_counts_and_one_that_was_given_up_is_left_alone():
    loop = asyncio.get_running_loop()
    answer, refused, given_up = LoopAnswer(loop), LoopAnswer(loop), LoopAnswer(loop)
    given_up.future.cancel()
    error = UnknownWorker("x")
    for each in (answer, given_up):
        each.resolve(1)
        each.resolve(2)
        each.reject(error)
    refused.reject(error)
    refused.resolve(1)

    assert (answer.loop, answer.future.result(), refused.future.exception()) == (loop, 1, error)
    assert given_up.future.cancelled()
