"""A busy engine lets the ends of runs gather, as long as nobody waits for them."""

from __future__ import annotations

import pytest
from by_hand import ByHand, a_job
from worlds import World

from shiftboss.core.schedule import Every
from shiftboss.core.value import replace
from shiftboss.core.worker import Definition, Mode, Start, Upstream
from shiftboss.engine.pace import GATHER_S, Pace, may_wait
from shiftboss.testing.clock import VirtualClock

TICK = Definition("tick", mode=Mode.SCHEDULED, schedule=Every(60.0), start=Start.NOW, concurrency=1)
MAIL = Definition("mail", concurrency=1)


def turned(pace: Pace, clock: VirtualClock, *, busy_s: float, idle_s: float, times: int = 1000) -> bool:
    for _ in range(times):
        clock.advance(idle_s + busy_s)
        pace.turned(busy_s)
    return pace.is_busy


@pytest.mark.parametrize(
    ("busy_s", "idle_s", "is_busy"),
    [(0.001, 0.0, True), (0.003, 0.007, True), (0.002, 0.008, False), (0.0, 1.0, False)],
)
def test_an_engine_is_busy_if_its_turns_took_more_than_a_quarter_of_the_time(busy_s, idle_s, is_busy):
    clock = VirtualClock()

    assert turned(Pace(clock.monotonic_s), clock, busy_s=busy_s, idle_s=idle_s) is is_busy


def test_it_is_not_busy_because_of_one_long_turn_nor_for_ever():
    clock = VirtualClock()
    pace = Pace(clock.monotonic_s)

    assert turned(pace, clock, busy_s=0.010, idle_s=0.010, times=1) is False
    assert turned(pace, clock, busy_s=0.010, idle_s=0.0) is True
    assert turned(pace, clock, busy_s=0.0, idle_s=0.5, times=1) is False


def ends(world: World, *starts, awaited=()) -> bool:
    cycle = world.cycle
    mutations = [world.done(start) for start in starts]
    return may_wait(mutations, cycle.snapshot, cycle.agenda.waitlists, now=world.clock.now(), awaited=awaited)


def test_the_end_of_a_run_that_nobody_waits_for_may_wait():
    world = World(TICK)
    (start,) = world.first.starts

    assert ends(world, start) is True
    assert ends(world, start, awaited={start.run.id}) is False, "somebody waits for it"
    assert ends(world) is False, "there is nothing to gather"
    assert ends(world, *[start] * 31) is True
    assert ends(world, *[start] * 32) is False, "they are a large commit already"


def test_one_that_is_awaited_takes_the_others_along():
    """A commit has room for all of them."""
    world = World(TICK, MAIL)
    (tick,) = world.first.starts
    (mail,) = world.turn(world.trigger("mail")[0]).starts

    assert ends(world, tick, mail) is True
    assert ends(world, tick, mail, awaited={mail.run.id}) is False


def test_what_somebody_asked_for_is_done_at_once():
    world = World(MAIL)
    mutation, _ = world.trigger("mail")
    cycle = world.cycle

    assert not may_wait([mutation], cycle.snapshot, cycle.agenda.waitlists, now=world.clock.now(), awaited=())


def test_nor_does_the_end_wait_behind_which_another_run_of_its_worker_waits():
    """C1"""
    world = World(MAIL)
    (start,) = world.turn(world.trigger("mail")[0], world.trigger("mail")[0]).starts

    assert ends(world, start) is False


def test_nor_does_one_that_others_depend_on():
    """D2"""
    world = World(MAIL, Definition("later", depends_on=(Upstream("mail"),)))
    (start,) = world.turn(world.trigger("mail")[0]).starts

    assert ends(world, start) is False


def test_nor_any_while_runs_wait_for_slots():
    """P3"""
    world = World(MAIL, Definition("other"), slots=1)
    (start,) = world.turn(world.trigger("mail")[0], world.trigger("other")[0]).starts

    assert ends(world, start) is False


def test_how_long_turns_take_makes_an_engine_busy():
    one = ByHand(a_job()).enter()
    busy = []
    for seconds in (0.5, 0.0):
        with one.slow_turns(seconds):
            for _ in range(5):
                one.trigger()
                one.step(after_s=0.3 - seconds / 2)
        busy.append(one.engine._loop._pace.is_busy)

    assert busy == [True, False]


def test_a_busy_engine_gathers_before_its_turn_and_an_idle_one_does_not(monkeypatch):
    one = ByHand(replace(a_job(), concurrency=None)).enter()
    pauses: list[float] = []
    one.engine._loop.pause = pauses.append
    for _ in range(2):
        answer = one.trigger()
        one.step()
        one.hand.end(answer.value.id)
    one.step()
    assert pauses == [], "idle"
    monkeypatch.setattr(Pace, "is_busy", True)
    ids = []
    for _ in range(2):
        answer = one.trigger()
        one.step()
        ids.append(answer.value.id)
    one.engine._loop.pause = lambda seconds: (pauses.append(seconds), one.hand.end(ids[1]))
    one.hand.end(ids[0])
    one.step()

    assert pauses == [GATHER_S]
    assert [one.stored(run_id).status.is_final for run_id in ids] == [True, True], "both in one turn"


def test_a_busy_engine_waits_a_moment_for_what_comes_due_and_an_idle_one_until_then(monkeypatch):
    """What comes due within the moment shares a commit; a trigger ends the wait."""
    one = ByHand(a_job(mode=Mode.SCHEDULED, schedule=Every(0.010), start=Start.NOW, concurrency=2)).enter()
    one.step(after_s=0.008)
    idle_s = one.store.waits[-1]
    monkeypatch.setattr(Pace, "is_busy", True)
    one.step()

    assert idle_s == pytest.approx(0.002)
    assert one.store.waits[-1] == GATHER_S
