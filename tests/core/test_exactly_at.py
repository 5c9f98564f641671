"""What holds exactly at an instant, a number or a neighbour, where a rule changes its answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from builders import (
    BOOM,
    NOON,
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
    unreadable,
)

from shiftboss.core import kinds
from shiftboss.core.breaker import after_attempt
from shiftboss.core.clock_step import clock_was_set
from shiftboss.core.declarations import Declaration, Declarations
from shiftboss.core.encoded import transformed
from shiftboss.core.graph import Relations
from shiftboss.core.health import worker_health
from shiftboss.core.isolation import has_lost_patience
from shiftboss.core.lane import Lane
from shiftboss.core.model import Attempt, BreakerMode, Claim, ClockMark, Status
from shiftboss.core.policy import BreakerPolicy, Priority, Rate
from shiftboss.core.rank import lend
from shiftboss.core.reconcile import declare
from shiftboss.core.room import Room
from shiftboss.core.value import replace
from shiftboss.core.worker import Upstream
from shiftboss.errors import ConfigurationError

# ── declarations ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("remembered", "number"), [(None, 5), (4, 5), (5, 5), (6, 6)])
def test_what_a_node_remembers_counts_only_where_the_store_has_lost_it(remembered, number):
    """M7: a restart makes no declaration newer, and an older memory neither."""
    known = Declarations((Declaration("k", 5, NOON),), "k")
    memory = None if remembered is None else Declaration("k", remembered, at("06:00"))

    assert known.met("k", after(60), remembered=memory).find("k").number == number


# ── clocks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def ran_ahead(*minutes: int):
    """The cron fires each minute; these had run when the clock was set back by an hour."""
    world = a_snapshot(workers=[a_worker(cron="* * * * *")], records={"a": a_record(last_instant=after(60 * 9))})
    fired = {"a": [after(60 * minute) for minute in minutes]}
    mark = ClockMark("boot-1", 0, -3_600_000_000)
    change, _ = clock_was_set(
        world, NOON, ids=world.ids, step_us=mark.set_us, mark=mark, fired=fired, node="n1", leases_too=False
    )
    world.apply(change)
    return [
        tuple(round((end - NOON).total_seconds() / 60) for end in stretch) for stretch in world.record("a").ran_ahead
    ]


def test_what_ran_ahead_is_kept_as_stretches_of_neighbours():
    """O4: those between them fire."""
    assert ran_ahead(1, 2, 3) == [(1, 3)]
    assert ran_ahead(1, 3) == [(1, 1), (3, 3)]
    assert ran_ahead(1, 2, 5, 6, 9) == [(1, 2), (5, 6), (9, 9)]
    assert ran_ahead(0) == [], "now is not ahead"


def test_a_new_schedule_leaves_out_what_was_cancelled_ahead_and_waits_for_nothing_else():
    """M4, O1: what the old one had covered does not hold back the new one."""
    world = a_snapshot(workers=[a_worker(every=3600.0)], records={"a": a_record(last_instant=at("12:30"))})
    world.declare(a_definition(cron="*/10 * * * *"))

    record = world.record("a")
    assert (record.last_instant, record.ran_ahead) == (NOON, ((at("12:30"), at("12:30")),))
    assert [run.occurs_at for run in world.pending()] == [at("12:10")]


# ── parts of a value ─────────────────────────────────────────────────────────────────────────────────────────────


def test_of_several_attempts_those_with_a_text_are_encoded_and_the_others_stay():
    """E1"""
    silent = Attempt(number=1, node="n1", started_at=NOON, ended_at=NOON, duration_s=0.0)
    loud = replace(silent, number=2, error=BOOM)
    run = a_run(attempts=(silent, loud))

    made = transformed(run, text=str.upper, data=bytes)
    assert made.attempts[0] is silent
    assert (made.attempts[1].error.message, made.attempts[1].number) == ("BOOM", 2)
    assert transformed(run, text=str, data=bytes) is run
    assert transformed(replace(run, attempts=(silent, silent)), text=str.upper, data=bytes).attempts == (silent, silent)


# ── relations ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_free_is_who_has_neither_a_relation_nor_a_limit():
    """B2: runs of a free worker ask nobody."""
    relations = Relations.of(
        [
            a_definition("free"),
            a_definition("limited", concurrency=1),
            a_definition("upstream"),
            a_definition("waits", depends_on=["upstream"]),
        ]
    )

    assert relations.free == {"free"}


def test_each_partition_names_its_workers():
    relations = Relations.of([a_definition("u"), a_definition("a", depends_on=["u"]), a_definition("b")])

    assert relations.partitions["u"] == relations.partitions["a"]
    assert {number: set(names) for number, names in relations.in_partition.items()} == {
        number: {name for name, of in relations.partitions.items() if of == number}
        for number in set(relations.partitions.values())
    }


# ── health ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_worker_of_which_something_cannot_be_read_is_unhealthy_and_its_neighbour_is_not():
    """W8, H2"""
    world = a_snapshot(workers=[unreadable(a_worker("a"), "worker", "a"), a_worker("b")])
    world.suspect("b")

    def facts(name):
        return [reason.fact for reason in worker_health(world, NOON, name, live=("n1",)).reasons]

    assert "unreadable" in facts("a")
    assert "unreadable" not in facts("b")


# ── isolation ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_patience_is_lost_after_ten_minutes_to_the_second():
    """C8"""
    run = a_run(due_at=NOON)

    assert not has_lost_patience(run, after(599.999999))
    assert has_lost_patience(run, after(600))


# ── kinds of values ──────────────────────────────────────────────────────────────────────────────────────────────


class Stamp(datetime):
    """As pandas has them."""


def test_an_instant_of_a_class_of_its_own_becomes_a_plain_one():
    """W9"""
    plain = kinds.instant(Stamp(2026, 6, 1, 14, tzinfo=timezone(timedelta(hours=2))), name="at")

    assert (type(plain), plain, plain.tzinfo) == (datetime, NOON, UTC)
    assert kinds.instant(NOON, name="at") == NOON


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        ("2026-06-01", r"write at=datetime\.fromisoformat"),
        (NOON.date(), "give the time of that day too"),
        (5, "give a datetime with a time zone"),
    ],
)
def test_what_is_no_instant_is_told_its_own_remedy(value, remedy):
    """W9"""
    with pytest.raises(ConfigurationError, match=remedy):
        kinds.instant(value, name="at")


# ── lanes and ranks ──────────────────────────────────────────────────────────────────────────────────────────────


def a_prefix(*minutes: int) -> Lane:
    """A lane of which only these were read; more wait behind them."""
    runs = [a_run(id=10 + minute, due_at=after(60 * minute)) for minute in minutes]
    number = int(Priority.NORMAL)
    queues = [(n, runs if n == number else [], n != number) for n in range(6)]
    return Lane.read(queues, standing=(), least=None)


def test_a_run_that_belongs_within_what_was_read_is_kept_and_one_behind_it_is_not():
    """P2: else a later one would start before those that were not read."""
    lane = a_prefix(1, 5)
    lane.put(a_run(id=1, due_at=after(120)))
    lane.put(a_run(id=2, due_at=after(600)))

    assert [run.id for run in lane.heads(int(Priority.NORMAL))] == [11, 1, 15]
    empty = a_prefix()
    empty.put(a_run(id=1, due_at=after(120)))
    assert list(empty.heads(int(Priority.NORMAL))) == []


@pytest.mark.parametrize(("occurs_at", "lends"), [(at("11:59"), True), (NOON, True), (after(1), False)])
def test_priority_is_lent_to_what_is_waited_for_and_not_to_what_comes_later(occurs_at, lends):
    """D9, D2: at the same logical time the upstream goes first."""
    world = a_snapshot(
        a_run("a", id=1, priority="high", occurs_at=NOON, due_at=NOON),
        a_run("u", id=2, occurs_at=occurs_at, due_at=at("11:59")),
        workers=[a_worker("a", depends_on=["u"]), a_worker("u")],
    )

    lent = lend(world, NOON, world.pending("a"))
    assert lent == ({"u": [(NOON, Priority.HIGH)]} if lends else {})


def test_nothing_is_lent_where_nothing_of_lower_priority_waits():
    """D9"""
    world = a_snapshot(
        a_run("a", id=1, priority="normal"),
        a_run("u", id=2, priority="normal", occurs_at=at("11:00")),
        workers=[a_worker("a", depends_on=["u"]), a_worker("u")],
    )

    assert lend(world, NOON, world.pending("a")) == {}


# ── slots ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_room_is_counted_by_slots_priority_and_executor():
    """P3: of ten slots two are kept for high and critical."""
    node = a_node("n1", slots=10, executors={"thread": 4, "process": 2})
    running = [
        a_run("t", Status.RUNNING, id=1, priority="high"),
        a_run("t", Status.RUNNING, id=2),
        a_run("p", Status.RUNNING, id=3, priority="low"),
        a_run("x", Status.RUNNING, id=4),
    ]
    room = Room.of(node, running, {"t": "thread", "p": "process"})
    assert room == Room(10, 6, 5, {"thread": 2, "process": 1})

    room.take("process", Priority.HIGH)
    assert room == Room(10, 5, 5, {"thread": 2, "process": 0})
    room.take("command", Priority.NORMAL)
    assert room == Room(10, 4, 4, {"thread": 2, "process": 0})


def test_an_occurrence_is_one_that_has_not_begun():
    """O4: what waits for a retry keeps its own instant when the clock is set."""
    waiting = an_occurrence("a", id=1, due_at=after(60), occurs_at=at("11:00"), attempt=1)
    world = a_snapshot(
        waiting,
        workers=[a_worker("a", every=3600.0)],
        records={"a": a_record(anchor_at=at("06:00"), last_instant=at("11:00"))},
    )
    mark = ClockMark("boot-1", 0, 60_000_000)
    change, _ = clock_was_set(
        world, after(60), ids=world.ids, step_us=mark.set_us, mark=mark, fired={"a": []}, node="n1", leases_too=False
    )

    assert [run.id for run in change.runs] == []


# ── reservations and probes ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("lender", "started"), [("high", []), ("normal", [3])])
def test_a_run_reserves_if_a_node_has_a_slot_for_it_by_the_priority_that_is_lent_to_it(lender, started):
    """B4, D9, P3: only the kept slot is free; with a lent priority it is for the run, and a later one must wait."""
    world = a_snapshot(
        a_run("u", id=1, due_at=at("11:50")),
        a_run("a", id=2, due_at=at("11:55"), priority=lender),
        a_run("x", id=3, due_at=at("11:58"), priority="high"),
        a_run("r", Status.RUNNING, id=4),
        *(a_run("w", Status.RUNNING, id=number) for number in range(5, 9)),
        workers=[
            a_worker("u", uses={"db": 2}),
            a_worker("a", depends_on=["u"]),
            a_worker("x", uses={"db": 1}),
            a_worker("r", uses={"db": 1}),
            a_worker("w"),
        ],
        nodes=[a_node("n1", slots=6)],
        resources={"db": 2},
    )

    assert [grant.run.id for grant in world.decide().grants] == started


def test_a_probe_is_one_also_where_nobody_knows_when_its_breaker_opened():
    """K2: exactly one run in the fleet."""
    breaker = a_breaker("x", BreakerMode.HALF_OPEN, opened_at=None, until=at("11:00"))
    world = a_snapshot(
        a_run("a", id=1),
        a_run("b", Status.RUNNING, id=2, probe=True),
        workers=[a_worker("a", breaker="x"), a_worker("b", breaker="x")],
        breakers=[breaker],
    )

    assert world.decide().grants == []


# ── upstreams and rates ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("upstream", "holds"), [(at("11:50"), ["depends_on"]), (NOON, ["depends_on"]), (after(1), [])])
def test_a_run_that_was_due_early_waits_for_all_up_to_its_own_logical_time(upstream, holds):
    """D2: not only for what had come up to its due time."""
    world = a_snapshot(
        a_run("a", id=1, due_at=at("11:45"), occurs_at=NOON),
        a_run("u", id=2, due_at=at("11:50"), occurs_at=upstream),
        workers=[a_worker("a", depends_on=["u"]), a_worker("u")],
        records={"u": a_record(ok=True)},
    )

    assert [hold.gate for hold in world.why(world.pending("a")[0]).holds] == holds


def test_an_upstream_that_has_never_succeeded_is_not_fresh():
    """D4: also for a worker that has never run itself."""
    world = a_snapshot(
        a_run("a", id=1),
        workers=[a_worker("a", depends_on=[Upstream("u", fresh=True)]), a_worker("u")],
        records={"u": a_record(ok=True, last_success_at=None)},
    )

    assert [hold.gate for hold in world.why(world.pending("a")[0]).holds] == ["depends_on"]


def test_a_high_rate_is_waited_for_in_milliseconds():
    """B8: a hundred a second."""
    world = a_snapshot(
        a_run("a", id=1),
        workers=[a_worker("a", rate=Rate(100, 1.0))],
        records={"a": a_record(tokens=0.5, tokens_at=NOON)},
    )
    (hold,) = world.why(world.pending("a")[0]).holds

    assert timedelta(milliseconds=4) < hold.until - NOON < timedelta(milliseconds=6)


@pytest.mark.parametrize(("failures", "written"), [(5, []), (6, [6])])
def test_a_breaker_takes_another_policy_and_is_not_written_for_the_same(failures, written):
    """K1: what it has counted stays."""
    stored = a_breaker("x", BreakerMode.CLOSED, failures=3, policy=BreakerPolicy(failures=5))
    world = a_snapshot(
        workers=[a_worker("a", breaker="x", breaker_policy=BreakerPolicy(failures=5))], breakers=[stored]
    )
    definition = a_definition("a", breaker="x", breaker_policy=BreakerPolicy(failures=failures), timeout_s=7.0)
    change, _ = declare(world, NOON, ids=world.ids, definitions=[definition], resources={})

    assert [breaker.policy.failures for breaker in change.breakers] == written
    assert [breaker.failures for breaker in change.breakers] == [3] * len(written)


@pytest.mark.parametrize(("began_at", "closes"), [(at("11:59:59.999999"), False), (NOON, True)])
def test_an_attempt_that_began_when_its_breaker_opened_counts_and_one_before_does_not(began_at, closes):
    """K2"""
    breaker = a_breaker("x", BreakerMode.HALF_OPEN)
    changed, _ = after_attempt(breaker, after(60), claim=Claim(node="n1", fence=1, at=began_at, probe=True), ok=True)

    assert (changed.mode is BreakerMode.CLOSED) is closes


def test_a_breaker_that_opens_again_begins_to_count_its_probes_anew():
    """K2: two successes close it, and the one from before the failure is none of them."""
    policy = BreakerPolicy(successes=2)
    breaker = a_breaker("x", BreakerMode.HALF_OPEN, policy=policy, successes=1)
    opened, _ = after_attempt(breaker, after(60), claim=Claim(node="n1", fence=1, at=NOON, probe=True), ok=False)

    assert (opened.mode, opened.successes) == (BreakerMode.OPEN, 0)
