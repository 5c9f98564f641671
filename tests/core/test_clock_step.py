"""The wall clock was set: durations keep their length, the calendar finds its place anew."""

from __future__ import annotations

from datetime import datetime, timedelta

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
    an_iteration,
    an_occurrence,
    at,
)

from shiftboss.core.clock_step import clock_was_set, scheduled, since, went_back_unseen_us
from shiftboss.core.control import Request, cancel, keeps_its_key, trigger
from shiftboss.core.events import ClockStepped, RunEnded
from shiftboss.core.fleet import is_live, is_same_boot
from shiftboss.core.lane import Lane
from shiftboss.core.model import Cause, ClockMark, Disabled, Pause, Run, Status
from shiftboss.core.reconcile import declare
from shiftboss.core.shift import Shift, shifted
from shiftboss.core.value import replace

DAY_S = 86_400.0
HOURLY = "0 * * * *"
STEPS = [3600.0, -3600.0, 3 * DAY_S, -3 * DAY_S]


def set_clock(world: World, step_s: float, *, now: datetime = NOON, fired: dict[str, list[datetime]] | None = None):
    """The clock stood at *now* and is set by *step_s*; the instant that it shows then."""
    then = after(step_s, now)
    mark = ClockMark("boot-1", 0, round(step_s * 1e6))
    known = {name: (fired or {}).get(name, []) for name in scheduled(world)}
    change, _ = clock_was_set(
        world, then, ids=world.ids, step_us=mark.set_us, mark=mark, fired=known, node="n1", leases_too=False
    )
    lanes = {name: list(lane) for name, lane in world.lanes.items()}
    world.apply(change)
    for name, runs in lanes.items():  # what the store does with the waiting runs
        lane = world.lanes.setdefault(name, Lane())
        for run in runs:
            own = next((each for each in change.runs if each.id == run.id), None)
            lane.put(own or shifted(run, change.shift))
    return then


@pytest.mark.parametrize("step_s", STEPS)
class TestDurations:
    """O4: what lasts for a while has as much time left as before."""

    @pytest.mark.parametrize(
        "run",
        [
            a_run(due_at=after(5)),  # delay=
            a_run(due_at=after(4), attempt=1),  # R1: a retry
            an_iteration(due_at=after(30)),  # M5
            an_occurrence(due_at=after(4), attempt=1),
            a_run(due_at=at("11:00"), give_up_at=after(60), deadline_at=after(90)),  # T1
            a_run(due_at=after(4), attempt=1, by_calendar=True),  # a retry of what was timed by the calendar
        ],
        ids=["delay", "retry", "pause", "retry of an occurrence", "start_within and deadline", "retry of at="],
    )
    def test_of_a_waiting_run(self, run: Run, step_s: float):
        """R1, M5, T1"""
        moved = shifted(run, Shift(round(step_s * 1e6), after(step_s)))

        for name in ("due_at", "give_up_at", "deadline_at"):
            before, now = getattr(run, name), getattr(moved, name)
            assert now == (None if before is None else after(step_s, before))

    def test_of_breakers_probation_buckets_and_claims(self, step_s: float):
        """K2, K5, K7, B8"""
        disabled = Disabled(by="auto", reason="", since=NOON, probation_s=60.0, probation_until=after(60))
        world = a_snapshot(
            a_run("a", Status.RUNNING, since=at("11:59"), heartbeat_at=NOON, deadline_at=after(9)),
            workers=[
                replace(a_worker("a", disabled=disabled), paused=Pause("ada", "", NOON, after(90), is_elapsed=True)),
                replace(a_worker("b"), paused=Pause("ada", "", NOON, after(90))),
            ],
            records={"a": a_record(tokens=0.0, tokens_at=NOON, last_success_at=at("11:00"))},
            breakers=[a_breaker("x")],
        )
        set_clock(world, step_s)
        (run,) = world.running.values()

        assert world.workers["a"].disabled.probation_until == after(60 + step_s)
        assert world.workers["a"].paused == (Pause("ada", "", after(step_s), after(90 + step_s), is_elapsed=True))
        assert world.workers["b"].paused == Pause("ada", "", after(step_s), after(90))
        assert world.record("a").tokens_at == after(step_s)
        assert world.record("a").last_success_at == after(step_s, at("11:00"))
        assert (world.breakers["x"].opened_at, world.breakers["x"].until) == (after(step_s), after(30 + step_s))
        assert (run.claim.at, run.heartbeat_at) == (after(step_s, at("11:59")), after(step_s))
        assert run.deadline_at == after(9 + step_s)

    def test_of_an_interval(self, step_s: float):
        """M4: due an interval after its last start, with nothing missed."""
        record = a_record(anchor_at=at("06:30"), last_instant=at("11:30"))
        world = a_snapshot(an_occurrence(due_at=at("12:30")), workers=[a_worker(every=3600.0)], records={"a": record})
        then = set_clock(world, step_s)

        assert world.start(after(1799, then)) == []
        assert world.start(after(1800, then)) == [1]
        assert world.running[1].missed == 0
        assert [run.due_at for run in world.pending()] == []
        world.settle(1, OK, after(1801, then))
        assert [run.due_at for run in world.pending()] == [after(1800 + 3600, then)]

    def test_of_a_key(self, step_s: float):
        """O5"""
        run = a_run(status=Status.SUCCEEDED, key="k", finished_at=NOON)
        set_us, then = round(step_s * 1e6), after(step_s)

        assert keeps_its_key(run, after(59, then), key_ttl_s=60, clock_set_us=set_us)
        assert not keeps_its_key(run, after(60, then), key_ttl_s=60, clock_set_us=set_us)
        assert keeps_its_key(replace(run, clock_set_us=set_us), after(59), key_ttl_s=60, clock_set_us=set_us)

    def test_it_is_an_event(self, step_s: float):
        world = a_snapshot(workers=[a_worker()])
        then = set_clock(world, step_s)

        assert world.said(ClockStepped) == [ClockStepped(at=then, node="n1", step_s=step_s)]


class TestAnInstantOfTheCalendar:
    """O4: `at=` follows the wall clock."""

    def run(self, **fields):
        return a_run(due_at=after(1800), by_calendar=True, give_up_at=after(1860), **fields)

    def test_stays_where_it_is(self):
        assert shifted(self.run(), Shift(60_000_000, after(60))) == self.run()
        assert shifted(self.run(), Shift(-60_000_000, after(-60))) == self.run()

    def test_that_was_jumped_over_is_due_now_and_has_waited_for_nothing(self):
        moved = shifted(self.run(), Shift(3_600_000_000, after(3600)))

        assert (moved.due_at, moved.occurs_at, moved.give_up_at) == (after(3600), after(1800), after(3660))

    def test_that_was_due_by_a_wrong_clock_waits_again(self):
        late = shifted(self.run(), Shift(3_600_000_000, after(3600)))
        again = shifted(late, Shift(-3_600_000_000, after(10)))

        assert again == self.run()

    def test_that_has_come_has_waited_as_long_as_it_had(self):
        moved = shifted(self.run(), Shift(-60_000_000, after(1840)))  # it was due for 100 s

        assert (moved.due_at, moved.give_up_at) == (after(1740), after(1800))

    def test_a_trigger_knows_which_it_is(self):
        world = a_snapshot(workers=[a_worker()])

        def flag(**fields):
            return trigger(world, NOON, ids=world.ids, request=Request("a", **fields))[1].by_calendar

        assert [flag(), flag(delay_s=5.0), flag(at=at("11:00")), flag(at=NOON)] == [False] * 4
        assert [flag(at=after(1)), flag(at=at("13:00"))] == [True, True]


class TestCron:
    """O4, O1: after a step back cron goes on at the first instant after now that no run has as its own."""

    def a_world(self, run: Run, *, last: str | None = None, **fields) -> World:
        record = a_record(last_instant=None if last is None else at(last))
        return a_snapshot(run, workers=[a_worker(cron=HOURLY, **fields)], records={"a": record})

    def waiting(self, due: str, **fields) -> Run:
        return an_occurrence(due_at=at(due), by_calendar=True, **fields)

    def test_it_does_not_wait_for_the_clock_to_come_back(self):
        world = self.a_world(self.waiting("13:00"), last="12:00")
        set_clock(world, -2.5 * 3600)

        assert [(run.occurs_at, run.due_at) for run in world.pending()] == [(at("10:00"), at("10:00"))]

    def test_what_ran_is_left_out_also_later(self):
        world = self.a_world(self.waiting("13:00"), last="12:00")
        set_clock(world, -2.5 * 3600, fired={"a": [at("10:00"), at("11:00")]})

        (run,) = world.pending()
        assert run.occurs_at == at("12:00")
        assert world.record("a").ran_ahead == ((at("10:00"), at("11:00")),)

    def test_what_a_catch_up_merely_covered_fires_when_its_time_comes(self):
        world = self.a_world(self.waiting("15:00"), last="14:00")
        set_clock(world, -5 * 3600, fired={"a": [at("12:00")]}, now=at("14:30"))

        assert world.start(at("10:00:01")) == [1]
        world.settle(1, OK, at("10:00:02"))
        assert world.start(at("11:00:01")) == [101]
        world.settle(101, OK, at("11:00:02"))
        assert [run.occurs_at for run in world.pending()] == [at("13:00")]

    def test_one_that_runs_has_its_instant_as_its_own(self):
        world = self.a_world(an_occurrence(status=Status.RUNNING, due_at=at("12:00"), attempt=1), last="12:00")
        set_clock(world, -3600)
        world.settle(1, OK, at("11:30"))

        assert [run.occurs_at for run in world.pending()] == [at("13:00")]

    def test_a_forward_step_is_one_catch_up(self):
        """O2"""
        world = self.a_world(self.waiting("13:00"), last="12:00")
        then = set_clock(world, 5.5 * 3600)

        assert world.start(then) == [1]
        assert (world.running[1].covers_until, world.running[1].missed) == (at("17:00"), 4)

    def test_an_overdue_one_is_not_put_off(self):
        world = self.a_world(self.waiting("09:00"), last="08:00")
        set_clock(world, -3600)

        assert [(run.occurs_at, run.due_at) for run in world.pending()] == [(at("09:00"), at("08:00"))]

    def test_what_somebody_cancelled_does_not_come_back(self):
        world = self.a_world(self.waiting("13:00"), last="12:00")
        world.fetched.update({1: world.pending()[0]})
        world.does(cancel, run_id=1, by="ada", reason="")
        assert [run.occurs_at for run in world.pending()] == [at("14:00")]
        set_clock(world, -60, fired={"a": [at("12:00")]})

        assert [run.occurs_at for run in world.pending()] == [at("14:00")]

    def test_jitter_is_kept(self):
        world = self.a_world(self.waiting("13:00"), last="12:00", jitter_s=60.0)
        set_clock(world, -2.5 * 3600)
        (run,) = world.pending()

        assert timedelta(0) < run.due_at - run.occurs_at < timedelta(seconds=60)

    def test_a_verdict_of_an_instant_ahead_is_outdated_by_the_next_run(self):
        """D2"""
        world = self.a_world(self.waiting("13:00"), last="12:00")
        world.records["a"] = replace(world.record("a"), latest=a_record(ok=False, occurs_at=NOON).latest)
        set_clock(world, -2.5 * 3600)
        world.start(at("10:00"))
        world.settle(1, OK, at("10:01"))

        assert world.record("a").latest.ok


class TestAnInterval:
    """O1, O4: its shifted instants never fall on old ones."""

    def test_it_moves_a_microsecond_beside_them(self):
        record = a_record(anchor_at=at("06:00"), last_instant=at("12:00"))
        world = a_snapshot(an_occurrence(due_at=at("13:00")), workers=[a_worker(every=3600.0)], records={"a": record})
        set_clock(world, -3 * 3600, fired={"a": [at("10:00"), at("11:00"), at("12:00")]}, now=at("12:30"))

        assert [run.occurs_at for run in world.pending()] == [after(1e-6, at("10:00"))]
        assert world.record("a").anchor_at == after(1e-6, at("03:00"))


class TestNobodyWatched:
    """O4: a step back is known by what has happened and lies ahead of now."""

    def test_by_so_much_as_lies_ahead(self):
        world = a_snapshot(workers=[a_worker()], records={"a": a_record(last_run_at=after(3600))})

        assert went_back_unseen_us(world, NOON) == -3_600_000_000

    def test_or_by_an_instant_that_was_covered(self):
        record = a_record(last_run_at=at("11:00"), last_instant=at("15:00"))
        world = a_snapshot(workers=[a_worker(cron=HOURLY)], records={"a": record})

        assert went_back_unseen_us(world, NOON) == 0

    def test_otherwise_nothing_is_known(self):
        record = a_record(last_run_at=at("11:00"), last_instant=at("11:00"))

        assert went_back_unseen_us(a_snapshot(workers=[a_worker()], records={"a": record}), NOON) is None

    def test_an_interval_that_would_stand_still_goes_on(self):
        record = a_record(anchor_at=at("06:00"))
        world = a_snapshot(an_occurrence(due_at=at("18:00")), workers=[a_worker(every=3600.0)], records={"a": record})
        set_clock(world, 0.0)

        assert [run.due_at for run in world.pending()] == [at("13:00")]


class TestRetention:
    """A4, O4: a clock that was wrong for a while takes nothing from the history."""

    DAY_US = 86_400_000_000

    def mark(self, *steps: float) -> ClockMark:
        """Steps of so many days, each an hour before the next and the last an hour ago."""
        set_us, now_us, found = 0, round(NOON.timestamp()) * 1_000_000, []
        total_us = round(sum(steps)) * self.DAY_US
        for left, step in zip(range(len(steps), 0, -1), steps, strict=True):
            found.append((now_us - total_us - left * 3_600_000_000, set_us))
            set_us += round(step) * self.DAY_US
        return ClockMark("boot", 0, set_us, tuple(found))

    @pytest.mark.parametrize(
        ("steps", "days"),
        [((), 14), ((365,), 14 + 365), ((365, -365), 14), ((-3, 3), 14 + 3), ((-3,), 14)],
    )
    def test_what_is_younger_than_it_is_to_be_kept_stays(self, steps: tuple[float, ...], days: int):
        assert since(self.mark(*steps), NOON, 14 * DAY_S) == after(-days * DAY_S)

    def test_after_that_time_a_step_is_forgotten(self):
        assert since(self.mark(365), after(15 * DAY_S), 14 * DAY_S) == after(1 * DAY_S)

    def test_without_steps_it_is_wall_time(self):
        assert since(None, NOON, 60.0) == after(-60)


class TestBoots:
    """C2: where a boot has no id, it is known by its wall instant, which moves along."""

    def test_small_corrections_are_no_reboot(self):
        assert is_same_boot("booted-1000059", "booted-1000061")
        assert not is_same_boot("booted-1000000", "booted-1003600")
        assert not is_same_boot("5f2c", "5f2d")
        assert is_live(a_node(boot="booted-1000000"), boot="booted-1000002", lease_s=100.0)

    def test_a_step_moves_them(self):
        world = a_snapshot(nodes=[a_node("n1", boot="booted-1000000"), a_node("n2", boot="5f2c")])
        set_clock(world, 3600.0)

        assert [node.boot for node in world.nodes.values()] == ["booted-1003600", "5f2c"]

    def test_leases_of_a_server_move_with_its_clock(self):
        world = a_snapshot(nodes=[a_node(lease_until_s=130.0, held_since_s=10.0)])
        change, _ = clock_was_set(
            world, NOON, ids=world.ids, step_us=5_000_000, mark=ClockMark("b", 0), fired={}, leases_too=True
        )

        assert [(node.lease_until_s, node.held_since_s) for node in change.nodes] == [(135.0, 15.0)]


class TestZones:
    """O3: the rules of a zone may have changed between two starts."""

    def test_what_waits_moves_to_an_instant_of_todays(self):
        definition = a_definition(cron="0 3 * * *")
        stale = an_occurrence(due_at=after(16 * 3600), by_calendar=True)  # 04:00, by the rules of yesterday
        world = a_snapshot(
            stale, workers=[a_worker(cron="0 3 * * *")], records={"a": a_record(last_instant=at("04:00"))}
        )
        world.declare(definition)

        (run,) = world.pending()
        assert run.occurs_at == run.due_at == after(15 * 3600)

    def test_what_is_an_instant_stays(self):
        waiting = an_occurrence(due_at=after(15 * 3600), by_calendar=True)
        world = a_snapshot(waiting, workers=[a_worker(cron="0 3 * * *")], records={"a": a_record()})
        world.declare(a_definition(cron="0 3 * * *"))

        assert world.pending() == [replace(waiting, id=1)]


def test_a_changed_schedule_goes_on_at_once_after_a_step_back():
    """M4, O1"""
    record = a_record(last_instant=at("12:00"))
    world = a_snapshot(
        an_occurrence(due_at=at("13:00"), by_calendar=True), workers=[a_worker(cron=HOURLY)], records={"a": record}
    )
    set_clock(world, -3 * 3600, fired={"a": [at("11:00"), at("12:00")]})
    world.does(declare, at("10:30"), definitions=[a_definition(cron="0 */1 * * *")], resources={})

    assert [run.occurs_at for run in world.pending()] == [at("13:00")]


@pytest.mark.parametrize("rule", [{"every": 60.0}, {"cron": "* * * * *"}])
def test_a_schedule_that_has_ended_stays_so_when_the_clock_is_set_back(rule):
    """M4, O4"""
    record = a_record(anchor_at=NOON, last_instant=after(60), ended=True)
    world = a_snapshot(workers=[a_worker("a", until=after(90), **rule)], records={"a": record})
    then = set_clock(world, -3600.0, now=after(600), fired={"a": [after(60)]})
    world.declare(world.workers["a"].definition, now=after(5, then))

    assert world.pending() == []
    assert world.record("a").ended


def test_a_waiting_run_that_the_clock_moves_beyond_the_end_is_replaced():
    """M4, O4"""
    record = a_record(anchor_at=NOON, last_instant=NOON)
    run = an_occurrence(due_at=after(60))
    world = a_snapshot(run, workers=[a_worker("a", every=60.0, until=after(90))], records={"a": record})
    then, mark = after(3600), ClockMark("boot-1", 0, 3_600_000_000)
    change, _ = clock_was_set(world, then, ids=world.ids, step_us=mark.set_us, mark=mark, fired={"a": []})

    (skipped,) = change.runs
    assert (skipped.status, skipped.cause, skipped.finished_at) == (Status.SKIPPED, Cause.REPLACED, then)
    assert dict(change.records)["a"].ended
    assert [each for each in change.events if isinstance(each, RunEnded)] == [
        RunEnded(at=then, worker="a", run=1, status=Status.SKIPPED, cause=Cause.REPLACED)
    ]
